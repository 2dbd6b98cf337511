"""Every error leaves as RFC 9457 problem+json; on Ray's own paths as the text its clients print."""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from api.store import DATABASE_AWAY, ROW_CONTRADICTS, ROW_UNSTORABLE
from suanwang.errors import BadInput, Conflict, SuanwangError, Unavailable
from suanwang.log import redact

logger = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "https://suanwang.dev/problems/"
RAY_PREFIX: Final = "/api/"
Handler = Callable[[Request, Exception], Response]
VALIDATION_ERRORS_MAX: Final = 20


class Problem(BaseModel):
    """What went wrong, for people (``detail``) and for programs (``code``, ``facts``)."""

    type: str = Field(examples=[f"{PROBLEM_TYPE}refused"], description="URI of the kind of problem")
    title: str = Field(examples=["Payment Required"], description="the status in words")
    status: int = Field(examples=[402], description="HTTP status")
    detail: str = Field(
        examples=["the job can cost 48.00 CNY, vouchers and cash have 12.50 CNY"],
        description="what is wrong, with both numbers where there are two",
    )
    code: str = Field(examples=["refused"], description="code that programs may rely on")
    facts: dict[str, object] = Field(
        default_factory=dict, examples=[{"price_fen": 4800, "available_fen": 1250}]
    )
    next_step: str = Field(default="", examples=["ask for fewer minutes"])


class ProblemResponse(JSONResponse):
    """JSON under the media type of RFC 9457."""

    media_type = "application/problem+json"


class NotAllowed(BadInput):
    """The address knows other methods only."""

    code = "method-not-allowed"
    status = 405


class BodyTooLarge(BadInput):
    """The body is larger than the route takes."""

    code = "body-too-large"
    status = 413


class InternalError(SuanwangError):
    """A bug of ours."""

    code = "internal"
    status = 500


PROBLEM_ANSWERS: Final[dict[int | str, dict[str, object]]] = {
    status: {
        "model": Problem,
        "description": description,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    for status, description in {
        401: "no credential, or a wrong one",
        403: "the credential lacks the right",
        404: "not there, or somebody else's",
        409: "in another state than you believe",
        413: "the body is too large",
        422: "the words are wrong",
        503: "a part that is needed does not answer",
    }.items()
}
"""OpenAPI's description of the errors that any route may answer with."""


def problem_of(error: SuanwangError) -> Problem:
    """Return the problem that a domain error becomes; secrets inside are blacked out."""
    return Problem(
        type=f"{PROBLEM_TYPE}{error.code}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=redact(error.message),
        code=error.code,
        facts={name: jsonable_encoder(fact) for name, fact in error.facts.items()},
        next_step=error.next_step,
    )


def problem_response(path: str, error: SuanwangError) -> Response:
    """Return the answer for an error: text for Ray's clients, problem+json for everyone else."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if isinstance(wait_s := error.facts.get("retry_after_s"), int):
        headers["Retry-After"] = str(wait_s)
    if path.startswith(RAY_PREFIX):
        text = redact(error.message) + (f"; {error.next_step}" if error.next_step else "")
        return PlainTextResponse(text, error.status, headers)
    return ProblemResponse(problem_of(error).model_dump(), error.status, headers)


def _validation_error(failure: RequestValidationError) -> BadInput:
    errors: Sequence[dict[str, object]] = failure.errors()
    places = [
        {"where": _place(error.get("loc")), "message": str(error.get("msg", ""))}
        for error in errors[:VALIDATION_ERRORS_MAX]
    ]
    first = places[0] if places else {"where": "request", "message": "it cannot be read"}
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return BadInput(
        f"{first['where']}: {first['message']}{more}",
        next_step="GET /openapi.json describes every field",
        errors=places,
    )


def _place(location: object) -> str:
    if not isinstance(location, tuple) or not location:
        return "request"
    return ".".join(str(part) for part in location)


def _http_error(failure: HTTPException, request: Request) -> SuanwangError:
    if failure.status_code == 404:
        return _NoSuchRoute(f"there is nothing at {request.url.path}")
    if failure.status_code == 405:
        return NotAllowed(
            f"{request.method} is not known at {request.url.path}",
            next_step="GET /openapi.json lists what is",
        )
    if failure.status_code == 413:
        return BodyTooLarge(str(failure.detail), next_step="send less at once")
    error = BadInput(str(failure.detail))
    return error if failure.status_code < 500 else Unavailable(str(failure.detail))


class _NoSuchRoute(BadInput):
    code = "no-such-route"
    status = 404


def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, SuanwangError)
    if error.status >= 500:
        logger.warning("request failed", extra={"path": request.url.path, "why": error.message})
    return problem_response(request.url.path, error)


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(request.url.path, _validation_error(error))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem_response(request.url.path, _http_error(error, request))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _away(request: Request, error: Exception) -> Response:
    logger.warning("the database does not answer", extra={"why": str(error)[:500]})
    return problem_response(
        request.url.path,
        Unavailable(
            "the database does not answer",
            next_step="try again in a few seconds",
            retry_after_s=2,
        ),
    )


def _contradiction(request: Request, error: Exception) -> Response:
    logger.warning("the database refused a row", extra={"why": str(error)[:500]})
    return problem_response(
        request.url.path,
        Conflict("the request contradicts what is stored", next_step="read it again first"),
    )


def _unstorable(request: Request, error: Exception) -> Response:
    logger.warning("the database cannot hold a value", extra={"why": str(error)[:500]})
    return problem_response(
        request.url.path, BadInput("a value is of a kind or size that cannot be stored")
    )


def _bug(request: Request, error: Exception) -> Response:
    return problem_response(
        request.url.path,
        InternalError("an error of ours; it is in the server's log", next_step="report it"),
    )


def install_problems(app: FastAPI) -> None:
    """Make every error of the application leave as a problem."""
    handlers: tuple[tuple[tuple[type[Exception], ...], Handler], ...] = (
        ((SuanwangError,), _domain),
        ((RequestValidationError,), _validation),
        ((HTTPException,), _http),
        (DATABASE_AWAY, _away),
        (ROW_CONTRADICTS, _contradiction),
        (ROW_UNSTORABLE, _unstorable),
        ((Exception,), _bug),
    )
    for kinds, handler in handlers:
        for kind in kinds:
            app.add_exception_handler(kind, handler)
