"""A plan lived through and judged: what its outcome says, and that it says the same twice."""

import os
import subprocess
import sys

import pytest

from engine.core.guardian import Guardian
from engine.model.effects import Effects
from engine.model.events import Event
from engine.simulation import lifetime as module
from engine.simulation.books import ModelBooks
from engine.simulation.catalogue import NO_ERROR
from engine.simulation.draw import draw
from engine.simulation.lifetime import live, trace_hash
from engine.simulation.plan import Crash, Fault
from engine.simulation.virtual import Deadlock
from engine.simulation.world import World
from tests.engine.simulation.rig import HEAL_MS, Lived, plan, signal
from tests.requirements import ROOT

CRASHES = (Crash(0, 11, True, HEAL_MS - 1000, 1000),)


class Ledger(ModelBooks):
    """Books that know whether they were closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_an_outcome_counts_what_happened() -> None:
    planned = plan(Fault("drop_rsp", 2000, 500), crashes=(Crash(0, 60, True, 15_000, 1000),))
    outcome = live(planned)
    assert (outcome.seed, outcome.violations, outcome.crashes) == (planned.seed, (), 1)
    assert outcome.struck["drop_rsp"] == 1
    assert outcome.crash_points == {"by time": 1}
    assert outcome.edges["position.opening.open"] >= 1
    assert outcome.checks["comes_to_rest"] == 1
    assert outcome.events > 100


def test_the_same_plan_has_one_trace_hash() -> None:
    planned = plan(Fault("drop_req", 2000, 500), crashes=CRASHES)
    assert live(planned) == live(planned)


@pytest.mark.parametrize("hash_seed", ["0", "1", "77"])
def test_a_process_with_other_hashes_has_the_same_trace_hash(hash_seed: str) -> None:
    program = (
        "import sys\n"
        "from engine.simulation.draw import draw\n"
        "from engine.simulation.lifetime import live\n"
        "sys.stderr.write(live(draw(17)).trace_hash)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == live(draw(17)).trace_hash


def test_whatever_happens_otherwise_changes_the_trace_hash() -> None:
    lives = (
        plan(),
        plan(signals=(signal(0, 2001),)),
        plan(Fault("late_evt", 2000, 1000, amount=3.0)),
        plan(Fault("spike", 5000, 500, amount=1.01)),
        plan(crashes=CRASHES),
    )
    hashes = [live(each).trace_hash for each in lives]
    assert len(set(hashes)) == len(hashes)
    assert all(len(bytes.fromhex(each)) == 32 for each in hashes)


def test_the_trace_hash_covers_what_is_left() -> None:
    lived = Lived(plan())
    before = trace_hash(lived.history, lived.facts)
    lived.facts.events.pop()  # type: ignore[attr-defined]
    assert trace_hash(lived.history, lived.facts) != before


def test_an_error_of_the_service_breaks_an_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Guardian.handle

    def fail(self: Guardian, event: Event) -> Effects:
        if type(event).__name__ == "OrderSent":
            raise ValueError("not this one")
        return handle(self, event)

    monkeypatch.setattr(Guardian, "handle", fail)
    first = live(plan()).violations[0]
    assert (first.invariant, first.message) == (NO_ERROR, "ValueError: not this one")
    assert first.at_ns > 0


def test_a_world_that_waits_for_ever_breaks_an_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(_: World) -> None:
        raise Deadlock("every task waits")

    monkeypatch.setattr(World, "live", wait)
    outcome = live(plan())
    assert (outcome.violations[0].invariant, outcome.violations[0].message) == (
        NO_ERROR,
        "Deadlock: every task waits",
    )


def test_what_the_judge_finds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "facts", lambda _: ModelBooks().facts())
    names = {broken.invariant for broken in live(plan()).violations}
    assert "fills_equal" in names
    assert NO_ERROR not in names


def test_books_are_closed_when_all_is_judged() -> None:
    made: list[Ledger] = []

    def books() -> Ledger:
        made.append(Ledger())
        return made[-1]

    live(plan(on_files=True), books)
    assert [each.is_closed for each in made] == [True]


def test_books_are_closed_when_the_judge_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Ledger()

    def judge(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "judge", judge)
    with pytest.raises(ZeroDivisionError):
        live(plan(on_files=True), lambda: made)
    assert made.is_closed


def test_tasks_that_a_dead_process_leaves_are_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    live(plan(crashes=CRASHES))
    assert "never retrieved" not in capfd.readouterr().err
