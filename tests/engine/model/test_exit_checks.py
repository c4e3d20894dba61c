"""Sets that cannot hold together: which field is named, for both sides, with and without prices."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.exit_checks import ExitProblem, Situation, exit_problems, orphans
from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import AtPrice, Disarmed, Percent, Points, Side
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import MAX_CONFIRM_MS, MAX_CONFIRM_TICKS, Confirmation
from engine.model.rules.ladder import MAX_RUNGS, Rung
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from tests.engine.core.ladders import rungs
from tests.engine.core.rig import BTC_PERP, BTC_SPOT

D = Decimal
NONE = Disarmed()
LONG, SHORT = Side.LONG, Side.SHORT
NOW_NS = 1000


def percent(value: str) -> Percent:
    return Percent(D(value))


def at(value: str) -> AtPrice:
    return AtPrice(D(value))


def exits(**rules: Any) -> Exits:
    return Exits(**({"take_profit": NONE, "stop_loss": NONE} | rules))


def fields(
    rules: Exits, side: Side = LONG, entry: str | None = None, price: str | None = None, **more: Any
) -> list[str]:
    now = Situation(
        side=side,
        instrument=BTC_PERP.id,
        trigger=PriceSource.LAST,
        at_ns=NOW_NS,
        entry_price=None if entry is None else D(entry),
        price=None if price is None else D(price),
    )
    return [problem.field for problem in exit_problems(rules, replace(now, **more))]


def test_a_whole_set_that_holds_has_no_problems() -> None:
    rules = exits(
        take_profit=percent("10"),
        stop_loss=percent("5"),
        trailing=Trailing(percent("2"), percent("3"), Points(D(1))),
        break_even=BreakEven(percent("2"), D("0.3"), 1),
        ladder=rungs("2:0.5", "4:0.5"),
        time=TimeStop(1, NOW_NS + 1),
        confirmation=Confirmation(MAX_CONFIRM_MS, MAX_CONFIRM_TICKS),
    )
    for side in Side:
        assert fields(rules, side) == []
        assert fields(rules, side, "100", "100") == []


@pytest.mark.parametrize(
    ("rules", "side", "field"),
    [
        ({"stop_loss": percent("100")}, LONG, "stop_loss_percent"),
        ({"take_profit": percent("100")}, SHORT, "take_profit_percent"),
        ({"trailing": Trailing(percent("0"))}, LONG, "trailing_percent"),
        ({"trailing": Trailing(Points(D(-1)))}, SHORT, "trailing"),
        ({"trailing": Trailing(percent("100"))}, LONG, "trailing_percent"),
        ({"trailing": Trailing(percent("1"), step=percent("0"))}, LONG, "trailing_step_percent"),
        ({"trailing": Trailing(percent("1"), step=Points(D(0)))}, LONG, "trailing_step"),
        (
            {"take_profit": percent("3"), "trailing": Trailing(percent("1"), percent("3"))},
            LONG,
            "trailing_activation_percent",
        ),
        (
            {"ladder": rungs("2:0.5", "4:0.5"), "trailing": Trailing(percent("1"), percent("4"))},
            SHORT,
            "trailing_activation_percent",
        ),
        (
            {"take_profit": percent("3"), "break_even": BreakEven(percent("3"))},
            LONG,
            "break_even_percent",
        ),
        ({"break_even": BreakEven(percent("1"), D(1))}, LONG, "break_even_offset_percent"),
        ({"break_even": BreakEven(after_rung=1)}, LONG, "break_even_after_rung"),
        (
            {"break_even": BreakEven(after_rung=1), "ladder": rungs("2:1")},
            LONG,
            "break_even_after_rung",
        ),
        ({"break_even": BreakEven(after_rung=-1)}, LONG, "break_even_after_rung"),
        (
            {"ladder": tuple(Rung(percent(str(n + 1)), D("0.05")) for n in range(MAX_RUNGS + 1))},
            LONG,
            "ladder",
        ),
        ({"ladder": rungs("1:0")}, LONG, "ladder"),
        ({"ladder": rungs("1:1.1")}, LONG, "ladder"),
        ({"ladder": rungs("1:0.6", "2:0.5")}, LONG, "ladder"),
        ({"ladder": rungs("2:0.5", "2:0.5")}, LONG, "ladder"),
        ({"ladder": rungs("0:0.5")}, LONG, "ladder"),
        ({"ladder": rungs("100:0.5")}, SHORT, "ladder"),
        ({"ladder": rungs("3:0.5"), "take_profit": percent("3")}, SHORT, "ladder"),
        ({"time": TimeStop(max_hold_ns=0)}, LONG, "max_hold_seconds"),
        ({"time": TimeStop(close_at_ns=NOW_NS)}, LONG, "close_at"),
        ({"confirmation": Confirmation(ms=MAX_CONFIRM_MS + 1)}, LONG, "confirm_ms"),
        ({"confirmation": Confirmation(ms=-1)}, LONG, "confirm_ms"),
        ({"confirmation": Confirmation(ticks=MAX_CONFIRM_TICKS + 1)}, LONG, "confirm_ticks"),
        ({"confirmation": Confirmation(ticks=-1)}, LONG, "confirm_ticks"),
    ],
)
def test_a_contradiction_is_named_without_any_price(
    rules: dict[str, Any], side: Side, field: str
) -> None:
    assert fields(exits(**rules), side) == [field]


@pytest.mark.parametrize(
    ("rules", "side", "field"),
    [
        ({"take_profit": at("100")}, LONG, "take_profit"),
        ({"take_profit": at("100")}, SHORT, "take_profit"),
        ({"stop_loss": at("100")}, LONG, "stop_loss"),
        ({"stop_loss": at("100")}, SHORT, "stop_loss"),
        ({"trailing": Trailing(Points(D(100)))}, LONG, "trailing"),
        ({"trailing": Trailing(percent("1"), step=Points(D(100)))}, SHORT, "trailing_step"),
        (
            {"take_profit": percent("5"), "trailing": Trailing(percent("1"), at("105"))},
            LONG,
            "trailing_activation",
        ),
        (
            {"take_profit": at("95"), "break_even": BreakEven(at("95"))},
            SHORT,
            "break_even",
        ),
        ({"break_even": BreakEven(at("101"), D(1))}, LONG, "break_even_offset_percent"),
        (
            {"ladder": (Rung(at("104"), D("0.5")), Rung(percent("3"), D("0.5")))},
            LONG,
            "ladder",
        ),
        ({"ladder": (Rung(at("100"), D("0.5")),)}, SHORT, "ladder"),
    ],
)
def test_prices_and_percentages_are_compared_once_the_entry_is_known(
    rules: dict[str, Any], side: Side, field: str
) -> None:
    assert fields(exits(**rules), side, "100", "100") == [field]


@pytest.mark.parametrize(("side", "target", "stop"), [(LONG, "99", "99"), (SHORT, "101", "100")])
def test_a_target_must_lie_beyond_the_stop(side: Side, target: str, stop: str) -> None:
    assert fields(exits(take_profit=at(target), stop_loss=at(stop)), side) == ["take_profit"]


def test_without_an_entry_a_price_and_a_percentage_do_not_contradict() -> None:
    rules = exits(take_profit=percent("5"), trailing=Trailing(percent("1"), at("105")))
    assert fields(rules) == []


def test_rungs_that_are_done_may_lie_behind_the_price() -> None:
    rules = exits(ladder=rungs("2:0.5", "6:0.25"))
    assert fields(rules, LONG, "100", "103") == ["ladder"]
    assert fields(rules, LONG, "100", "103", rungs_done=1) == []


def test_spot_has_no_mark() -> None:
    mark = {"trigger": PriceSource.MARK}
    assert fields(exits(), instrument=BTC_SPOT.id, **mark) == ["trigger"]
    assert fields(exits(), **mark) == []


def test_a_problem_says_its_field_and_the_remedy() -> None:
    assert str(ExitProblem("ladder", "give less")) == "ladder: give less"


def test_the_remedy_says_where_the_price_is() -> None:
    now = Situation(LONG, BTC_PERP.id, PriceSource.LAST, NOW_NS, D(100), D("101.50"))
    found = exit_problems(exits(take_profit=percent("1")), now)
    assert [str(problem) for problem in found] == [
        "take_profit_percent: 101 of a long must lie above the price, now 101.5"
    ]


def test_details_of_a_missing_rule_are_told() -> None:
    changes = ExitChanges(
        trailing_activation=percent("1"), trailing_step=percent("1"), break_even_offset=D(1)
    )
    assert [problem.field for problem in orphans(exits(), changes)] == [
        "trailing_activation_percent",
        "trailing_step_percent",
        "break_even_offset_percent",
    ]
    whole = exits(trailing=Trailing(percent("1")), break_even=BreakEven(percent("1")))
    assert orphans(whole, changes) == []
    nothing = ExitChanges(trailing_activation=NONE, trailing_step=NONE, break_even_offset=NONE)
    assert orphans(exits(), nothing) == []


def test_what_a_short_can_never_reach_is_refused_for_every_rule() -> None:
    far = percent("100")
    assert fields(exits(trailing=Trailing(percent("1"), far)), SHORT) == [
        "trailing_activation_percent"
    ]
    assert fields(exits(break_even=BreakEven(far)), SHORT) == ["break_even_percent"]


def test_a_break_even_stop_beyond_the_rung_that_moves_it_is_refused() -> None:
    rule = BreakEven(offset_percent=D(3), after_rung=1)
    wrong = exits(break_even=rule, ladder=rungs("2:0.5"))
    assert fields(wrong) == ["break_even_offset_percent"]


def test_a_break_even_trigger_within_the_fees_is_refused_where_they_are_known() -> None:
    near = exits(break_even=BreakEven(percent("0.1")))
    assert fields(near) == []
    assert fields(near, fee_rate=D("0.00055")) == ["break_even_offset_percent"]
    enough = exits(break_even=BreakEven(percent("0.2")))
    assert fields(enough, fee_rate=D("0.00055")) == []
