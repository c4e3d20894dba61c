"""Virtual time: an event loop that never waits.

When nothing is ready the loop's clock jumps to the next timer, so that minutes pass in as long as
their callbacks take, always in the same order: by time, and of one moment first in, first out. It
has no selector, no sockets, no threads and no signals, only tasks and timers.
"""

import asyncio
from asyncio import base_events
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, Protocol, TypeVar, TypeVarTuple

from engine.clock import NS_PER_SECOND

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(RuntimeError):
    """Everything waits and nothing is to come."""


class _Due(Protocol):
    """What runs when its time has come: asyncio's handles, and events of the world."""

    _cancelled: bool

    def _run(self) -> None: ...


class _Event:
    """A call of a plain function, without the context that a task's callbacks carry."""

    __slots__ = ("_arguments", "_cancelled", "_function")

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._cancelled = False

    def _run(self) -> None:
        self._function(*self._arguments)


class VirtualLoop(base_events.BaseEventLoop):
    """An asyncio event loop in virtual time, which begins at 0.

    Attributes:
        now_ns: virtual nanoseconds.
    """

    _ready: "Any"

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self._now = 0.0
        self._timers: list[tuple[float, int, _Due]] = []
        self._made = 0

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def at(self, when: float, function: Callable[..., None], *arguments: Any) -> None:
        """Have a plain function called at a time, virtual seconds; an error of it ends the loop."""
        self._made += 1
        heappush(self._timers, (when, self._made, _Event(function, arguments)))

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have a callback called at a time, virtual seconds."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._made += 1
        heappush(self._timers, (when, self._made, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is left out when its time comes."""

    def _run_once(self) -> None:
        """Run what is ready, else go on to the next timer.

        Raises:
            Deadlock: nothing is ready and no timer is set.
        """
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:  # noqa: SLF001
                heappop(timers)
            if not timers:
                raise Deadlock("every task waits, and no timer is set")
            now = timers[0][0]
            if now > self._now:
                self._now, self.now_ns = now, int(now * NS_PER_SECOND + 0.5)
        while timers and timers[0][0] <= self._now:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            due = ready.popleft()
            if not due._cancelled:  # noqa: SLF001
                due._run()  # noqa: SLF001


def run_virtually(loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, then end what it left behind.

    Raises:
        Deadlock: everything waits and nothing is to come.
    """
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
