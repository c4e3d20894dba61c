"""How a life of the service ends: by an error, in order, or because another one took over."""

from collections.abc import Callable

import pytest

from engine.lease import SETTLE_NS
from engine.model.effects import Effects
from engine.model.errors import Fenced
from engine.model.events import LeaseChanged, SignalReceived
from engine.simulation.mishaps import TWIN
from engine.simulation.plan import Crash, Fault
from engine.simulation.process import LEASE_NS, Killed
from engine.simulation.world import MAX_ERRORS, RESTART_MS, World
from tests.engine.simulation.rig import (
    MS,
    SECOND,
    Lived,
    Story,
    assert_clean,
    calm,
    killed_at,
    moved,
    plan,
    signal,
)


def boom(_: object) -> Effects:
    raise ValueError("out of its mind")


def failing(world: World) -> None:
    """From here on the guardian fails at whatever it is told."""
    assert world.process is not None
    world.process.guardian.handle = boom  # type: ignore[method-assign]


def test_an_error_of_the_service_is_written_down_and_ends_it() -> None:
    lived = Lived(plan(), {5050: failing})
    ((at_ns, life, text),) = lived.history.errors
    first, second = lived.history.lives
    assert (life, text) == (0, "ValueError: out of its mind")
    assert 5050 * MS <= at_ns == first.ended_ns
    assert (first.killed, first.refused) == (False, None)
    assert second.began_ns == at_ns + RESTART_MS * MS


def test_errors_of_a_group_are_told_by_their_innermost() -> None:
    group = ExceptionGroup("all", [ValueError("a"), ExceptionGroup("more", [TypeError("b")])])

    def fail(world: World) -> None:
        world.processes[0].fail(group)

    lived = Lived(plan(), {5000: fail})
    assert [text for _, _, text in lived.history.errors] == ["ValueError: a; TypeError: b"]


def test_a_service_that_ends_by_itself_has_failed() -> None:
    def end(world: World) -> None:
        task = world.processes[0]._task
        assert task is not None
        task.cancel()

    lived = Lived(plan(), {5000: end})
    assert [text for *_, text in lived.history.errors] == [
        "RuntimeError: the service ended by itself"
    ]


def test_a_service_that_fails_again_and_again_is_given_up() -> None:
    moments: dict[int, Callable[[World], None]] = {
        3000 + number * (RESTART_MS + 1000): failing for number in range(MAX_ERRORS)
    }
    lived = Lived(plan(), moments)
    assert len(lived.history.errors) == MAX_ERRORS
    assert len(lived.history.lives) == MAX_ERRORS
    assert lived.history.quiet_ns is None


def test_what_kills_a_process_is_no_error_of_it() -> None:
    def fail(world: World) -> None:
        world.processes[0].fail(Killed())

    lived = Lived(plan(), {5000: fail})
    assert lived.history.errors == []
    assert len(lived.history.lives) == 1


@pytest.mark.parametrize("error", [Fenced("gone"), ExceptionGroup("run", [Fenced("gone")])])
def test_a_lost_lease_ends_a_life_and_is_no_error(error: Exception) -> None:
    def fail(world: World) -> None:
        world.processes[0].fail(error)

    lived = Lived(plan(), {5000: fail})
    assert lived.history.errors == []
    assert lived.history.lives[0].refused == "another writer has taken over"
    assert lived.history.quiet_ns is not None


def test_it_ends_in_order_with_what_waits_written() -> None:
    story = Story()
    late = signal(0, 19_999)
    lived = Lived(plan(signals=(late,)), story=(story,))
    (life,) = lived.history.lives
    assert (life.killed, life.refused) == (False, None)
    assert life.ended_ns is not None
    assert story.told(SignalReceived)
    assert len(lived.facts.signals) == 1
    assert lived.world.processes == []


def test_nobody_listens_to_a_venue_when_all_have_ended() -> None:
    lived = killed_at("after submit")
    assert lived.world.venues["bybit"].listeners == []


# Two of them


def test_a_stall_beyond_the_lease_lets_another_one_take_over() -> None:
    faults = Fault("stall", 5000, 7000), Fault("twin", 6000, 5000)
    lived = Lived(plan(*faults))
    home = lived.history.lives[0]
    twins = [life for life in lived.history.lives if life.host == TWIN]
    assert home.refused == "another writer has taken over"
    assert max(twin.epoch for twin in twins) == home.epoch + 1
    assert (home.ended_ns or 0) > 5000 * MS + LEASE_NS
    assert lived.history.errors == []
    assert not [c for c in lived.history.commits if c.life == 0 and c.at_ns > 12_000 * MS]
    assert_clean(lived)


def test_a_taker_waits_before_it_sends() -> None:
    crashes = (Crash(0, 999, False, 6000, 12_000),)
    lived = Lived(
        plan(Fault("twin", 5000, 5000), paths=(moved(calm(until_ms=40_000), 12_000, 940.0),),
             crashes=crashes, heal_ms=40_000)
    )  # fmt: skip
    taker = next(life for life in lived.history.lives if life.epoch == 2)
    changes = [
        (at_ns, event.held) for at_ns, event in lived.told(LeaseChanged) if at_ns > taker.began_ns
    ]
    close = next(request for request in lived.history.requests if request.order.reduce_only)
    assert close.life == taker.number
    assert close.at_ns >= taker.began_ns + LEASE_NS + SETTLE_NS
    (waits_ns, first), (sends_ns, then), *_ = changes
    assert (first, then) == (False, True)
    assert waits_ns < taker.began_ns + SECOND < sends_ns <= close.at_ns
