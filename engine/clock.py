"""The only module that reads clocks."""

import time
from datetime import UTC, datetime

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000


class SystemClock:
    """The machine's clocks. Wall-clock steps never reach ``monotonic_ns``."""

    def now_ns(self) -> int:
        """UTC, nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Local monotonic time in nanoseconds."""
        return time.monotonic_ns()


def to_datetime(at_ns: int) -> datetime:
    """Return nanoseconds since the epoch as an aware UTC datetime (microseconds are kept)."""
    seconds, rest = divmod(at_ns, NS_PER_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


def from_datetime(moment: datetime) -> int:
    """Return an aware datetime as nanoseconds since the epoch, exactly.

    Raises:
        ValueError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no instant; give it a time zone")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


def iso_z(at_ns: int) -> str:
    """Write an instant as ISO 8601 UTC with ``Z`` and microseconds."""
    return to_datetime(at_ns).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
