"""One life of the service: how it is killed, what it does when it stands still, how it ends."""

from functools import cache

import pytest

from engine.model.events import ClockAdvanced, LeaseChanged, OrderUpdated
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from engine.model.ticks import TradeTick
from engine.simulation.mishaps import TWIN
from engine.simulation.plan import EPOCH_NS, Crash, Fault
from engine.simulation.process import MONOTONIC_NS, Killed, Process
from engine.simulation.world import World
from tests.engine.simulation.rig import (
    ENTRY_MS,
    HEAL_MS,
    MS,
    PERP,
    SECOND,
    Lived,
    Story,
    assert_clean,
    calm,
    crashing,
    killed_at,
    moved,
    plan,
)

CALLS = range(1, 28)


# Killed


@pytest.mark.parametrize("after", [False, True])
def test_a_process_may_be_killed_at_each_of_its_effects_and_another_life_takes_over(
    after: bool,
) -> None:
    points = set()
    for call in CALLS:
        lived = crashing(call, after=after)
        first, second = lived.history.lives
        ended_ns = first.ended_ns or 0
        (point,) = lived.history.crash_points
        points.add(point)
        assert lived.history.crash_points[point] == 1
        assert (first.killed, second.killed) == (True, False)
        assert second.began_ns == ended_ns + SECOND
        assert lived.history.quiet_ns is not None
        for written in (lived.history.told, lived.history.requests, lived.history.commits):
            assert all(each.at_ns <= ended_ns for each in written if each.life == 0)
        assert_clean(lived)
    word = "after" if after else "before"
    assert {f"{word} {name}" for name in ("_take_lease", "load", "commit", "submit")} <= points


def test_an_effect_before_which_it_is_killed_does_not_happen() -> None:
    before, after = killed_at("before submit"), killed_at("after submit")
    assert [request.life for request in before.history.requests if request.life == 0] == []
    assert len([request for request in after.history.requests if request.life == 0]) == 1


@cache
def commits_of_first_life(point: str) -> int:
    lived = killed_at(point)
    return sum(commit.life == 0 for commit in lived.history.commits)


def test_a_commit_before_which_it_is_killed_is_not_written() -> None:
    assert commits_of_first_life("before commit") == 0
    assert commits_of_first_life("after commit") == 1


def test_an_entry_that_was_journalled_and_not_sent_is_settled_by_the_next_life() -> None:
    lived = killed_at("before submit")
    assert {request.life for request in lived.history.requests} == {1}
    assert [position.status for position in lived.facts.positions] == [PositionStatus.CLOSED]


def test_what_a_dead_process_still_tries_is_refused() -> None:
    def try_all(world: World) -> None:
        process = world.processes[0]
        process.die("by hand")
        with pytest.raises(Killed):
            process.effect("submit")
        with pytest.raises(Killed):
            process.guardian.handle(ClockAdvanced(1, 1))
        process.enter(ClockAdvanced(1, 1))
        process.die("again")
        process.fail(ValueError("too late"))

    lived = Lived(plan(), {5000: try_all})
    assert lived.history.crash_points == {"by hand": 1}
    assert lived.history.errors == []
    assert len(lived.history.lives) == 2


def test_a_crash_that_meets_no_effect_strikes_by_time() -> None:
    lived = crashing(999, after=False)
    assert lived.history.crash_points == {"by time": 1}
    assert lived.history.lives[0].ended_ns == (HEAL_MS - 1000) * MS


def test_a_crash_is_of_one_life() -> None:
    crashes = (Crash(0, 999, False, 3000, 500), Crash(1, 2, True, 19_000, 700))
    lived = Lived(plan(crashes=crashes))
    assert [life.killed for life in lived.history.lives] == [True, True, False]
    assert lived.history.crash_points == {"by time": 1, "after load": 1}
    assert_clean(lived)


def test_each_life_has_ids_of_its_own_and_the_same_again() -> None:
    def ids(world: World) -> list[str]:
        assert world.process is not None
        return [world.process.random_id() for _ in range(3)]

    seen: list[list[str]] = []
    for _ in range(2):
        Lived(
            plan(signals=(), crashes=(Crash(0, 999, False, 3000, 500),)),
            {2000: lambda world: seen.append(ids(world)), 6000: lambda w: seen.append(ids(w))},
        )
    assert seen[:2] == seen[2:]
    assert len({each for part in seen[:2] for each in part}) == 6


# Standing still


def test_a_stalled_process_takes_everything_at_once_afterwards() -> None:
    story = Story()
    lived = Lived(plan(Fault("stall", ENTRY_MS + 110, 1500)), story=(story,))
    end_ms = ENTRY_MS + 110 + 1500
    updates = story.told(OrderUpdated)
    assert updates[:2] == [end_ms, end_ms]
    assert [status for _, status in lived.outcomes][:2] == [
        OrderStatus.ACKNOWLEDGED,
        OrderStatus.FILLED,
    ]
    clock = story.told(ClockAdvanced)
    assert not [at_ms for at_ms in clock if ENTRY_MS + 110 <= at_ms < end_ms]
    assert lived.strikes("stall") == [(ENTRY_MS + 110) * MS]
    assert_clean(lived)


def test_prices_of_a_stall_are_looked_at_after_it() -> None:
    falls = moved(calm(), 5000, 940.0)
    lived = Lived(plan(Fault("stall", 4900, 2000), paths=(falls,)))
    close = next(request for request in lived.history.requests if request.order.reduce_only)
    assert close.at_ns == 6900 * MS


def test_a_process_killed_in_its_stall_takes_nothing_afterwards() -> None:
    crashes = (Crash(0, 999, False, 6000, 500),)
    lived = Lived(
        plan(Fault("stall", 4900, 2000), paths=(moved(calm(), 5000, 940.0),), crashes=crashes)
    )
    closes = [request for request in lived.history.requests if request.order.reduce_only]
    assert [close.life for close in closes] == [1]
    assert_clean(lived)


def test_storage_that_was_asked_before_a_stall_answers_after_it() -> None:
    lived = Lived(plan(Fault("stall", ENTRY_MS + 1, 700)))
    (delivery,) = lived.history.deliveries
    assert (delivery.answered_ns or 0) >= (ENTRY_MS + 701) * MS


def test_a_process_that_is_killed_by_what_waited_takes_the_rest_no_more() -> None:
    falls = moved(calm(), 5000, 940.0)
    for call in range(15, 40):
        crashes = (Crash(0, call, False, 19_000, 500),)
        lived = Lived(plan(Fault("stall", 4900, 2000), paths=(falls,), crashes=crashes))
        if lived.history.crash_points == {"before submit": 1}:
            break
    assert lived.history.lives[0].ended_ns == 6900 * MS
    closes = [request for request in lived.history.requests if request.order.reduce_only]
    assert [close.life for close in closes] == [1]
    assert_clean(lived)


# Coming up


def test_nothing_reaches_a_process_that_is_not_up_yet() -> None:
    def knock(world: World) -> None:
        (process,) = world.processes
        assert not process.is_up
        assert world.process is None
        process.enter(LeaseChanged(False, 1))
        process.tick(TradeTick(PERP.id, 5.0, 1, 1, 1))

    lived = Lived(plan(), {1: knock})
    assert lived.history.errors == []
    assert not [event for _, event in lived.told(LeaseChanged) if event.at_ns == 1]


def test_a_process_that_never_came_up_can_be_stopped() -> None:
    stopped: list[Process] = []

    def stop(world: World) -> None:
        process = Process(world, 9, None, TWIN)
        world.processes.append(process)
        stopped.append(process)
        stop.task = world._loop.create_task(process.stop())  # type: ignore[attr-defined]

    lived = Lived(plan(), {5000: stop})
    assert stopped[0].life.ended_ns == 5000 * MS
    assert not stopped[0].is_alive
    assert lived.history.errors == []


# Clocks


def test_utc_jumps_and_monotonic_time_does_not() -> None:
    seen = []

    def look(world: World) -> None:
        assert world.process is not None
        clock = world.process.clock
        seen.append((clock.now_ns() - world.now_ns, clock.monotonic_ns() - world.now_ns))

    jump = Fault("jump", 5000, 1, amount=-30.0)
    Lived(plan(jump), {4999: look, 5001: look, HEAL_MS + 1: look})
    assert seen == [
        (EPOCH_NS, MONOTONIC_NS),
        (EPOCH_NS - 30 * SECOND, MONOTONIC_NS),
        (EPOCH_NS, MONOTONIC_NS),
    ]


# Storage


@pytest.mark.parametrize("kind", ["busy", "enospc"])
def test_a_commit_that_is_refused_is_written_later(kind: str) -> None:
    lived = Lived(plan(Fault(kind, ENTRY_MS, 3000)))
    (struck_ns,) = lived.strikes(kind)
    (received,) = [
        commit
        for commit in lived.history.commits
        if any(getattr(each, "kind", "") == "signal.received" for each in commit.records)
    ]
    assert received.at_ns >= struck_ns + SECOND
    assert_clean(lived)


def test_a_commit_whose_answer_is_lost_is_written_once() -> None:
    lived = Lived(plan(Fault("lost_commit", ENTRY_MS, 3000)))
    (struck_ns,) = lived.strikes("lost_commit")
    assert struck_ns in [commit.at_ns for commit in lived.history.commits]
    kinds = [event.kind for event in lived.facts.events]
    assert kinds.count("signal.received") == 1
    received = [
        commit
        for commit in lived.history.commits
        if any(getattr(each, "kind", "") == "signal.received" for each in commit.records)
    ]
    assert len(received) == 1
    assert_clean(lived)


def test_a_slow_disk_delays_what_waits_for_it() -> None:
    def answered_ns(lived: Lived) -> int:
        return lived.history.deliveries[0].answered_ns or 0

    slow = Lived(plan(Fault("slow_disk", ENTRY_MS, 100, amount=250.0)))
    assert len(slow.strikes("slow_disk")) == 1
    assert answered_ns(slow) - answered_ns(Lived(plan())) == 250 * MS
