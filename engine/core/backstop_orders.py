"""How a backstop gets to its venue, and how it is taken down again."""

from decimal import Decimal

from msgspec.structs import replace

from engine.core.asking import FIRST_ASK_NS, LONGEST_ASK_NS, ask_in, note_submitted
from engine.core.state import GUARD, State
from engine.model.effects import CancelOrder, SubmitOrder
from engine.model.exits import ExitReason
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Market
from engine.model.order import Order, OrderStatus
from engine.model.position import Position


def place(state: State, position: Position, qty: Decimal, trigger: Decimal) -> None:
    """Make the next backstop of a position; it is sent when it is on disk.

    So a process that comes up after a crash knows the last one that may be at the venue.
    """
    generation = position.backstop_generation + 1
    order = Order(
        client_order_id=client_order_id(position.id, Purpose.BACKSTOP, generation),
        position_id=position.id,
        instrument=position.instrument,
        side=position.exit_side,
        purpose=Purpose.BACKSTOP,
        generation=generation,
        qty=qty,
        reduce_only=position.instrument.id.market is Market.LINEAR,
        created_at_ns=state.at_ns,
        actor=GUARD,
        reason=ExitReason.BACKSTOP,
        trigger_price=trigger,
    )
    state.put_order(order)
    state.put_position(replace(position, backstop_generation=generation))
    state.backstops.sent_ns[position.id] = state.elapsed_ns
    state.command(SubmitOrder(order, after_commit=True))


def is_held_back(state: State, venue: str) -> bool:
    """Tell whether nothing new is to be sent to a venue now, but closes."""
    paused = state.elapsed_ns < state.path.paused.get(venue, 0)
    return state.fenced or paused or venue in state.stopped


def let_go(state: State, order: Order) -> str | None:
    """Why a committed backstop must not be sent; None when it may, and from then on it may rest."""
    if state.backstops.find(order.client_order_id) is None:
        return "settled: the backstop is not wanted any more"
    if is_held_back(state, order.instrument.id.venue):
        return "held_back: the venue takes nothing now, or the lease of the one writer is over"
    note_submitted(state, order)
    ask_in(state, order, LONGEST_ASK_NS)  # until the adapter tells that it was sent
    return None


def take_down(state: State, order: Order) -> None:
    """Have a backstop gone: at once while it waits for its commit, else by its venue.

    The venue may trigger it meanwhile, so it counts as there until its end is known.
    """
    if order.client_order_id not in state.sent_ns:
        message = "unwanted: the position changed before it was sent"
        state.put_order(replace(order, status=OrderStatus.CANCELLED, message=message))
    elif order.position_id not in state.backstops.cancelling:
        state.backstops.cancelling.add(order.position_id)
        ask_cancel(state, order)


def ask_cancel(state: State, order: Order) -> None:
    """Ask the venue to cancel a backstop, and look soon what became of that.

    While the venue has said to wait, nothing is sent to it; it is looked up after that.
    """
    wait_ns = state.path.paused.get(order.instrument.id.venue, 0) - state.elapsed_ns
    if wait_ns <= 0:
        state.command(CancelOrder(order))
    ask_in(state, order, max(wait_ns, FIRST_ASK_NS))


def locks(state: State, position: Position) -> bool:
    """Tell whether a backstop keeps what is held from being sold; it is taken down then.

    On spot an order that rests locks the asset.
    """
    order = state.backstops.live.get(position.id)
    if order is None or position.instrument.id.market is Market.LINEAR:
        return False
    if not state.backstops.is_executing(position.id):
        take_down(state, order)
    return position.id in state.backstops.live
