"""Trailing stops that share a peak, kept together.

A cohort is a set of trailing stops with one peak. The rules of one distance in it lie in one
bucket, since they have one threshold; buckets are told apart by distance, and the smallest distance
has the nearest threshold. Cohorts that come to the same peak are united: the one with more buckets
takes the other in, so a bucket moves O(log n) times in its life.
"""

from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

from engine.model.exits import Distance
from engine.model.money import exact

PUSH_SHARE = 8
"""Below 1/8 of the other's size codes are pushed one by one; above, the whole heap is made anew."""


class Trail(NamedTuple):
    """A trailing stop with its peak, as a way unless said otherwise."""

    distance: Distance
    step: Distance | None
    best: float


class Cohort:
    """Codes by distance, all with the peak ``best``.

    Attributes:
        best: the peak as a way: the smallest that the price came to.
        exact_best: the same, exact.
        key: no threshold in it is nearer; kept by its family.
        into: the cohort that took this one in, or None.
        step, move_at: kept by ``Stepping``: its step, and the way at which its peak moves.
    """

    __slots__ = (
        "_distances",
        "best",
        "buckets",
        "exact_best",
        "into",
        "key",
        "move_at",
        "step",
    )

    def __init__(self, best: float, step: Distance | None = None) -> None:
        self.best = best
        self.exact_best = exact(best)
        self.key = inf
        self.move_at = -inf
        self.step = step
        self.buckets: dict[float, list[int]] = {}
        self._distances: list[float] = []
        self.into: Cohort | None = None

    def move(self, best: float) -> None:
        """Give all rules a new peak."""
        self.best = best
        self.exact_best = exact(best)

    def add(self, code: int, distance: float) -> None:
        bucket = self.buckets.get(distance)
        if bucket is None:
            self.buckets[distance] = [code]
            heappush(self._distances, distance)
        else:
            heappush(bucket, code)

    def nearest(self) -> float | None:
        """Return the smallest distance, None when the cohort is empty."""
        return self._distances[0] if self._distances else None

    def next_nearest(self) -> float | None:
        """Return the second smallest distance, None when there is none."""
        return min(self._distances[1:3], default=None)

    def take(self) -> list[int]:
        """Remove the bucket of the smallest distance and return its codes, a heap."""
        return self.buckets.pop(heappop(self._distances))

    def clear(self) -> None:
        """Forget all codes."""
        self.buckets.clear()
        self._distances.clear()

    def absorb(self, other: "Cohort") -> None:
        """Take over all codes of ``other``, which ends in this one."""
        other.into = self
        for distance, bucket in other.buckets.items():
            mine = self.buckets.get(distance)
            if mine is None:
                self.buckets[distance] = bucket
                heappush(self._distances, distance)
            else:
                self.buckets[distance] = _merged(mine, bucket)
        other.clear()


def found(cohort: Cohort) -> Cohort:
    """Return the cohort in which ``cohort`` has ended, itself if nothing took it in."""
    root = cohort
    while root.into is not None:
        root = root.into
    while cohort is not root:  # so that the next search is short
        above = cohort.into
        cohort.into = root
        cohort = above or root
    return root


def larger(one: Cohort, other: Cohort) -> tuple[Cohort, Cohort]:
    """Order two cohorts by their number of buckets, the larger first."""
    return (one, other) if len(one.buckets) >= len(other.buckets) else (other, one)


def _merged(one: list[int], other: list[int]) -> list[int]:
    """Unite two heaps of codes."""
    if len(one) < len(other):
        one, other = other, one
    if len(other) * PUSH_SHARE < len(one):
        for code in other:
            heappush(one, code)
    else:
        one += other
        heapify(one)
    return one
