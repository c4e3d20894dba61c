"""Where the rules of a position stand now: the lines that its owner sees."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.exits import ExitReason, Limit, threshold
from engine.model.money import ZERO
from engine.model.position import Position, PositionStatus
from engine.model.rules.ladder import rung_price
from engine.model.rules.trailing import trailing_stop

GUARDED = (PositionStatus.OPENING, PositionStatus.OPEN)


class LineState(StrEnum):
    """``armed``: reaching the threshold closes. ``waiting``: it sets a stop going or moves one."""

    ARMED = "armed"
    WAITING = "waiting"


class ExitLine(Struct, frozen=True):
    """One rule with its present threshold.

    Attributes:
        threshold: the price it waits for, in quote asset; None where it waits for none.
        deadline_ns: the moment it waits for, UTC ns; None but for the time stop.
    """

    rule: ExitReason
    threshold: Decimal | None
    state: LineState = LineState.ARMED
    deadline_ns: int | None = None

    def distance(self, price: Decimal | None) -> Decimal | None:
        """Return how far ``price`` is from the threshold, in quote asset."""
        return None if price is None or self.threshold is None else abs(self.threshold - price)


def exit_lines(position: Position) -> list[ExitLine]:
    """Return the rules of a position that may still act; none once it is being closed."""
    if position.status not in GUARDED:
        return []
    return [*_limits(position), *_moving(position), *_rungs(position), *_time(position)]


def average_entry(position: Position) -> Decimal | None:
    """Return the exact average entry price; None before the first fill."""
    return position.entry_value / position.received if position.received > ZERO else None


def profit_price(position: Position, limit: Limit) -> Decimal | None:
    """Return the tick at which a limit on the side of profit is reached.

    None before the first fill, and for a limit that is disarmed or can never be reached.
    """
    entry = average_entry(position)
    if entry is None:
        return None
    return threshold(limit, position.side, ExitReason.TAKE_PROFIT, entry, position.instrument)


def _limits(position: Position) -> Iterator[ExitLine]:
    if position.take_profit is not None:
        yield ExitLine(ExitReason.TAKE_PROFIT, position.take_profit)
    if position.stop_loss is not None:
        moved = position.progress.at_break_even
        rule = ExitReason.BREAK_EVEN if moved else ExitReason.STOP_LOSS
        yield ExitLine(rule, position.stop_loss)


def _moving(position: Position) -> Iterator[ExitLine]:
    side, instrument, entry = position.side, position.instrument, average_entry(position)
    trailing, rule = position.exits.trailing, position.exits.break_even
    if trailing is not None and position.progress.peak is not None:
        stop = trailing_stop(side, position.progress.peak, trailing.distance, instrument)
        yield ExitLine(ExitReason.TRAILING, stop)
    elif trailing is not None and entry is not None:
        price = profit_price(position, trailing.activation)
        yield ExitLine(ExitReason.TRAILING, price, LineState.WAITING)
    if rule is not None and entry is not None and not position.progress.at_break_even:
        price = profit_price(position, rule.trigger)
        yield ExitLine(ExitReason.BREAK_EVEN, price, LineState.WAITING)


def _rungs(position: Position) -> Iterator[ExitLine]:
    entry = average_entry(position)
    if entry is None:
        return
    for rung in position.exits.ladder[position.progress.rungs_done :]:
        price = rung_price(rung, position.side, entry, position.instrument)
        yield ExitLine(ExitReason.LADDER, price)


def _time(position: Position) -> Iterator[ExitLine]:
    deadline_ns = position.exits.time.deadline_ns(position.entry_time_ns)
    if deadline_ns is not None:
        yield ExitLine(ExitReason.TIME, None, LineState.ARMED, deadline_ns)
