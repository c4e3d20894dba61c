"""The web application: routes, what surrounds each request, and nothing that decides anything."""

import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import FieldError, Problem, internal_problem, on_problem, problem_response
from api.routes.adoption import adoption_routes
from api.routes.bot import bot_routes
from api.routes.context import build_context
from api.routes.lists import list_routes
from api.routes.positions import position_routes
from api.routes.statistics import statistics_routes
from api.routes.webhook import webhook_routes
from api.runtime import Runtime
from engine.clock import NS_PER_MS
from engine.model.errors import Retryable

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Set unless the route set its own."""

log = structlog.get_logger(__name__)


def build_app(runtime: Runtime) -> Starlette:
    """Return the application that serves a runtime."""
    app = Starlette(
        routes=[
            *webhook_routes(runtime.clock),
            *adoption_routes(),
            *position_routes(),
            *list_routes(),
            *statistics_routes(),
            *bot_routes(),
        ],
        middleware=[Middleware(Surround, runtime=runtime)],
        exception_handlers={
            Problem: on_problem,
            Retryable: on_problem,
            HTTPException: on_problem,
        },
    )
    # A redirected POST loses its body with many senders; a wrong address is a 404.
    app.router.redirect_slashes = False
    app.state.context = build_context(runtime)
    return app


class Surround:
    """Gives each request an id, headers and a log line, and turns a crash into a 500.

    The log names the route, never the path or the query: a token may stand in both.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._runtime.random_id()
        scope["tickguard.request_id"] = request_id
        began_ns = self._runtime.clock.monotonic_ns()
        answer = _Answer(send, request_id)
        try:
            if _has_two_lengths(scope):
                response = problem_response(_two_lengths(), request_id)
                await response(scope, receive, answer.send)
            else:
                await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            log.info("http.gone", request_id=request_id, route=_route(scope))
        except Exception:
            log.exception("http.failed", request_id=request_id, route=_route(scope))
            if answer.status is None:
                response = problem_response(internal_problem(), request_id)
                await response(scope, receive, answer.send)
        took_ms = (self._runtime.clock.monotonic_ns() - began_ns) / NS_PER_MS
        log.info(
            "http.answered",
            request_id=request_id,
            method=scope["method"],
            route=_route(scope),
            status=answer.status,
            duration_ms=round(took_ms, 3),
            address=scope["client"][0] if scope.get("client") else None,
        )


def _has_two_lengths(scope: Scope) -> bool:
    names = {name.lower() for name, _ in scope["headers"]}
    return names >= {b"content-length", b"transfer-encoding"}


def _two_lengths() -> Problem:
    """400: a proxy could see another end of the body than we do, and so another next request."""
    error = FieldError("Content-Length", "send it or Transfer-Encoding, not both")
    detail = "The request says twice how long it is."
    return Problem(400, detail, [error], {"Connection": "close"})


class _Answer:
    """Sends a response with the headers that all have, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # A remembered response is sent more than once: its own headers stay as they are.
            message = {**message, "headers": list(message.get("headers", []))}
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unmatched")
