"""The take-profit ladder at work: what the reached rungs ask for, closed as one sum.

What rungs ask for is added up when they are reached, so a rung too small for the venue is closed
with the next one, two rungs reached by one price are one order, and a refused part is asked for
again.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.core.arming import arm, move_stop
from engine.core.closing import (
    BEFORE_CLOSE,
    close,
    in_flight,
    remaining,
)
from engine.core.finishing import meets_minimums
from engine.core.refusals import next_retry, retry_pause_ns
from engine.core.resolving import Trigger
from engine.core.state import Cause, State, Wish
from engine.model.exit_lines import average_entry
from engine.model.exits import ExitReason
from engine.model.money import ZERO, plain
from engine.model.order import Order, Refusal
from engine.model.position import Position
from engine.model.rules.ladder import closes_all, rung_price


def reach_rungs(state: State, position: Position, trigger: Trigger) -> None:
    """A price reached rungs: every one that it is at or beyond now, and those before them.

    While the venue is asked about the position's orders the farthest price is kept: a rung that was
    closed before the start must not be closed again.
    """
    resolving = state.resolving.get(position.id)
    if resolving is not None:
        kept, sign = resolving.reached, position.side.sign
        if kept is None or (trigger.price - kept.price) * sign > ZERO:
            resolving.reached = trigger
        return
    ladder, done = position.exits.ladder, _reached(position, trigger.price)
    if done <= position.progress.rungs_done:
        return
    position = state.put_position(with_rungs(position, done))
    price = plain(trigger.price)
    state.log("position.rung_reached", position_id=position.id, rung=done, price=price)
    arm(state, position)
    cause = Cause(ExitReason.LADDER, trigger=trigger)
    if done == len(ladder) and closes_all(ladder):
        close(state, position, Wish(cause))
    else:
        send_rungs(state, move_stop_after_rung(state, position), cause)


def _reached(position: Position, price: Decimal) -> int:
    """How many rungs are done at a price; the last one that it reached takes others along."""
    average, done = average_entry(position), position.progress.rungs_done
    if average is None:
        return done
    for number, rung in reversed(list(enumerate(position.exits.ladder, 1))[done:]):
        level = rung_price(rung, position.side, average, position.instrument)
        if (price - level) * position.side.sign >= ZERO:
            return number
    return done


def with_rungs(position: Position, done: int) -> Position:
    """Return a position of which so many rungs are done, and ask for what the new ones close."""
    progress = position.progress
    new = position.exits.ladder[progress.rungs_done : done]
    asked = sum((rung.fraction for rung in new), ZERO) * position.qty
    progress = replace(progress, rungs_done=done, rung_qty=progress.rung_qty + asked)
    return replace(position, progress=progress)


def move_stop_after_rung(state: State, position: Position) -> Position:
    """Move the stop to break-even if a rung that is done was to move it."""
    rule = position.exits.break_even
    if rule is None or not 0 < rule.after_rung <= position.progress.rungs_done:
        return position
    return move_stop(state, position)


def rungs_closed_by(
    state: State, position: Position, qty: Decimal, filled_at: Decimal | None
) -> int | None:
    """How many rungs are done if an exit of ``qty`` that was never journalled was theirs.

    None when it was not: not filled nearer to its rung than to the entry, or, where nothing is
    filled yet, of another quantity.
    """
    average, before = average_entry(position), position.progress.rungs_done
    if average is None:
        return None
    for done in range(before, len(position.exits.ladder) + 1):
        asked = position.instrument.floor_qty(_owed(state, with_rungs(position, done)))
        if not done or asked < qty:
            continue
        if filled_at is None:
            return done if asked == qty else None
        rung = position.exits.ladder[done - 1]
        level = rung_price(rung, position.side, average, position.instrument)
        return done if abs(filled_at - level) < abs(filled_at - average) else None
    return None


def send_rungs(state: State, position: Position, cause: Cause) -> None:
    """Close what reached rungs ask for and no order in flight does."""
    if position.id in state.resolving or position.status not in BEFORE_CLOSE:
        return
    part = _due(state, position)
    if part > ZERO and meets_minimums(state, position.instrument, part):
        close(state, position, Wish(cause, part))


def _due(state: State, position: Position) -> Decimal:
    owed = position.instrument.floor_qty(max(_owed(state, position), ZERO))
    return min(owed, remaining(state, position))


def _owed(state: State, position: Position) -> Decimal:
    progress = position.progress
    under_way = in_flight(state, position, ExitReason.LADDER)
    return progress.rung_qty - progress.rung_filled - under_way


def after_part(state: State, order: Order, refusal: Refusal = Refusal.OTHER) -> None:
    """A part-close has ended: go on with what rungs ask for, after a pause if it was refused."""
    position = state.positions.get(order.position_id)
    if position is None or position.status not in BEFORE_CLOSE:
        state.rung_retries.pop(order.position_id, None)
        return
    if order.reason is ExitReason.LADDER and order.filled_qty == ZERO:
        before = state.rung_retries.get(position.id)
        retry = next_retry(state, before, refusal, position.exit_generation)
        if before is None or order.generation > before.generation:  # else of one round with it
            state.rung_retries[position.id] = retry
        return
    if order.reason is ExitReason.LADDER:
        state.rung_retries.pop(position.id, None)
    if position.id not in state.rung_retries:
        send_rungs(state, position, Cause(ExitReason.LADDER))


def retry_rungs(state: State) -> None:
    """Ask again for refused parts whose pause is over."""
    for position_id, retry in list(state.rung_retries.items()):
        if state.elapsed_ns < retry.due_ns:
            continue
        position = state.positions.get(position_id)
        if position is None or position.status not in BEFORE_CLOSE:
            del state.rung_retries[position_id]
            continue
        pause_ns = retry_pause_ns(retry.refusals + 1)
        state.rung_retries[position_id] = replace(retry, due_ns=state.elapsed_ns + pause_ns)
        send_rungs(state, position, Cause(ExitReason.LADDER))
