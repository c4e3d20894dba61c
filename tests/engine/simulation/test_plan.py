"""A plan is plain data, with generators that do not disturb each other."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.simulation.plan import EPOCH_NS, Fault, OwnerAct, Plan
from tests.engine.simulation.rig import plan


def draws(planned: Plan, name: str) -> list[float]:
    generator = planned.generator(name)
    return [generator.random() for _ in range(3)]


def test_a_generator_is_the_same_each_time_it_is_asked_for() -> None:
    assert draws(plan(), "ids/0") == draws(plan(), "ids/0")


def test_each_purpose_and_each_seed_has_a_generator_of_its_own() -> None:
    one = draws(plan(), "ids/0")
    assert draws(plan(), "ids/1") != one
    assert draws(plan(seed=2), "ids/0") != one


def test_leaving_something_out_changes_no_generator() -> None:
    full = plan(Fault("limit", 1, 1))
    assert draws(replace(full, faults=(), signals=()), "ids/0") == draws(full, "ids/0")


def test_a_plan_cannot_be_changed() -> None:
    planned = plan()
    with pytest.raises(AttributeError):
        planned.seed = 5  # type: ignore[misc]


def test_an_act_is_of_a_whole_position_unless_it_says_otherwise() -> None:
    act = OwnerAct(1, "close")  # type: ignore[arg-type]
    assert (act.nth, act.fraction, act.changes.is_empty) == (0, Decimal(1), True)


def test_a_lifetime_begins_with_the_year_2026() -> None:
    assert EPOCH_NS == 56 * 365 * 86_400 * 10**9 + 14 * 86_400 * 10**9
