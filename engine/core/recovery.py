"""Start-up: what the ledger knows is compared with the venue before a position is armed.

A close is sent before it is journalled, so besides the orders in the ledger the exit ids that may
follow the last journalled one are asked for, until four in a row are proved absent. Arming is per
position: each waits only for its own orders, and a limit that is crossed meanwhile is remembered.
"""

from msgspec.structs import replace

from engine.core.closing import (
    Cause,
    close_by_signal,
    close_whole,
    continue_closing,
    settle_close_signal,
)
from engine.core.entries import closes_only, settle
from engine.core.orders import book_fill, move_order
from engine.core.state import GUARD, State
from engine.model.effects import LookUpOrder, SubmitOrder
from engine.model.events import OrderLookedUp, Started
from engine.model.exits import ExitReason
from engine.model.ids import Purpose, client_order_id, parse_client_order_id
from engine.model.instrument import Market
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.signal import Outcome, SignalRecord

LOOK_AHEAD = 4
"""Exit generations in flight together at most, and so absent ones that end the search."""


def on_started(state: State, event: Started) -> None:
    """Take up what the ledger holds and ask the venues about everything unfinished."""
    state.accepting, state.since_ns = event.accepting, event.since_ns
    state.balances = {(b.venue, b.asset): b for b in event.balances}
    state.booked = set(event.booked)
    state.signals = {record.signal.id: record for record in event.signals}
    state.orders = {order.client_order_id: order for order in event.orders}
    for position in event.positions:
        _take_up(state, position)
    for record in event.signals:
        _take_up_signal(state, record)
    state.log("service.started", positions=len(event.positions), orders=len(event.orders))


def _take_up(state: State, position: Position) -> None:
    view = state.watch(position.instrument)
    position = replace(position, guard=GuardStatus.RESOLVING)
    state.put_position(position)
    if position.status in (PositionStatus.OPENING, PositionStatus.OPEN):
        view.book.arm(position)
    asked = state.resolving[position.id] = set()
    for order in state.orders_of(position.id):
        _ask(state, asked, order)
    if position.qty > ZERO:
        _ask_ahead(state, asked, position, position.exit_generation)
    if not asked:
        _arm(state, position.id)


def _ask_ahead(state: State, asked: set[str], position: Position, last: int) -> None:
    """Ask for the exits that may have been sent after generation ``last`` without a journal."""
    for generation in range(last + 1, last + 1 + LOOK_AHEAD):
        key = client_order_id(position.id, Purpose.EXIT, generation)
        if key not in asked:
            _ask(state, asked, possible_exit(position, generation))


def possible_exit(position: Position, generation: int) -> Order:
    """The exit order that may exist under a derived id although the ledger has no row of it."""
    return Order(
        client_order_id=client_order_id(position.id, Purpose.EXIT, generation),
        position_id=position.id,
        instrument=position.instrument,
        side=position.exit_side,
        purpose=Purpose.EXIT,
        generation=generation,
        qty=position.closable,
        reduce_only=position.instrument.id.market is Market.LINEAR,
        created_at_ns=position.created_at_ns,
        actor=GUARD,
    )


def _ask(state: State, asked: set[str], order: Order) -> None:
    asked.add(order.client_order_id)
    state.command(LookUpOrder(order))


def _take_up_signal(state: State, record: SignalRecord) -> None:
    """Go on with a signal that was accepted and not settled when the process ended."""
    signal = record.signal
    if record.position_id in state.positions:
        return
    if closes_only(signal):
        if record.position_id is None:
            close_by_signal(state, signal)
        else:
            settle_close_signal(state, signal.id)
    else:
        reason = "interrupted: the service stopped before the entry was made; send it again"
        settle(state, signal, Outcome.REJECTED, reason)


def on_order_looked_up(state: State, event: OrderLookedUp) -> None:
    """The venue answered: book what it did, or resend what it never got."""
    parsed = parse_client_order_id(event.client_order_id)
    position = state.positions.get(parsed[0]) if parsed else None
    if parsed is None or position is None:
        return
    order = state.orders.get(event.client_order_id)
    if event.found:
        order = order or _discovered(state, position, parsed[2], event)
        _book_found(state, order, event)
    elif order is not None:
        _resend_or_drop(state, position, order)
    _resolved(state, position.id, event.client_order_id)


def _discovered(state: State, position: Position, generation: int, event: OrderLookedUp) -> Order:
    """An exit that was sent and never journalled: its reason is inferred from its price."""
    reason = _infer_reason(position, event)
    qty = event.qty or sum((fill.qty for fill in event.fills), ZERO) or position.closable
    order = replace(
        possible_exit(position, generation),
        status=OrderStatus.SENT,
        qty=qty,
        reason=reason,
        created_at_ns=state.at_ns,
    )
    state.put_order(order)
    state.markets[position.instrument.id].book.disarm(position)
    status, exit_reason = position.status, position.exit_reason
    if qty >= position.closable and status in (PositionStatus.OPEN, PositionStatus.OPENING):
        status, exit_reason = PositionStatus.CLOSING, reason
    latest = max(position.exit_generation, generation)
    position = replace(position, status=status, exit_reason=exit_reason, exit_generation=latest)
    state.put_position(position)
    state.log(
        "position.exit_recovered",
        position_id=position.id,
        client_order_id=order.client_order_id,
        reason=str(reason),
    )
    _ask_ahead(state, state.resolving.setdefault(position.id, set()), position, generation)
    return order


def _infer_reason(position: Position, event: OrderLookedUp) -> ExitReason:
    """The limit nearer to the price at which the exit was filled; manual when neither is set."""
    prices = {
        ExitReason.TAKE_PROFIT: position.take_profit,
        ExitReason.STOP_LOSS: position.stop_loss,
    }
    known = {reason: price for reason, price in prices.items() if price is not None}
    if not event.fills or not known:
        return min(known, default=ExitReason.MANUAL, key=str)
    filled_at = event.fills[0].price
    return min(known, key=lambda reason: abs(known[reason] - filled_at))


def _book_found(state: State, order: Order, event: OrderLookedUp) -> None:
    for fill in event.fills:
        order = book_fill(state, state.orders[order.client_order_id], fill)
    live = state.orders.get(order.client_order_id)
    if live is None:
        return
    live = replace(live, venue_order_id=event.venue_order_id or live.venue_order_id)
    status = event.status or live.status
    message = event.message or live.message
    move_order(state, replace(live, message=message), status)


def _resend_or_drop(state: State, position: Position, order: Order) -> None:
    """An order that the venue proved not to have: the same request keeps its id."""
    if order.purpose is Purpose.EXIT:
        still_wanted = position.status is not PositionStatus.OPEN and order.qty <= position.closable
        if still_wanted:
            state.command(SubmitOrder(order, after_commit=False))
            return
        reason = "absent: the venue never received it and it is not wanted any more"
        move_order(state, replace(order, message=reason), OrderStatus.CANCELLED)
        return
    age_ns = state.at_ns - order.created_at_ns
    fresh = age_ns <= state.config.signal_max_age_ns
    if fresh and position.status is PositionStatus.OPENING and state.accepting:
        state.command(SubmitOrder(order, after_commit=True))
        return
    reason = "too_old: the entry never reached the venue and is too old to be sent now"
    move_order(state, replace(order, message=reason), OrderStatus.REJECTED)


def _resolved(state: State, position_id: str, key: str) -> None:
    asked = state.resolving.get(position_id)
    if asked is None:
        return
    asked.discard(key)
    if not asked:
        _arm(state, position_id)


def _arm(state: State, position_id: str) -> None:
    """All orders of a position are accounted for: guard it, act on what was crossed meanwhile."""
    del state.resolving[position_id]
    position = state.positions.get(position_id)
    if position is None:
        return
    blind = position.instrument.id in state.blind
    guard = GuardStatus.BLIND if blind else GuardStatus.ARMED
    position = state.put_position(replace(position, guard=guard))
    state.log("position.armed", position_id=position.id)
    trigger = state.deferred.pop(position.id, None)
    if position.status in (PositionStatus.CLOSING, PositionStatus.STUCK):
        if not state.orders_of(position.id):
            continue_closing(state, position)
    elif trigger is not None:
        close_whole(state, position, Cause(trigger.reason, trigger=trigger))
