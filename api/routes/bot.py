"""The bot's switch, and whether the service lives and guards."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Caller
from api.problems import FieldError, JsonResponse, Problem, unavailable
from api.routes.body import read_body, read_fields
from api.routes.context import Handler, context_of, guarded
from api.runtime import Runtime
from api.schemas import Json, bot_json
from engine.model.events import BotSwitched
from storage.tables import Scope

ANSWER_WITHIN_S = 0.9


def bot_routes() -> list[Route]:
    """Return the routes of the bot and of the service's state."""
    return [
        Route("/health", health, methods=["GET"]),
        guarded("/ready", "GET", Scope.READ, ready),
        guarded("/bot", "GET", Scope.READ, get_bot),
        guarded("/bot/start", "POST", Scope.TRADE, _switch(accepting=True)),
        guarded("/bot/stop", "POST", Scope.TRADE, _switch(accepting=False)),
    ]


async def health(_request: Request) -> Response:
    """``GET /health``: the process answers; open to everybody, so it tells nothing else."""
    return JsonResponse({"status": "alive"})


async def ready(request: Request, _caller: Caller) -> Response:
    """``GET /ready``: 200 while every position is guarded, else 503 with why.

    ``ticks`` counts, since the start, the prices that were held, by venue and source, with what
    became of them, and those that were dropped, by venue and reason.
    """
    runtime = context_of(request).runtime
    found = runtime.flow.problems()
    if not found:
        ticks = {**runtime.flow.tick_counts(), **runtime.dropped()}
        return JsonResponse({"status": "guarding", "ticks": dict(sorted(ticks.items()))})
    errors = [FieldError("guard", problem) for problem in found]
    problem = unavailable("; ".join(found))
    raise Problem(problem.status, problem.detail, errors, problem.headers)


async def get_bot(request: Request, _caller: Caller) -> Response:
    """``GET /bot``."""
    return JsonResponse(_bot(context_of(request).runtime))


def _bot(runtime: Runtime) -> Json:
    flow = runtime.flow
    return bot_json(
        accepting=flow.accepting,
        guarding=not flow.problems(),
        mode=str(runtime.settings.trading_mode),
        since_ns=flow.since_ns,
    )


def _switch(*, accepting: bool) -> Handler:
    async def handler(request: Request, caller: Caller) -> Response:
        context, raw = context_of(request), await read_body(request)

        async def act() -> Response:
            read_fields(raw)
            runtime = context.runtime
            event = BotSwitched(accepting, caller.actor, runtime.clock.now_ns())
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await runtime.flow.handle_durably(event)
            except TimeoutError:
                raise unavailable("Storage is slow; the switch is not on disk yet.") from None
            return JsonResponse(_bot(runtime))

        return await context.idempotency.once(request, caller, raw, act)

    return handler
