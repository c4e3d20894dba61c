"""True prices of a lifetime: what the market does, whether anybody sees it or not.

A path is made of segments, each with a shape of its own. Prices are counted in ticks, so that each
is the nearest double of a decimal string of few digits without any decimal arithmetic a print.
"""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.model.instrument import Instrument
from engine.simulation.instruments import Listed
from engine.simulation.plan import PricePath, Print
from engine.simulator.recordings import Channel, Track, read_tracks

LOWEST, HIGHEST = 0.45, 2.3
"""Bounds of a path, in parts of its first price: a limit within 10 % of any of its prices lies
within what ``sweep`` goes through when it begins at the first."""

MARK_DIGITS = 100
"""A mark price has two digits more than the tick grid."""

MIN_WAIT_MS, MAX_WAIT_MS = 250, 700
BIG_MOVE = 0.02
"""A change of price from one print to the next that is worth a fault, as a fraction."""

STRETCH_PRINTS = 60
STRETCH_EVERY_S = 0.4

SWEEP_STEP = 0.078
SWEEP_EVERY_MS = 100
SWEEP_LOW, SWEEP_HIGH = 0.4, 3.0


class Stretch(Struct, frozen=True):
    """A piece of a real market: prices in parts of the first, ``STRETCH_EVERY_S`` apart."""

    name: str
    ratios: tuple[float, ...]


Stretches = tuple[Stretch, ...]


class DrawnPath(Struct, frozen=True):
    """A path, and the milliseconds at which it moved far at once."""

    path: PricePath
    moves_ms: tuple[int, ...]


class Grid:
    """An instrument's prices in ticks."""

    __slots__ = ("_scale", "_units")

    def __init__(self, tick_size: Decimal) -> None:
        places = max(-int(tick_size.normalize().as_tuple().exponent), 0)
        self._scale: int = 10**places
        self._units = int(tick_size * self._scale)

    def ticks(self, price: float) -> float:
        """How many ticks a price comes to."""
        return price * self._scale / self._units

    def print_at(self, at_ms: int, ticks: float, chance: float) -> Print:
        """Return a print at about so many ticks. ``chance`` (0 to 1) chooses spread and mark."""
        units, scale = self._units, self._scale
        last = max(round(ticks), 4)
        spread = 1 + int(chance * 3)
        below = int(chance * 7919) % (spread + 1)
        mark = last * MARK_DIGITS + int((chance - 0.5) * (MARK_DIGITS + last * 0.06))
        mark += mark % MARK_DIGITS == 0
        # The quotient of two whole numbers below 2**53 is rounded once: the nearest double.
        return Print(
            at_ms,
            last * units / scale,
            (last - below) * units / scale,
            (last - below + spread) * units / scale,
            mark * units / (scale * MARK_DIGITS),
        )


class _Tape:
    """A path that is being drawn. ``level`` is the price in ticks, not rounded."""

    def __init__(self, draw: random.Random, listed: Listed, max_wait_ms: int) -> None:
        self.draw = draw
        self.grid = Grid(listed.instrument.tick_size)
        self.level = self.start = self.grid.ticks(float(listed.start))
        self.at_ms = 0
        self.prints: list[Print] = []
        self.kinds: list[str] = []
        self.moves_ms: list[int] = []
        self._wait_span_ms = max_wait_ms - MIN_WAIT_MS

    def go(self, factor: float, wait_ms: int = 0) -> None:
        """Print once more after a while: the price times a factor, within the path's bounds."""
        self.at_ms += wait_ms or MIN_WAIT_MS + int(self.draw.random() * self._wait_span_ms)
        level = self.level * factor
        self.level = min(max(level, self.start * LOWEST), self.start * HIGHEST)
        self.prints.append(self.grid.print_at(self.at_ms, self.level, self.draw.random()))
        if abs(factor - 1) >= BIG_MOVE:
            self.moves_ms.append(self.at_ms)

    def direction(self) -> int:
        """Draw +1 or -1; far from its start a path turns back."""
        share = self.level / self.start
        up = 0.8 if share < 0.7 else 0.2 if share > 1.5 else 0.5
        return 1 if self.draw.random() < up else -1


def draw_paths(
    seed: int, listed: tuple[Listed, ...], heal_ms: int, stretches: Stretches
) -> tuple[DrawnPath, ...]:
    """Draw what each instrument costs from the beginning until ``heal_ms``."""
    # Two instruments make as many prices in all as three would.
    max_wait_ms = 400 if len(listed) == 2 else MAX_WAIT_MS
    return tuple(
        _draw_path(random.Random(f"{seed}/prices/{number}"), each, heal_ms, max_wait_ms, stretches)
        for number, each in enumerate(listed)
    )


def _draw_path(
    draw: random.Random, listed: Listed, heal_ms: int, max_wait_ms: int, stretches: Stretches
) -> DrawnPath:
    tape = _Tape(draw, listed, max_wait_ms)
    tape.prints.append(tape.grid.print_at(0, tape.level, draw.random()))
    tape.kinds.append("calm")
    _calm(tape)
    if stretches:
        tape.kinds.append("recorded")
        _recorded(tape, draw.choice(stretches))
    while tape.at_ms < heal_ms:
        kind = draw.choice(_SHAPES_WITHOUT_GAPS if "gap" in tape.kinds else _SHAPES)
        tape.kinds.append(kind)
        SEGMENTS[kind](tape)
    prints = tuple(each for each in tape.prints if each.at_ms < heal_ms)
    moves_ms = tuple(at_ms for at_ms in tape.moves_ms if at_ms < heal_ms)
    return DrawnPath(PricePath(listed.instrument, prints, tuple(tape.kinds)), moves_ms)


# Segments


def _calm(tape: _Tape) -> None:
    draw = tape.draw
    for _ in range(draw.randint(8, 20)):
        tape.go(1 + (draw.random() - 0.5) * 0.0015)


def _trend(tape: _Tape) -> None:
    draw = tape.draw
    pace = tape.direction() * draw.uniform(0.0003, 0.003)
    for _ in range(draw.randint(8, 22)):
        tape.go(1 + pace * (0.4 + 1.2 * draw.random()))


def _jump(tape: _Tape) -> None:
    draw = tape.draw
    far = draw.uniform(0.2, 0.35) if draw.random() < 0.15 else draw.uniform(0.03, 0.15)
    tape.go(1 + tape.direction() * far)
    for _ in range(draw.randint(3, 8)):
        tape.go(1 + (draw.random() - 0.5) * 0.002)


def _gap(tape: _Tape) -> None:
    """The market is silent, then goes on elsewhere."""
    draw = tape.draw
    far = draw.uniform(0.01, 0.1)
    tape.go(1 + tape.direction() * far, draw.randint(2500, 9000))
    for _ in range(draw.randint(2, 6)):
        tape.go(1 + (draw.random() - 0.5) * 0.002)


def _flash(tape: _Tape) -> None:
    """A flash crash: down within a second or two, and back."""
    draw = tape.draw
    floor = max(1 - draw.uniform(0.2, 0.5), LOWEST * tape.start / tape.level)
    steps, back = draw.randint(3, 6), draw.randint(3, 7)
    down, up = floor ** (1 / steps), (draw.uniform(0.95, 1.0) / floor) ** (1 / back)
    for _ in range(steps):
        tape.go(down, MIN_WAIT_MS)
    for _ in range(back):
        tape.go(up, MIN_WAIT_MS)


def _recorded(tape: _Tape, stretch: Stretch) -> None:
    before = 1.0
    for ratio in stretch.ratios:
        tape.go(ratio / before)
        before = ratio


SEGMENTS: dict[str, Callable[[_Tape], None]] = {
    "calm": _calm,
    "trend": _trend,
    "jump": _jump,
    "gap": _gap,
    "flash": _flash,
}
_SHAPES_WITHOUT_GAPS = ("calm", "calm", "calm", "calm", "trend", "trend", "jump", "jump", "flash")
_SHAPES = (*_SHAPES_WITHOUT_GAPS, "gap", "gap")


# After the faults


def print_at(instrument: Instrument, price: float, at_ms: int) -> Print:
    """Return what an instrument shows when it trades at about a price, as in calm times."""
    grid = Grid(instrument.tick_size)
    return grid.print_at(at_ms, grid.ticks(price), 0.25)


def sweep(instrument: Instrument, price: float, from_ms: int) -> list[Print]:
    """Return prints that reach every limit: far below a price, far above, below again, and back.

    A step is less than what would be held as an absurd jump. The second way down is for stops that
    follow a peak; at the price where it began everything can be sold again.
    """
    grid = Grid(instrument.tick_size)
    levels = _levels(grid.ticks(price))
    return [
        grid.print_at(from_ms + number * SWEEP_EVERY_MS, level, number * 0.37 % 1)
        for number, level in enumerate(levels, 1)
    ]


def _levels(start: float) -> Iterator[float]:
    level = start
    for goal in (start * SWEEP_LOW, start * SWEEP_HIGH, start * SWEEP_LOW, start):
        step = 1 + SWEEP_STEP if goal > level else 1 - SWEEP_STEP
        while level != goal:
            ahead = level * step
            level = min(ahead, goal) if step > 1 else max(ahead, goal)
            yield level


# Real markets


def load_stretches(directory: Path) -> Stretches:
    """Read stretches of real prices from recorded streams, of each instrument as many as it holds.

    Raises:
        Misconfigured: there are no recordings that could be played.
    """
    return tuple(stretch for track in read_tracks(directory) for stretch in stretches_of(track))


def stretches_of(track: Track) -> Iterator[Stretch]:
    """Cut a recorded market into stretches; a rest too short for one is left out."""
    prices = _sampled(track)
    for number, at in enumerate(range(0, len(prices) - STRETCH_PRINTS + 1, STRETCH_PRINTS)):
        piece = prices[at : at + STRETCH_PRINTS]
        ratios = tuple(price / piece[0] for price in piece)
        yield Stretch(f"{track.instrument}/{number}", ratios)


def _sampled(track: Track) -> list[float]:
    """The last trade of every ``STRETCH_EVERY_S``."""
    sampled: list[float] = []
    due_s, last = 0.0, 0.0
    for cue in track.cues:
        if cue.channel is not Channel.TRADE:
            continue
        while last and cue.at_s >= due_s:
            sampled.append(last)
            due_s += STRETCH_EVERY_S
        last = _price(msgspec.json.decode(cue.data)) or last
        due_s = due_s or cue.at_s + STRETCH_EVERY_S
    return sampled


def _price(frame: dict[str, Any]) -> float:
    """The price of a trade frame of either venue; 0 of what was not a market trade."""
    if "data" in frame:
        return float(frame["data"][-1]["p"])
    return float(frame["p"]) if frame.get("X", "MARKET") == "MARKET" else 0.0
