"""The venue's time, from what it told once and our monotonic clock: steps of ours do not matter."""

from collections.abc import Sequence

from msgspec import Struct

from engine.ports import Clock

NS_PER_MS = 1_000_000


class Sample(Struct, frozen=True):
    """The venue's time between two moments of our monotonic clock, all in ns."""

    sent_ns: int
    answered_ns: int
    venue_ns: int

    @property
    def round_trip_ns(self) -> int:
        return self.answered_ns - self.sent_ns

    @property
    def offset_ns(self) -> int:
        """The venue's time less our monotonic, if way and way back took the same time."""
        return self.venue_ns - (self.sent_ns + self.answered_ns) // 2


class VenueClock:
    """Tells the venue's time.

    Attributes:
        is_set: by a sample, and not in doubt since.
        round_trip_ns: of the sample that set it.
    """

    def __init__(self, clock: Clock) -> None:
        self.is_set = False
        self.round_trip_ns = 0
        self._clock = clock
        self._offset_ns = clock.now_ns() - clock.monotonic_ns()

    def set(self, samples: Sequence[Sample]) -> None:
        """Take the sample of the shortest way."""
        best = min(samples, key=lambda sample: sample.round_trip_ns)
        self._offset_ns, self.round_trip_ns, self.is_set = best.offset_ns, best.round_trip_ns, True

    def doubt(self) -> None:
        """The venue said that it is off."""
        self.is_set = False

    def now_ns(self) -> int:
        """The venue's time, UTC; our own until it is set."""
        return self._clock.monotonic_ns() + self._offset_ns

    def now_ms(self) -> int:
        """The same in ms."""
        return self.now_ns() // NS_PER_MS

    def ahead_ms(self) -> float:
        """The venue's time less ours."""
        return (self.now_ns() - self._clock.now_ns()) / NS_PER_MS
