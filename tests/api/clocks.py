"""Clocks that tests set."""

from engine.clock import NS_PER_SECOND, SystemClock

START_NS = 1_769_860_800 * NS_PER_SECOND  # 2026-01-31T12:00:00Z


class SteppedClock:
    """``engine.ports.Clock`` that moves only by ``advance``; each look is a nanosecond later."""

    def __init__(self) -> None:
        self._elapsed_ns = 0

    def advance(self, seconds: float) -> None:
        self._elapsed_ns += int(seconds * NS_PER_SECOND)

    def now_ns(self) -> int:
        self._elapsed_ns += 1
        return START_NS + self._elapsed_ns

    def monotonic_ns(self) -> int:
        self._elapsed_ns += 1
        return self._elapsed_ns


class ShiftedClock(SystemClock):
    """The machine's clocks, which a test may set forward."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def advance(self, seconds: float) -> None:
        self._ahead_ns += int(seconds * NS_PER_SECOND)

    def now_ns(self) -> int:
        return super().now_ns() + self._ahead_ns

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self._ahead_ns
