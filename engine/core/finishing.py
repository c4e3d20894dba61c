"""The end of a position: when nothing sellable is left of it, and what is told then."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.core.arming import disarm
from engine.core.outcomes import settle_close_signal
from engine.core.state import State
from engine.model.exits import ExitReason
from engine.model.instrument import Instrument, Market
from engine.model.money import ZERO, plain
from engine.model.position import GuardStatus, Position, PositionStatus


def meets_minimums(state: State, instrument: Instrument, qty: Decimal) -> bool:
    """Tell whether the venue takes an exit of ``qty``; reduce-only is exempt from the value."""
    if qty <= ZERO or instrument.id.market is Market.LINEAR:
        return qty > ZERO and qty >= instrument.min_qty
    price = state.markets[instrument.id].current(state.config.trigger)
    value_ok = price is None or qty * price >= instrument.min_notional
    return qty >= instrument.min_qty and value_ok


def _is_dust(state: State, position: Position) -> bool:
    """Tell whether what is held cannot be sold: below the minimums once something was sold.

    A position of which nothing was sold yet is tried whatever its value: the price may have gone
    through its stop, and it is no rest.
    """
    instrument, qty = position.instrument, position.closable
    if position.exit_qty > ZERO or qty < instrument.min_qty:
        return not meets_minimums(state, instrument, qty)
    return qty <= ZERO


def finish_if_flat(state: State, position: Position) -> bool:
    """Finish a position being closed when nothing sellable is left and nothing is in flight.

    Or have it finished when its backstop is gone: one that outlived it would be forgotten.
    """
    if state.orders_of(position.id) or not _is_dust(state, position):
        return False
    if position.id in state.backstops.live:
        state.backstops.looks[position.id] = None
        return True
    finish(state, position, position.exit_reason)
    return True


def finish_if_nothing_left(state: State, position: Position, reason: ExitReason | None) -> bool:
    """Finish a position that nobody closes as a whole, when not one step of it is left."""
    if position.closable > ZERO:
        return False
    if state.orders_of(position.id):
        state.put_position(replace(position, exit_reason=reason))  # unless more is bought
        return False
    if position.id in state.backstops.live:
        disarm(state, position)
        closing = PositionStatus.CLOSING
        state.put_position(replace(position, status=closing, exit_reason=reason))
        return True
    finish(state, position, reason)
    return True


def finish(state: State, position: Position, reason: ExitReason | None) -> None:
    """Book the unsellable rest as dust, close the position and tell the owner."""
    nothing_filled = position.qty == ZERO
    status = PositionStatus.REJECTED if nothing_filled else PositionStatus.CLOSED
    disarm(state, position)
    state.retries.pop(position.id, None)
    state.rung_retries.pop(position.id, None)
    state.part_rests.pop(position.id, None)
    resolving = state.resolving.pop(position.id, None)
    for key in resolving.asked if resolving else ():
        state.looking.discard(key)
        state.path.forget(key)
    wishes = state.deferred.pop(position.id, [])
    view = state.markets[position.instrument.id]
    closed = state.put_position(
        replace(
            position,
            status=status,
            dust=position.dust + position.qty_open,
            exit_time_ns=position.exit_time_ns or state.at_ns,
            exit_reason=reason,
            current_price=view.current(position.trigger),
            guard=GuardStatus.ARMED,
        )
    )
    _tell_closed(state, closed)
    for signal_id in (closed.closing_signal_id, *(wish.cause.signal_id for wish in wishes)):
        settle_close_signal(state, signal_id)
    state.unwatch_unused(closed.instrument.id)


def _tell_closed(state: State, position: Position) -> None:
    data: dict[str, Any] = {
        "position_id": position.id,
        "instrument": str(position.instrument.id),
        "reason": None if position.exit_reason is None else str(position.exit_reason),
        "net_pnl": plain(position.net_pnl),
        "dust": plain(position.dust),
        "reaction_ms": position.reaction_ms,
    }
    state.log(f"position.{position.status}", **data)
    if position.status is PositionStatus.CLOSED:
        state.notify("position.closed", **data)
