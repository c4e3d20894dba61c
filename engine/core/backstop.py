"""The stop order that each position has at its venue, for when the guard itself is gone.

It rests beyond the position's own stop, so that it acts only where the guard did not. Whatever
changes a position has it looked at when the step ends: it is placed, moved with the stop and the
quantity, and taken down with the close. Moving is taking down and placing anew; the next one is
sent only when the end of the one before is known, and what that filled is booked.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.core.backstop_orders import is_held_back, place, take_down
from engine.core.backstop_price import Wanted, wanted
from engine.core.closing import BEING_CLOSED, exits_of
from engine.core.finishing import finish_if_flat
from engine.core.state import State
from engine.model.events import AccountReported
from engine.model.instrument import Market
from engine.model.money import ZERO
from engine.model.order import Order
from engine.model.position import Position, PositionStatus

MOVE_PAUSE_NS = 5_000_000_000
ENTRY_PAUSE_NS = 2_000_000_000
"""How long the rest of an entry is waited for."""

LOOK_AGAIN_NS = 1_000_000_000
SMALL_MOVE = Decimal("0.001")
"""Moves of a trailing stop below this fraction of its price are not followed."""


def tend_backstops(state: State) -> None:
    """Look after the backstops of the positions that this step changed."""
    looks = state.backstops.looks
    while looks:
        position_id = next(iter(looks))
        del looks[position_id]
        position = state.positions.get(position_id)
        if position is None:
            state.backstops.forget(position_id)
        else:
            _tend(state, position)


def look_again(state: State) -> None:
    """Have those looked at of which something was waited for."""
    later = state.backstops.later
    for position_id in [key for key, due_ns in later.items() if state.elapsed_ns >= due_ns]:
        del later[position_id]
        state.backstops.looks[position_id] = None


def note_liquidations(state: State, event: AccountReported) -> None:
    """Note where a venue liquidates; it moves with what else the account holds."""
    told = {(row.instrument, row.side): row.liquidation_price for row in event.positions}
    known = state.backstops.liquidations
    of_venue = {key for key in known if key[0].venue == event.venue}
    for key in sorted(of_venue | told.keys()):
        price = told.get(key)
        if price == known.get(key):
            continue
        if price is None:
            del known[key]
        else:
            known[key] = price
        state.backstops.looks.update((p.id, None) for p in state.active_on(key[0]))


def _tend(state: State, position: Position) -> None:
    """Look after one position's; what is held of one that is being resolved is not known yet."""
    state.backstops.later.pop(position.id, None)
    if position.id in state.resolving or position.id in state.backstops.cancelling:
        return
    order = state.backstops.live.get(position.id)
    found = wanted(state, position)
    if isinstance(found, str):
        position = say(state, position, found)
    if order is not None:
        _keep_or_move(state, position, order, found)
    elif isinstance(found, Wanted):
        _place_in_time(state, position, found)


def say(state: State, position: Position, problem: str | None, *, aloud: bool = True) -> Position:
    """Have a position say why its backstop is not as it should be, and tell the owner once."""
    backstops = state.backstops
    if problem is None:
        backstops.told.pop(position.id, None)
    if position.backstop_problem != problem:
        position = state.put_position(replace(position, backstop_problem=problem))
    code = (problem or "").partition(":")[0]
    if code and aloud and backstops.told.get(position.id) != code:
        backstops.told[position.id] = code
        instrument = str(position.instrument.id)
        data = {"position_id": position.id, "instrument": instrument, "message": problem}
        state.tell(f"backstop.{code}", **data)
    return position


def _place_in_time(state: State, position: Position, found: Wanted) -> None:
    backstops = state.backstops
    due_ns = backstops.retry_ns.get(position.id, 0)
    if position.status is PositionStatus.OPENING:
        since_ns = backstops.held_ns.setdefault(position.id, state.elapsed_ns)
        due_ns = max(due_ns, since_ns + ENTRY_PAUSE_NS)
    if state.elapsed_ns < due_ns:
        backstops.later[position.id] = due_ns
    elif is_held_back(state, position.instrument.id.venue) or _is_being_sold(state, position):
        backstops.later[position.id] = state.elapsed_ns + LOOK_AGAIN_NS
    else:
        place(state, position, found.qty, found.trigger)


def _is_being_sold(state: State, position: Position) -> bool:
    """Tell whether exits lock what a backstop would lock too."""
    return position.instrument.id.market is Market.SPOT and bool(exits_of(state, position))


def _keep_or_move(
    state: State, position: Position, order: Order, found: Wanted | str | None
) -> None:
    if state.backstops.is_executing(position.id) and position.closable > ZERO:
        return  # it does what it is for
    if isinstance(found, Wanted):
        if _is_as_wanted(order, found):
            if position.backstop is not None:
                say(state, position, found.problem)
            return
        due_ns = _move_due_ns(state, order, found)
        if state.elapsed_ns < due_ns:
            state.backstops.later[position.id] = due_ns
            return
    take_down(state, order)
    gone = position.id not in state.backstops.live
    if gone and not (position.status in BEING_CLOSED and finish_if_flat(state, position)):
        state.backstops.looks[position.id] = None


def _is_as_wanted(order: Order, found: Wanted) -> bool:
    trigger = order.trigger_price or ZERO
    bearable = SMALL_MOVE * trigger if found.follows else ZERO
    return order.qty == found.qty and abs(trigger - found.trigger) <= bearable


def _move_due_ns(state: State, order: Order, found: Wanted) -> int:
    """When one may be moved: at once where it would sell more than is held."""
    if found.qty < order.qty:
        return 0
    if is_held_back(state, order.instrument.id.venue):
        return state.elapsed_ns + LOOK_AGAIN_NS
    return state.backstops.sent_ns.get(order.position_id, 0) + MOVE_PAUSE_NS
