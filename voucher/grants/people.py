"""Who may do what to an application: roles of stages, districts, and four eyes.

Nobody works on an application of its own organisation, whatever its role; the platform's own
organisation cannot both apply and review.
"""

from typing import Final

from suanwang.errors import Forbidden
from suanwang.model.tenant import Role
from voucher.grants.case import Case, Event
from voucher.programmes.schema import Stage

CITY: Final = frozenset({Role.REVIEWER_CITY, Role.ADMIN})
DISTRICT: Final = frozenset({Role.REVIEWER_DISTRICT, Role.ADMIN})
REVIEWERS: Final = CITY | DISTRICT
APPLICANTS: Final = frozenset({Role.ENTERPRISE})


def roles_of(stage: Stage) -> frozenset[Role]:
    """Return the roles that do a stage.

    A policy names offices in its own words: ``applicant``, a word with ``district`` in it, and
    every other office (centre, experts, bureau, finance) is the city's.
    """
    if stage.role == "applicant":
        return APPLICANTS
    return DISTRICT if "district" in stage.role.split("-") else CITY


def may_see(case: Case, role: Role, tenant_id: str) -> bool:
    """Say whether somebody may see an application: applicants their own, districts theirs."""
    if role in CITY:
        return True
    if role is Role.REVIEWER_DISTRICT:
        return case.district in ("", tenant_id)
    return case.tenant_id == tenant_id


def require_owner(case: Case, event: Event) -> None:
    """Raise Forbidden unless the applicant's own organisation acts."""
    if event.actor.tenant_id != case.tenant_id or event.actor.role not in APPLICANTS:
        raise Forbidden(
            f"only the applicant may {event.action.value} application {case.id}",
            next_step="use an enterprise key of the applicant",
        )


def require_role(case: Case, event: Event, roles: frozenset[Role]) -> None:
    """Raise Forbidden unless somebody of ``roles``, from another organisation, acts."""
    if event.actor.role not in roles:
        raise Forbidden(
            f"{event.action.value} of application {case.id} needs the role "
            f"{' or '.join(sorted(roles))}, not {event.actor.role.value}",
            role=event.actor.role.value,
        )
    require_four_eyes(
        event.actor.tenant_id != case.tenant_id,
        f"application {case.id} is of your own organisation; somebody else must do this",
    )


def require_stage_role(case: Case, event: Event, stage: Stage) -> None:
    """Raise Forbidden unless the actor's role does this stage, in its own district."""
    if stage.role == "applicant":
        require_owner(case, event)
        return
    require_role(case, event, roles_of(stage))
    if event.actor.role is Role.REVIEWER_DISTRICT and case.district not in (
        "",
        event.actor.tenant_id,
    ):
        raise Forbidden(
            f"application {case.id} belongs to district {case.district}", district=case.district
        )


def require_four_eyes(is_other: bool, message: str) -> None:
    """Raise Forbidden with the rule's own code unless somebody else acts."""
    if not is_other:
        raise Forbidden(
            message, next_step="let another person do it, with a key of its own", rule="four-eyes"
        )
