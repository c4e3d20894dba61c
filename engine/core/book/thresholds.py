"""Fixed thresholds of one direction: a heap with lazy removal."""

from heapq import heapify, heappop, heappush
from math import inf

SLACK = 16
"""Removed entries are dropped once they outnumber the live ones by this."""


class Thresholds:
    """Codes by key. Adding, moving, removing and taking one cost O(log n) amortised.

    Attributes:
        nearest: no key is smaller; inf when there is none. Read on every tick.
    """

    __slots__ = ("_heap", "_keys", "nearest")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._keys: dict[int, float] = {}
        self.nearest = inf

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, code: int, key: float) -> None:
        """Add a rule, or move it."""
        self._keys[code] = key
        heappush(self._heap, (key, code))
        self.nearest = min(self.nearest, key)
        if len(self._heap) > 2 * len(self._keys) + SLACK:
            self._compact()

    def key(self, code: int) -> float | None:
        """Return the key of a rule that is there."""
        return self._keys.get(code)

    def discard(self, code: int) -> bool:
        """Remove a rule; tells whether it was there."""
        if self._keys.pop(code, None) is None:
            return False
        if len(self._heap) > 2 * len(self._keys) + SLACK:
            self._compact()
        return True

    def first(self, way: float) -> tuple[float, int] | None:
        """Return the reached (key, code) that comes first, None when none is reached."""
        heap, keys = self._heap, self._keys
        while heap:
            head = heap[0]
            if keys.get(head[1]) == head[0]:
                self.nearest = head[0]
                return head if head[0] <= way else None
            heappop(heap)
        self.nearest = inf
        return None

    def pop(self) -> None:
        """Remove what ``first`` returned."""
        del self._keys[heappop(self._heap)[1]]

    def _compact(self) -> None:
        self._heap[:] = [(key, code) for code, key in self._keys.items()]
        heapify(self._heap)
        self.nearest = self._heap[0][0] if self._heap else inf
