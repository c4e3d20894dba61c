"""The one way of an order out of the core: at once, or when its venue takes requests again."""

from engine.core.order_path import Postponed
from engine.core.state import State
from engine.model.effects import SubmitOrder
from engine.model.ids import Purpose
from engine.model.order import Order


def submit(state: State, order: Order) -> None:
    """Send an order: an exit at once, an entry after its commit.

    While a venue has said to wait, nothing is sent to it: each request would make the wait longer.
    """
    until_ns = state.path.paused.get(order.instrument.id.venue, 0)
    if state.elapsed_ns < until_ns:
        state.asking.pop(order.client_order_id, None)
        state.path.postponed[order.client_order_id] = Postponed(0, until_ns)
    else:
        state.command(SubmitOrder(order, after_commit=order.purpose is not Purpose.EXIT))
