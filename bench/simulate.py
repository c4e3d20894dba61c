"""Simulated lifetimes a second, on one core and on all, with every check on.

A seed is drawn, lived and judged; one in fifty writes to real SQLite files. Recordings are left
out, so that every machine runs the same lifetimes. What it takes to start the processes is left out
too: a run of thousands of seeds pays it once.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from api.commands.simulate import run_quietly
from api.simulated_books import sql_books
from bench.shared.report import BenchFailed, Report, finish, spread
from bench.shared.rounds import Side, interleaved
from engine.simulation.pool import CHUNK, run_seeds
from engine.simulation.seeds import SeedRun

TARGETS = {"seeds_per_second": 60.0}


class Sizes(Struct, frozen=True):
    """How many seeds a round takes on one core, and for each core on all."""

    one: int = 60
    each: int = 120
    jobs: int = os.cpu_count() or 1
    rounds: int = 5


class Lived(Struct, frozen=True):
    """One measurement: seeds and events of the guardian, and what they took."""

    seeds: int
    events: int
    seconds: float

    @property
    def seeds_per_second(self) -> float:
        return self.seeds / self.seconds

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds


def live(seeds: int, jobs: int) -> Lived:
    """Live through seeds; the first chunk of each process warms it up and is not counted.

    Raises:
        BenchFailed: a seed broke an invariant, so that what it took says nothing.
    """
    warm, events, begun_s = CHUNK * jobs, 0, 0.0
    with sql_books() as books:
        run = partial(run_quietly, SeedRun(books=books))
        for number, outcome in enumerate(run_seeds(run, 0, warm + seeds, jobs), 1):
            if outcome.violations:
                raise BenchFailed(f"seed {outcome.seed} broke {outcome.violations[0].invariant}")
            if number > warm:
                events += outcome.events
            elif number == warm:
                begun_s = time.monotonic()
    return Lived(seeds, events, time.monotonic() - begun_s)


async def _side(seeds: int, jobs: int) -> Lived:
    """Lifetimes have event loops of their own, which only another thread lets run."""
    return await asyncio.to_thread(live, seeds, jobs)


def measure(sizes: Sizes) -> Report:
    """Measure both in interleaved rounds."""
    sides: dict[str, Side[Lived]] = {
        "one": partial(_side, sizes.one, 1),
        "all": partial(_side, sizes.each * sizes.jobs, sizes.jobs),
    }
    return report(sizes, interleaved(sides, sizes.rounds))


def report(sizes: Sizes, found: Mapping[str, Sequence[Lived]]) -> Report:
    """Put the rounds into rows and ratios."""
    rows = [
        {
            "processes": jobs,
            "seeds": lived[0].seeds,
            "seeds_per_second": spread([each.seeds_per_second for each in lived]),
            "events_per_second": spread([each.events_per_second for each in lived], 0),
        }
        for jobs, lived in ((1, found["one"]), (sizes.jobs, found["all"]))
    ]
    one, both = (row["seeds_per_second"]["median"] for row in rows)
    events = rows[-1]["events_per_second"]["median"]
    ratios = {
        "seeds_per_second": both,
        "seeds_per_second_one_core": one,
        "events_per_second": events,
    }
    return Report("simulate", rows, ratios, TARGETS)


def main() -> None:
    """Run as a program."""
    finish(lambda: measure(Sizes()))


if __name__ == "__main__":
    main()
