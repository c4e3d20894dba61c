"""The venue's answers to what became of an order."""

from decimal import Decimal

from msgspec.structs import replace

from engine.core.absence import is_absent
from engine.core.asking import FIRST_ASK_NS, ask_in, keep_asking, note_resolved, note_taken
from engine.core.orders import alarm, book_fill, contradicts, move_order
from engine.core.recovery import ask_ahead, discover, note_absent, note_answered
from engine.core.resend import resend_or_drop
from engine.core.state import State
from engine.model.events import OrderLookedUp
from engine.model.exits import ExitReason
from engine.model.ids import Purpose, parse_client_order_id
from engine.model.order import TRANSITIONS, Order, OrderStatus
from engine.model.position import Position


def on_order_looked_up(state: State, event: OrderLookedUp) -> None:
    """Book what the venue did, or send again what it proved never to have got.

    A miss counts only in answer to a look-up made after the order was last sent: two answers must
    not lead to two requests.
    """
    key = event.client_order_id
    parsed = parse_client_order_id(key)
    position = state.positions.get(parsed[0]) if parsed else None
    if parsed is None or position is None:
        return
    order = state.order(key)
    if order is None:
        _take_unknown(state, position, parsed[2], event)
    elif event.found:
        _take_found(state, position, order, event)
    elif key in state.looking:
        _take_missed(state, position, order, event)


def _take_unknown(state: State, position: Position, generation: int, event: OrderLookedUp) -> None:
    """An answer about an id that is not in flight: an exit that may exist, or one settled since."""
    key = event.client_order_id
    resolving = state.resolving.get(position.id)
    possible = resolving.asked.get(key) if resolving else None
    if resolving is None or possible is None:
        return
    if not event.found:
        resolving.heard_ns = state.elapsed_ns
        if not is_absent(state, possible, resolving.since_ns, event):
            return
    elif key not in resolving.known:
        if any(order.reason is ExitReason.LADDER for order in resolving.asked.values()):
            return  # asked for again: it may be the rest of a rung that is not accounted for yet
        qty = event.qty if event.qty is not None and event.qty > position.qty else None
        if _is_contradicted(state, possible, qty, event):
            return
        resolving.known.add(key)
        if any(state.is_booked((key, fill.venue_trade_id)) for fill in event.fills):
            ask_ahead(state, position, generation)  # a process before found it too
        else:
            _book_found(state, discover(state, position, generation, event), event)
    note_answered(state, position.id, key)


def _take_found(state: State, position: Position, order: Order, event: OrderLookedUp) -> None:
    qty = event.qty if event.qty != order.qty else None
    if not _is_contradicted(state, order, qty, event):
        state.looking.discard(order.client_order_id)
        _book_found(state, order, event)
        note_answered(state, position.id, order.client_order_id)


def _take_missed(state: State, position: Position, order: Order, event: OrderLookedUp) -> None:
    """Ask on until an order is proved absent; one that waits for its commit is not."""
    key = order.client_order_id
    resolving = state.resolving.get(position.id)
    if resolving is not None:
        resolving.heard_ns = state.elapsed_ns
    sent_ns = state.sent_ns.get(key)
    if sent_ns is None:
        return
    state.looking.discard(key)
    if not is_absent(state, order, sent_ns, event):
        if key in state.asking:
            ask_in(state, order, FIRST_ASK_NS)
        return
    note_resolved(state, order)
    if order.purpose is Purpose.EXIT and position.id in state.resolving:
        note_absent(state, position.id, key)
    else:
        resend_or_drop(state, order)
        note_answered(state, position.id, key)


def _is_contradicted(
    state: State, order: Order, wrong_qty: Decimal | None, event: OrderLookedUp
) -> bool:
    """Tell whether what was found is not the order we made: then nothing of it is booked.

    Of an exit that is not in the ledger we know the side, and that it was for no more than was
    ever held. The look-up stays open, so such a position is not armed.
    """
    if wrong_qty is not None:
        alarm(state, order, f"quantity {wrong_qty}")
    elif any(contradicts(order, fill) for fill in event.fills):
        alarm(state, order, "fills of another instrument or side")
    else:
        return False
    return True


def _book_found(state: State, order: Order, event: OrderLookedUp) -> None:
    key = order.client_order_id
    for fill in event.fills:
        book_fill(state, state.order(key) or order, fill)
    now = state.order(key) or order
    live = replace(
        now,
        venue_order_id=event.venue_order_id or order.venue_order_id,
        message=event.message or order.message,
    )
    status = event.status or OrderStatus.ACKNOWLEDGED
    lacks_fills = status is OrderStatus.FILLED and live.filled_qty < live.qty
    note_taken(state, live)
    keep_asking(state, live)
    if not lacks_fills:
        note_resolved(state, live)
    if lacks_fills or status not in TRANSITIONS[live.status]:
        state.put_order(live)
    else:
        move_order(state, live, status)
