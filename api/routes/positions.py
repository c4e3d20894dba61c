"""Positions: active ones as the flow has them this moment, the others from the ledger."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Caller
from api.problems import FieldError, JsonResponse, Problem, unprocessable, wrong_field
from api.routes.body import read_body, read_fields, read_query
from api.routes.context import Context, context_of, guarded
from api.routes.lists import read_limit
from api.schemas import list_json, position_json
from api.webhook.amounts import read_number
from api.webhook.exit_fields import EXIT_FIELDS, read_changes
from engine.model.errors import Retryable
from engine.model.events import CloseRequested, ExitsAmended, PositionAdopted
from engine.model.instrument import Instrument, Market
from engine.model.money import ONE, ZERO, ceil_to_step, plain
from engine.model.position import ACTIVE, Position, PositionStatus
from storage.queries import read_stored_int
from storage.tables import Scope

ANSWER_WITHIN_S = 0.9
_CLOSABLE = ACTIVE - {PositionStatus.CLOSING}
_FRACTION_STEP = Decimal("0.0001")
_STATUSES = ("active", "all", *PositionStatus)


def position_routes() -> list[Route]:
    """Return the routes of positions."""
    return [
        guarded("/positions", "GET", Scope.READ, list_positions),
        guarded("/positions/{id}", "GET", Scope.READ, get_position),
        guarded("/positions/{id}", "PATCH", Scope.TRADE, amend_position),
        guarded("/positions/{id}/close", "POST", Scope.TRADE, close_position),
    ]


async def list_positions(request: Request, _caller: Caller) -> Response:
    """``GET /positions?status=&limit=&cursor=``, last created first."""
    context, query = context_of(request), read_query(request, ("status", "limit", "cursor"))
    status, cursor = query.get("status", "active").lower(), query.get("cursor")
    if status not in _STATUSES:
        raise wrong_field("status", f"give one of {', '.join(_STATUSES)}")
    limit, flow = read_limit(query), context.runtime.flow
    if status == "active" or status in ACTIVE:
        chosen = [p for p in flow.positions() if status in ("active", p.status)]
        return _page(chosen, limit, cursor)
    try:
        page = await context.reader(context.queries.positions, status, limit, cursor)
    except ValueError:
        raise _wrong_cursor() from None
    items = [flow.position(stored.id) or stored for stored in page.items]
    return JsonResponse(list_json(items, position_json, page.next_cursor))


def _page(positions: Sequence[Position], limit: int, cursor: str | None) -> Response:
    """Cut a page out of positions that are all in memory, so that storage need not answer."""
    ordered = sorted(positions, key=_place, reverse=True)
    if cursor is not None:
        after = _read_cursor(cursor)
        ordered = [position for position in ordered if _place(position) < after]
    items, rest = ordered[:limit], ordered[limit:]
    next_cursor = _write_cursor(items[-1]) if rest else None
    return JsonResponse(list_json(items, position_json, next_cursor))


def _place(position: Position) -> tuple[int, str]:
    return position.created_at_ns, position.id


def _write_cursor(position: Position) -> str:
    text = f"{position.created_at_ns} {position.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at_ns, position_id = base64.urlsafe_b64decode(padded).decode().split(" ")
        return read_stored_int(at_ns), position_id
    except (binascii.Error, ValueError):
        raise _wrong_cursor() from None


def _wrong_cursor() -> Problem:
    return wrong_field("cursor", "give the next_cursor of the page before, unchanged")


async def get_position(request: Request, _caller: Caller) -> Response:
    """``GET /positions/{id}``."""
    return JsonResponse(position_json(await _find(context_of(request), request)))


async def _find(context: Context, request: Request) -> Position:
    return await find_position(context, request.path_params["id"])


async def find_position(context: Context, position_id: str) -> Position:
    """Return a position as the flow has it, else as the ledger does.

    Raises:
        Problem: 404.
    """
    found = context.runtime.flow.position(position_id)
    if found is None:
        found = await context.reader(context.queries.position, position_id)
    if found is None:
        error = FieldError("id", "GET /positions?status=all lists the ids there are")
        raise Problem(404, "There is no position of this id.", [error])
    return found


async def close_position(request: Request, caller: Caller) -> Response:
    """``POST /positions/{id}/close``: 202 when something was set going, else 200, unchanged.

    A part that no order can be made of is a 409.
    """
    context, raw = context_of(request), await read_body(request)

    async def act() -> Response:
        fraction = _read_fraction(raw)
        position = context.runtime.flow.position(request.path_params["id"])
        if position is None or position.status not in _CLOSABLE:
            return JsonResponse(position_json(position or await _find(context, request)))
        await carry_out(context, CloseRequested(position.id, caller.actor, _now(context), fraction))
        if _is_under_way(context, position):
            return JsonResponse(position_json(await _find(context, request)), 202)
        if fraction < ONE:
            raise _unmakeable(context, position, fraction)
        return JsonResponse(position_json(position))

    return await context.idempotency.once(request, caller, raw, act)


def _is_under_way(context: Context, before: Position) -> bool:
    """Tell whether a close was set going, or will be once the position's orders are known.

    A position that the flow no longer holds is closed already, whatever the ledger still says.
    """
    flow = context.runtime.flow
    after = flow.position(before.id)
    if after is None:
        return True
    changed = (before.status, before.exit_generation) != (after.status, after.exit_generation)
    return changed or f"resolving: position {before.id}" in flow.problems()


def _unmakeable(context: Context, position: Position, fraction: Decimal) -> Problem:
    """409: say why nothing was sent for a part, and what would be."""
    instrument, held = position.instrument, position.closable
    price = context.runtime.flow.price(instrument.id)
    smallest = smallest_part(instrument, price)
    if instrument.floor_qty(held * fraction) >= smallest:
        why, remedy = "other orders close parts of it", "wait for those, or close whole"
    else:
        part = plain(held * fraction)
        why = f"{part} {instrument.base} of {plain(held)} is less than the venue sells"
        least = ceil_to_step(smallest / held, _FRACTION_STEP) if held else ONE
        remedy = 'close whole, with "1" or no fraction'
        if least < ONE:
            remedy = f'give at least "{plain(least)}", or {remedy}'
    return Problem(409, f"Nothing was closed: {why}.", [FieldError("fraction", remedy)])


def smallest_part(instrument: Instrument, price: Decimal | None) -> Decimal:
    """Return the least quantity that can be closed; reduce-only is exempt from minimums."""
    if instrument.id.market is Market.LINEAR:
        return instrument.qty_step
    by_value = instrument.min_notional / price if price else ZERO
    least = max(instrument.min_qty, by_value, instrument.qty_step)
    return ceil_to_step(least, instrument.qty_step)


def _now(context: Context) -> int:
    return context.runtime.clock.now_ns()


def _read_fraction(raw: bytes) -> Decimal:
    value = read_fields(raw, ("fraction",)).get("fraction")
    if value is None:
        return ONE
    try:
        fraction = read_number(value)
    except ValueError as error:
        raise wrong_field("fraction", str(error)) from None
    if not ZERO < fraction <= ONE:
        raise wrong_field("fraction", 'give more than 0 and at most 1, as "0.5" for half')
    return fraction


async def carry_out(
    context: Context, event: CloseRequested | ExitsAmended | PositionAdopted
) -> bool:
    """Have the owner's word carried out, even when storage takes nothing; tell if it is committed.

    Nothing is awaited before the guardian has the event.
    """
    flow = context.runtime.flow
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await flow.handle_durably(event)
    except Retryable:
        flow.handle(event)
        return False
    except TimeoutError:
        return False  # it is under way; only its commit is late
    return True


async def amend_position(request: Request, caller: Caller) -> Response:
    """``PATCH /positions/{id}``: change exit rules of an open position, by the webhook's names.

    200 with the position after the change, 202 where the change holds but its commit is late; 404,
    409 when it is not open, 422 when the rules after the change could not hold together.
    """
    context, raw = context_of(request), await read_body(request)

    async def act() -> Response:
        runtime, now_ns = context.runtime, _now(context)
        body = read_fields(raw, EXIT_FIELDS)
        changes = read_changes(body, now_ns, runtime.settings.timezone)
        position = runtime.flow.position(request.path_params["id"])
        if position is None or position.status is not PositionStatus.OPEN:
            raise _not_open(position or await _find(context, request))
        event = ExitsAmended(position.id, changes, caller.actor, now_ns)
        problems = runtime.flow.amendment_problems(event)
        if problems:
            raise unprocessable([FieldError(each.field, each.remedy) for each in problems])
        is_committed = await carry_out(context, event)
        answer = position_json(await _find(context, request))
        return JsonResponse(answer, 200 if is_committed else 202)

    return await context.idempotency.once(request, caller, raw, act)


def _not_open(position: Position) -> Problem:
    remedy = "the exits of open positions can be changed, and of no others"
    if position.status is PositionStatus.OPENING:
        remedy = "send it again when the position is open"
    detail = f"Nothing was changed: the position is {position.status}."
    return Problem(409, detail, [FieldError("id", remedy)])
