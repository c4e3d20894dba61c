"""Stops that were reached and wait for their confirmation, in one direction."""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from engine.core.book.cohorts import Trail
from engine.model.rules.confirmation import Confirmation

NS_PER_MS = 1_000_000


class Reached(NamedTuple):
    """A rule that a price reached; ``trail`` is None for fixed thresholds."""

    key: float
    code: int
    trail: Trail | None = None


class _Wait(NamedTuple):
    """A wait; its number tells it from an earlier one of the same rule."""

    number: int
    reached: Reached
    due_tick: int
    due_ns: int


class Confirming:
    """Waits in the orders in which they end: by the price, by the count and by the time.

    A price costs O(log n) for each wait that it ends, and a few comparisons for all others.

    Attributes:
        waits: by code.
    """

    __slots__ = ("_by_key", "_by_tick", "_by_time", "_confirmed", "_numbers", "waits")

    def __init__(self) -> None:
        self.waits: dict[int, _Wait] = {}
        self._by_key: list[tuple[float, int, int]] = []
        self._by_tick: list[tuple[int, int, int]] = []
        self._by_time: list[tuple[int, int, int]] = []
        self._confirmed: list[Reached] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self.waits)

    def get(self, code: int) -> Reached | None:
        """Return a rule that waits."""
        wait = self.waits.get(code)
        return None if wait is None else wait.reached

    def begin(self, reached: Reached, asked: Confirmation, tick: int, now_ns: int) -> None:
        """Let a rule wait; ``tick`` is the number of the price that reached it, which counts."""
        code, number = reached.code, next(self._numbers)
        due_tick = tick + max(asked.ticks, 1) - 1
        self.waits[code] = _Wait(number, reached, due_tick, now_ns + asked.ms * NS_PER_MS)
        heappush(self._by_key, (-reached.key, code, number))
        heappush(self._by_tick, (due_tick, code, number))

    def follow(self, code: int, trail: Trail) -> None:
        """Give a rule that waits a better peak: it counts when the stop is put back."""
        wait = self.waits[code]
        self.waits[code] = wait._replace(reached=wait.reached._replace(trail=trail))

    def discard(self, code: int) -> bool:
        """End a wait; tells whether there was one."""
        if self.waits.pop(code, None) is None:
            return False
        if not self.waits:
            for heap in (self._by_key, self._by_tick, self._by_time):
                heap.clear()
        return True

    def recovered(self, way: float) -> list[Reached]:
        """End and return the waits of stops that a price does not reach any more."""
        found = []
        while self._by_key and -self._by_key[0][0] > way:
            wait = self._current(heappop(self._by_key))
            if wait is not None:
                self.discard(wait.reached.code)
                found.append(wait.reached)
        return found

    def elapse(self, tick: int, now_ns: int) -> None:
        """Confirm the rules whose count and time are over."""
        while self._by_tick and self._by_tick[0][0] <= tick:
            wait = self._current(heappop(self._by_tick))
            if wait is not None:
                heappush(self._by_time, (wait.due_ns, wait.reached.code, wait.number))
        while self._by_time and self._by_time[0][0] <= now_ns:
            wait = self._current(heappop(self._by_time))
            if wait is not None:
                self.discard(wait.reached.code)
                heappush(self._confirmed, wait.reached)

    def _current(self, entry: tuple[float, int, int]) -> _Wait | None:
        """Return the wait that an entry of an order stands for, None when it has ended."""
        wait = self.waits.get(entry[1])
        return wait if wait is not None and wait.number == entry[2] else None

    def first(self) -> Reached | None:
        """Return the confirmed rule that comes first."""
        return self._confirmed[0] if self._confirmed else None

    def pop(self) -> None:
        """Remove what ``first`` returned."""
        heappop(self._confirmed)

    def drop_confirmed(self, code: int) -> None:
        """Forget a confirmed rule whose position is not in the book any more."""
        if self._confirmed:
            self._confirmed = [reached for reached in self._confirmed if reached.code != code]
            heapify(self._confirmed)
