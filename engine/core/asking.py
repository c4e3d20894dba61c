"""When orders in flight are looked up, and whether an answer is about the request it names."""

from engine.core.state import Asking, State
from engine.model.effects import LookUpOrder
from engine.model.order import Order

FIRST_ASK_NS = 1_000_000_000
LONGEST_ASK_NS = 10_000_000_000


def look_up(state: State, order: Order) -> None:
    """Ask the venue what became of an order."""
    state.looking.add(order.client_order_id)
    state.command(LookUpOrder(order))


def ask_in(state: State, order: Order, pause_ns: int) -> None:
    """Have an order looked up in ``pause_ns`` unless it is final by then."""
    state.asking[order.client_order_id] = Asking(state.elapsed_ns + pause_ns, pause_ns)


def keep_asking(state: State, order: Order) -> None:
    """Have an order looked up soon, unless that is arranged already."""
    if order.client_order_id not in state.asking:
        ask_in(state, order, FIRST_ASK_NS)


def ask_overdue(state: State) -> None:
    """Look up orders in flight of which nothing was heard, with growing pauses up to 10 s."""
    for key, asking in list(state.asking.items()):
        if state.elapsed_ns >= asking.due_ns:
            order = state.orders[key]
            ask_in(state, order, min(2 * asking.pause_ns, LONGEST_ASK_NS))
            look_up(state, order)


def note_sent(state: State, order: Order) -> None:
    """A request left: a look-up that was made before it proves nothing about it."""
    state.looking.discard(order.client_order_id)
    ask_in(state, order, FIRST_ASK_NS)
