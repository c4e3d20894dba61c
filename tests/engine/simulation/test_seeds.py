"""Seeds drawn, lived and judged by one call; most of it needs one lifetime."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core import closing
from engine.model.errors import InvariantBroken
from engine.simulation import seeds as module
from engine.simulation.books import Books, ModelBooks
from engine.simulation.draw import FILES_EVERY
from engine.simulation.seeds import SeedRun
from engine.simulation.trace import Trace
from tests.requirements import ROOT

CRASHING = [1, 3, 4]
"""Seeds in which processes are killed, so that ledgers are read again."""


def test_seeds_are_run_in_their_order_and_replay() -> None:
    outcomes = SeedRun()([3, 1])
    assert [outcome.seed for outcome in outcomes] == [3, 1]
    assert SeedRun()([1])[0] == outcomes[1]
    assert outcomes[0].trace_hash != outcomes[1].trace_hash


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_with_other_hashes_lives_the_same_lifetime(hash_seed: str) -> None:
    program = (
        "from engine.simulation.seeds import SeedRun\n"
        f"for outcome in SeedRun()({CRASHING}): print(outcome.trace_hash, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.split() == [outcome.trace_hash for outcome in SeedRun()(CRASHING)]


def test_a_run_travels_to_another_process() -> None:
    run = SeedRun("two_writers", ModelBooks, ROOT)
    assert pickle.loads(pickle.dumps(run)) == run


def test_a_story_changes_nothing() -> None:
    story = Trace()
    assert SeedRun().tell(2, story) == SeedRun()([2])[0]
    assert any("SubmitOrder" in line for line in story.lines())


def test_a_defect_is_on_while_its_seeds_run_and_no_longer() -> None:
    before = closing.remaining
    (spoiled,) = SeedRun("forget_the_journal")([0])
    assert spoiled.violations
    assert closing.remaining is before
    assert SeedRun()([0])[0].violations == ()


def test_real_books_are_made_for_seeds_that_ask_for_them() -> None:
    made: list[Books] = []

    def books() -> Books:
        made.append(ModelBooks())
        return made[-1]

    SeedRun(books=books)([FILES_EVERY - 1, FILES_EVERY])
    assert len(made) == 1


def test_an_error_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def live(*_: object) -> None:
        raise InvariantBroken("a book that contradicts itself")

    monkeypatch.setattr(module, "live", live)
    with pytest.raises(InvariantBroken) as caught:
        SeedRun()([5])
    assert caught.value.__notes__ == ["while seed 5 was run"]


def test_the_smallest_plan_breaks_the_same_invariant() -> None:
    run, tried = SeedRun("forget_the_journal"), []
    plan = run.smallest(0, lambda: tried.append(1))
    assert plan is not None
    assert plan.signals == ()  # the positions that every lifetime is topped up with are enough
    assert plan.faults == plan.crashes == plan.acts == ()
    assert tried


def test_a_clean_seed_has_no_smallest_plan() -> None:
    assert SeedRun().smallest(0) is None


def test_recordings_are_read_for_the_seeds_that_play_them(recordings: object) -> None:
    folder = Path(str(recordings))
    assert SeedRun(recordings=folder).plan(8) == SeedRun().plan(8)
    assert SeedRun(recordings=folder).plan(7) != SeedRun().plan(7)
