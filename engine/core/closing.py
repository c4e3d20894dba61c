"""How a position is closed: one owner of the closing, from the first trigger until it is flat.

Every exit order is a generation of one sequence per position. What is asked for is never more than
what is held less what exits in flight already ask for, so any number of triggers, signals and
requests come to one net close.
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.core.state import GUARD, Retry, State, Trigger
from engine.model.effects import SubmitOrder
from engine.model.events import CloseRequested
from engine.model.exits import ExitReason, Side
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Instrument, Market
from engine.model.money import ZERO, percent_of, plain
from engine.model.order import Order
from engine.model.position import (
    GuardStatus,
    Position,
    PositionStatus,
    check_position_transition,
)
from engine.model.signal import Action, Outcome, Signal, SignalRecord, SizeKind

REFUSALS_UNTIL_STUCK = 3
RETRY_PAUSE_NS = 1_000_000_000
STUCK_PAUSE_NS = 5_000_000_000


class Cause(Struct, frozen=True):
    """Why an exit is made, and by whom."""

    reason: ExitReason
    actor: str = GUARD
    signal_id: str | None = None
    trigger: Trigger | None = None


def on_trigger(state: State, position: Position, trigger: Trigger) -> None:
    """A limit was reached: close whole, or remember it while the venue is being asked."""
    if position.guard is GuardStatus.RESOLVING:
        state.deferred.setdefault(position.id, trigger)
        return
    close_whole(state, position, Cause(trigger.reason, trigger=trigger))


def on_close_requested(state: State, event: CloseRequested) -> None:
    """The owner asked for a close; one that is already under way changes nothing."""
    position = state.positions.get(event.position_id)
    if position is None:
        return
    cause = Cause(event.reason, event.actor)
    state.log("position.close_requested", event.actor, position_id=position.id)
    if position.status is PositionStatus.STUCK:
        state.retries.pop(position.id, None)
        _send_exit(state, position, _sellable(state, position), cause)
    else:
        part = position.instrument.floor_qty(position.closable * event.fraction)
        _close_part(state, position, part, cause)


def close_by_signal(state: State, signal: Signal) -> None:
    """Close what a signal means: the instrument's positions, only its strategy's if it names one.

    A size on it is a part: ``qty`` in base from the oldest on, ``percent`` of each position's
    remaining quantity. Positions opened after the signal was sent are left alone.
    """
    instrument, sent_ns = signal.instrument.id, signal.sent_at_ns
    closed_at = signal.received_at_ns if sent_ns is None else sent_ns
    state.last_close_ns[instrument] = max(closed_at, state.last_close_ns.get(instrument, 0))
    targets = [
        position
        for position in state.active_on(instrument)
        if _is_meant(position, signal) and (sent_ns is None or position.created_at_ns <= sent_ns)
    ]
    if not targets:
        _nothing_to_close(state, signal)
        return
    state.put_signal(SignalRecord(signal, position_id=targets[0].id))
    cause = Cause(ExitReason.SIGNAL, signal.source, signal.id)
    rest = signal.size.value if signal.size and signal.size.kind is SizeKind.QTY else None
    for position in targets:
        part = _part_of(position, signal, rest)
        rest = None if rest is None else rest - part
        _close_part(state, position, part, cause)
    settle_close_signal(state, signal.id)


def _is_meant(position: Position, signal: Signal) -> bool:
    if signal.action is Action.CLOSE:
        return signal.strategy is None or signal.strategy == position.strategy
    return position.side is (Side.LONG if signal.action is Action.SELL else Side.SHORT)


def _part_of(position: Position, signal: Signal, rest: Decimal | None) -> Decimal:
    if rest is not None:
        return min(position.closable, position.instrument.floor_qty(rest))
    if signal.size is not None and signal.size.kind is SizeKind.PERCENT:
        return position.instrument.floor_qty(percent_of(position.closable, signal.size.value))
    return position.closable


def _nothing_to_close(state: State, signal: Signal) -> None:
    instrument = signal.instrument.id
    if signal.action is Action.CLOSE:
        outcome, reason = Outcome.IGNORED, f"nothing_open: no position on {instrument} to close"
    else:
        outcome = Outcome.REJECTED
        reason = f"no_position: nothing to sell on {instrument}, and spot cannot be sold short"
    state.put_signal(SignalRecord(signal, outcome, reason))
    state.log(f"signal.{outcome}", signal_id=signal.id, reason=reason)


def settle_close_signal(state: State, signal_id: str | None) -> None:
    """Give a closing signal its outcome once none of its exits and positions is under way."""
    record = state.signals.get(signal_id or "")
    if record is None or record.outcome is not Outcome.PENDING:
        return
    waits = any(order.signal_id == signal_id for order in state.orders.values())
    waits = waits or any(
        position.closing_signal_id == signal_id for position in state.positions.values()
    )
    if not waits:
        state.put_signal(replace(record, outcome=Outcome.CLOSED))
        state.log("signal.closed", signal_id=signal_id, position_id=record.position_id)


def _close_part(state: State, position: Position, part: Decimal, cause: Cause) -> None:
    """Close ``part`` of a position; a part that leaves nothing sellable closes it whole."""
    if position.status not in (PositionStatus.OPEN, PositionStatus.OPENING):
        return
    instrument, held = position.instrument, position.closable
    if held == ZERO or (part > ZERO and not is_sellable(state, instrument, held - part)):
        close_whole(state, position, cause)
    elif is_sellable(state, instrument, part):
        _send_exit(state, position, min(part, _sellable(state, position)), cause)
    else:
        state.log("position.part_too_small", cause.actor, position_id=position.id, qty=plain(part))


def close_whole(state: State, position: Position, cause: Cause) -> None:
    """Take the position out of the book and close all of it, once."""
    if position.status in (PositionStatus.CLOSING, PositionStatus.STUCK):
        return
    check_position_transition(position, PositionStatus.CLOSING)
    disarm(state, position)
    position = state.put_position(
        replace(
            position,
            status=PositionStatus.CLOSING,
            exit_reason=cause.reason,
            closing_signal_id=cause.signal_id,
        )
    )
    if not _finish_if_flat(state, position):
        _send_exit(state, position, _sellable(state, position), cause)


def disarm(state: State, position: Position) -> None:
    """Take a position's thresholds out of the book."""
    state.markets[position.instrument.id].book.disarm(position)
    state.deferred.pop(position.id, None)


def _sellable(state: State, position: Position) -> Decimal:
    """What is held, in steps, less what exits in flight already ask for."""
    asked = sum(
        (o.qty - o.filled_qty for o in state.orders_of(position.id) if o.purpose is Purpose.EXIT),
        ZERO,
    )
    return position.closable - asked


def is_sellable(state: State, instrument: Instrument, qty: Decimal) -> bool:
    """Tell whether the venue takes an exit of ``qty``: steps, and on spot its minimums."""
    if qty <= ZERO:
        return False
    if instrument.id.market is Market.LINEAR:
        return True
    price = state.markets[instrument.id].current(state.config.trigger)
    value_ok = price is None or qty * price >= instrument.min_notional
    return qty >= instrument.min_qty and value_ok


def _send_exit(state: State, position: Position, qty: Decimal, cause: Cause) -> None:
    """Make the next exit order and send it at once, at most the venue's largest market order."""
    instrument = position.instrument
    if not is_sellable(state, instrument, qty):
        return
    if instrument.max_market_qty is not None:
        qty = min(qty, instrument.floor_qty(instrument.max_market_qty))
    generation = position.exit_generation + 1
    order = Order(
        client_order_id=client_order_id(position.id, Purpose.EXIT, generation),
        position_id=position.id,
        instrument=instrument,
        side=position.exit_side,
        purpose=Purpose.EXIT,
        generation=generation,
        qty=qty,
        reduce_only=instrument.id.market is Market.LINEAR,
        created_at_ns=state.at_ns,
        actor=cause.actor,
        reason=cause.reason,
        trigger_price=cause.trigger.price if cause.trigger else None,
        trigger_received_ns=cause.trigger.received_ns if cause.trigger else 0,
        signal_id=cause.signal_id,
    )
    state.put_position(replace(position, exit_generation=generation))
    state.put_order(order)
    state.command(SubmitOrder(order, after_commit=False))
    state.log(
        "position.close_submitted",
        cause.actor,
        position_id=position.id,
        client_order_id=order.client_order_id,
        reason=str(cause.reason),
    )


def after_exit(state: State, position: Position, order: Order) -> None:
    """An exit order came to its end: finish the position, or go on until it is flat."""
    if _finish_if_flat(state, position):
        return
    if position.status is PositionStatus.OPEN:
        settle_close_signal(state, order.signal_id)
    elif order.filled_qty > ZERO:
        state.retries.pop(position.id, None)
        continue_closing(state, position)
    else:
        _wait_and_retry(state, position, order)


def continue_closing(state: State, position: Position) -> None:
    """Send the next exit of a position that is being closed, or finish it when nothing is left."""
    if _finish_if_flat(state, position):
        return
    reason = position.exit_reason or ExitReason.MANUAL
    cause = Cause(reason, signal_id=position.closing_signal_id)
    _send_exit(state, position, _sellable(state, position), cause)


def _wait_and_retry(state: State, position: Position, order: Order) -> None:
    before = state.retries.get(position.id)
    refusals = 1 + (before.refusals if before else 0)
    stuck = refusals >= REFUSALS_UNTIL_STUCK
    pause_ns = STUCK_PAUSE_NS if stuck else RETRY_PAUSE_NS
    state.retries[position.id] = Retry(state.at_ns + pause_ns, refusals)
    state.log(
        "position.close_refused",
        position_id=position.id,
        client_order_id=order.client_order_id,
        message=order.message,
    )
    if stuck and position.status is not PositionStatus.STUCK:
        check_position_transition(position, PositionStatus.STUCK)
        state.put_position(replace(position, status=PositionStatus.STUCK))
        state.notify("position.stuck", position_id=position.id, message=order.message)


def retry_exits(state: State) -> None:
    """Try refused exits again whose pause is over; an exit is never given up."""
    for position_id, retry in list(state.retries.items()):
        position = state.positions.get(position_id)
        if position is None:
            del state.retries[position_id]
        elif state.at_ns >= retry.due_ns:
            state.retries[position_id] = replace(retry, due_ns=state.at_ns + STUCK_PAUSE_NS)
            continue_closing(state, position)


def _finish_if_flat(state: State, position: Position) -> bool:
    """Close the books of a position of which nothing sellable is left and nothing is in flight."""
    if any(order.purpose is not Purpose.BACKSTOP for order in state.orders_of(position.id)):
        return False
    if is_sellable(state, position.instrument, position.closable):
        return False
    finish(state, position)
    return True


def finish(state: State, position: Position) -> None:
    """Book the unsellable rest as dust, close the position and tell the owner."""
    nothing_filled = position.qty == ZERO
    status = PositionStatus.REJECTED if nothing_filled else PositionStatus.CLOSED
    check_position_transition(position, status)
    disarm(state, position)
    state.retries.pop(position.id, None)
    view = state.markets[position.instrument.id]
    closed = state.put_position(
        replace(
            position,
            status=status,
            dust=position.dust + position.qty_open,
            exit_time_ns=position.exit_time_ns or state.at_ns,
            current_price=view.current(position.trigger),
            guard=GuardStatus.ARMED,
        )
    )
    state.booked = {key for key in state.booked if not key[0].startswith(position.id)}
    _tell_closed(state, closed)
    settle_close_signal(state, closed.closing_signal_id)
    state.unwatch_unused(closed.instrument.id)


def _tell_closed(state: State, position: Position) -> None:
    data: dict[str, Any] = {
        "position_id": position.id,
        "instrument": str(position.instrument.id),
        "reason": None if position.exit_reason is None else str(position.exit_reason),
        "net_pnl": str(position.net_pnl),
        "reaction_ms": position.reaction_ms,
    }
    state.log(f"position.{position.status}", **data)
    if position.status is PositionStatus.CLOSED:
        state.notify("position.closed", **data)
