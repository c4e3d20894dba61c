"""Trailing stops that share a peak, kept together.

A *group* is a set of trailing stops that were armed with one peak, and so share every peak after
it. The rules of one distance in it lie in one bucket, since they have one threshold, and the
smallest distance has the nearest. A *cohort* is all groups that have come to one peak by now. When
cohorts come to the same peak they are united: the one with more groups takes over the groups of the
other, so a group moves O(log n) times in its life, and its rules never move.
"""

from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from math import inf
from typing import NamedTuple

from engine.model.exits import Distance
from engine.model.money import exact

PUSH_SHARE = 8
"""Below 1/8 of the larger heap entries are pushed one by one; above, the heap is made anew."""

_serial = count()
"""Tells equal entries of a heap apart; its values mean nothing else."""


class Trail(NamedTuple):
    """A trailing stop with its peak, as a way unless said otherwise."""

    distance: Distance
    step: Distance | None
    best: float


Live = dict[int, "tuple[float, Group]"]
"""Rules that are there: code to distance and group."""


class Group:
    """Codes by distance.

    Attributes:
        cohort: the cohort it was put into; ``found`` tells where that has ended.
    """

    __slots__ = ("_buckets", "_dead", "_distances", "cohort")

    def __init__(self, cohort: "Cohort") -> None:
        self.cohort = cohort
        self._buckets: dict[float, list[int]] = {}
        self._distances: list[float] = []
        self._dead: dict[float, int] | None = None

    def add(self, code: int, distance: float) -> None:
        bucket = self._buckets.get(distance)
        if bucket is None:
            self._buckets[distance] = [code]
            heappush(self._distances, distance)
        else:
            heappush(bucket, code)

    def lose(self, distance: float, live: Live) -> None:
        """Count a code that was removed; a bucket of which most is removed is made anew."""
        bucket = self._buckets.get(distance)
        if bucket is None:
            return  # it was taken
        counts = self._dead = self._dead or {}
        dead = counts.get(distance, 0) + 1
        if 2 * dead <= len(bucket):
            counts[distance] = dead
            return
        counts.pop(distance, None)
        kept = {code for code in bucket if live.get(code) == (distance, self)}
        if kept:
            bucket[:] = sorted(kept)
        else:
            del self._buckets[distance]

    def nearest(self) -> float | None:
        """Return the smallest distance, None when the group is empty."""
        distances, buckets = self._distances, self._buckets
        while distances and distances[0] not in buckets:
            heappop(distances)
        return distances[0] if distances else None

    def take(self) -> list[int]:
        """Remove the bucket of the smallest distance and return its codes, a heap."""
        distance = heappop(self._distances)
        if self._dead:
            self._dead.pop(distance, None)
        return self._buckets.pop(distance)


class Cohort:
    """Groups that have one peak.

    Attributes:
        best: the peak as a way: the smallest that the price came to.
        exact_best: the same, exact.
        key: no threshold in it is nearer; ``is_exact`` tells that it is the nearest one. Kept by
            its family.
        into: the cohort that took this one in, or None.
        groups: a heap of (smallest distance, serial, group); entries may be old.
        step, move_at: kept by ``Stepping``: its step, and the way at which its peak moves.
    """

    __slots__ = (
        "_open",
        "best",
        "exact_best",
        "groups",
        "into",
        "is_exact",
        "key",
        "move_at",
        "step",
    )

    def __init__(self, best: float, step: Distance | None = None) -> None:
        self.best = best
        self.exact_best = exact(best)
        self.key = inf
        self.is_exact = False
        self.into: Cohort | None = None
        self.step = step
        self.move_at = -inf
        self.groups: list[tuple[float, int, Group]] = []
        self._open: Group | None = None

    def move(self, best: float) -> None:
        """Give all rules a new peak."""
        self.best = best
        self.exact_best = exact(best)

    def add(self, code: int, distance: float) -> Group:
        """Put a rule into the group that was begun last at this peak."""
        if self._open is None:
            self._open = Group(self)
        group = self._open
        nearest = group.nearest()
        group.add(code, distance)
        if nearest is None or distance < nearest:
            heappush(self.groups, (distance, next(_serial), group))
        return group

    def nearest(self) -> float | None:
        """Return the smallest distance, None when the cohort is empty."""
        groups = self.groups
        while groups:
            distance, serial, group = groups[0]
            nearest = group.nearest()
            if nearest == distance:
                return distance
            if nearest is None or nearest < distance:  # empty, or entered again since
                heappop(groups)
            else:
                heapreplace(groups, (nearest, serial, group))
        return None

    @property
    def group(self) -> Group:
        """The group that has the distance which ``nearest`` returned."""
        return self.groups[0][2]

    def absorb(self, others: list["Cohort"]) -> None:
        """Take over all groups of others, which end in this one."""
        groups = self.groups
        added = [entry for other in others for entry in other.groups]
        if len(added) * PUSH_SHARE < len(groups):
            for entry in added:
                heappush(groups, entry)
        else:
            groups += added
            heapify(groups)
        for other in others:
            other.into = self
            other.groups.clear()


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


def united(cohorts: list[Cohort]) -> Cohort:
    """Unite cohorts in the one with the most groups, and return that."""
    sizes = [len(cohort.groups) for cohort in cohorts]
    largest = cohorts[sizes.index(max(sizes))]
    if len(cohorts) > 1:
        largest.absorb([cohort for cohort in cohorts if cohort is not largest])
    return largest
