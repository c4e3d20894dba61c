"""Rounds: two sides measured in turn, each round a pair, none of them for ever."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from websockets.asyncio.client import connect

from bench.shared.report import BenchFailed
from engine.venues.transport import MAX_FRAME_BYTES, MAX_QUEUED_FRAMES

T = TypeVar("T")

ROUND_LIMIT_S = 40.0

Side = Callable[[], Coroutine[Any, Any, T]]


def interleaved(sides: Mapping[str, Side[T]], rounds: int) -> dict[str, list[T]]:
    """Measure every side once a round; one more round before them warms up and is forgotten.

    The order is reversed from round to round, so that a machine that grows slower or faster favours
    no side. Every measurement has an event loop of its own and begins with no garbage; the
    collector runs as ever on both sides.

    Raises:
        BenchFailed: a measurement took too long.
    """
    results: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in sorted(sides, reverse=number % 2 == 0):
            gc.collect()
            result = asyncio.run(_bounded(name, sides[name]))
            if number:
                results[name].append(result)
    return results


async def _bounded(name: str, side: Side[T]) -> T:
    try:
        async with asyncio.timeout(ROUND_LIMIT_S):
            return await side()
    except TimeoutError as error:
        raise BenchFailed(f"{name}: no result within {ROUND_LIMIT_S:g} s") from error


def bare_socket(url: str) -> connect:
    """The library's own client with the options that the product gives it."""
    return connect(
        f"{url}/linear",
        compression=None,
        ping_interval=None,
        max_size=MAX_FRAME_BYTES,
        max_queue=MAX_QUEUED_FRAMES,
    )
