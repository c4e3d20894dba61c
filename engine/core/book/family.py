"""What trailing stops of one direction and one kind of distance have in common.

A family keeps its cohorts by the nearest threshold each may have. Between new peaks thresholds
stand still, so a price is compared with the nearest of all. Exact thresholds are computed, in
decimals, only for what a price comes near to.
"""

from abc import ABC, abstractmethod
from decimal import Decimal
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from math import inf

from engine.core.book.cohorts import Cohort, Group, Live, Trail, found
from engine.core.book.thresholds import SLACK
from engine.model.exits import Distance, Percent, Points, Side
from engine.model.instrument import Instrument
from engine.model.rules.trailing import trailing_stop

ROUNDING = 1e-14
"""More than doubles lose in a product and a sum, relative to their size."""


class Family(ABC):
    """What both kinds of trailing stops have in common. Sides differ only by ``sign``.

    Attributes:
        nearest: no threshold is smaller; inf when there is none. Read on every tick.
        watch: the way at which (``Stepping``) or below which a price has to be told to ``move``.
    """

    __slots__ = (
        "_distances",
        "_front",
        "_front_key",
        "_instrument",
        "_keys",
        "_kind",
        "_live",
        "_serial",
        "_side",
        "_sign",
        "_tick",
        "_values",
        "nearest",
        "watch",
    )

    def __init__(
        self, side: Side, instrument: Instrument, kind: type[Percent] | type[Points]
    ) -> None:
        self._side = side
        self._sign = -side.sign
        self._instrument = instrument
        self._kind = kind
        self._tick = float(instrument.tick_size)
        self._live: Live = {}
        self._keys: list[tuple[float, int, Cohort]] = []
        self._distances: dict[float, Distance] = {}
        self._values: dict[Decimal, float] = {}
        self._front: list[tuple[int, int, float, list[int], Group]] = []
        self._front_key = inf
        self._serial = count()
        self.nearest = inf
        self.watch = -inf

    def add(self, code: int, distance: Distance, best: float, step: Distance | None) -> None:
        """Add a rule with its peak, as a way."""
        value = self._known(distance)
        cohort = self._cohort(best, step)
        self._live[code] = (value, cohort.add(code, value))
        self._lower(cohort, self._guess(best, value))

    def _known(self, distance: Distance) -> float:
        """Return a distance as a double, one object for all that are equal."""
        value = self._values.get(distance.value)
        if value is None:
            value = self._values[distance.value] = float(distance.value)
            self._distances[value] = distance
        return value

    def discard(self, code: int) -> None:
        """Remove a rule that is there."""
        value, group = self._live.pop(code)
        group.lose(value, self._live)
        found(group.cohort).is_exact = False
        self._forget_if_empty(group)

    def trail(self, code: int) -> Trail:
        """Return a rule that is there, its peak as a way."""
        value, group = self._live[code]
        cohort = found(group.cohort)
        return Trail(self._distances[value], cohort.step, self._best(cohort))

    @abstractmethod
    def move(self, way: float) -> None:
        """Take a price that has gone as far as ``watch``."""

    def first(self, way: float) -> tuple[float, int] | None:
        """Return the reached (key, code) that comes first, None when none is reached."""
        while True:
            self._clean_front()
            if self._front:
                return self._front_key, self._front[0][0]
            if not self._advance_front(way):
                return None

    def pop(self) -> Trail:
        """Remove and return what ``first`` returned, its peak as a way."""
        code, _, value, _, group = self._front[0]
        del self._live[code]
        self._advance_bucket()
        cohort = found(group.cohort)
        return Trail(self._distances[value], cohort.step, cohort.best)

    # For the kinds

    @abstractmethod
    def _cohort(self, best: float, step: Distance | None) -> Cohort:
        """Return the cohort of a peak, a new one if there is none."""

    @abstractmethod
    def _best(self, cohort: Cohort) -> float:
        """Return the peak that a cohort has come to, as a way."""

    @abstractmethod
    def _settle(self) -> None:
        """Give every cohort the peak it has come to."""

    # Reached rules

    def _clean_front(self) -> None:
        """Drop from the front what was removed."""
        while self._front:
            code, _, value, _, group = self._front[0]
            if self._live.get(code) == (value, group):
                return
            self._advance_bucket()

    def _advance_bucket(self) -> None:
        """Drop the first code of the front."""
        _, serial, value, bucket, group = self._front[0]
        heappop(bucket)
        if bucket:
            heapreplace(self._front, (bucket[0], serial, value, bucket, group))
        else:
            heappop(self._front)

    def _advance_front(self, way: float) -> bool:
        """Take the buckets of the nearest threshold to the front if it is reached."""
        self._settle()
        key = self._exact_nearest()
        self.nearest = key
        if key > way or key == inf:
            return False
        self._front_key = key
        while self._keys and self._exact_nearest() == key:
            self._take_buckets(self._keys[0][2], key)
        return True

    def _take_buckets(self, cohort: Cohort, key: float) -> None:
        """Take the buckets of a cohort that have a threshold to the front."""
        value = cohort.nearest()
        taken = value
        while value is not None:
            if value != taken:
                nearest = self._key(cohort, value)
                if nearest != key:
                    cohort.key = inf
                    self._lower(cohort, nearest)
                    cohort.is_exact = True
                    return
                taken = value
            group = cohort.group
            bucket = group.take()
            heappush(self._front, (bucket[0], next(self._serial), value, bucket, group))
            self._forget_if_empty(group)
            value = cohort.nearest()
        cohort.key = inf

    def _exact_nearest(self) -> float:
        """Work out the nearest threshold; afterwards its cohort is the head of ``_keys``."""
        keys = self._keys
        while keys:
            key, serial, cohort = keys[0]
            value = cohort.nearest()
            if value is None or not is_current(keys[0]):
                heappop(keys)
                continue
            if cohort.is_exact:
                return key
            cohort.key = self._key(cohort, value)
            cohort.is_exact = True
            if cohort.key == key:
                return key
            heapreplace(keys, (cohort.key, serial, cohort))
        return inf

    def _key(self, cohort: Cohort, value: float) -> float:
        """Return the exact threshold of a distance in a cohort."""
        peak = self._sign * cohort.exact_best
        stop = trailing_stop(self._side, peak, self._distances[value], self._instrument)
        return float(self._sign * stop)

    def _guess(self, best: float, value: float) -> float:
        """Return a key that no threshold of a distance and a peak is below."""
        length = value * abs(best) / 100 if self._kind is Percent else value
        return best + length - self._tick - ROUNDING * (abs(best) + length)

    def _register(self, cohort: Cohort) -> None:
        """Enter a cohort that has a new peak among the keys."""
        value = cohort.nearest()
        cohort.key = inf
        self._lower(cohort, inf if value is None else self._guess(cohort.best, value))

    def _lower(self, cohort: Cohort, key: float) -> None:
        if key < cohort.key:
            cohort.key = key
            cohort.is_exact = False
            heappush(self._keys, (key, next(self._serial), cohort))
            self.nearest = min(self.nearest, key)

    def _forget_if_empty(self, group: Group) -> None:
        """Forget a group's cohort when nothing is left in it."""
        cohort = found(group.cohort)
        if cohort.nearest() is None:
            cohort.key = inf
            self._forget(cohort)
            self._trim()

    def _trim(self) -> None:
        """Drop keys that cohorts had before, once they are many."""
        if len(self._keys) > 4 * (self._count() + SLACK):
            self._keys = [e for e in self._keys if e[2].key == e[0] and e[2].into is None]
            heapify(self._keys)

    @abstractmethod
    def _count(self) -> int:
        """Return how many cohorts there are."""

    @abstractmethod
    def _forget(self, cohort: Cohort) -> None:
        """Forget a cohort that is empty, unless that was done."""


def is_current(entry: tuple[float, int, Cohort]) -> bool:
    return entry[2].into is None and entry[2].key == entry[0]
