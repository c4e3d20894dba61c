"""Invariant 2 for ladders: rungs close no more than those that were reached ask for."""

from collections.abc import Iterator

from engine.model.events import PricesChecked
from engine.model.exits import ExitReason
from engine.simulation.checks.case import ZERO, Case
from engine.simulation.checks.guarded import Guarded
from engine.simulation.checks.remainders import is_sellable, lowest_price
from engine.simulation.oracle import levels
from engine.simulation.oracle.stretches import Stretch, is_entry

WITHIN = "rungs_within_asked"


def judge_rungs(case: Case, guarded: Guarded) -> None:
    """Judge one position, unless its ladder was changed.

    A last part takes along what it would leave unsellable.
    """
    ladders = dict.fromkeys(stretch.asked.ladder for stretch in guarded.stretches)
    by_rungs = {
        request.order.client_order_id
        for request in guarded.exits
        if request.order.reason is ExitReason.LADDER
    }
    if len(ladders) != 1 or not by_rungs:
        return
    case.judged(WITHIN)
    fills = case.executions.get(guarded.position.id, [])
    closed = sum((fill.qty for fill in fills if fill.client_order_id in by_rungs), ZERO)
    bought = sum((fill.qty for fill in fills if is_entry(fill)), ZERO)
    done = max(_reached(case, guarded, stretch) for stretch in guarded.stretches)
    asked = sum((rung.fraction for rung in next(iter(ladders))[:done]), ZERO) * bought
    excess = guarded.instrument.floor_qty(max(closed - asked, ZERO))
    price = lowest_price(case, guarded.position)
    if excess > ZERO and is_sellable(guarded.instrument, excess, price):
        text = f"rungs of {guarded.position.id} closed {closed}, {done} of them ask for {asked}"
        case.blame(2, WITHIN, guarded.exits[-1].at_ns, text)


def _reached(case: Case, guarded: Guarded, stretch: Stretch) -> int:
    """How many rungs any price that was told may have reached."""
    sign, tick = guarded.sign, guarded.instrument.tick_size
    best, done = _best(case, guarded), 0
    for number, rung in enumerate(stretch.asked.ladder, 1):
        level = levels.profit(sign, rung.at, stretch.entry, tick)
        if level is not None and best >= sign * float(level):
            done = number
    return done


def _best(case: Case, guarded: Guarded) -> float:
    """The best price, mirrored, that any process was told while it had the position."""
    sign = guarded.sign
    return max((sign * price for price in _told(case, guarded)), default=float("-inf"))


def _told(case: Case, guarded: Guarded) -> Iterator[float]:
    """By stream or by REST; trades of a gap fill no rungs."""
    for stretch in guarded.stretches:
        yield from guarded.told_prices(stretch).price
    for life in dict.fromkeys(stretch.life for stretch in guarded.stretches):
        for place in case.by_rest.get((life, guarded.instrument.id), ()):
            event = case.history.told[place].event
            if isinstance(event, PricesChecked):
                prices = (event.last, event.bid, event.ask, event.mark)
                yield from (price for price in prices if price is not None)
