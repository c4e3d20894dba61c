"""Executions: of our orders, of others that reduce what we guard, and funding."""

from msgspec.structs import replace

from engine.core.accounting import apply_exit, split_fill
from engine.core.closing import BEING_CLOSED, finish_if_flat, finish_if_nothing_left
from engine.core.orders import book_fill
from engine.core.state import State
from engine.model.effects import SaveFill
from engine.model.events import FundingPaid, OrderFilled
from engine.model.exits import ExitReason
from engine.model.ids import parse_client_order_id
from engine.model.money import ZERO, plain, ratio
from engine.model.order import Fill, FillKind
from engine.model.position import Position


def on_order_filled(state: State, event: OrderFilled) -> None:
    """Book a fill, once; under an id that is not ours it is a reduction by somebody else."""
    fill = event.fill
    key = fill.client_order_id or ""
    order = state.orders.get(key)
    ours = parse_client_order_id(key)
    if order is not None:
        book_fill(state, order, fill)
    elif ours is None:
        _book_foreign(state, fill)
    elif not state.is_booked((key, fill.venue_trade_id)):
        _unexpected(state, fill, key, position_id=ours[0])


def _unexpected(state: State, fill: Fill, key: str, position_id: str) -> None:
    """A fill under an id of ours that is not in flight: final already, or not known (yet)."""
    data = {"client_order_id": key, "venue_trade_id": fill.venue_trade_id}
    state.log("order.unexpected_fill", **data)
    if position_id in state.positions and position_id not in state.resolving:
        state.notify("order.unexpected_fill", **data, position_id=position_id)


def _book_foreign(state: State, fill: Fill) -> None:
    """Take a reduction that was not ours from our positions, oldest first (DESIGN.md 2.6)."""
    once = (str(fill.instrument.id), fill.venue_trade_id)
    if state.is_booked(once):
        return
    state.book(once)
    rest: Fill | None = fill
    for position in state.active_on(fill.instrument.id):
        known = state.is_booked((position.id, fill.venue_trade_id))
        if rest is not None and not known and _can_reduce(position, fill):
            rest = _reduce(state, position, rest)
    if rest is not None:
        state.log(
            "venue.foreign_fill",
            instrument=str(fill.instrument.id),
            venue_trade_id=fill.venue_trade_id,
            qty=plain(rest.qty),
        )


def _can_reduce(position: Position, fill: Fill) -> bool:
    return position.exit_side is fill.side and position.qty_open > ZERO


def _reduce(state: State, position: Position, fill: Fill) -> Fill | None:
    """Take a foreign fill from a position; returns what is left of the fill."""
    rest = None
    if position.qty_open < fill.qty:
        fill, rest = split_fill(fill, position.qty_open)
    liquidated = fill.kind is FillKind.LIQUIDATION
    reason = ExitReason.LIQUIDATION if liquidated else ExitReason.EXTERNAL
    state.book((position.id, fill.venue_trade_id))
    state.save(SaveFill(fill, position.id))
    position = state.put_position(apply_exit(position, fill))
    state.notify(f"position.{reason}", position_id=position.id, qty=plain(fill.qty))
    if position.status in BEING_CLOSED:
        finish_if_flat(state, position)
    else:
        finish_if_nothing_left(state, position, reason)
    return rest


def on_funding(state: State, event: FundingPaid) -> None:
    """Split a funding settlement over the positions that were held, by quantity."""
    key = (str(event.instrument.id), event.venue_trade_id)
    held = [p for p in state.active_on(event.instrument.id) if p.qty_open > ZERO]
    if state.is_booked(key) or not held:
        return
    state.book(key)
    total = sum((position.qty_open for position in held), ZERO)
    rest = event.amount
    for position in held[:-1]:
        share = ratio(event.amount * position.qty_open, total)
        state.put_position(replace(position, funding=position.funding + share))
        rest -= share
    state.put_position(replace(held[-1], funding=held[-1].funding + rest))
    state.log(
        "funding.paid",
        instrument=str(event.instrument.id),
        venue_trade_id=event.venue_trade_id,
        amount=plain(event.amount),
    )
