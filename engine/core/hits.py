"""What follows when a price reaches a rule, or time does."""

from msgspec.structs import replace

from engine.core.arming import arm, move_stop
from engine.core.book.codes import Hit, Watched
from engine.core.closing import BEFORE_CLOSE, close
from engine.core.ladder import reach_rungs
from engine.core.resolving import Trigger
from engine.core.state import Cause, State, Wish
from engine.model.exits import ExitReason
from engine.model.money import exact, plain
from engine.model.position import Position

CLOSING_RULES = {Watched.TARGET: ExitReason.TAKE_PROFIT, Watched.TRAIL: ExitReason.TRAILING}


def on_hit(state: State, hit: Hit, received_ns: int) -> None:
    """Act on a rule that a price reached; ``received_ns`` is 0 where no frame caused it."""
    position = state.positions.get(hit.position_id)
    if position is None or position.status not in BEFORE_CLOSE:
        return
    if hit.rule is Watched.ACTIVATION:
        _activate(state, position, hit)
    elif hit.rule is Watched.BREAK_EVEN:
        move_stop(state, position)
    else:
        trigger = Trigger(reason_of(position, hit.rule), exact(hit.price), received_ns)
        if hit.rule is Watched.RUNG:
            reach_rungs(state, position, trigger)
        else:
            close(state, position, Wish(Cause(trigger.reason, trigger=trigger)))


def reason_of(position: Position, rule: Watched) -> ExitReason:
    """Why a position is closed when a rule of it is reached."""
    if rule is Watched.RUNG:
        return ExitReason.LADDER
    if rule is Watched.STOP:
        moved = position.progress.at_break_even
        return ExitReason.BREAK_EVEN if moved else ExitReason.STOP_LOSS
    return CLOSING_RULES[rule]


def _activate(state: State, position: Position, hit: Hit) -> None:
    """The trailing stop follows from here on, from the price that activated it.

    An amendment may have come between the price and its turn: it has set the stop going, or removed
    it.
    """
    if position.exits.trailing is None or position.progress.peak is not None:
        return
    progress = replace(position.progress, peak=exact(hit.price), moved_ns=state.at_ns)
    position = state.put_position(replace(position, progress=progress))
    price = plain(exact(hit.price))
    state.log("position.trailing_activated", position_id=position.id, price=price)
    arm(state, position)


def close_expired(state: State) -> None:
    """Close the positions whose time is over."""
    for position_id in state.time_stops.due(state.at_ns):
        position = state.positions.get(position_id)
        if position is not None and position.status in BEFORE_CLOSE:
            close(state, position, Wish(Cause(ExitReason.TIME)))
