"""Stop orders at the venue: there when the world rests, one at a time, and triggered by a price.

On spot they lock the asset: a close waits until the end of one is known. What a process knows of
one is what it was told of it, or what the ledger that it started with says.
"""

from collections.abc import Iterator
from decimal import Decimal

from engine.model.effects import SaveFill
from engine.model.exits import ExitReason
from engine.model.instrument import Market
from engine.model.order import Order, OrderSide
from engine.model.position import Position
from engine.simulation.checks.case import (
    BACKSTOP,
    ENDED,
    EXIT,
    FOR_EVER_NS,
    ZERO,
    Case,
    parts_of,
)
from engine.simulation.checks.known import Known
from engine.simulation.checks.quantities import closed, received
from engine.simulation.history import Request, Rest
from engine.simulation.oracle.stretches import WATCHED
from engine.simulation.plan import EPOCH_NS, Print

RESTS, BEYOND, ONE, PRICED, WAITS = (
    "backstop_rests", "backstop_beyond_stop", "backstop_is_one", "backstop_had_price",
    "close_after_backstop",
)  # fmt: skip
MOVED_NS = 6_000_000_000


def judge_backstops(case: Case) -> None:
    """Judge every stop order, and every position that should have one."""
    if case.history.rest is not None:
        _judge_rest(case, case.history.rest)
    for requests in case.requests_of.values():
        for request in requests:
            letter = letter_of(request.order)
            if letter == BACKSTOP:
                _judge_one(case, request)
            elif letter == EXIT and request.order.instrument.id.market is Market.SPOT:
                _judge_wait(case, request)
    for position in case.facts.positions:
        _judge_price(case, position)


def letter_of(order: Order) -> str:
    """Return the letter of an order's purpose; empty where its id is not ours."""
    ours = parts_of(order.client_order_id)
    return "" if ours is None else ours[1]


# At rest


def _judge_rest(case: Case, rest: Rest) -> None:
    """Each position that is watched has one of its quantity, or says why it has none."""
    for position in rest.positions:
        resting = [k.order for k in rest.resting if k.order.position_id == position.id]
        wanted = _wanted(case, position, rest.at_ns)
        if wanted is None:
            continue
        case.judged(RESTS)
        is_right = len(resting) == 1 and resting[0].qty == wanted
        is_said = len(resting) <= 1 and position.backstop_problem is not None
        if not (is_right or is_said):
            found = ", ".join(f"{order.client_order_id} of {order.qty}" for order in resting)
            text = f"{position.id} should have a stop order of {wanted}, there is {found or 'none'}"
            case.blame(3, RESTS, rest.at_ns, text)
        elif is_right:
            _judge_place(case, position, resting[0], rest.at_ns)


def _judge_place(case: Case, position: Position, order: Order, at_ns: int) -> None:
    """It lies as far beyond the stop as asked for, on the tick after that.

    Not judged where the stop follows prices, or has lain there for a moment only.
    """
    stop, since_ns = position.stop_loss, position.progress.holds_since_ns - EPOCH_NS
    is_wrong = any(struck.fault.kind == "jump" for struck in case.history.struck)
    if stop is None or position.exits.trailing is not None or is_wrong:
        return
    if at_ns - since_ns < MOVED_NS:
        return
    case.judged(BEYOND)
    sign = 1 if order.side is OrderSide.SELL else -1
    exact = stop * (1 - sign * case.plan.backstop.extra_percent / 100)
    short = (exact - (order.trigger_price or ZERO)) * sign
    if not 0 <= short < position.instrument.tick_size:
        text = f"{order.client_order_id} lies at {order.trigger_price}, the stop at {stop}"
        case.blame(3, BEYOND, at_ns, text)


def _wanted(case: Case, position: Position, at_ns: int) -> Decimal | None:
    instrument = position.instrument
    if position.status not in WATCHED or instrument.id.market not in case.plan.backstop.markets:
        return None
    until_ns = EPOCH_NS + at_ns
    fills = [f for f in case.executions.get(position.id, ()) if f.time_ns <= until_ns]
    held = received(fills) - closed(fills) - _taken(case, position.id, at_ns)
    qty = held // instrument.qty_step * instrument.qty_step
    return qty if qty >= instrument.min_qty and qty > 0 else None


def _taken(case: Case, position_id: str, at_ns: int) -> Decimal:
    """What was known by then that others had taken from a position."""
    taken = (
        record.fill.qty
        for moment_ns, _, record in case.records()
        if isinstance(record, SaveFill)
        and moment_ns <= at_ns
        and record.position_id == position_id
        and parts_of(record.fill.client_order_id) is None
    )
    return sum(taken, ZERO)


# One at a time


def _judge_one(case: Case, request: Request) -> None:
    case.judged(ONE)
    for key in unresolved(case, request.order.position_id, request.life, request.at_ns):
        if key != request.order.client_order_id:
            text = f"{request.order.client_order_id} was sent while {key} was not resolved"
            case.blame(11, ONE, request.at_ns, text)


def _judge_wait(case: Case, request: Request) -> None:
    case.judged(WAITS)
    for key in unresolved(case, request.order.position_id, request.life, request.at_ns):
        text = f"{request.order.client_order_id} was sent while {key} may lock the asset"
        case.blame(2, WAITS, request.at_ns, text)


def unresolved(case: Case, position_id: str, life: int, at_ns: int) -> Iterator[str]:
    """Ids of stop orders of a position of which a process did not know by then how they ended."""
    for key, end_ns in ends_of(case, position_id, life, at_ns):
        if end_ns > at_ns:
            yield key


def ends_of(case: Case, position_id: str, life: int, at_ns: int) -> Iterator[tuple[str, int]]:
    """Stop orders that had left by then, and when a process knew that each had ended."""
    for request in case.requests_of.get(position_id, ()):
        order = request.order
        is_before = request.at_ns < at_ns and request.life <= life
        if is_before and letter_of(order) == BACKSTOP:
            yield order.client_order_id, _known_ns(case, request, life)


def _known_ns(case: Case, request: Request, life: int) -> int:
    """When a process knew that a stop order had ended: from its start, or told later."""
    key, starts = request.order.client_order_id, case.starts.get(life)
    if request.life < life and starts is not None:
        durable = {order.client_order_id: order.status for order in starts[1].orders}
        if durable.get(key) in ENDED:
            return case.history.told[starts[0]].at_ns
    known = Known()
    known.ask(request.order)
    for place in case.told_of.get(request.order.position_id, ()):
        told = case.history.told[place]
        if told.life != life:
            continue
        known.take(told.event)
        over = key in known.ended | known.missing
        if over or known.filled.get(key, ZERO) >= request.order.qty:
            return told.at_ns
    return FOR_EVER_NS


# Its price


def _judge_price(case: Case, position: Position) -> None:
    """One that closed something was at the venue when a price reached it."""
    fills = [
        fill
        for fill in case.executions.get(position.id, ())
        if (parts_of(fill.client_order_id) or "  ")[1] == BACKSTOP
    ]
    if position.exit_reason is ExitReason.BACKSTOP and not fills:
        case.blame(5, PRICED, 0, f"{position.id} is closed by a stop order that closed nothing")
    for fill in fills:
        case.judged(PRICED)
        if not _is_reached(case, str(fill.client_order_id), fill.time_ns - EPOCH_NS):
            text = f"no price reached {fill.client_order_id}"
            case.blame(5, PRICED, fill.time_ns - EPOCH_NS, text)


def _is_reached(case: Case, key: str, until_ns: int) -> bool:
    """Whether the market's mark (linear) or last price (spot) was at or beyond its trigger."""
    for arrival in case.arrivals_of.get(key, ()):
        order = arrival.order
        sign = 1 if order.side is OrderSide.BUY else -1
        level = sign * float(order.trigger_price or 0)
        if arrival.taken and any(
            sign * _compared(order, each) >= level
            for each in case.history.prints.get(order.instrument.id, ())
            if arrival.at_ns <= each.at_ms * 1_000_000 <= until_ns
        ):
            return True
    return False


def _compared(order: Order, price: Print) -> float:
    return price.mark if order.instrument.id.market is Market.LINEAR else price.last
