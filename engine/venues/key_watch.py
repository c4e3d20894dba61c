"""A look at a venue's key: at the start, daily, and while trading is stopped until it is right."""

import asyncio
import contextlib
from collections.abc import Callable

from msgspec import Struct

from engine.clock import NS_PER_SECOND
from engine.ports import Clock
from engine.venues.account import Examined
from engine.venues.request_guard import Guard
from engine.venues.standing import Standing


class WatchTimings(Struct, frozen=True):
    """Pauses and deadlines of looking at a key, in seconds.

    Attributes:
        examine_seconds: between two looks at a key that is right.
        retry_seconds: before the next look at one that is not; doubles, so that a key that looks
            right and is refused all the same does not have its owner told each minute.
        settled_seconds: a key that was right for so long ends the doubling.
    """

    answer_seconds: float = 30.0
    examine_seconds: float = 24 * 3600.0
    retry_seconds: float = 60.0
    max_retry_seconds: float = 3600.0
    settled_seconds: float = 3600.0


class KeyWatch:
    """Has ``standing`` judge what the venue tells of our key.

    Args:
        guard: ends a request that fails: what a venue refuses to tell of a key stops nothing, since
            orders show what it may do.
    """

    def __init__(
        self,
        account: Examined,
        standing: Standing,
        clock: Clock,
        guard: Callable[[], Guard],
        timings: WatchTimings,
    ) -> None:
        self._account = account
        self._standing = standing
        self._clock = clock
        self._guard = guard
        self._timings = timings

    async def run(self) -> None:
        """Look at the key until cancelled."""
        timings = self._timings
        pause_s = timings.retry_seconds
        while True:
            if await self._look():
                began_ns = self._clock.monotonic_ns()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timings.examine_seconds):
                        await self._standing.stopped.wait()
                if self._clock.monotonic_ns() - began_ns > timings.settled_seconds * NS_PER_SECOND:
                    pause_s = timings.retry_seconds
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, timings.max_retry_seconds)

    async def _look(self) -> bool:
        """Ask and judge; returns whether the key was found right."""
        with self._guard():
            async with asyncio.timeout(self._timings.answer_seconds):
                facts = await self._account.examine()
            self._standing.judge(facts)
            return not self._standing.is_stopped
        return False
