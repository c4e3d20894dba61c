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
    exits_of,
    meets_minimums,
    remaining,
    retry_pause_ns,
)
from engine.core.state import Cause, Retry, State, Trigger, Wish
from engine.model.exits import ExitReason
from engine.model.money import ZERO, plain
from engine.model.order import Order
from engine.model.position import Position
from engine.model.rules.ladder import closes_all


def reach_rung(state: State, position: Position, rung: int, trigger: Trigger) -> None:
    """A price reached a rung (counted from 0), and with it those before it."""
    progress, ladder = position.progress, position.exits.ladder
    fractions = sum((step.fraction for step in ladder[progress.rungs_done : rung + 1]), ZERO)
    progress = replace(
        progress,
        rungs_done=max(progress.rungs_done, rung + 1),
        rung_qty=progress.rung_qty + fractions * position.qty,
    )
    position = state.put_position(replace(position, progress=progress))
    price = plain(trigger.price)
    state.log("position.rung_reached", position_id=position.id, rung=rung + 1, price=price)
    arm(state, position)
    cause = Cause(ExitReason.LADDER, trigger=trigger)
    if rung + 1 == len(ladder) and closes_all(ladder):
        close(state, position, Wish(cause))
        return
    rule = position.exits.break_even
    if rule is not None and 0 < rule.after_rung <= rung + 1:
        position = move_stop(state, position)
    send_rungs(state, position, cause)


def send_rungs(state: State, position: Position, cause: Cause) -> None:
    """Close what reached rungs ask for and no order in flight does."""
    if position.id in state.resolving or position.status not in BEFORE_CLOSE:
        return
    part = _due(state, position)
    if part > ZERO and meets_minimums(state, position.instrument, part):
        close(state, position, Wish(cause, part))


def _due(state: State, position: Position) -> Decimal:
    in_flight = sum(
        (
            order.qty - order.filled_qty
            for order in exits_of(state, position)
            if order.reason is ExitReason.LADDER
        ),
        ZERO,
    )
    owed = position.progress.rung_qty - position.progress.rung_filled - in_flight
    return min(position.instrument.floor_qty(max(owed, ZERO)), remaining(state, position))


def after_part(state: State, order: Order) -> None:
    """A part-close has ended: go on with what rungs ask for, after a pause if it was refused."""
    position = state.positions.get(order.position_id)
    if position is None or position.status not in BEFORE_CLOSE:
        state.rung_retries.pop(order.position_id, None)
        return
    if order.reason is ExitReason.LADDER and order.filled_qty == ZERO:
        before = state.rung_retries.get(position.id)
        refusals = 1 + (before.refusals if before else 0)
        due_ns = state.elapsed_ns + retry_pause_ns(refusals)
        state.rung_retries[position.id] = Retry(due_ns, refusals)
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
