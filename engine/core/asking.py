"""When orders in flight are looked up, and what is known of their outcome."""

from msgspec.structs import replace

from engine.core.order_path import Asking, Doubt
from engine.core.refusals import resume_closing
from engine.core.state import State
from engine.model.effects import LookUpOrder
from engine.model.events import OrderSent
from engine.model.ids import ID_LENGTH
from engine.model.order import Order

FIRST_ASK_NS = 1_000_000_000
LONGEST_ASK_NS = 10_000_000_000
TELL_DOUBT_NS = 30_000_000_000


def look_up(state: State, order: Order) -> None:
    """Ask the venue what became of an order, unless it is known not to have it yet."""
    key = order.client_order_id
    if state.path.waits(key):
        return
    state.looking.add(key)
    if state.order(key) is not None:
        note_doubt(state, order)
    state.command(LookUpOrder(order))


def ask_in(state: State, order: Order, pause_ns: int) -> None:
    """Have an order looked up in ``pause_ns`` unless it is final by then, or not sent."""
    if not state.path.waits(order.client_order_id):
        state.asking[order.client_order_id] = Asking(state.elapsed_ns + pause_ns, pause_ns)


def look_up_first(state: State, order: Order) -> None:
    """Look an order up before it is sent: past the lease another process may have sent it."""
    ask_in(state, order, FIRST_ASK_NS)
    look_up(state, order)


def keep_asking(state: State, order: Order) -> None:
    """Have an order looked up soon, unless that is arranged already; one that rests has time."""
    known = state.asking.get(order.client_order_id)
    if known is None or known.pause_ns > LONGEST_ASK_NS:
        ask_in(state, order, FIRST_ASK_NS)


def ask_overdue(state: State) -> None:
    """Look up orders in flight of which nothing was heard, with growing pauses up to 10 s."""
    for key, asking in list(state.asking.items()):
        if state.elapsed_ns >= asking.due_ns:
            order = _live(state, key)
            ask_in(state, order, min(2 * asking.pause_ns, LONGEST_ASK_NS))
            look_up(state, order)
    _tell_doubts(state)


def _live(state: State, key: str) -> Order:
    return state.orders.get(key) or state.backstops.live[key[:ID_LENGTH]]


def note_submitted(state: State, order: Order) -> None:
    """A request may leave from now on."""
    _note_left(state, order, state.elapsed_ns)


def note_sent(state: State, order: Order, event: OrderSent) -> None:
    """A request left: look-ups that were made before it prove nothing about it."""
    key = order.client_order_id
    state.looking.discard(key)
    state.path.misses.pop(key, None)
    # The clock may have stood still for a while when a request left.
    _note_left(state, order, max(state.elapsed_ns, state.elapsed_at(event.sent_ns)))
    ask_in(state, order, FIRST_ASK_NS)


def _note_left(state: State, order: Order, sent_ns: int) -> None:
    key = order.client_order_id
    state.sent_ns[key] = sent_ns
    held = state.unexplained.get(order.instrument.id)
    if held is None:
        state.path.unexplained.pop(key, None)
    else:
        state.path.unexplained[key] = held


# Outcomes


def note_doubt(state: State, order: Order) -> None:
    """The outcome of an order is not known, from now on or longer."""
    state.path.doubts.setdefault(order.client_order_id, Doubt(state.elapsed_ns))


def _tell_doubts(state: State) -> None:
    """Tell the owner, once, of orders whose outcome has not been known for long."""
    for key, doubt in list(state.path.doubts.items()):
        if not doubt.told and state.elapsed_ns - doubt.since_ns >= TELL_DOUBT_NS:
            state.path.doubts[key] = replace(doubt, told=True)
            _tell(state, "order.unresolved", _live(state, key))


def note_resolved(state: State, order: Order) -> None:
    """It is known what became of an order; the owner is told if he was told that it was not."""
    doubt = state.path.doubts.pop(order.client_order_id, None)
    if doubt is not None and doubt.told:
        _tell(state, "order.resolved", order)


def _tell(state: State, kind: str, order: Order) -> None:
    data = {"client_order_id": order.client_order_id, "position_id": order.position_id}
    state.tell(kind, **data)


def note_taken(state: State, order: Order) -> None:
    """The venue has an order, whatever was said of it before: it is not sent again."""
    key = order.client_order_id
    state.path.misses.pop(key, None)
    cancel_resend(state, order)
    resolving = state.resolving.get(order.position_id)
    if resolving is not None and key in resolving.absent:
        resolving.absent.remove(key)
        keep_asking(state, order)


def cancel_resend(state: State, order: Order) -> None:
    """Have an order that was to be sent again looked up instead: it may have been taken."""
    if state.path.postponed.pop(order.client_order_id, None) is not None:
        keep_asking(state, order)
        resume_closing(state, state.positions[order.position_id])
