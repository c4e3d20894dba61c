"""Positions on a grid of whole numbers, entered at 100."""

from decimal import Decimal

from msgspec.structs import replace

from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, Points, Side
from engine.model.position import Position, Progress
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from tests.property.worlds import instrument

D = Decimal
GRID = instrument(D(1))
NONE = Exits(Disarmed(), Disarmed())


def held(name: str, side: Side = Side.LONG, **fields: object) -> Position:
    """A position of one; the fields are those of ``Position``."""
    position = Position(
        id=name,
        instrument=GRID,
        side=side,
        exits=NONE,
        trigger=PriceSource.LAST,
        created_at_ns=0,
        qty=D(1),
        entry_value=D(100),
    )
    return replace(position, **fields)


def trailed(name: str, side: Side, distance: int, peak: int, step: int | None = None) -> Position:
    rule = Trailing(Points(D(distance)), step=None if step is None else Points(D(step)))
    exits = replace(NONE, trailing=rule)
    return held(name, side, exits=exits, progress=Progress(peak=D(peak)))
