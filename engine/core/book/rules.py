"""From a position's rules to what the book has to wait for: one pure function a rule."""

from collections.abc import Iterator
from decimal import Decimal

from engine.core.book.codes import Watched
from engine.core.book.cohorts import Trail
from engine.model.exit_lines import average_entry, profit_price
from engine.model.exits import Limit, Side
from engine.model.position import Position
from engine.model.rules.ladder import rung_price

FixedRule = tuple[Watched, int, Decimal, bool]
"""A rule, its rung (0 for others), its threshold, and whether the price rises to it."""


def fixed_rules(position: Position) -> Iterator[FixedRule]:
    """Return the thresholds a position waits for; before its entry it waits for none."""
    long = position.side is Side.LONG
    if position.stop_loss is not None:
        yield Watched.STOP, 0, position.stop_loss, not long
    if position.take_profit is not None:
        yield Watched.TARGET, 0, position.take_profit, long
    trailing, move = position.exits.trailing, position.exits.break_even
    if trailing is not None and position.progress.peak is None:
        yield from _profit(position, Watched.ACTIVATION, trailing.activation)
    if move is not None and not position.progress.at_break_even:
        yield from _profit(position, Watched.BREAK_EVEN, move.trigger)
    if position.exits.ladder:
        yield from _rungs(position)


def _profit(position: Position, rule: Watched, limit: Limit) -> Iterator[FixedRule]:
    price = profit_price(position, limit)
    if price is not None:
        yield rule, 0, price, position.side is Side.LONG


def _rungs(position: Position) -> Iterator[FixedRule]:
    entry, done = average_entry(position), position.progress.rungs_done
    if entry is None:
        return
    for number, rung in enumerate(position.exits.ladder[done:], done):
        price = rung_price(rung, position.side, entry, position.instrument)
        yield Watched.RUNG, number, price, position.side is Side.LONG


def trailing_rule(position: Position) -> Trail | None:
    """Return the trailing stop with its peak, a price; None while it is not active."""
    trailing, peak = position.exits.trailing, position.progress.peak
    if trailing is None or peak is None:
        return None
    return Trail(trailing.distance, trailing.step, float(peak))
