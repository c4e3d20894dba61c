"""Positions for the book's benches: longs with thresholds that ordinary prices do not reach."""

import random
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from bench.shared.prices import TICK, WANTED
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, Percent, Side
from engine.model.ids import encode_id
from engine.model.instrument import Instrument
from engine.model.money import ceil_to_step, floor_to_step
from engine.model.position import Position, Progress
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource

INSTRUMENT = Instrument(
    id=WANTED,
    base="BTC",
    quote="USDT",
    tick_size=Decimal(TICK),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
)
NEAREST, FARTHEST = 0.001, 0.05
"""Fixed thresholds lie 0.1 % to 5 % outside of the prices."""

DISTANCES = tuple(Decimal(tenths) / 10 for tenths in range(84, 134))
"""Distances of trailing stops in % of the peak, farther than any fall of the benches."""

LONE_DISTANCE = Decimal("7.9")
"""Of one position of ``following``: it has the nearest stop once all have come to one peak."""

PEAKS_BEGIN = 1_000
"""How many ticks the lowest peak is above the highest price."""


class Levels(Struct, frozen=True, gc=False):
    """What one long is guarded by: prices in quote asset, distance and step in % of the peak."""

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    distance: Decimal | None = None
    peak: Decimal | None = None
    step: Decimal | None = None


def outside(prices: Sequence[float], count: int, seed: int) -> list[Levels]:
    """Draw a take-profit above and a stop-loss below all prices for each of ``count`` positions."""
    draw, tick = random.Random(seed), INSTRUMENT.tick_size
    low, high = min(prices), max(prices)
    return [
        Levels(
            ceil_to_step(Decimal(high * (1 + draw.uniform(NEAREST, FARTHEST))), tick),
            floor_to_step(Decimal(low * (1 - draw.uniform(NEAREST, FARTHEST))), tick),
        )
        for _ in range(count)
    ]


def trailed(levels: Sequence[Levels], highest: Decimal, peaks: int, seed: int) -> list[Levels]:
    """Add a trailing stop to each: ``peaks`` distinct peaks above ``highest``, one tick apart."""
    draw, begin = random.Random(seed), peaks_begin(highest)
    return [
        Levels(
            each.take_profit,
            each.stop_loss,
            draw.choice(DISTANCES),
            begin + draw.randrange(peaks) * INSTRUMENT.tick_size,
        )
        for each in levels
    ]


def following(
    count: int, highest: Decimal, *, peaks: int, width: int, step: Decimal | None = None
) -> list[Levels]:
    """Give ``count`` positions a trailing stop each, and nothing else, in a random order of peaks.

    Args:
        peaks: how many distinct peaks there are, at most ``count``.
        width: over how many ticks above ``highest`` they are spread evenly.
        step: of the trailing stops, in % of the peak.
    """
    draw, begin = random.Random(1), peaks_begin(highest)
    places = [number % peaks * width // peaks for number in range(count)]
    draw.shuffle(places)
    distances = [LONE_DISTANCE, *draw.choices(DISTANCES, k=count - 1)]
    return [
        Levels(distance=distance, peak=begin + place * INSTRUMENT.tick_size, step=step)
        for distance, place in zip(distances, places, strict=True)
    ]


def peaks_begin(highest: Decimal) -> Decimal:
    """The lowest peak."""
    return highest + PEAKS_BEGIN * INSTRUMENT.tick_size


def position(number: int, levels: Levels) -> Position:
    """A long guarded on last prices; ``number`` makes its id."""
    trailing = None
    if levels.distance is not None:
        step = None if levels.step is None else Percent(levels.step)
        trailing = Trailing(Percent(levels.distance), step=step)
    return Position(
        id=encode_id(number.to_bytes(16, "big")),
        instrument=INSTRUMENT,
        side=Side.LONG,
        exits=Exits(Disarmed(), Disarmed(), trailing=trailing),
        trigger=PriceSource.LAST,
        created_at_ns=number,
        take_profit=levels.take_profit,
        stop_loss=levels.stop_loss,
        progress=Progress(peak=levels.peak),
    )


def positions(levels: Sequence[Levels], begin: int = 1) -> list[Position]:
    """Positions numbered from ``begin``, in the order of ``levels``."""
    return [position(number, each) for number, each in enumerate(levels, begin)]
