"""A defect is in force everywhere for as long as it should be, and nowhere afterwards."""

import pytest

from engine.core import closing, ladder, recovery, resend
from engine.core.state import State
from engine.simulation.sabotage.defect import Function, Sabotage, original_of, spoiled
from engine.simulation.sabotage.registry import SABOTAGES, near_names
from tests.engine.core.rig import config

NAMED_BY_DESIGN = {
    "resend_without_look_up",
    "forget_the_journal",
    "ignore_a_partial_fill",
    "arm_before_resolving",
    "drop_a_gaps_trades",
    "two_writers",
    "acknowledge_before_commit",
    "new_id_on_retry",
    "trust_a_bad_tick",
    "round_up_a_spot_sell",
}


def halved(original: Function) -> Function:
    def remaining(state: State, position: object) -> object:
        return original(state, position) / 2

    return remaining


HALVED = Sabotage("halved", "sells half", (2,), "engine.core.closing:remaining", halved)


def test_a_function_is_replaced_wherever_it_is_known_by_name() -> None:
    before = closing.remaining
    assert ladder.remaining is resend.remaining is before
    with spoiled(HALVED):
        assert closing.remaining is not before
        assert ladder.remaining is resend.remaining is closing.remaining
    assert closing.remaining is ladder.remaining is resend.remaining is before


def test_a_defect_ends_with_an_error_too() -> None:
    before = closing.remaining
    with pytest.raises(ZeroDivisionError), spoiled(HALVED):
        raise ZeroDivisionError
    assert closing.remaining is before


def test_a_method_is_replaced_on_its_class() -> None:
    state = State(config())
    state.book(("a" * 26, "t1"))
    with spoiled(SABOTAGES["book_a_fill_twice"]):
        assert not state.is_booked(("a" * 26, "t1"))
    assert state.is_booked(("a" * 26, "t1"))


def test_no_defect_is_none() -> None:
    before = recovery.ask_again
    with spoiled(None):
        assert recovery.ask_again is before


def test_there_are_enough_defects_and_those_that_the_design_names() -> None:
    assert len(SABOTAGES) >= 24
    assert SABOTAGES.keys() >= NAMED_BY_DESIGN


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=lambda sabotage: sabotage.name)
def test_every_defect_replaces_something_that_exists(sabotage: Sabotage) -> None:
    before = original_of(sabotage)
    assert callable(before)
    assert sabotage.says
    assert set(sabotage.breaks) <= set(range(1, 16))
    assert sabotage.breaks
    with spoiled(sabotage):
        assert original_of(sabotage) is not before
    assert original_of(sabotage) is before


def test_a_misspelt_name_finds_near_ones() -> None:
    assert near_names("two_writer")[0] == "two_writers"
    assert near_names("zzzz") == []
