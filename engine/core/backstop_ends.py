"""What the venue says of backstops, and what follows for their positions."""

from msgspec.structs import replace

from engine.core.asking import ask_in
from engine.core.backstop import say
from engine.core.backstop_orders import ask_cancel
from engine.core.closing import BEING_CLOSED, begin_closing, close, continue_closing
from engine.core.ladder import send_rungs
from engine.core.outcomes import settle_close_signal
from engine.core.refusals import ask_why
from engine.core.state import Cause, State
from engine.model.exits import ExitReason
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus, Refusal
from engine.model.position import Position

REST_PAUSE_NS = 600_000_000_000
"""How often one that rests is looked up: its end may have been told to nobody."""

UNSENT_PAUSE_NS = 1_000_000_000
REFUSED_PAUSE_NS = 60_000_000_000
LONGEST_PAUSE_NS = 3_600_000_000_000


def on_backstop_moved(state: State, before: Order, order: Order, refusal: Refusal) -> None:
    """A backstop has another status; ``before`` is what it was, and ``order`` not stored yet."""
    asked = order.position_id in state.backstops.cancelling
    order = state.put_order(order)
    position = state.positions[order.position_id]
    if order.is_final:
        position = _without(state, position, order)
        if order.filled_qty == ZERO and not asked and position.status not in BEING_CLOSED:
            _count(state, position, before, order, refusal)
        _go_on(state, state.positions[position.id])
    elif order.status is OrderStatus.ACKNOWLEDGED:
        _rests(state, position, order)


def _rests(state: State, position: Position, order: Order) -> None:
    """It is there; one that is not wanted any more is to be cancelled still."""
    if position.id in state.backstops.cancelling:
        ask_cancel(state, order)
        return
    ask_in(state, order, REST_PAUSE_NS)
    state.backstops.refusals.pop(position.id, None)
    if position.backstop is None:
        state.put_position(replace(position, backstop=order.trigger_price))
        data = {"position_id": position.id, "client_order_id": order.client_order_id}
        state.log("backstop.placed", **data, price=str(order.trigger_price))


def _without(state: State, position: Position, order: Order) -> Position:
    state.log(
        "backstop.ended",
        position_id=position.id,
        client_order_id=order.client_order_id,
        status=str(order.status),
        message=order.message,
    )
    return state.put_position(replace(position, backstop=None))


def _count(state: State, position: Position, before: Order, order: Order, refusal: Refusal) -> None:
    """The venue took none, or let it go unasked: another one is placed after a pause.

    One that never left us is no word of the venue.
    """
    backstops = state.backstops
    if before.status is OrderStatus.INTENDED and order.status is OrderStatus.CANCELLED:
        backstops.retry_ns[position.id] = state.elapsed_ns + UNSENT_PAUSE_NS
        return
    times = backstops.refusals.get(position.id, 0)
    backstops.refusals[position.id] = times + 1
    pause_ns = min(REFUSED_PAUSE_NS << min(times, 6), LONGEST_PAUSE_NS)
    backstops.retry_ns[position.id] = state.elapsed_ns + pause_ns
    refused = order.status is OrderStatus.REJECTED
    what = "refused: the venue takes none" if refused else "removed: it was taken down at the venue"
    ask_why(state, order, refusal)
    # A venue takes it down, too, when the position is closed there, and tells that after it.
    problem = f"{what}; {order.message}" if order.message else what
    say(state, position, problem, aloud=refused or times > 0)


def _go_on(state: State, position: Position) -> None:
    """Do what waited for the end of a backstop, or go on with what it left of the position.

    While the position's other orders are being asked for after a start, that goes on with it.
    """
    if position.id in state.resolving:
        return
    wishes = state.deferred.pop(position.id, [])
    if position.status in BEING_CLOSED:
        causes = [wish.cause for wish in wishes if wish.part is None]
        continue_closing(state, position, causes[0] if causes else None)
    else:
        for wish in wishes:
            live = state.positions.get(position.id)
            if live is not None:
                close(state, live, wish)
        live = state.positions.get(position.id)
        if live is not None:
            send_rungs(state, live, Cause(ExitReason.LADDER))
    for wish in wishes:
        settle_close_signal(state, wish.cause.signal_id)


def on_backstop_filled(state: State, position: Position) -> Position:
    """A backstop was triggered: the position is closed by it, unless it was being closed before."""
    if position.status in BEING_CLOSED:
        return position
    state.tell("backstop.triggered", position_id=position.id)
    return begin_closing(state, position, Cause(ExitReason.BACKSTOP))
