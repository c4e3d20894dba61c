"""The time stop: a position is closed after a time, or at a moment, whatever its price."""

from msgspec import Struct


class TimeStop(Struct, frozen=True):
    """A time stop as asked for; both may be set, and the earlier one holds.

    Attributes:
        max_hold_ns: longest time from the first entry fill, nanoseconds.
        close_at_ns: a moment, UTC, nanoseconds since the epoch. A time of day is resolved to its
            next occurrence when it is asked for.
    """

    max_hold_ns: int | None = None
    close_at_ns: int | None = None

    def deadline_ns(self, entry_time_ns: int | None) -> int | None:
        """Return when a position is closed, UTC ns; None when time does not close it."""
        held_until = None
        if self.max_hold_ns is not None and entry_time_ns is not None:
            held_until = entry_time_ns + self.max_hold_ns
        moments = [at_ns for at_ns in (held_until, self.close_at_ns) if at_ns is not None]
        return min(moments, default=None)
