"""Blocking reads for request handlers, in worker threads of their own and few at a time.

They are not the threads of the journal, so a flood of reads never delays a commit.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

MAX_THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """Calls a blocking function in a worker thread and returns what it returns."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(MAX_THREADS)

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self._limiter)
