"""The book and the oracle side by side, given the same, with a caller who acts on what triggers."""

from collections import Counter, deque
from collections.abc import Sequence
from decimal import Decimal
from math import inf

from msgspec.structs import replace

from engine.core.book.channel import ALL, Channel
from engine.core.book.codes import Hit
from engine.core.book.instrument import InstrumentBook
from engine.model.instrument import Instrument
from engine.model.position import Position
from engine.simulation.oracle import levels
from tests.property.oracle import Event, Oracle

CHANNELS = ("last", "mark", "bid", "ask")
FEE = Decimal("0.001")


class Disagreement(AssertionError):
    """Book and oracle say different things."""


def agree(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise Disagreement(f"{what}: the book says {actual}, the oracle {expected}")


def event_of(hit: Hit) -> Event:
    level = Decimal(repr(hit.level))
    rung = hit.rung if hit.rule.name == "RUNG" else 0
    return Event(hit.position_id, hit.rule.name.lower(), rung, level)


class Pair:
    """Whatever is done to it is done to both; each answer is compared.

    What a position had triggered is not asked for any more once its owner or an earlier trigger
    has taken it out: whether the book still tells is the caller's business, who has let it go.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = InstrumentBook(instrument)
        self.oracle = Oracle()
        self.positions: dict[str, Position] = {}
        self.now_ns = 0
        self.triggered: Counter[str] = Counter()
        self._due: dict[str, deque[Event]] = {name: deque() for name in CHANNELS}
        self._within = dict.fromkeys(CHANNELS, (-inf, inf))

    @property
    def is_due(self) -> bool:
        return any(self.channel(name).due is not None for name in CHANNELS)

    def channel(self, name: str) -> Channel:
        channel = getattr(self.book, name)
        if not isinstance(channel, Channel):
            raise TypeError(name)
        return channel

    def arm(self, position: Position) -> None:
        self.positions[position.id] = position
        self.book.arm(position)
        self.oracle.arm(position)

    def disarm(self, position_id: str) -> None:
        del self.positions[position_id]
        self.book.disarm(position_id)
        self.oracle.disarm(position_id)

    def quiet_within(self, name: str, low: Decimal, high: Decimal) -> None:
        self._within[name] = float(low), float(high)
        self.channel(name).quiet_within(float(low), float(high))

    def give(self, name: str, price: Decimal, limit: int = ALL) -> None:
        """Give a price to a channel on which nothing is due."""
        channel, double = self.channel(name), float(price)
        expected = self.oracle.take(name, price, self.now_ns)
        self._due[name].extend(expected)
        if self._is_quiet(name, double):
            agree([], expected, f"a quiet price {price}")
            channel.price = double
            return
        hits = channel.take(double, self.now_ns, limit)
        if limit == ALL:
            agree([event_of(hit) for hit in hits], expected, f"{name} at {price}")
        self._slice(name, hits, limit, double)

    def more(self, name: str, limit: int = ALL) -> None:
        """Ask for what is still due."""
        channel = self.channel(name)
        price = channel.due
        self._slice(name, channel.more(limit), limit, price)

    def elapse(self, name: str, limit: int = ALL) -> None:
        """Let the time be seen by a channel on which nothing is due."""
        channel = self.channel(name)
        if channel.due is not None:
            agree(channel.elapse(self.now_ns, limit), [], "time, while a price is due")
            return
        expected = self.oracle.elapse(name, self.now_ns)
        self._due[name].extend(expected)
        self._slice(name, channel.elapse(self.now_ns, limit), limit, channel.price)

    def check(self, position_ids: Sequence[str]) -> None:
        """Compare who is in the book, and the peaks of some of them."""
        agree(len(self.book), len(self.positions), "positions in the book")
        for position_id in position_ids:
            agree(position_id in self.book, position_id in self.positions, position_id)
            if not self.is_due:
                peak = self.book.peak(position_id)
                exact_peak = None if peak is None else Decimal(repr(peak))
                agree(exact_peak, self.oracle.peak(position_id), f"peak of {position_id}")

    def _is_quiet(self, name: str, price: float) -> bool:
        channel, (low, high) = self.channel(name), self._within[name]
        agree(channel.floor >= low and channel.ceil <= high, True, "quiet only within limits")
        return channel.floor < price < channel.ceil

    def _slice(self, name: str, hits: list[Hit], limit: int, price: float | None) -> None:
        """Compare a slice event by event and act on each, as its caller does."""
        due = self._due[name]
        agree(len(hits) <= limit, True, "a slice within its limit")
        for hit in hits:
            if hit.position_id not in self.positions:
                continue
            self._forget_gone(due)
            agree(event_of(hit), due.popleft() if due else None, f"{name} at {hit.price}")
            agree(hit.price, price, "the price that reached it")
            self._answer(hit)
        self._forget_gone(due)
        if self.channel(name).due is None:
            agree([], list(due), f"{name} at {price}, all told")

    def _forget_gone(self, due: deque[Event]) -> None:
        while due and due[0].position_id not in self.positions:
            due.popleft()

    def _answer(self, hit: Hit) -> None:
        """Do what the guardian does when a rule has triggered."""
        position, rule = self.positions[hit.position_id], hit.rule.name
        self.triggered[rule] += 1
        progress = position.progress
        if rule in {"STOP", "TARGET", "TRAIL"}:
            self.disarm(hit.position_id)
        elif rule == "ACTIVATION":
            if progress.peak is None:  # else an amendment has set it going since
                peak = Decimal(repr(hit.price))
                self.arm(replace(position, progress=replace(progress, peak=peak)))
        elif rule == "BREAK_EVEN":
            self.arm(at_break_even(position))
        else:
            done = replace(progress, rungs_done=hit.rung + 1)
            self.arm(replace(position, progress=done))


def at_break_even(position: Position) -> Position:
    entry = position.entry_value / (position.qty - position.base_fees)
    rule = position.exits.break_even
    offset = rule.offset_percent if rule is not None else None
    stop = levels.break_even(
        position.side.sign, entry, offset, FEE, position.instrument.tick_size, spot=False
    )
    return replace(
        position, stop_loss=stop, progress=replace(position.progress, at_break_even=True)
    )
