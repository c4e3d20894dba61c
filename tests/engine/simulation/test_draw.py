"""Lifetimes from their seeds."""

from collections import Counter

import msgspec
import pytest

from engine.model.ticks import PriceSource
from engine.simulation.draw import FILES_EVERY, draw
from engine.simulation.plan import ActKind, Plan
from engine.simulation.prices import STRETCH_PRINTS, Stretch
from tests.engine.simulation.drawn import SEEDS, plans

REAL = (Stretch("real", tuple(1 + number % 5 / 1000 for number in range(STRETCH_PRINTS))),)


def encoded(plan: Plan) -> bytes:
    return msgspec.json.encode(plan)


def test_a_seed_draws_the_same_plan_each_time():
    for seed in (0, 7, 123_456_789):
        assert encoded(draw(seed)) == encoded(draw(seed))


def test_seeds_differ():
    assert len({encoded(plan) for plan in plans()}) == SEEDS


@pytest.mark.parametrize("seed", range(40, 60))
def test_recordings_change_one_seed_of_ten(seed):
    assert (draw(seed, REAL) != draw(seed)) == (seed in {47, 57})


def test_without_recordings_no_path_is_called_recorded():
    assert all("recorded" not in path.kinds for path in draw(47).paths)
    assert all("recorded" in path.kinds for path in draw(47, REAL).paths)


def test_one_seed_in_fifty_runs_on_files():
    on_files = [plan.seed for plan in plans() if plan.on_files]
    assert on_files == list(range(0, SEEDS, FILES_EVERY))


def test_faults_end_after_40_to_70_seconds():
    assert all(40_000 <= plan.heal_ms <= 70_000 for plan in plans())


def test_settings_vary():
    assert {plan.trigger for plan in plans()} == set(PriceSource)
    assert {plan.gap_strict for plan in plans()} == {True, False}
    assert {plan.add_on_same for plan in plans()} == {True, False}


# What the owner does


def acts():
    return [act for plan in plans() for act in plan.acts]


def test_the_owner_does_everything_there_is_to_do():
    kinds = Counter(act.kind for act in acts())
    assert set(kinds) == set(ActKind)
    assert min(kinds.values()) > 30


def test_the_owner_acts_before_faults_end_and_in_order():
    for plan in plans():
        times = [act.at_ms for act in plan.acts]
        assert times == sorted(times)
        assert all(0 < at_ms < plan.heal_ms for at_ms in times)


def test_a_bot_that_was_stopped_is_started_again_before_faults_end():
    for plan in plans():
        switches = [a.kind for a in plan.acts if a.kind in {ActKind.STOP_BOT, ActKind.START_BOT}]
        assert not switches or switches[-1] is ActKind.START_BOT


def test_only_parts_are_parts_and_only_amendments_change_exits():
    for act in acts():
        assert (act.fraction < 1) == (act.kind is ActKind.PART)
        assert act.changes.is_empty == (act.kind is not ActKind.AMEND)


def test_some_amendments_come_at_the_very_moment_of_a_price():
    found = 0
    for plan in plans():
        moments = {each.at_ms for path in plan.paths for each in path.prints}
        found += sum(a.at_ms in moments for a in plan.acts if a.kind is ActKind.AMEND)
    assert found > 50


def test_some_seeds_have_stop_orders_at_the_venues_and_processes_that_stay_down_for_long():
    with_stops = [plan for plan in plans() if plan.backstop.markets]
    assert 0.2 < len(with_stops) / SEEDS < 0.4
    assert {len(plan.backstop.markets) for plan in with_stops} == {1, 2}
    assert all(plan.crashes for plan in with_stops)
    assert any(crash.down_ms > 20_000 for plan in with_stops for crash in plan.crashes)
    for plan in plans():
        assert all(crash.by_ms + crash.down_ms <= plan.heal_ms for crash in plan.crashes)
