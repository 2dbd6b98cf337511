"""The tree of domain errors.

``SuanwangError``
 ├── ``BadInput``        the caller's words are wrong (HTTP 422, exit 2)
 ├── ``NotFound``        the named thing is not there, or not the caller's (404, exit 1)
 ├── ``Conflict``        the thing is in another state than the caller believes (409, exit 5)
 │    └── ``Stale``      it has moved on from the revision that the caller named (412, exit 5)
 ├── ``Unauthorised``    no or a wrong credential (401, exit 4)
 ├── ``Forbidden``       a right is missing (403, exit 4)
 ├── ``Refused``         a rule or a budget says no (402, exit 6)
 ├── ``Unavailable``     a part that is needed does not answer (503, exit 3)
 └── ``InvalidTransition``  an event that a state does not know (409): a bug or a late message

A refusal inside a plan is a value (``model.plan.Rejection``), not an exception. A bug is an assert.
"""

from typing import ClassVar


class SuanwangError(Exception):
    """Root of the domain's errors: a message for people, facts for programs, and the next step."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.facts = facts


class BadInput(SuanwangError):
    """The caller's words are wrong."""

    code = "bad-input"
    status = 422
    exit_code = 2


class NotFound(SuanwangError):
    """The named thing is not there, or belongs to somebody else."""

    code = "not-found"
    status = 404


class Conflict(SuanwangError):
    """The thing is in another state than the caller believes."""

    code = "conflict"
    status = 409
    exit_code = 5


class Stale(Conflict):
    """The thing has moved on from the revision that the caller named."""

    code = "stale"
    status = 412


class InvalidTransition(Conflict):
    """An event came that the present state does not know."""

    code = "invalid-transition"


class Unauthorised(SuanwangError):
    """No credential, or a wrong one."""

    code = "unauthorised"
    status = 401
    exit_code = 4


class Forbidden(SuanwangError):
    """The credential is good, the right is missing."""

    code = "forbidden"
    status = 403
    exit_code = 4


class Refused(SuanwangError):
    """A rule or a budget says no."""

    code = "refused"
    status = 402
    exit_code = 6


class Unavailable(SuanwangError):
    """A part that is needed does not answer."""

    code = "unavailable"
    status = 503
    exit_code = 3
