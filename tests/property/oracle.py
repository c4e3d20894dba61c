"""What the book has to do, as a loop over all positions in exact decimals."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from engine.model.exits import Distance, Side
from engine.model.position import Position
from engine.model.rules.confirmation import Confirmation
from engine.model.ticks import PriceSource
from engine.simulation.oracle import levels
from tests.property.formulas import (
    RULES,
    STOP,
    TRAIL,
    fixed_lines,
    rises,
)

NS_PER_MS = 1_000_000


class Event(NamedTuple):
    """A rule that has triggered."""

    position_id: str
    rule: str
    rung: int
    level: Decimal


@dataclass
class Wait:
    """A confirmation that runs, as it was asked for when it began."""

    asked: Confirmation
    since_ns: int
    level: Decimal
    count: int = 1

    def is_over(self, now_ns: int) -> bool:
        waited_ns = now_ns - self.since_ns
        return self.count >= self.asked.ticks and waited_ns >= self.asked.ms * NS_PER_MS


@dataclass
class Fixed:
    """A threshold that stands still."""

    level: Decimal
    wait: Wait | None = None


@dataclass
class Trail:
    """A trailing stop; ``level`` is its threshold."""

    distance: Distance
    step: Distance | None
    peak: Decimal
    level: Decimal
    next_peak: Decimal | None
    wait: Wait | None = None


Key = tuple[str, int]


@dataclass
class Held:
    """A position in the book."""

    age: int
    side: Side
    tick: Decimal
    channel: str = ""
    asked: Confirmation = field(default_factory=Confirmation)
    rules: dict[Key, Fixed | Trail] = field(default_factory=dict)


def channel_of(source: PriceSource, side: Side) -> str:
    if source is PriceSource.BOOK:
        return "bid" if side is Side.LONG else "ask"
    return source.value


class Oracle:
    """Positions and the prices of four channels."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.prices: dict[str, Decimal] = {}
        self._arrivals = 0

    def arm(self, position: Position) -> None:
        held = self.held.get(position.id)
        if held is None:
            self._arrivals += 1
            tick = position.instrument.tick_size
            held = self.held[position.id] = Held(self._arrivals, position.side, tick)
        channel = channel_of(position.trigger, position.side)
        if held.channel != channel:
            held.rules.clear()
            held.channel = channel
        if held.asked != position.exits.confirmation:
            held.asked = position.exits.confirmation
            for rule in held.rules.values():
                rule.wait = None  # to wait for another confirmation is to begin anew
        before, held.rules = held.rules, {}
        for rule, rung, level in fixed_lines(position):
            was = before.get((rule, rung))
            changed = was is None or was.level != level
            held.rules[rule, rung] = Fixed(level) if changed else was
        trail = _trail(position, before.get((TRAIL, 0)))
        if trail is not None:
            held.rules[TRAIL, 0] = trail

    def disarm(self, position_id: str) -> None:
        self.held.pop(position_id, None)

    def peak(self, position_id: str) -> Decimal | None:
        held = self.held.get(position_id)
        trail = held.rules.get((TRAIL, 0)) if held else None
        return trail.peak if isinstance(trail, Trail) else None

    def take(self, channel: str, price: Decimal, now_ns: int) -> list[Event]:
        """Take a price; returns all that it triggers, in order, and forgets it."""
        self.prices[channel] = price
        found = []
        for position_id, held, key, rule in self._rules(channel):
            does_rise = rises(held.side, key[0])
            if rule.wait is not None:
                if _reaches(price, rule.wait.level, does_rise):
                    rule.wait.count += 1
                    if rule.wait.is_over(now_ns):
                        found.append((held.age, Event(position_id, *key, rule.wait.level)))
                    continue
                rule.wait = None
            if isinstance(rule, Trail):
                _follow(rule, held, price)
            if not _reaches(price, rule.level, does_rise):
                continue
            asked = held.asked
            if key[0] in {STOP, TRAIL} and (asked.ms > 0 or asked.ticks > 1):
                rule.wait = Wait(asked, now_ns, rule.level)
            else:
                found.append((held.age, Event(position_id, *key, rule.level)))
        return self._triggered(price, found)

    def elapse(self, channel: str, now_ns: int) -> list[Event]:
        """Let time pass; returns what is confirmed by it."""
        found = [
            (held.age, Event(position_id, *key, rule.wait.level))
            for position_id, held, key, rule in self._rules(channel)
            if rule.wait is not None and rule.wait.is_over(now_ns)
        ]
        return self._triggered(self.prices[channel], found) if found else []

    def _rules(self, channel: str) -> Iterator[tuple[str, Held, Key, Fixed | Trail]]:
        for position_id, held in self.held.items():
            if held.channel == channel:
                for key, rule in held.rules.items():
                    yield position_id, held, key, rule

    def _triggered(self, price: Decimal, found: list[tuple[int, Event]]) -> list[Event]:
        found.sort(
            key=lambda item: (
                -abs(price - item[1].level),
                item[0],
                RULES.index(item[1].rule),
                item[1].rung,
            )
        )
        for _, event in found:
            del self.held[event.position_id].rules[event.rule, event.rung]
        return [event for _, event in found]


def _reaches(price: Decimal, level: Decimal, does_rise: bool) -> bool:
    return price >= level if does_rise else price <= level


def _trail(position: Position, before: Fixed | Trail | None) -> Trail | None:
    asked, peak = position.exits.trailing, position.progress.peak
    if asked is None or peak is None:
        return None
    wait = None
    if isinstance(before, Trail):
        if (before.distance, before.step) == (asked.distance, asked.step):
            wait = before.wait  # a better peak counts when the price is back
        better = max if position.side is Side.LONG else min
        peak = better(before.peak, peak)
    tick = position.instrument.tick_size
    level = levels.trail(position.side.sign, peak, asked.distance, tick)
    after = (
        None if asked.step is None else levels.moves_at(position.side.sign, peak, asked.step, tick)
    )
    return Trail(asked.distance, asked.step, peak, level, after, wait)


def _follow(trail: Trail, held: Held, price: Decimal) -> None:
    """Move the peak to a price that is better, or better by a step."""
    is_long = held.side is Side.LONG
    if trail.next_peak is not None:
        moves = price >= trail.next_peak if is_long else price <= trail.next_peak
    else:
        moves = price > trail.peak if is_long else price < trail.peak
    if moves:
        trail.peak = price
        trail.level = levels.trail(held.side.sign, price, trail.distance, held.tick)
        if trail.step is not None:
            trail.next_peak = levels.moves_at(held.side.sign, price, trail.step, held.tick)
