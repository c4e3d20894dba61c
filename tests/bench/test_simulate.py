"""The bench of simulated lifetimes, very small: its shape, and that it counts only clean ones."""

import pytest

from bench import simulate as bench
from bench.shared.report import BenchFailed
from bench.simulate import Lived, Sizes, live, report
from engine.simulation.outcome import Broken, Outcome

SIZES = Sizes(one=2, each=2, jobs=2, rounds=1)


def test_rows_are_of_one_core_and_of_all() -> None:
    found = {"one": [Lived(60, 30_000, 2.0)], "all": [Lived(240, 120_000, 3.0)]}
    said = report(SIZES, found)
    assert [(row["processes"], row["seeds"]) for row in said.rows] == [(1, 60), (2, 240)]
    assert said.ratios == {
        "seeds_per_second": 80.0,
        "seeds_per_second_one_core": 30.0,
        "events_per_second": 40_000.0,
    }
    assert said.missed == []
    slow = {**found, "all": [Lived(240, 120_000, 5.0)]}
    assert report(SIZES, slow).missed == ["seeds_per_second"]


def test_the_first_chunk_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CHUNK", 3)
    monkeypatch.setattr(bench, "run_seeds", lambda run, first, number, jobs: fake(number))
    lived = live(4, 1)
    assert (lived.seeds, lived.events) == (4, 3 + 4 + 5 + 6)
    assert lived.seconds > 0


def test_a_seed_that_failed_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Outcome(0, "00", (Broken("no_oversell", "sold"),))
    monkeypatch.setattr(bench, "run_seeds", lambda run, first, number, jobs: iter([broken]))
    with pytest.raises(BenchFailed, match="seed 0 broke no_oversell"):
        live(1, 1)


def fake(number: int) -> list[Outcome]:
    return [Outcome(seed, "00", events=seed) for seed in range(number)]
