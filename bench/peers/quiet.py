"""How a peer's quiet ticks are timed: every size in turn, the same loop over prices for all.

Arguments: ``take_profits``, ``stop_losses`` (of the largest size; smaller ones take the first),
``prices``, ``sizes``, ``checks`` (positions times ticks of one measurement), ``rounds``. The result
is ``ns``, nanoseconds of CPU time a tick, a figure a round for each size, and ``setup_s`` by size.
"""

import gc
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

LEAST, MOST = 20, 20_000
"""Ticks of one measurement."""

Pass = Callable[[], int]
"""Goes through all its prices; returns how many thresholds they reached."""

Build = Callable[[Sequence[float], Sequence[float], Sequence[float]], Pass]
"""Makes a pass from take-profits, stop-losses and prices."""


def measure(args: dict[str, Any], build: Build) -> None:
    """Time ``build`` at all sizes and print the result."""
    found: dict[str, list[float]] = {}
    setup_s: dict[str, float] = {}
    for size in args["sizes"]:
        began_s = time.perf_counter()
        ticks = min(max(args["checks"] // size, LEAST), MOST)
        prices = (args["prices"] * (ticks // len(args["prices"]) + 1))[:ticks]
        levels = args["take_profits"][:size], args["stop_losses"][:size]
        check(build, *levels, prices[0])
        go = build(*levels, prices)
        setup_s[str(size)] = time.perf_counter() - began_s
        gc.collect()
        go()
        found[str(size)] = [timed(go) / ticks for _ in range(args["rounds"])]
    print(json.dumps({"ns": found, "setup_s": setup_s}))


def timed(go: Pass) -> int:
    """Nanoseconds of CPU time of one pass, which must reach nothing."""
    began_ns = time.thread_time_ns()
    reached = go()
    taken_ns = time.thread_time_ns() - began_ns
    if reached:
        raise SystemExit(f"{reached} thresholds were reached by quiet prices")
    return taken_ns


def check(
    build: Build, take_profits: Sequence[float], stop_losses: Sequence[float], price: float
) -> None:
    """See that what is timed would work: ten positions fall through all stops, and no more."""
    few = take_profits[:10], stop_losses[:10]
    reached = build(*few, [price, min(stop_losses) / 2])()
    if reached != len(few[0]):
        raise SystemExit(f"{reached} of {len(few[0])} stops were reached by a price below them all")
