"""Refusals, as RFC 9457 ``application/problem+json`` with a field and a remedy each.

A ``Problem`` is raised wherever a request is found wanting, also by code that knows nothing of HTTP
but the meaning of a status. What is not a ``Problem`` becomes one here; a traceback never leaves.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from engine.model.errors import Retryable, TickguardError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MAX_SHOWN = 60
"""Characters of a sender's own words that an answer repeats."""

MAX_NAMED = 20
"""Wrong fields that an answer names."""

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # renamed by RFC 9110
_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; the Allow header lists those it takes.",
}


class FieldError(Struct, frozen=True):
    """What is wrong with one field (or ``body``, ``secret``, a header), and what to do about it."""

    field: str
    remedy: str


class Problem(TickguardError):
    """A request that is refused, by HTTP status (400..599)."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def malformed(field: str, remedy: str) -> Problem:
    """400: the body cannot be read as the JSON object it should be."""
    return Problem(
        400, "The body is not a JSON object that can be read.", [FieldError(field, remedy)]
    )


def unauthorized(field: str, remedy: str) -> Problem:
    """401: always the same words, whatever was wrong with the credentials."""
    headers = {"WWW-Authenticate": "Bearer"}
    return Problem(401, "The request is not authenticated.", [FieldError(field, remedy)], headers)


def too_large(max_bytes: int) -> Problem:
    """413: refused before anything was parsed. The connection ends, so the rest is never read."""
    error = FieldError("body", f"send at most {max_bytes} bytes")
    return Problem(413, "The body is too large.", [error], {"Connection": "close"})


def unprocessable(errors: Sequence[FieldError]) -> Problem:
    """422: readable, but one or more fields are not what they have to be."""
    named = errors[:MAX_NAMED]
    texts = [f"{error.field}: {error.remedy}" for error in named]
    if len(errors) > MAX_NAMED:
        texts.append(f"and {len(errors) - MAX_NAMED} more")
    return Problem(422, "; ".join(texts), named)


def check_count(count: int, most: int, field: str, what: str) -> None:
    """Refuse more fields than anybody needs, before any of them is looked at.

    Raises:
        Problem: 422 with one error that names the count.
    """
    if count > most:
        raise wrong_field(field, f"it has {count} {what}; send at most {most}")


def unknown_field(name: str, known: Sequence[str]) -> FieldError:
    """Say that a field is unknown, with a near name if there is one."""
    near = difflib.get_close_matches(name[:MAX_SHOWN].lower(), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "leave it out"
    return FieldError(name[:64] or "body", f"{shown(name)} is unknown; {hint}")


def wrong_field(field: str, remedy: str) -> Problem:
    """422 for one field."""
    return unprocessable([FieldError(field, remedy)])


def unavailable(detail: str) -> Problem:
    """503: nothing was done, and the same request may be sent again."""
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def too_many(field: str, remedy: str) -> Problem:
    """429: too many refused attempts from one address."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(429, "Too many refused requests.", [FieldError(field, remedy)], headers)


def shown(value: object) -> str:
    """Quote a sender's value for an answer, shortened."""
    text = str(value)
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")


class JsonResponse(Response):
    """JSON with numbers and texts as they are; NaN and infinities are a bug and raise."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")


class ProblemResponse(JsonResponse):
    """A problem as its media type."""

    media_type = MEDIA_TYPE


def problem_response(problem: Problem, request_id: str) -> Response:
    """Write a problem down."""
    status = problem.status
    content = {
        "type": "about:blank",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": problem.detail,
        "request_id": request_id,
        "errors": [{"field": e.field, "remedy": e.remedy} for e in problem.errors],
    }
    return ProblemResponse(content, status, problem.headers)


def internal_problem() -> Problem:
    """500: what happened stands in the log under the request id, and nowhere else."""
    return Problem(500, "Something went wrong inside; the log tells what, under the request id.")


def to_problem(error: Exception) -> Problem:
    """Turn what a handler raised into a problem."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Retryable):
        return unavailable("Storage does not answer now; nothing was done. Send the request again.")
    if isinstance(error, HTTPException):
        detail = _DETAILS.get(error.status_code, str(error.detail))
        return Problem(error.status_code, detail, headers=error.headers)
    return internal_problem()


def request_id(request: Request) -> str:
    """Return the id that the answer and the log of a request share."""
    return str(request.scope.get("tickguard.request_id", ""))


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer what a handler raised; Starlette calls it for the exceptions it is registered for."""
    problem = to_problem(error)
    if "Allow" in problem.headers:
        problem.headers["Allow"] = ", ".join(sorted(_methods(request)))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=problem.headers)
    return problem_response(problem, request_id(request))


def _methods(request: Request) -> set[str]:
    """Return what an address takes; each method has a route of its own, with its own scope."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    at_address = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in at_address for method in route.methods or ()}
