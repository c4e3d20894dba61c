"""Runs many seeds, in this process or over several, and hands their outcomes out in seed order."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count, islice
from multiprocessing import get_context

from engine.simulation.outcome import Outcome

CHUNK = 20
"""Seeds handed to a process at a time: half a second's work, so that Ctrl-C is soon obeyed."""

AHEAD = 3
"""Chunks that wait or run for each process: enough that none idles while another is slow."""

RunSeeds = Callable[[Sequence[int]], list[Outcome]]
"""Runs seeds and returns their outcomes in order. Pickled where there are several processes."""


def chunks(first: int, number: int | None, size: int = CHUNK) -> Iterator[list[int]]:
    """Cut the seeds from ``first`` on into chunks; ``number`` None is without an end."""
    seeds = count(first) if number is None else iter(range(first, first + number))
    while chunk := list(islice(seeds, size)):
        yield chunk


def run_seeds(
    run: RunSeeds,
    first: int,
    number: int | None,
    jobs: int,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Yield the outcomes of the seeds from ``first`` on, in their order.

    Args:
        number: how many seeds; None goes on until it is stopped.
        jobs: how many processes; 1 runs in this one.
        is_stopped: asked between chunks; what was begun is finished, nothing new is begun.
    """
    if jobs == 1:
        for chunk in chunks(first, number):
            if is_stopped():
                return
            yield from run(chunk)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _leave_signals_alone) as pool:
        running: deque[Future[list[Outcome]]] = deque()
        try:
            for chunk in chunks(first, number):
                if is_stopped():
                    break
                running.append(pool.submit(run, chunk))
                if len(running) >= jobs * AHEAD:
                    yield from running.popleft().result()
            while running:
                if is_stopped() and running[0].cancel():
                    return  # those after it have not begun either
                yield from running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _leave_signals_alone() -> None:
    """Ctrl-C reaches every process of the terminal; the first one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
