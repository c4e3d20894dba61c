"""What the venue says of our orders, and what follows for their positions."""

from decimal import Decimal

from msgspec.structs import replace

from engine.core.accounting import apply_entry, apply_exit, split_fill
from engine.core.arming import arm, with_thresholds
from engine.core.asking import (
    FIRST_ASK_NS,
    ask_in,
    cancel_resend,
    keep_asking,
    look_up,
    note_doubt,
    note_resolved,
    note_sent,
    note_taken,
)
from engine.core.backstop_ends import on_backstop_filled, on_backstop_moved
from engine.core.closing import (
    BEFORE_CLOSE,
    BEING_CLOSED,
    after_exit,
    continue_closing,
)
from engine.core.finishing import finish, finish_if_nothing_left
from engine.core.ladder import after_part
from engine.core.outcomes import pending, settle
from engine.core.refusals import resume_closing
from engine.core.state import State
from engine.model.effects import SaveFill
from engine.model.events import OrderSent, OrderUpdated
from engine.model.exits import ExitReason
from engine.model.ids import Purpose
from engine.model.money import ZERO, plain
from engine.model.order import (
    TRANSITIONS,
    Fill,
    Order,
    OrderStatus,
    Refusal,
)
from engine.model.position import (
    GuardStatus,
    Position,
    PositionStatus,
)
from engine.model.signal import Outcome


def on_order_sent(state: State, event: OrderSent) -> None:
    """The request left: note the reaction time, and when to ask if nothing is heard."""
    order = state.order(event.client_order_id)
    if order is None:
        return
    if order.status is OrderStatus.INTENDED:
        order = state.put_order(replace(order, status=OrderStatus.SENT))
    note_sent(state, order, event)
    position = state.positions.get(order.position_id)
    if position is not None and order.trigger_received_ns and position.reaction_ms is None:
        reaction_ms = (event.sent_ns - order.trigger_received_ns) / 1e6
        state.put_position(replace(position, reaction_ms=reaction_ms))


def on_order_updated(state: State, event: OrderUpdated) -> None:
    """Move an order along its table; a final status waits until all of its fills are booked."""
    order = state.order(event.client_order_id)
    if order is None:
        return
    if event.status is OrderStatus.UNKNOWN:
        cancel_resend(state, order)
        note_doubt(state, order)
        state.sent_ns.setdefault(order.client_order_id, state.elapsed_ns)
    else:
        note_taken(state, order)
    venue_order_id = event.venue_order_id or order.venue_order_id
    order = replace(order, venue_order_id=venue_order_id, message=event.message or order.message)
    if event.status not in TRANSITIONS[order.status]:
        state.put_order(order)  # an acknowledgement that a fill has overtaken
        return
    filled = order.qty if event.status is OrderStatus.FILLED else event.filled_qty or ZERO
    if filled > order.filled_qty:
        state.put_order(order)
        keep_asking(state, order)
        look_up(state, order)
        return
    if event.status is OrderStatus.UNKNOWN:
        keep_asking(state, order)
    else:
        note_resolved(state, order)
    move_order(state, order, event.status, event.refusal)


def move_order(
    state: State, order: Order, status: OrderStatus, refusal: Refusal = Refusal.OTHER
) -> None:
    """Give an order a status and, if that is final, go on with its position."""
    if order.purpose is Purpose.BACKSTOP:
        on_backstop_moved(state, order, replace(order, status=status), refusal)
        return
    order = state.put_order(replace(order, status=status))
    if not order.is_final:
        return
    position = state.positions[order.position_id]
    if order.purpose is Purpose.EXIT:
        after_exit(state, position, order, refusal)
        after_part(state, order, refusal)
    elif order.purpose is Purpose.ADD:
        _after_add(state, position, order)
    else:
        _after_entry(state, position, order)


def _after_add(state: State, position: Position, order: Order) -> None:
    if position.status in BEING_CLOSED:
        continue_closing(state, position)
    elif order.filled_qty > ZERO:
        _tell_held(state, "position.added", position)
    else:
        _finish_if_nothing_left(state, position)
    _settle_entry_signal(state, order, position.id, order.filled_qty)


def _after_entry(state: State, position: Position, order: Order) -> None:
    if position.qty == ZERO:
        finish(state, position, position.exit_reason)
    elif position.status in BEING_CLOSED:
        continue_closing(state, position)
    elif not _finish_if_nothing_left(state, position):
        state.put_position(replace(position, status=PositionStatus.OPEN))
        _tell_held(state, "position.opened", position)
    _settle_entry_signal(state, order, position.id, position.qty)


def _finish_if_nothing_left(state: State, position: Position) -> bool:
    """Finish a position whose last step was sold while more of it was being bought."""
    return finish_if_nothing_left(state, position, position.exit_reason or ExitReason.EXTERNAL)


def _settle_entry_signal(state: State, order: Order, position_id: str, filled: Decimal) -> None:
    record = pending(state, order.signal_id)
    if record is None:
        return
    if filled > ZERO:
        settle(state, record.signal, Outcome.OPENED, None, position_id)
    else:
        reason = order.message or "not_filled: the venue filled nothing of the entry"
        settle(state, record.signal, Outcome.REJECTED, reason, position_id)


def _tell_held(state: State, kind: str, position: Position) -> None:
    data = {
        "position_id": position.id,
        "instrument": str(position.instrument.id),
        "side": str(position.side),
        "qty": plain(position.qty),
        "entry_price": plain(position.entry_price or ZERO),
    }
    state.tell(kind, **data)


def contradicts(order: Order, fill: Fill) -> bool:
    """Tell whether a fill under our id is not of the order that we made."""
    return fill.instrument.id != order.instrument.id or fill.side is not order.side


def alarm(state: State, order: Order, message: str) -> None:
    """Tell the owner once that what the venue has under our id is not what we asked for."""
    if order.client_order_id not in state.alarmed:
        state.alarmed.add(order.client_order_id)
        data = {"client_order_id": order.client_order_id, "position_id": order.position_id}
        state.tell("order.contradicted", **data, message=message)


def book_fill(state: State, order: Order, fill: Fill) -> None:
    """Book a fill of a live order of ours, once; one that contradicts the order never."""
    key = (order.client_order_id, fill.venue_trade_id)
    if state.is_booked(key):
        return
    if contradicts(order, fill):
        alarm(state, order, f"a fill of {fill.instrument.id}, {fill.side}")
        return
    state.book(key)
    note_taken(state, order)
    note_resolved(state, order)
    state.put_order(
        replace(
            order,
            filled_qty=order.filled_qty + fill.qty,
            status=OrderStatus.PARTIALLY_FILLED,
            venue_order_id=fill.venue_order_id or order.venue_order_id,
        )
    )
    position = state.positions[order.position_id]
    if order.purpose in (Purpose.ENTRY, Purpose.ADD):
        state.save(SaveFill(fill, order.position_id))
        _book_entry_fill(state, apply_entry(position, fill))
        return
    if order.purpose is Purpose.BACKSTOP:
        ask_in(state, order, FIRST_ASK_NS)
        position = on_backstop_filled(state, position)
    held = _of_held(state, position, fill)
    if held is not None:
        _book_exit_fill(state, position, order, held)


def _of_held(state: State, position: Position, fill: Fill) -> Fill | None:
    """The part of an exit's fill that sold what is ours; None where nothing of it did.

    An exit and a triggered backstop may sell more together than is held, where more is held on the
    instrument: by others, or for other positions of ours. The rest is as if others had done it.
    """
    held = max(position.qty_open, ZERO)
    if fill.qty <= held:
        return fill
    key = fill.client_order_id
    data = {"client_order_id": key, "venue_trade_id": fill.venue_trade_id}
    state.tell("order.unexpected_fill", **data, position_id=position.id)
    ours, rest = split_fill(fill, held) if held else (None, fill)
    state.backstops.surplus.append(replace(rest, client_order_id=None))
    return ours


def _book_exit_fill(state: State, position: Position, order: Order, fill: Fill) -> None:
    state.save(SaveFill(fill, position.id))
    position = resume_closing(state, position)
    state.put_position(_count_rung(apply_exit(position, fill), order, fill))
    held = state.unexplained.get(fill.instrument.id)
    if held is not None:  # no more may be asked for than is left of it
        state.unexplained[fill.instrument.id] = max(held - fill.qty, ZERO)


def _count_rung(position: Position, order: Order, fill: Fill) -> Position:
    if order.reason is not ExitReason.LADDER:
        return position
    filled = position.progress.rung_filled + fill.qty
    return replace(position, progress=replace(position.progress, rung_filled=filled))


def _book_entry_fill(state: State, position: Position) -> None:
    """Guard what is filled from the first fill on; percent limits follow the average entry."""
    position = with_thresholds(position)
    if position.status in BEFORE_CLOSE:
        guard = guard_of(state, position)
        position = state.put_position(replace(position, guard=guard, exit_reason=None))
        arm(state, position)
    else:
        continue_closing(state, state.put_position(position))


def guard_of(state: State, position: Position) -> GuardStatus:
    """Whether a position that holds something is watched now."""
    if position.id in state.resolving:
        return GuardStatus.RESOLVING
    blind = position.instrument.id in state.blind
    return GuardStatus.BLIND if blind else GuardStatus.ARMED
