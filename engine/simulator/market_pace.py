"""Time of the simulator: venue time that never falls, and the pace at which sources play."""

import asyncio

from engine.clock import NS_PER_MS
from engine.ports import Clock

SHORTEST_WAIT_S = 0.001
"""Events due within a millisecond of each other leave together: a timer each would cost more."""


class VenueTime:
    """UTC of the simulated venues: the wall clock at the start, carried on by the monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._behind_ns = clock.now_ns() - clock.monotonic_ns()

    def now_ns(self) -> int:
        return self._clock.monotonic_ns() + self._behind_ns

    def now_ms(self) -> int:
        return self.now_ns() // NS_PER_MS


class Pace:
    """Source time: seconds since the start, multiplied by ``speed`` and held while paused.

    Waits are until absolute source times, so lateness of one wait never adds up.
    """

    def __init__(self, time: VenueTime, speed: float) -> None:
        self.speed = speed
        self._time = time
        self._origin_ns = time.now_ns()
        self._paused_at_ns: int | None = None
        self._running = asyncio.Event()
        self._running.set()

    @property
    def paused(self) -> bool:
        return self._paused_at_ns is not None

    def elapsed_s(self) -> float:
        """Return source time."""
        now_ns = self._time.now_ns() if self._paused_at_ns is None else self._paused_at_ns
        return (now_ns - self._origin_ns) / 1e9 * self.speed

    def venue_ms(self, source_s: float) -> int:
        """Return the venue time at which a source time is (or was, or will be) reached."""
        return int(self._origin_ns / NS_PER_MS + source_s * 1000 / self.speed)

    def pause(self) -> None:
        if self._paused_at_ns is None:
            self._paused_at_ns = self._time.now_ns()
            self._running.clear()

    def resume(self) -> None:
        if self._paused_at_ns is not None:
            self._origin_ns += self._time.now_ns() - self._paused_at_ns
            self._paused_at_ns = None
            self._running.set()

    async def until(self, source_s: float) -> None:
        """Wait for a source time; returns without a wait when it has passed."""
        while True:
            await self._running.wait()
            left_s = (source_s - self.elapsed_s()) / self.speed
            if left_s <= 0:
                return
            await asyncio.sleep(max(left_s, SHORTEST_WAIT_S))
