"""Fixed thresholds of one direction: a heap with lazy removal."""

from heapq import heappop, heappush
from math import inf

SLACK = 16
MOVED = 2
"""Entries moved at each change while the heap is made anew: enough to end before it is large again,
and few enough that no price ever waits for it."""

Entry = tuple[float, int]


class Thresholds:
    """Codes by key. Adding, moving, removing and taking one cost O(log n).

    Removed entries stay in the heap until they are its head. When they outnumber the live ones the
    heap is made anew, a few entries at each change: they are taken from its tail, which keeps it a
    heap, and go into a fresh one beside it.

    Attributes:
        nearest: no key is smaller; inf when there is none. Read on every tick.
    """

    __slots__ = ("_fresh", "_heap", "_keys", "_old", "nearest")

    def __init__(self) -> None:
        self._fresh: list[Entry] = []
        self._old: list[Entry] = []
        self._heap = self._fresh
        self._keys: dict[int, float] = {}
        self.nearest = inf

    def key(self, code: int) -> float | None:
        """Return the key of a rule that is there."""
        return self._keys.get(code)

    def add(self, code: int, key: float) -> None:
        """Add a rule, or move it."""
        keys = self._keys
        keys[code] = key
        heappush(self._fresh, (key, code))
        self.nearest = min(self.nearest, key)
        if self._old or len(self._fresh) > 2 * len(keys) + SLACK:
            self._renew()

    def discard(self, code: int) -> bool:
        """Remove a rule; tells whether it was there."""
        if self._keys.pop(code, None) is None:
            return False
        if self._old or len(self._fresh) > 2 * len(self._keys) + SLACK:
            self._renew()
        return True

    def first(self, way: float) -> Entry | None:
        """Return the reached (key, code) that comes first, None when none is reached."""
        head = self._head(self._fresh)
        self._heap = self._fresh
        if self._old:
            other = self._head(self._old)
            if other is not None and (head is None or other < head):
                head, self._heap = other, self._old
        if head is None:
            self.nearest = inf
            return None
        self.nearest = head[0]
        return head if head[0] <= way else None

    def pop(self) -> None:
        """Remove what ``first`` returned."""
        del self._keys[heappop(self._heap)[1]]

    def _head(self, heap: list[Entry]) -> Entry | None:
        keys = self._keys
        while heap:
            head = heap[0]
            if keys.get(head[1]) == head[0]:
                return head
            heappop(heap)
        return None

    def _renew(self) -> None:
        """Begin to make the heap anew, most of which is removed, or go on with it."""
        if not self._old:
            self._old, self._fresh = self._fresh, self._old
        old, keys = self._old, self._keys
        for _ in range(min(MOVED, len(old))):
            entry = old.pop()
            if keys.get(entry[1]) == entry[0]:
                heappush(self._fresh, entry)
