"""Where the rules of a position lie, written out from their definitions, exact.

Nothing here is taken from ``engine.model.rules`` or from the book but what owners ask for.
"""

from collections.abc import Iterator
from decimal import Decimal

from engine.model.exits import AtPrice, Disarmed, Distance, Limit, Percent, Side
from engine.model.position import Position

STOP, TARGET, TRAIL, ACTIVATION, BREAK_EVEN, RUNG = (
    "stop", "target", "trail", "activation", "break_even", "rung"
)  # fmt: skip
RULES = (STOP, TARGET, TRAIL, ACTIVATION, BREAK_EVEN, RUNG)
"""In the order in which rules of one position are reached at one distance."""

Line = tuple[str, int, Decimal]
"""A rule, its rung (0 for others), its threshold."""


def up(value: Decimal, tick: Decimal) -> Decimal:
    """The lowest multiple of the tick at or above a value."""
    multiple = value // tick * tick
    return multiple + tick if multiple < value else multiple


def down(value: Decimal, tick: Decimal) -> Decimal:
    """The highest multiple of the tick at or below a value."""
    multiple = value // tick * tick
    return multiple - tick if multiple > value else multiple


def rises(side: Side, rule: str) -> bool:
    """Whether the price rises to a rule: to a long's profits and to a short's stops."""
    return (side is Side.LONG) == (rule not in {STOP, TRAIL})


def length_of(distance: Distance, peak: Decimal) -> Decimal:
    return distance.value * peak / 100 if isinstance(distance, Percent) else distance.value


def stop_of(side: Side, peak: Decimal, distance: Distance, tick: Decimal) -> Decimal:
    """The trailing stop of a peak: never reached later than the exact one."""
    if side is Side.LONG:
        return up(peak - length_of(distance, peak), tick)
    return down(peak + length_of(distance, peak), tick)


def next_peak(side: Side, peak: Decimal, step: Distance, tick: Decimal) -> Decimal:
    """The price that moves a stop with a step."""
    if side is Side.LONG:
        return max(down(peak + length_of(step, peak), tick), down(peak, tick) + tick)
    return min(up(peak - length_of(step, peak), tick), up(peak, tick) - tick)


def profit_of(side: Side, limit: Limit, entry: Decimal, tick: Decimal) -> Decimal | None:
    """The price of a profit: never reached later than the exact one; None when there is none."""
    if isinstance(limit, Disarmed):
        return None
    price = limit.value
    if isinstance(limit, Percent):
        price = entry + side.sign * entry * limit.value / 100
    if price <= 0:
        return None
    return down(price, tick) if side is Side.LONG else up(price, tick)


def stop_loss_of(side: Side, limit: Limit, entry: Decimal, tick: Decimal) -> Decimal | None:
    """The price of a loss, likewise."""
    if isinstance(limit, Disarmed):
        return None
    price = limit.value
    if isinstance(limit, Percent):
        price = entry - side.sign * entry * limit.value / 100
    if price <= 0:
        return None
    return up(price, tick) if side is Side.LONG else down(price, tick)


def break_even_of(
    side: Side, entry: Decimal, offset: Decimal | None, fee: Decimal, tick: Decimal
) -> Decimal:
    """Where a stop loses nothing: what is paid at entry and exit is earned in between."""
    if offset is not None:
        price = entry + side.sign * entry * offset / 100
    elif side is Side.LONG:
        price = entry * (1 + fee) / (1 - fee)
    else:
        price = entry * (1 - fee) / (1 + fee)
    return up(price, tick) if side is Side.LONG else down(price, tick)


def fixed_lines(position: Position) -> Iterator[Line]:
    """The thresholds that stand still."""
    exits, progress = position.exits, position.progress
    if position.stop_loss is not None:
        yield STOP, 0, position.stop_loss
    if position.take_profit is not None:
        yield TARGET, 0, position.take_profit
    if position.qty - position.base_fees <= 0:
        return
    side, tick = position.side, position.instrument.tick_size
    entry = position.entry_value / (position.qty - position.base_fees)
    waited: list[tuple[str, int, Limit]] = []
    if exits.trailing is not None and progress.peak is None:
        waited.append((ACTIVATION, 0, exits.trailing.activation))
    if exits.break_even is not None and not progress.at_break_even:
        waited.append((BREAK_EVEN, 0, exits.break_even.trigger))
    for number, rung in enumerate(exits.ladder):
        if number >= progress.rungs_done:
            at: Percent | AtPrice = rung.at
            waited.append((RUNG, number, at))
    for rule, rung_number, limit in waited:
        level = profit_of(side, limit, entry, tick)
        if level is not None:
            yield rule, rung_number, level
