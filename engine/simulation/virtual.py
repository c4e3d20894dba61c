"""Virtual time: an event loop that never waits.

When nothing is ready the loop's clock jumps to the next timer, so that minutes pass in as long as
their callbacks take, always in the same order. It has no selector, no sockets, no threads and no
signals. The base class's ``_run_once`` does the scheduling; it asks its selector to wait, and this
selector moves the clock instead.
"""

import asyncio
from asyncio import base_events
from collections.abc import Coroutine
from typing import Any, TypeVar

from engine.clock import NS_PER_SECOND

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Everything waits and nothing is to come."""


class _Jump:
    """In place of a selector: waiting moves the clock."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("every task waits, and no timer is set")
        self._loop.pass_time(timeout)
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """An asyncio event loop in virtual time, which begins at 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = _Jump(self)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return int(self._now * NS_PER_SECOND + 0.5)

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._now += seconds

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """There are no other threads to be woken by."""


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
