"""Where the rules of a position lie, by the levels that the simulation's judge works out.

Nothing here is taken from ``engine.model.rules`` or from the book but what owners ask for.
"""

from collections.abc import Iterator
from decimal import Decimal

from engine.model.exits import AtPrice, Limit, Percent, Side
from engine.model.position import Position
from engine.simulation.oracle import levels

STOP, TARGET, TRAIL, ACTIVATION, BREAK_EVEN, RUNG = (
    "stop", "target", "trail", "activation", "break_even", "rung"
)  # fmt: skip
RULES = (STOP, TARGET, TRAIL, ACTIVATION, BREAK_EVEN, RUNG)
"""In the order in which rules of one position are reached at one distance."""

Line = tuple[str, int, Decimal]
"""A rule, its rung (0 for others), its threshold."""


def rises(side: Side, rule: str) -> bool:
    """Whether the price rises to a rule: to a long's profits and to a short's stops."""
    return (side is Side.LONG) == (rule not in {STOP, TRAIL})


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
        level = levels.profit(side.sign, limit, entry, tick)
        if level is not None:
            yield rule, rung_number, level
