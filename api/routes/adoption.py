"""``POST /positions/adopt``: guard what the venue holds and no position of ours bought."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Caller
from api.problems import FieldError, JsonResponse, Problem, unavailable, unprocessable
from api.routes.body import read_body, read_fields
from api.routes.context import context_of, guarded
from api.routes.positions import carry_out, find_position
from api.runtime import Runtime
from api.schemas import position_json
from api.webhook.close_at import next_time_of_day
from api.webhook.exit_fields import EXIT_FIELDS, read_exits
from api.webhook.exit_sets import origin
from api.webhook.fields import Draft, SignalReader
from api.webhook.symbols import Defaults, resolve, unknown_symbol
from engine.core.adopting import Obstacle, ObstacleKind
from engine.model.events import AdoptionWanted, PositionAdopted
from engine.model.exit_set import ExitChanges
from engine.model.exits import Side
from engine.model.instrument import Instrument, Market
from engine.model.signal import Action
from storage.tables import Scope

FIELDS = ("venue", "market", "symbol", "side", "entry_price", *EXIT_FIELDS)
KNOWN_WITHIN_S = 6.0
"""An account is read again at most every 5 s, and a market that trades tells its price sooner."""

LOOK_EVERY_S = 0.05


def adoption_routes() -> list[Route]:
    """Return the route of adoptions."""
    return [guarded("/positions/adopt", "POST", Scope.TRADE, adopt_position)]


async def adopt_position(request: Request, caller: Caller) -> Response:
    """``POST /positions/adopt``: 202 with the position.

    422 what was asked for is wrong, 409 there is nothing to adopt, 503 what is there is not known
    yet. Absent exits take the defaults, as those of an entry do.
    """
    context, raw = context_of(request), await read_body(request)

    async def act() -> Response:
        event = _read(context.runtime, read_fields(raw, FIELDS), caller)
        found = await _obstacles(context.runtime, event)
        if found:
            raise _problem(found, event.exits)
        await carry_out(context, event)
        position = await find_position(context, event.position_id)
        return JsonResponse(position_json(position), 202)

    return await context.idempotency.once(request, caller, raw, act)


def _read(runtime: Runtime, body: Mapping[str, Any], caller: Caller) -> PositionAdopted:
    reader, now_ns = SignalReader(body), runtime.clock.now_ns()
    symbol, venue = reader.text("symbol", required=True), reader.text("venue")
    market, side = reader.choice("market", Market), reader.choice("side", Side)
    entry_price = reader.positive("entry_price")
    exits = read_exits(reader, now_ns, runtime.settings.timezone)
    reader.raise_errors()
    # A draft is what symbols are resolved from; of an adoption only the place is used.
    draft = Draft(Action.CLOSE, (symbol or "").upper(), venue.lower() if venue else None, market)
    return PositionAdopted(
        position_id=runtime.random_id(),
        instrument=_instrument(runtime, draft),
        exits=_with_default_close(runtime, exits, now_ns),
        actor=caller.actor,
        at_ns=now_ns,
        side=side,
        entry_price=entry_price,
    )


def _instrument(runtime: Runtime, draft: Draft) -> Instrument:
    settings = runtime.settings
    venues, venue, market = settings.venues, settings.default_venue, settings.default_market
    wanted = resolve(draft, Defaults(venues=venues, venue=venue, market=market))
    place = (wanted.venue, wanted.market, wanted.symbol)
    listed = runtime.catalog.lookup(*place)
    if listed is not None:
        return listed
    if runtime.catalog.available(wanted.venue, wanted.market):
        raise unknown_symbol(wanted, runtime.catalog.near(*place))
    raise unavailable(f"What {wanted.venue} lists on {wanted.market} was not read yet.")


def _with_default_close(runtime: Runtime, exits: ExitChanges, now_ns: int) -> ExitChanges:
    """Have it closed at the owner's time of day, as an entry that says nothing of it."""
    settings = runtime.settings
    if settings.close_at is None or exits.close_at_ns is not None:
        return exits
    at_ns = next_time_of_day(settings.close_at, settings.timezone, now_ns)
    return replace(exits, close_at_ns=at_ns)


async def _obstacles(runtime: Runtime, event: PositionAdopted) -> Sequence[Obstacle]:
    """What stands in the way, when all is known or enough was waited for it."""
    flow = runtime.flow
    found = flow.adoption_obstacles(event)
    if _is_later(found):
        flow.handle(AdoptionWanted(event.instrument, runtime.clock.now_ns()))
    waited_s = 0.0
    while _is_later(found) and waited_s < KNOWN_WITHIN_S:
        await asyncio.sleep(LOOK_EVERY_S)
        waited_s += LOOK_EVERY_S
        found = flow.adoption_obstacles(event)
    return found


def _is_later(found: Sequence[Obstacle]) -> bool:
    return any(obstacle.kind is ObstacleKind.LATER for obstacle in found)


def _problem(found: Sequence[Obstacle], asked: ExitChanges) -> Problem:
    errors = [_error(obstacle, asked) for obstacle in found]
    kind = found[0].kind
    if kind is ObstacleKind.WRONG:
        return unprocessable(errors)
    if kind is ObstacleKind.ABSENT:
        return Problem(409, f"Nothing was adopted: {found[0].remedy}.", errors)
    later = unavailable(f"Nothing was adopted: {found[0].remedy}.")
    return Problem(later.status, later.detail, errors, later.headers)


def _error(obstacle: Obstacle, asked: ExitChanges) -> FieldError:
    field = obstacle.field
    by_default = origin(field, asked) if field in EXIT_FIELDS else ""
    return FieldError(field, obstacle.remedy + by_default)
