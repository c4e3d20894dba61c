"""What the venue says of our orders, and what follows for their positions."""

from msgspec.structs import replace

from engine.core.accounting import apply_entry, apply_exit, split_fill
from engine.core.closing import after_exit, continue_closing, finish
from engine.core.entries import settle
from engine.core.state import Asking, State
from engine.model.effects import LookUpOrder, SaveFill
from engine.model.events import FundingPaid, OrderFilled, OrderSent, OrderUpdated
from engine.model.exits import ExitReason, threshold
from engine.model.ids import Purpose
from engine.model.money import ZERO, plain, ratio
from engine.model.order import (
    TRANSITIONS,
    Fill,
    FillKind,
    Order,
    OrderStatus,
    check_order_transition,
)
from engine.model.position import (
    GuardStatus,
    Position,
    PositionStatus,
    check_position_transition,
)
from engine.model.signal import Outcome

FIRST_ASK_NS = 1_000_000_000
LONGEST_ASK_NS = 10_000_000_000


def on_order_sent(state: State, event: OrderSent) -> None:
    """The request left: note the reaction time, and when to ask if nothing is heard."""
    order = state.orders.get(event.client_order_id)
    if order is None:
        return
    if order.status is OrderStatus.INTENDED:
        order = state.put_order(replace(order, status=OrderStatus.SENT))
    ask_in(state, order, FIRST_ASK_NS)
    position = state.positions.get(order.position_id)
    if position is not None and order.trigger_received_ns and position.reaction_ms is None:
        reaction_ms = (event.sent_ns - order.trigger_received_ns) / 1e6
        state.put_position(replace(position, reaction_ms=reaction_ms))


def ask_in(state: State, order: Order, pause_ns: int) -> None:
    """Have an order looked up in ``pause_ns`` unless it is final by then."""
    state.asking[order.client_order_id] = Asking(state.at_ns + pause_ns, pause_ns)


def ask_overdue(state: State) -> None:
    """Look up orders in flight of which nothing was heard, with growing pauses up to 10 s."""
    for key, asking in list(state.asking.items()):
        if state.at_ns >= asking.due_ns:
            order = state.orders[key]
            ask_in(state, order, min(2 * asking.pause_ns, LONGEST_ASK_NS))
            state.command(LookUpOrder(order))


def on_order_updated(state: State, event: OrderUpdated) -> None:
    """Move an order along its table; a final status waits until all of its fills are booked."""
    order = state.orders.get(event.client_order_id)
    if order is None:
        return
    venue_order_id = event.venue_order_id or order.venue_order_id
    order = replace(order, venue_order_id=venue_order_id, message=event.message or order.message)
    if event.status not in TRANSITIONS[order.status]:
        state.put_order(order)  # an acknowledgement that a fill has overtaken
        return
    filled = order.qty if event.status is OrderStatus.FILLED else event.filled_qty or ZERO
    if filled > order.filled_qty:
        state.put_order(order)
        state.command(LookUpOrder(order))
        return
    move_order(state, order, event.status)


def move_order(state: State, order: Order, status: OrderStatus) -> None:
    """Give an order a status and, if that is final, go on with its position."""
    check_order_transition(order, status)
    order = state.put_order(replace(order, status=status))
    position = state.positions.get(order.position_id)
    if not order.is_final or position is None:
        return
    if order.purpose is Purpose.EXIT:
        after_exit(state, position, order)
    else:
        _after_entry(state, position, order)


def _after_entry(state: State, position: Position, order: Order) -> None:
    if position.status is PositionStatus.CLOSING:
        continue_closing(state, position)
    elif position.qty == ZERO:
        finish(state, position)
    else:
        check_position_transition(position, PositionStatus.OPEN)
        state.put_position(replace(position, status=PositionStatus.OPEN))
        _tell_opened(state, position)
    _settle_entry_signal(state, position, order)


def _settle_entry_signal(state: State, position: Position, order: Order) -> None:
    record = state.signals.get(position.signal_id or "")
    if record is None or record.outcome is not Outcome.PENDING:
        return
    if position.qty > ZERO:
        settle(state, record.signal, Outcome.OPENED, None, position.id)
    else:
        reason = order.message or "not_filled: the venue filled nothing of the entry"
        settle(state, record.signal, Outcome.REJECTED, reason, position.id)


def _tell_opened(state: State, position: Position) -> None:
    data = {
        "position_id": position.id,
        "instrument": str(position.instrument.id),
        "side": str(position.side),
        "qty": plain(position.qty),
        "entry_price": plain(position.entry_price or ZERO),
    }
    state.log("position.opened", **data)
    state.notify("position.opened", **data)


def on_order_filled(state: State, event: OrderFilled) -> None:
    """Book a fill, once; without a client order id it is a reduction that was not ours."""
    fill = event.fill
    order = state.orders.get(fill.client_order_id or "")
    if order is not None:
        book_fill(state, order, fill)
    elif fill.client_order_id is None:
        _book_foreign(state, fill)
    elif (fill.client_order_id, fill.venue_trade_id) not in state.booked:
        state.log(
            "order.unexpected_fill",
            client_order_id=fill.client_order_id,
            venue_trade_id=fill.venue_trade_id,
        )


def book_fill(state: State, order: Order, fill: Fill) -> Order:
    """Book a fill of a live order of ours unless it is booked; returns the order after it."""
    key = (order.client_order_id, fill.venue_trade_id)
    if key in state.booked:
        return order
    state.booked.add(key)
    order = replace(order, filled_qty=order.filled_qty + fill.qty)
    order = state.put_order(
        replace(
            order,
            status=OrderStatus.PARTIALLY_FILLED,
            venue_order_id=fill.venue_order_id or order.venue_order_id,
        )
    )
    state.save(SaveFill(fill, order.position_id))
    position = state.positions[order.position_id]
    if order.purpose is Purpose.EXIT:
        state.put_position(apply_exit(position, fill))
    else:
        _book_entry_fill(state, apply_entry(position, fill))
    return order


def _book_entry_fill(state: State, position: Position) -> None:
    """Guard what is filled from the first fill on; percent limits follow the average entry."""
    position = with_thresholds(position)
    if position.status is PositionStatus.CLOSING:
        state.put_position(position)
        continue_closing(state, position)
        return
    resolving = position.id in state.resolving
    blind = position.instrument.id in state.blind
    guard = GuardStatus.BLIND if blind else GuardStatus.ARMED
    position = replace(position, guard=GuardStatus.RESOLVING if resolving else guard)
    state.put_position(position)
    state.markets[position.instrument.id].book.arm(position)


def with_thresholds(position: Position) -> Position:
    """Compute both thresholds from the exact average entry price."""
    average = position.entry_value / position.qty
    instrument, side, exits = position.instrument, position.side, position.exits
    take_profit = threshold(exits.take_profit, side, ExitReason.TAKE_PROFIT, average, instrument)
    stop_loss = threshold(exits.stop_loss, side, ExitReason.STOP_LOSS, average, instrument)
    return replace(position, take_profit=take_profit, stop_loss=stop_loss)


def _book_foreign(state: State, fill: Fill) -> None:
    """Take a reduction that was not ours from our positions, oldest first (DESIGN.md 2.6)."""
    rest = fill
    for position in state.active_on(fill.instrument.id):
        key = (position.id, fill.venue_trade_id)
        if position.exit_side is not fill.side or position.qty_open <= ZERO or key in state.booked:
            continue
        state.booked.add(key)
        part = rest
        if position.qty_open < rest.qty:
            part, rest = split_fill(rest, position.qty_open)
        _reduce(state, position, part)
        if part is rest:
            return
    state.log(
        "venue.foreign_fill",
        instrument=str(fill.instrument.id),
        venue_trade_id=fill.venue_trade_id,
        qty=plain(rest.qty),
    )


def _reduce(state: State, position: Position, fill: Fill) -> None:
    liquidated = fill.kind is FillKind.LIQUIDATION
    reason = ExitReason.LIQUIDATION if liquidated else ExitReason.EXTERNAL
    state.save(SaveFill(fill, position.id))
    position = state.put_position(apply_exit(position, fill))
    state.notify(f"position.{reason}", position_id=position.id, qty=plain(fill.qty))
    if position.qty_open == ZERO:
        if position.status is PositionStatus.OPEN:
            position = replace(position, exit_reason=reason)
        finish(state, position)


def on_funding(state: State, event: FundingPaid) -> None:
    """Split a funding settlement over the positions that were held, by quantity."""
    key = (str(event.instrument.id), event.venue_trade_id)
    held = [p for p in state.active_on(event.instrument.id) if p.qty_open > ZERO]
    if key in state.booked or not held:
        return
    state.booked.add(key)
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
