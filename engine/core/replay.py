"""Prices of a gap compared with the rules of positions, as if they arrived one after another.

The positions stand in a book of their own, as they were before the gap, so that every rule means
what it means for a price that arrives. A position takes part from the first price that was made
after its rules, its peak and its stop were as they are; what it has seen already has changed
nothing, so it may come again. Its first crossing ends its part. Rungs of a ladder do not take part.

A price far from the one before has to be confirmed by the later ones (``belief``), as live. A
confirmed stop counts if the missed prices themselves stay beyond it, for as long and as often as
its owner asks; of a bar the two extremes are known and not when they were.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from engine.core.arming import with_break_even
from engine.core.belief import Belief, PriceName
from engine.core.book.codes import Hit, Watched
from engine.core.book.instrument import InstrumentBook
from engine.core.hits import reason_of
from engine.model.events import MissedPrice
from engine.model.exits import ExitReason, Side
from engine.model.instrument import Instrument
from engine.model.money import exact
from engine.model.position import Position

NS_PER_MS = 1_000_000


class Crossing(NamedTuple):
    """A limit that a missed price reached; ``time_ms`` is venue time, of a bar its beginning."""

    reason: ExitReason
    threshold: Decimal
    price: Decimal
    time_ms: int


class _Taken(NamedTuple):
    price: float
    now_ns: int


@dataclass(slots=True)
class Replayed:
    """What the prices of a gap did to a position until it crossed a limit.

    Attributes:
        position: its rules and progress as the gap left them, without its ladder.
        first: how many prices had been taken before its trailing stop saw one.
        past_break_even: whether a price was reached that moves the stop to break-even.
    """

    position: Position
    first: int = 0
    past_break_even: bool = False
    crossing: Crossing | None = None


def points(prices: Iterable[MissedPrice], side: Side) -> Iterator[tuple[float, int]]:
    """Missed prices with their times in ms, for one side: of a bar the adverse extreme first."""
    for missed in prices:
        extremes = (missed.low, missed.high)
        for price in extremes if side is Side.LONG else reversed(extremes):
            yield price, missed.from_ms
            if missed.low == missed.high:
                break


class Replay:
    """Takes missed prices for positions that share an instrument, a price source and a side.

    Attributes:
        found: by position id; positions that no price counts for are not in it.
    """

    def __init__(
        self, instrument: Instrument, positions: Iterable[Position], fee_rate: Decimal, bound: float
    ) -> None:
        self.found: dict[str, Replayed] = {}
        self._instrument = instrument
        self._book = InstrumentBook(instrument)
        self._fee_rate = fee_rate
        self._taken: list[_Taken] = []
        waiting = [replace(p, exits=replace(p.exits, ladder=())) for p in positions]
        self._waiting = deque(sorted(waiting, key=lambda p: (p.progress.holds_since_ns, p.id)))
        first = self._waiting[0]
        self._channel = self._book.channel(first.trigger, first.side)
        self._belief = Belief(PriceName.LAST, self._channel, bound)

    def take(self, price: float, from_ms: int) -> None:
        """Take the next price; ``from_ms`` is the venue time at which it or its bar began."""
        held = self._belief.held
        for believed in self._belief.judge(price, from_ms, 0):
            at_ms = from_ms if held is None or believed == price else held.time_ms
            self._compare(believed, at_ms * NS_PER_MS)

    def end(self, price: float | None) -> None:
        """Have the price that came after the gap speak for or against one that is in doubt."""
        held = self._belief.held
        if held is not None and price is not None:
            for believed in self._belief.witness(price):
                self._compare(believed, held.time_ms * NS_PER_MS)

    def peak(self, replayed: Replayed) -> Decimal | None:
        """The peak that a trailing stop had at the end, or when the position crossed a limit.

        None where it has none that is active.
        """
        if replayed.crossing is not None:
            return replayed.position.progress.peak
        peak = self._book.peak(replayed.position.id)
        return None if peak is None else exact(peak)

    def _compare(self, price: float, now_ns: int) -> None:
        while self._waiting and self._waiting[0].progress.holds_since_ns < now_ns:
            position = self._waiting.popleft()
            self.found[position.id] = Replayed(position, len(self._taken))
            self._book.arm(position)
        for hit in self._channel.elapse(now_ns):
            self._on_hit(hit, now_ns)
        for hit in self._channel.take(price, now_ns):
            self._on_hit(hit, now_ns)
        self._taken.append(_Taken(price, now_ns))

    def _on_hit(self, hit: Hit, now_ns: int) -> None:
        replayed = self.found[hit.position_id]
        position = replayed.position
        if replayed.crossing is not None:
            return  # by the same price
        if hit.rule is Watched.ACTIVATION:
            replayed.first = len(self._taken) + 1
            progress = replace(position.progress, peak=exact(hit.price))
            replayed.position = replace(position, progress=progress)
        elif hit.rule is Watched.BREAK_EVEN:
            replayed.past_break_even = True
            replayed.position = with_break_even(position, self._fee_rate)
        else:
            self._cross(replayed, hit, now_ns)
            return
        self._book.arm(replayed.position)

    def _cross(self, replayed: Replayed, hit: Hit, now_ns: int) -> None:
        position = replayed.position
        reason, time_ms = reason_of(position, hit.rule), now_ns // NS_PER_MS
        replayed.crossing = Crossing(reason, exact(hit.level), exact(hit.price), time_ms)
        self._book.disarm(position.id)
        peak = self._peak_before(replayed)
        if peak is not None:
            progress = replace(position.progress, peak=exact(peak))
            replayed.position = replace(position, progress=progress)

    def _peak_before(self, replayed: Replayed) -> float | None:
        """The peak before the price that crossed a limit: the trailing stop may be gone with it.

        It is found by taking the prices again that the stop saw, with nothing else in the book.
        """
        position, book = replayed.position, InstrumentBook(self._instrument)
        exits = replace(position.exits, break_even=None)
        book.arm(replace(position, exits=exits, stop_loss=None, take_profit=None))
        channel = book.channel(position.trigger, position.side)
        for price, now_ns in self._taken[replayed.first :]:
            channel.elapse(now_ns)
            channel.take(price, now_ns)
        return book.peak(position.id)
