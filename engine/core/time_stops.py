"""Deadlines of positions, in the order in which they come."""

from heapq import heappop, heappush


class TimeStops:
    """Positions by the moment at which time closes them; UTC, nanoseconds since the epoch."""

    __slots__ = ("_deadlines", "_order")

    def __init__(self) -> None:
        self._deadlines: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []

    def set(self, position_id: str, deadline_ns: int | None) -> None:
        """Give a position its deadline, or none."""
        if deadline_ns is None:
            self._deadlines.pop(position_id, None)
        elif self._deadlines.get(position_id) != deadline_ns:
            self._deadlines[position_id] = deadline_ns
            heappush(self._order, (deadline_ns, position_id))

    def due(self, at_ns: int) -> list[str]:
        """Remove and return the positions whose moment has come, earliest first."""
        found = []
        while self._order and self._order[0][0] <= at_ns:
            deadline_ns, position_id = heappop(self._order)
            if self._deadlines.get(position_id) == deadline_ns:
                del self._deadlines[position_id]
                found.append(position_id)
        return found
