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
from api.problems import FieldError, JsonResponse, Problem, wrong_field
from api.routes.body import read_body, read_fields, read_query
from api.routes.context import Context, context_of, guarded
from api.routes.lists import read_limit
from api.schemas import list_json, position_json
from api.webhook.amounts import read_number
from engine.model.errors import Retryable
from engine.model.events import CloseRequested
from engine.model.money import ONE, ZERO
from engine.model.position import ACTIVE, Position, PositionStatus
from storage.queries import read_stored_int
from storage.tables import Scope

ANSWER_WITHIN_S = 0.9
_STATUSES = ("active", "all", *PositionStatus)


def position_routes() -> list[Route]:
    """Return the routes of positions."""
    return [
        guarded("/positions", "GET", Scope.READ, list_positions),
        guarded("/positions/{id}", "GET", Scope.READ, get_position),
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
    position_id = request.path_params["id"]
    found = context.runtime.flow.position(position_id)
    if found is None:
        found = await context.reader(context.queries.position, position_id)
    if found is None:
        error = FieldError("id", "GET /positions?status=all lists the ids there are")
        raise Problem(404, "There is no position of this id.", [error])
    return found


async def close_position(request: Request, caller: Caller) -> Response:
    """``POST /positions/{id}/close``: 202 when something was set going, else 200, unchanged."""
    context, raw = context_of(request), await read_body(request)

    async def act() -> Response:
        fraction = _read_fraction(raw)
        position = await _find(context, request)
        if not position.is_active or position.status is PositionStatus.CLOSING:
            return JsonResponse(position_json(position))
        await _close(context, CloseRequested(position.id, caller.actor, _now(context), fraction))
        return JsonResponse(position_json(await _find(context, request)), 202)

    return await context.idempotency.once(request, caller, raw, act)


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


async def _close(context: Context, event: CloseRequested) -> None:
    """Have a position closed. The owner's close goes out even when storage takes nothing."""
    flow = context.runtime.flow
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await flow.handle_durably(event)
    except Retryable:
        flow.handle(event)
    except TimeoutError:
        return  # it is under way; only its commit is late
