"""What the routes share: the running service and the HTTP layer's own parts, built once an app."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Caller, Gate
from api.inbox import Inbox
from api.problems import Problem
from api.routes.idempotency import Idempotency
from api.routes.reader import Reader
from api.routes.refusals import Refusals
from api.runtime import Runtime
from api.wiring import guard_config
from engine import inbox as engine_inbox
from engine.core.state import GuardConfig
from storage.keys import ApiKeys
from storage.queries import Queries
from storage.tables import Scope

Handler = Callable[[Request, Caller], Awaitable[Response]]
_NOTED_ON_GET = (401, 403)


@dataclass(frozen=True)
class Context:
    """The parts that handlers use. ``config`` is the guardian's."""

    runtime: Runtime
    config: GuardConfig
    queries: Queries
    reader: Reader
    gate: Gate
    inbox: Inbox
    refusals: Refusals
    idempotency: Idempotency


def build_context(runtime: Runtime) -> Context:
    """Wire the HTTP layer's own parts."""
    reader, queries = Reader(), Queries(runtime.engine)
    keys = ApiKeys(runtime.engine, runtime.clock)
    required, own_host = runtime.settings.api_keys_required, runtime.settings.api_host
    secret = runtime.settings.webhook_secret
    hidden = [secret.get_secret_value()] if secret is not None else []
    return Context(
        runtime=runtime,
        config=guard_config(runtime.settings),
        queries=queries,
        reader=reader,
        gate=Gate(keys, reader, runtime.clock, required=required, own_host=own_host),
        inbox=Inbox(engine_inbox.Inbox(runtime.flow, queries, runtime.random_id, reader)),
        refusals=Refusals(runtime.flow, runtime.clock, hidden),
        idempotency=Idempotency(),
    )


def context_of(request: Request) -> Context:
    """Return the context of the app that serves a request."""
    context: Context = request.app.state.context
    return context


def guarded(path: str, method: str, scope: Scope, handler: Handler) -> Route:
    """Make a route for callers whose key has ``scope``; every refusal worth it is noted."""

    async def endpoint(request: Request) -> Response:
        context = context_of(request)
        actor = "unknown"
        try:
            caller = await context.gate.admit(request, scope)
            actor = caller.actor
            return await handler(request, caller)
        except Problem as problem:
            if method != "GET" or problem.status in _NOTED_ON_GET:
                await context.refusals.note_request(request, problem, actor)
            raise

    return Route(path, endpoint, methods=[method])
