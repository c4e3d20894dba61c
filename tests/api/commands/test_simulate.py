"""The command around lifetimes that are over at once: what it asks for, prints and returns."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.commands import simulate as command
from api.commands.simulate import SABOTAGE_SEEDS
from engine.simulation.catalogue import BEGIN, END
from engine.simulation.outcome import Broken, Outcome
from engine.simulation.sabotage.registry import SABOTAGES
from engine.simulation.seeds import SeedRun
from tests.api.commands.conftest import Tickguard

OVERSOLD = Broken("no_oversell", "sold 2 of 1", 5_000_000_000)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str | None, set[int]]:
    """Seeds that break an invariant, by the defect that is on; lifetimes are over at once."""
    failing: dict[str | None, set[int]] = {}

    def run(self: SeedRun, seeds: Sequence[int]) -> list[Outcome]:
        bad = failing.get(self.sabotage, set())
        found = [(seed, (OVERSOLD,) if seed in bad else ()) for seed in seeds]
        return [Outcome(seed, f"{seed:064x}", violations) for seed, violations in found]

    monkeypatch.setattr(SeedRun, "__call__", run)
    return failing


def test_clean_seeds_are_reported_and_exit_0(tickguard: Tickguard, broken: object) -> None:
    result = tickguard("simulate", "--seeds", "30", "--first", "5", "--jobs", "1", "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert (said["seeds"], said["first_seed"], said["violations"]) == (30, 5, 0)
    assert "caught" not in said


def test_a_broken_invariant_is_named_with_its_seed_and_exits_1(
    tickguard: Tickguard, broken: dict[str | None, set[int]]
) -> None:
    broken[None] = {3}
    result = tickguard("simulate", "--seeds", "10", "--jobs", "1")
    assert result.exit_code == 1
    assert "FAILED seed 3, no_oversell: sold 2 of 1" in result.stdout
    assert "tickguard simulate --first 3 --seeds 1 --trace" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_number_it_runs_until_a_signal_and_reports(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)

    def run(self: SeedRun, seeds: Sequence[int]) -> list[Outcome]:
        if 40 in seeds:
            os.kill(os.getpid(), number)
        return [Outcome(seed, f"{seed:064x}") for seed in seeds]

    monkeypatch.setattr(SeedRun, "__call__", run)
    result = tickguard("simulate", "--jobs", "1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["seeds"] == 60
    assert signal.getsignal(number) is before


def test_a_sabotage_is_caught_in_a_seed_that_is_clean_without_it(
    tickguard: Tickguard, broken: dict[str | None, set[int]]
) -> None:
    broken["two_writers"] = {4, 7}
    broken[None] = {4}
    result = tickguard("simulate", "--jobs", "1", "--sabotage", "two_writers", "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["sabotage"] == "two_writers"
    assert said["caught"] == {
        "seed": 7, "invariant": "no_oversell", "message": "sold 2 of 1", "seeds": 8,
    }  # fmt: skip
    assert said["seeds"] == 8
    plain = tickguard("simulate", "--jobs", "1", "--sabotage", "two_writers")
    assert "caught two_writers in seed 7 by no_oversell: sold 2 of 1" in plain.stdout


def test_a_sabotage_that_nothing_catches_exits_1(tickguard: Tickguard, broken: object) -> None:
    result = tickguard("simulate", "--jobs", "1", "--sabotage", "two_writers")
    assert result.exit_code == 1
    assert "NOT CAUGHT: two_writers" in result.stdout
    assert f"{SABOTAGE_SEEDS} seeds from 0" in result.stdout


def test_an_unknown_sabotage_is_a_usage_error_with_near_names(tickguard: Tickguard) -> None:
    result = tickguard("simulate", "--sabotage", "two_writer")
    assert result.exit_code == 2
    assert "two_writers" in result.stderr
    assert "list" in tickguard("simulate", "--sabotage", "zzzz").stderr


def test_all_sabotages_are_listed_with_a_line_each(tickguard: Tickguard) -> None:
    lines = tickguard("simulate", "--sabotage", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(SABOTAGES)
    said = json.loads(tickguard("simulate", "--sabotage", "list", "--json").stdout)
    assert said["items"][0] == {
        "name": "resend_without_look_up",
        "says": SABOTAGES["resend_without_look_up"].says,
    }


@pytest.mark.parametrize("option", ["--trace", "--shrink"])
def test_stories_are_of_one_seed(tickguard: Tickguard, option: str) -> None:
    result = tickguard("simulate", option, "--seeds", "2")
    assert result.exit_code == 2
    assert "--seeds 1" in result.stderr


def test_a_story_is_told_and_replays_by_its_hash(tickguard: Tickguard) -> None:
    result = tickguard("simulate", "--first", "0", "--seeds", "1", "--trace")
    assert result.exit_code == 0
    assert "life 0 begins" in result.stdout
    assert "SubmitOrder" in result.stdout
    told = tickguard("simulate", "--first", "0", "--seeds", "1", "--trace", "--json")
    assert result.stdout.splitlines()[:-1] == told.stderr.splitlines()
    assert json.loads(told.stdout)["seeds"] == 1


def test_a_story_of_a_failure_says_what_failed_and_exits_1(tickguard: Tickguard) -> None:
    result = tickguard(
        "simulate", "--first", "0", "--seeds", "1", "--trace", "--sabotage", "forget_the_journal"
    )
    assert result.exit_code == 1
    assert "FAILED at " in result.stdout


def test_a_failing_seed_is_shrunk_to_what_it_needs(tickguard: Tickguard) -> None:
    arguments = ("--seeds", "1", "--sabotage", "forget_the_journal", "--shrink")
    result = tickguard("simulate", *arguments)
    assert result.exit_code == 1
    assert result.stdout.startswith("seed 0, healed at")
    said = json.loads(tickguard("simulate", *arguments, "--json").stdout)
    assert said["seed"] == 0
    assert said["runs"] > 0
    assert said["plan"][0].startswith("seed 0")


def test_a_seed_that_breaks_nothing_is_not_shrunk(tickguard: Tickguard) -> None:
    result = tickguard("simulate", "--seeds", "1", "--shrink")
    assert result.exit_code == 1
    assert "seed 0 breaks nothing" in result.stderr


def test_tables_are_written_into_a_document(tickguard: Tickguard, tmp_path: Path) -> None:
    document = tmp_path / "simulation.md"
    document.write_text(f"words\n{BEGIN}\n{END}\n", encoding="utf-8")
    assert tickguard("simulate", "--table", str(document)).exit_code == 0
    assert "Silent stale socket" in document.read_text(encoding="utf-8")
    document.write_text("no marks", encoding="utf-8")
    assert tickguard("simulate", "--table", str(document)).exit_code == 1
    assert tickguard("simulate", "--table", str(tmp_path / "none.md")).exit_code == 1


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person looks at standard error, and time passes by the second."""
    monkeypatch.setattr(command, "_is_watched", lambda: True)
    monkeypatch.setattr(command, "PROGRESS_S", 0.0)


@pytest.mark.usefixtures("terminal")
def test_progress_is_shown_to_people_only(tickguard: Tickguard, broken: object) -> None:
    result = tickguard("simulate", "--seeds", "3", "--jobs", "1", "--json")
    assert "3 of 3 seeds" in result.stderr
    assert json.loads(result.stdout)["seeds"] == 3
