"""How changes are merged into a set of exit rules."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.exit_set import NO_CHANGES, ExitChanges, Exits, amended
from engine.model.exits import AtPrice, Disarmed, Percent, Points
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from tests.engine.core.ladders import rungs

D = Decimal
FULL = Exits(
    take_profit=Percent(D(10)),
    stop_loss=Percent(D(5)),
    trailing=Trailing(Percent(D(2)), Percent(D(3)), Points(D(1))),
    break_even=BreakEven(Percent(D(2)), D("0.3"), after_rung=1),
    ladder=rungs("2:0.5", "4:0.25"),
    time=TimeStop(60, 1000),
    confirmation=Confirmation(500, 3),
)
BARE = Exits(take_profit=Disarmed(), stop_loss=Disarmed())


def test_no_changes_change_nothing() -> None:
    assert amended(FULL, NO_CHANGES) == FULL
    assert NO_CHANGES.is_empty
    assert not ExitChanges(confirm_ms=0).is_empty


def test_the_trigger_is_no_rule_of_the_set() -> None:
    assert amended(FULL, ExitChanges(trigger=PriceSource.MARK)) == FULL


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"take_profit": AtPrice(D(9))}, "take_profit", AtPrice(D(9))),
        ({"take_profit": Disarmed()}, "take_profit", Disarmed()),
        ({"stop_loss": Disarmed()}, "stop_loss", Disarmed()),
        ({"trailing": Disarmed()}, "trailing", None),
        (
            {"trailing": Points(D(4))},
            "trailing",
            Trailing(Points(D(4)), Percent(D(3)), Points(D(1))),
        ),
        (
            {"trailing_activation": Disarmed(), "trailing_step": Disarmed()},
            "trailing",
            Trailing(Percent(D(2))),
        ),
        (
            {"trailing_step": Percent(D(1))},
            "trailing",
            Trailing(Percent(D(2)), Percent(D(3)), Percent(D(1))),
        ),
        ({"break_even": Disarmed()}, "break_even", BreakEven(Disarmed(), D("0.3"), 1)),
        ({"break_even": Disarmed(), "break_even_after_rung": 0}, "break_even", None),
        ({"break_even_after_rung": 0}, "break_even", BreakEven(Percent(D(2)), D("0.3"))),
        (
            {"break_even_offset": Disarmed()},
            "break_even",
            BreakEven(Percent(D(2)), None, 1),
        ),
        ({"break_even_offset": D(0)}, "break_even", BreakEven(Percent(D(2)), D(0), 1)),
        ({"ladder": rungs("3:1")}, "ladder", rungs("3:1")),
        ({"max_hold_ns": 0}, "time", TimeStop(None, 1000)),
        ({"close_at_ns": 0}, "time", TimeStop(60, None)),
        ({"max_hold_ns": 5, "close_at_ns": 6}, "time", TimeStop(5, 6)),
        ({"confirm_ms": 0}, "confirmation", Confirmation(0, 3)),
        ({"confirm_ticks": 0}, "confirmation", Confirmation(500, 0)),
    ],
)
def test_what_is_named_changes_and_the_rest_stays(
    changes: dict[str, Any], name: str, expected: Any
) -> None:
    after = amended(FULL, ExitChanges(**changes))
    for field in Exits.__struct_fields__:
        assert getattr(after, field) == (expected if field == name else getattr(FULL, field))


@pytest.mark.parametrize(
    "changes",
    [
        {"trailing_activation": Percent(D(3))},
        {"trailing_step": Points(D(1))},
        {"break_even_offset": D(1)},
        {"break_even": Disarmed()},
    ],
)
def test_details_without_their_rule_make_none(changes: dict[str, Any]) -> None:
    assert amended(BARE, ExitChanges(**changes)) == BARE


def test_a_rung_alone_may_move_the_stop() -> None:
    after = amended(BARE, ExitChanges(break_even_after_rung=2))
    assert after.break_even == BreakEven(Disarmed(), None, 2)


def test_a_ladder_that_is_taken_away_takes_the_move_after_a_rung_with_it() -> None:
    after = amended(FULL, ExitChanges(ladder=()))
    assert (after.ladder, after.break_even) == ((), BreakEven(Percent(D(2)), D("0.3")))
    alone = replace(FULL, break_even=BreakEven(after_rung=1))
    assert amended(alone, ExitChanges(ladder=())).break_even is None
