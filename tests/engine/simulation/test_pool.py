"""Seeds over processes: all of them, in order, and ended when asked."""

import os
import signal
from collections.abc import Sequence
from itertools import islice

import pytest

from engine.simulation.outcome import Outcome
from engine.simulation.pool import CHUNK, chunks, run_seeds


def run(seeds: Sequence[int]) -> list[Outcome]:
    """Stands for a run of seeds; ``events`` tells which process it was."""
    return [Outcome(seed, "00", events=os.getpid()) for seed in seeds]


def run_and_ask(seeds: Sequence[int]) -> list[Outcome]:
    """Tells by ``crashes`` whether Ctrl-C would end this process."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return [Outcome(seed, "00", crashes=int(ignored)) for seed in seeds]


def fail_at_30(seeds: Sequence[int]) -> list[Outcome]:
    if 30 in seeds:
        raise ValueError("while seed 30 was run")
    return run(seeds)


def test_seeds_are_cut_into_chunks() -> None:
    assert list(chunks(5, 7, 3)) == [[5, 6, 7], [8, 9, 10], [11]]
    assert list(islice(chunks(5, None, 2), 2)) == [[5, 6], [7, 8]]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_seed_is_run_once_and_in_order(jobs: int) -> None:
    number = CHUNK * 8 + 3
    outcomes = list(run_seeds(run, 100, number, jobs))
    assert [outcome.seed for outcome in outcomes] == list(range(100, 100 + number))
    here = {outcome.events == os.getpid() for outcome in outcomes}
    assert here == {jobs == 1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_without_a_number_it_goes_on_until_it_is_stopped(jobs: int) -> None:
    seen: list[int] = []
    outcomes = run_seeds(run, 0, None, jobs, lambda: len(seen) > CHUNK)
    for outcome in outcomes:
        seen.append(outcome.seed)  # noqa: PERF401 - it decides when to stop
    assert len(seen) > CHUNK
    assert seen == list(range(len(seen)))


def test_whoever_has_enough_ends_it() -> None:
    assert next(run_seeds(run, 0, None, 2)).seed == 0


def test_ctrl_c_leaves_the_processes_to_finish_their_seeds() -> None:
    assert {outcome.crashes for outcome in run_seeds(run_and_ask, 0, 2 * CHUNK, 2)} == {1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_run_is_seen(jobs: int) -> None:
    with pytest.raises(ValueError, match="seed 30"):
        list(run_seeds(fail_at_30, 0, 100, jobs))
