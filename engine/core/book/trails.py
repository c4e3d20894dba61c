"""Trailing stops of one direction and one kind of distance, at a constant cost per price.

Between new peaks thresholds stand still, and the nearest one is known. What makes trailing hard is
a new peak: it moves every stop whose peak it passes. ``Following`` therefore only notes it. All
cohorts that the price has passed since the last look have one peak now, the noted one; which they
are is worked out when the price comes back, near enough to the nearest stop they could have (the
smallest distance of all from the noted peak). So a new peak costs the same whatever it passes, and
a cohort is united with others at most once in its life.

``Stepping`` holds stops that move by steps. There the peak that counts is the first price beyond
the step, not the last, so cohorts are moved at once, together; cohorts that moved are united.
"""

from bisect import bisect_left
from heapq import heapify, heappop, heappush
from math import inf

from engine.core.book.cohorts import Cohort, united
from engine.core.book.family import Family
from engine.core.book.thresholds import SLACK
from engine.model.exits import Distance, Percent, Points, Side
from engine.model.instrument import Instrument
from engine.model.rules.trailing import step_price


class Following(Family):
    """Stops that follow every new peak."""

    __slots__ = ("_bests", "_looks", "_low", "_smallest", "_stack")

    def __init__(
        self, side: Side, instrument: Instrument, kind: type[Percent] | type[Points]
    ) -> None:
        super().__init__(side, instrument, kind)
        self._stack: list[Cohort] = []
        self._bests: list[float] = []
        """Peaks of the stack, rising as ways: the last one is passed first."""
        self._low = inf
        self._smallest = inf
        self._looks = 0

    def add(self, code: int, distance: Distance, best: float, step: Distance | None) -> None:
        """Add a rule with its peak; peaks noted before do not count for it."""
        if best > self._low:
            self._settle()
        super().add(code, distance, best, step)
        self._smallest = min(self._smallest, float(distance.value))

    def move(self, way: float) -> None:
        """Note a new peak."""
        if way < self.watch:
            self._low = self.watch = way
            self.nearest = min(self._still(), self._guess(way, self._smallest))

    def _still(self) -> float:
        """A key that no threshold of cohorts which the price has not passed is below."""
        return self._keys[0][0] if self._keys else inf

    def _best(self, cohort: Cohort) -> float:
        return min(cohort.best, self._low)

    def _cohort(self, best: float, step: Distance | None) -> Cohort:
        index = bisect_left(self._bests, best)
        if index < len(self._bests) and self._bests[index] == best:
            return self._stack[index]
        cohort = Cohort(best)
        self._stack.insert(index, cohort)
        self._bests.insert(index, best)
        self.watch = min(self._low, self._bests[-1])
        return cohort

    def _count(self) -> int:
        return len(self._stack)

    def _settle(self) -> None:
        """Unite the cohorts that the noted peak has passed."""
        low, self._low = self._low, inf
        if low == inf:
            return
        first = bisect_left(self._bests, low)
        passed = self._stack[first:]
        if passed:
            merged = united(passed)
            if merged.best != low:
                merged.move(low)
            self._stack[first:] = [merged]
            self._bests[first:] = [low]
            self._register(merged)
        self._trim()
        self._look()
        self.watch = self._bests[-1] if self._bests else -inf

    def _look(self) -> None:
        """Learn the smallest distance anew now and then, at a constant cost a look."""
        self._looks += 1
        if self._looks > len(self._stack) or len(self._stack) == 1:
            self._looks = 0
            values = (cohort.nearest() for cohort in self._stack)
            self._smallest = min((v for v in values if v is not None), default=inf)

    def _forget(self, cohort: Cohort) -> None:
        index = bisect_left(self._bests, cohort.best)
        if self._stack[index : index + 1] == [cohort]:
            del self._stack[index], self._bests[index]
            self.watch = min(self._low, self._bests[-1]) if self._bests else -inf


class Stepping(Family):
    """Stops that move when the price has gone a step beyond the peak that counts."""

    __slots__ = ("_by_peak", "_moves")

    def __init__(
        self, side: Side, instrument: Instrument, kind: type[Percent] | type[Points]
    ) -> None:
        super().__init__(side, instrument, kind)
        self._by_peak: dict[tuple[float, Distance | None], Cohort] = {}
        self._moves: list[tuple[float, int, Cohort]] = []

    def move(self, way: float) -> None:
        """Move every cohort whose step the price has gone to this price, those of a step as one."""
        moves = self._moves
        while moves and way <= -moves[0][0]:
            key, _, cohort = heappop(moves)
            if cohort.into is not None or cohort.move_at != -key:
                continue
            del self._by_peak[cohort.best, cohort.step]
            there = self._by_peak.get((way, cohort.step))
            if there is not None:
                cohort = united([there, cohort])
            cohort.move(way)
            self._place(cohort)
            self._register(cohort)
        self._trim()
        self._watch()

    def _place(self, cohort: Cohort) -> None:
        """Know a cohort by its peak, and when it moves next."""
        self._by_peak[cohort.best, cohort.step] = cohort
        peak, step = self._sign * cohort.exact_best, cohort.step
        price = step_price(self._side, peak, step, self._instrument) if step else peak
        cohort.move_at = float(self._sign * price)
        heappush(self._moves, (-cohort.move_at, next(self._serial), cohort))

    def _settle(self) -> None:
        """Nothing is noted: cohorts are moved at once."""

    def _watch(self) -> None:
        self.watch = -self._moves[0][0] if self._moves else -inf

    def _best(self, cohort: Cohort) -> float:
        return cohort.best

    def _cohort(self, best: float, step: Distance | None) -> Cohort:
        cohort = self._by_peak.get((best, step))
        if cohort is None:
            cohort = Cohort(best, step)
            self._place(cohort)
            self._watch()
        return cohort

    def _count(self) -> int:
        return len(self._by_peak)

    def _forget(self, cohort: Cohort) -> None:
        if self._by_peak.get((cohort.best, cohort.step)) is cohort:
            del self._by_peak[cohort.best, cohort.step]
        cohort.move_at = -inf
        if len(self._moves) > 4 * (len(self._by_peak) + SLACK):
            self._moves = [entry for entry in self._moves if entry[2].move_at == -entry[0]]
            heapify(self._moves)
        self._watch()
