"""Signals of a simulated lifetime: entries, adds, opposite ones, closes, and their deliveries.

The first entries go to one instrument each. What follows meets them open, closing or closed. The
last ones come when all faults are healed.
"""

import random
from bisect import bisect_right

from msgspec import Struct
from msgspec.structs import replace

from engine.model.exit_set import Exits
from engine.model.exits import Side
from engine.model.instrument import Market
from engine.model.signal import Action, Size
from engine.model.ticks import PriceSource
from engine.simulation.draw_exits import (
    Entering,
    draw_exits,
    draw_part,
    draw_size,
    draw_wide_exits,
    part_of_largest,
)
from engine.simulation.instruments import Listed
from engine.simulation.plan import PlannedSignal, PricePath, Print

STRATEGIES = (None, None, None, "trend", "grid")
ENTRIES = (5, 6, 7, 7, 8, 8, 9, 9)
LAST_ENTRIES = 3
FIRST_MS, FIRST_WAVE_MS = 1200, 14_000
LAST_BEFORE_HEAL_MS = 7000
AGAIN_MS = 9000
AGES_MS = (57_000, 59_700, 60_500, 90_000)
"""How old late signals are: to both sides of what the default admits."""


class Setting(Struct, frozen=True):
    """What signals are drawn for."""

    listed: tuple[Listed, ...]
    paths: tuple[PricePath, ...]
    heal_ms: int
    defaults: Exits
    trigger: PriceSource

    def price(self, number: int, at_ms: int) -> float:
        """What an instrument truly costs at a moment."""
        prints = self.paths[number].prints
        found = bisect_right(prints, at_ms, key=_at_ms)
        return prints[max(found - 1, 0)].last


def _at_ms(each: Print) -> int:
    return each.at_ms


class _Senders:
    """The signals drawn so far. ``sides`` holds the side last asked for of each instrument."""

    def __init__(self, draw: random.Random, setting: Setting) -> None:
        self.draw = draw
        self.setting = setting
        self.signals: list[PlannedSignal] = []
        self.sides: dict[int, Side] = {}
        self.entries = 0
        self.first: set[int] = set()

    def enter(self, number: int, at_ms: int, side: Side, *, wide: bool = False) -> PlannedSignal:
        """Ask for a position, or for more of one."""
        instrument = self.setting.listed[number].instrument
        entering = Entering(
            instrument,
            side,
            self.setting.price(number, at_ms),
            at_ms,
            self.setting.defaults,
            self.setting.trigger,
        )
        exits = (draw_wide_exits if wide else draw_exits)(self.draw, entering)
        sliced = self.setting.listed[number].is_sliced
        size = part_of_largest(self.draw, instrument) if sliced else None
        self.sides[number] = side
        self.entries += 1
        return self._add(
            PlannedSignal(
                number=len(self.signals),
                instrument=instrument,
                action=Action.BUY if side is Side.LONG else Action.SELL,
                deliveries_ms=(at_ms,),
                exits=exits,
                size=size or draw_size(self.draw, entering, exits),
                strategy=self.draw.choice(STRATEGIES),
            )
        )

    def close(self, number: int, at_ms: int, size: Size | None) -> PlannedSignal:
        """Ask to close what is open, or part of it."""
        signal = PlannedSignal(
            number=len(self.signals),
            instrument=self.setting.listed[number].instrument,
            action=self._closing_action(number),
            deliveries_ms=(at_ms,),
            size=size,
        )
        named = signal.action is Action.CLOSE and self.draw.random() < 0.15
        return self._add(replace(signal, strategy=self.draw.choice(STRATEGIES) if named else None))

    def _closing_action(self, number: int) -> Action:
        """On spot a sale closes too."""
        spot = self.setting.listed[number].instrument.id.market is Market.SPOT
        return Action.SELL if spot and self.draw.random() < 0.3 else Action.CLOSE

    def _add(self, signal: PlannedSignal) -> PlannedSignal:
        self.signals.append(signal)
        return signal

    def side(self, number: int) -> Side:
        """Draw a side that the instrument takes; spot cannot be sold short."""
        if self.setting.listed[number].instrument.id.market is Market.SPOT:
            return Side.LONG
        return self.draw.choice((Side.LONG, Side.SHORT))


def draw_signals(seed: int, setting: Setting) -> tuple[PlannedSignal, ...]:
    """Draw 5 to 9 entries, adds besides where a position is to grow, and closes between them."""
    draw = random.Random(f"{seed}/signals")
    senders = _Senders(draw, setting)
    order = list(range(len(setting.listed)))
    draw.shuffle(order)
    last = order[:LAST_ENTRIES]
    count = draw.choice(ENTRIES) - len(last)
    for number in order[:count]:
        _first_entry(senders, number)
    latest_ms = setting.heal_ms - LAST_BEFORE_HEAL_MS
    while senders.entries < count:
        at_ms = draw.randint(FIRST_WAVE_MS // 2, latest_ms)
        _later_entry(senders, draw.randrange(len(order)), at_ms)
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        number = draw.randrange(len(order))
        at_ms = draw.randint(FIRST_WAVE_MS // 2, latest_ms + 3000)
        price = setting.price(number, at_ms)
        senders.close(number, at_ms, draw_part(draw, setting.listed[number].instrument, price))
    _misdeliver(draw, senders)
    for number in last:
        _last_entry(senders, number)
    return tuple(sorted(senders.signals, key=lambda s: (s.deliveries_ms[0], s.number)))


def _first_entry(senders: _Senders, number: int) -> None:
    draw = senders.draw
    at_ms, side = draw.randint(FIRST_MS, FIRST_WAVE_MS), senders.side(number)
    sliced = senders.setting.listed[number].is_sliced
    first = senders.enter(number, at_ms, side, wide=sliced)
    senders.first.add(first.number)
    if not sliced:
        return
    # Only by adds does a position outgrow what one order may close.
    for _ in range(draw.randint(1, 5)):
        at_ms += draw.randint(400, 1500)
        senders.enter(number, at_ms, side, wide=True)
    if draw.random() < 0.6:
        senders.close(number, at_ms + draw.randint(800, 6000), None)


def _last_entry(senders: _Senders, number: int) -> None:
    """Ask for a position when everything is healed: the service takes signals again.

    Delivered twice, since a process may still be coming up.
    """
    at_ms = senders.setting.heal_ms + senders.draw.randint(300, 1500)
    last = senders.enter(number, at_ms, senders.side(number))
    senders.signals[-1] = replace(last, deliveries_ms=(at_ms, at_ms + AGAIN_MS))


def _later_entry(senders: _Senders, number: int, at_ms: int) -> None:
    """Meet what is open on the instrument: along it, against it, or after a close."""
    draw = senders.draw
    before, chance = senders.sides.get(number), draw.random()
    spot = senders.setting.listed[number].instrument.id.market is Market.SPOT
    if chance < 0.45:
        closed_ms = at_ms - draw.choice((50, 300, 700, 1500, 3000))
        senders.close(number, closed_ms, None)
        side = senders.side(number)
    elif chance < 0.7 and before is not None and not spot:
        side = before.opposite
    else:
        side = before or senders.side(number)
    senders.enter(number, at_ms, side)


# Deliveries


def _misdeliver(draw: random.Random, senders: _Senders) -> None:
    """Deliver some several times, some late, some without an id, and some in the wrong order."""
    for at, signal in enumerate(senders.signals):
        again = 0.5 if signal.number in senders.first else 0.2
        senders.signals[at] = _delivered(draw, signal, senders.setting.heal_ms, again)
    if draw.random() < 0.3:
        _swap(draw, senders)


def _delivered(
    draw: random.Random, signal: PlannedSignal, heal_ms: int, again: float
) -> PlannedSignal:
    at_ms, chance = signal.deliveries_ms[0], draw.random()
    sent_ms = at_ms - draw.choice((15, 25, 40, 900)) if draw.random() < 0.4 else None
    deliveries: tuple[int, ...] = (at_ms,)
    if chance < again:
        deliveries = _repeated(draw, at_ms, heal_ms)
    elif chance < again + 0.07:
        sent_ms = at_ms - draw.choice(AGES_MS)
    has_id = draw.random() > 0.15
    return replace(signal, deliveries_ms=deliveries, sent_ms=sent_ms, has_id=has_id)


def _repeated(draw: random.Random, at_ms: int, heal_ms: int) -> tuple[int, ...]:
    """Deliver again at once, soon, or after a while, as senders without an answer do."""
    deliveries = [at_ms]
    for _ in range(draw.choice((1, 1, 2, 3))):
        wait_ms = draw.choice((0, 1, 40, 500, 2500, 6000, 12_000))
        deliveries.append(min(deliveries[-1] + wait_ms, heal_ms - 1000))
    return tuple(deliveries)


def _swap(draw: random.Random, senders: _Senders) -> None:
    """A close overtakes the entry that was sent before it."""
    number = draw.randrange(len(senders.setting.listed))
    sent_ms = draw.randint(FIRST_WAVE_MS, senders.setting.heal_ms - LAST_BEFORE_HEAL_MS)
    close = senders.close(number, sent_ms + 1300, None)
    entry = senders.enter(number, sent_ms + draw.randint(1500, 4000), senders.side(number))
    senders.signals[-2:] = [
        replace(close, action=Action.CLOSE, strategy=None, sent_ms=sent_ms + 1000),
        replace(entry, sent_ms=sent_ms),
    ]
