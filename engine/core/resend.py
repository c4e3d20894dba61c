"""Orders that the venue proved not to have: the same request may be sent again, under its id."""

from msgspec.structs import replace

from engine.core.asking import LONGEST_ASK_NS, ask_in, keep_asking, note_submitted
from engine.core.closing import remaining, spare
from engine.core.entries import entry_refusal
from engine.core.orders import move_order
from engine.core.state import State
from engine.core.submitting import submit
from engine.model.ids import Purpose
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus


def resend_or_drop(state: State, order: Order) -> None:
    """Send a request again that the venue never got, unless it is not wanted any more."""
    key = order.client_order_id
    state.looking.discard(key)  # an answer due was asked for before this one
    if order.filled_qty > ZERO:
        keep_asking(state, order)  # it was there: the answer contradicts a fill
        return
    state.path.misses.pop(key, None)
    if order.status is OrderStatus.UNKNOWN:
        order = state.put_order(replace(order, status=OrderStatus.SENT))  # it is known by now
    if order.purpose is Purpose.EXIT:
        _resend_exit(state, order)
        return
    if order.purpose is Purpose.BACKSTOP:
        state.backstops.cancelling.add(
            order.position_id
        )  # it is gone; the next one takes its place
        message = "absent: the venue does not have it"
        move_order(state, replace(order, message=message), OrderStatus.CANCELLED)
        return
    refusal = entry_refusal(state, order, state.at_ns)
    if refusal is not None:
        move_order(state, replace(order, message=refusal), OrderStatus.REJECTED)
        return
    state.asking.pop(key, None)  # until it is committed and sent
    state.sent_ns.pop(key, None)
    submit(state, order)


def _resend_exit(state: State, order: Order) -> None:
    position = state.positions[order.position_id]
    bound = spare(state, position)
    if remaining(state, position) < ZERO or (bound is not None and bound < ZERO):
        reason = "absent: the venue never received it, and less is held by now"
        move_order(state, replace(order, message=reason), OrderStatus.CANCELLED)
        return
    ask_in(state, order, LONGEST_ASK_NS)  # until the adapter tells that it was sent
    note_submitted(state, order)
    submit(state, order)
