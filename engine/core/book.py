"""The position book: thresholds in the order in which prices reach them.

Per instrument there are four price channels: the last trade, the mark, the best bid and the best
ask. Each holds two heaps, one for thresholds that trigger when the price rises to them and one for
those that trigger when it falls to them. A tick that triggers nothing costs two float comparisons
whatever the number of positions; adding, removing and triggering cost O(log n).

Thresholds and prices are compared as doubles: both are the nearest doubles of decimal strings of
at most 15 significant digits, and rounding to nearest keeps order and equality of such strings.
"""

from heapq import heapify, heappop, heappush
from math import inf

from engine.model.exits import ExitReason, Side, triggers_on_rise
from engine.model.position import Position
from engine.model.ticks import PriceSource

Key = tuple[str, ExitReason]
"""A rule in the book: position id and the reason it closes with."""


class Thresholds:
    """One direction of one channel: a heap with lazy removal.

    ``sign`` is +1 where the price rises to the thresholds and -1 where it falls to them.
    ``nearest`` is the first threshold to be reached (inf x sign without one), read on every tick.
    """

    __slots__ = ("_heap", "_live", "_sequence", "_sign", "nearest")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._heap: list[tuple[float, int, Key]] = []
        self._live: dict[Key, tuple[float, int, Key]] = {}
        self._sequence = 0
        self.nearest = sign * inf

    def __len__(self) -> int:
        return len(self._live)

    def add(self, key: Key, threshold: float) -> None:
        """Add a rule, or move it; a moved rule counts as the youngest at its threshold."""
        self._sequence += 1
        entry = (self._sign * threshold, self._sequence, key)
        self._live[key] = entry
        heappush(self._heap, entry)
        self._settle()

    def discard(self, key: Key) -> None:
        """Remove a rule if it is there."""
        if self._live.pop(key, None) is not None:
            self._settle()

    def pop_reached(self, price: float) -> list[Key]:
        """Remove and return the rules that ``price`` reaches, worst distance first, then age."""
        reached = []
        limit = self._sign * price
        while self._heap and self._heap[0][0] <= limit:
            key = heappop(self._heap)[2]
            del self._live[key]
            reached.append(key)
            self._settle()
        return reached

    def _settle(self) -> None:
        """Drop removed entries from the head, and all of them once they outnumber the live ones."""
        heap, live = self._heap, self._live
        if len(heap) > 2 * len(live) + 16:
            heap[:] = live.values()
            heapify(heap)
        while heap and live.get(heap[0][2]) is not heap[0]:
            heappop(heap)
        self.nearest = self._sign * (heap[0][0] if heap else inf)


class Channel:
    """One price channel of one instrument."""

    __slots__ = ("falls", "rises")

    def __init__(self) -> None:
        self.rises = Thresholds(1)
        self.falls = Thresholds(-1)

    def reached(self, price: float) -> list[Key] | None:
        """Take the rules that ``price`` reaches out of the book; None when it reaches none."""
        if self.falls.nearest < price < self.rises.nearest:
            return None
        return self.falls.pop_reached(price) + self.rises.pop_reached(price)


class InstrumentBook:
    """All channels of one instrument."""

    __slots__ = ("ask", "bid", "last", "mark")

    def __init__(self) -> None:
        self.last = Channel()
        self.mark = Channel()
        self.bid = Channel()
        self.ask = Channel()

    def channel(self, source: PriceSource, side: Side) -> Channel:
        """Return the channel a position is guarded on: with ``book`` a long closes at the bid."""
        if source is PriceSource.LAST:
            return self.last
        if source is PriceSource.MARK:
            return self.mark
        return self.bid if side is Side.LONG else self.ask

    def arm(self, position: Position) -> None:
        """Put a position's thresholds into the book, replacing the ones it had."""
        self.disarm(position)
        limits = (
            (ExitReason.TAKE_PROFIT, position.take_profit),
            (ExitReason.STOP_LOSS, position.stop_loss),
        )
        channel = self.channel(position.trigger, position.side)
        for reason, price in limits:
            if price is not None:
                rises = triggers_on_rise(position.side, reason)
                direction = channel.rises if rises else channel.falls
                direction.add((position.id, reason), float(price))

    def disarm(self, position: Position) -> None:
        """Take a position's thresholds out of the book."""
        channel = self.channel(position.trigger, position.side)
        for reason in (ExitReason.TAKE_PROFIT, ExitReason.STOP_LOSS):
            channel.rises.discard((position.id, reason))
            channel.falls.discard((position.id, reason))
