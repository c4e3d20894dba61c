"""What an owner sees of the rules of a position."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.exit_lines import ExitLine, LineState, average_entry, exit_lines
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, ExitReason, Percent, Side
from engine.model.position import Position, Progress
from engine.model.rules.break_even import BreakEven
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from tests.engine.core.ladders import rungs
from tests.engine.core.rig import BTC_PERP

D = Decimal
NOTHING = Exits(Disarmed(), Disarmed())
FULL = Exits(
    take_profit=Percent(D(10)),
    stop_loss=Percent(D(5)),
    trailing=Trailing(Percent(D(2)), Percent(D(3))),
    break_even=BreakEven(Percent(D(2))),
    ladder=rungs("4:0.5", "6:0.25"),
    time=TimeStop(60),
)


def held(side: Side = Side.LONG, exits: Exits = FULL, **fields: object) -> Position:
    """A position of one unit at 100 with its limits."""
    long = side is Side.LONG
    position = Position(
        id="p",
        instrument=BTC_PERP,
        side=side,
        exits=exits,
        trigger=PriceSource.LAST,
        created_at_ns=0,
        qty=D(1),
        entry_value=D(100),
        entry_time_ns=1000,
        take_profit=D(110) if long else D(90),
        stop_loss=D(95) if long else D(105),
    )
    return replace(position, **fields)


@pytest.mark.parametrize(
    ("side", "thresholds"),
    [
        (Side.LONG, ["110", "95", "103", "102", "104", "106"]),
        (Side.SHORT, ["90", "105", "97", "98", "96", "94"]),
    ],
)
def test_each_rule_is_a_line_with_its_threshold(side: Side, thresholds: list[str]) -> None:
    lines = exit_lines(held(side))
    assert [line.rule for line in lines] == [
        ExitReason.TAKE_PROFIT,
        ExitReason.STOP_LOSS,
        ExitReason.TRAILING,
        ExitReason.BREAK_EVEN,
        ExitReason.LADDER,
        ExitReason.LADDER,
        ExitReason.TIME,
    ]
    assert [line.threshold for line in lines[:-1]] == [D(price) for price in thresholds]
    assert [line.state for line in lines[2:4]] == [LineState.WAITING, LineState.WAITING]
    assert lines[-1] == ExitLine(ExitReason.TIME, None, LineState.ARMED, 1060)


def test_rules_that_acted_are_shown_where_they_stand_now() -> None:
    progress = Progress(peak=D(108), at_break_even=True, rungs_done=1)
    lines = exit_lines(held(progress=progress, stop_loss=D("100.2")))
    shown = [(line.rule, line.threshold, line.state) for line in lines[:-1]]
    assert shown == [
        (ExitReason.TAKE_PROFIT, D(110), LineState.ARMED),
        (ExitReason.BREAK_EVEN, D("100.2"), LineState.ARMED),
        (ExitReason.TRAILING, D("105.9"), LineState.ARMED),
        (ExitReason.LADDER, D(106), LineState.ARMED),
    ]


def test_before_the_entry_only_a_moment_is_shown() -> None:
    nothing = {"qty": D(0), "entry_value": D(0), "take_profit": None, "stop_loss": None}
    position = held(**nothing, entry_time_ns=None)
    assert average_entry(position) is None
    assert exit_lines(position) == []
    timed = replace(position, exits=replace(FULL, time=TimeStop(60, 5000)))
    assert [line.deadline_ns for line in exit_lines(timed)] == [5000]


def test_a_position_without_rules_has_no_lines() -> None:
    assert exit_lines(held(exits=NOTHING, take_profit=None, stop_loss=None)) == []


def test_a_move_that_only_a_rung_makes_waits_for_no_price_of_its_own() -> None:
    exits = replace(NOTHING, break_even=BreakEven(after_rung=1), ladder=rungs("4:0.5"))
    line = exit_lines(held(exits=exits, take_profit=None, stop_loss=None))[0]
    assert (line.rule, line.threshold, line.state) == ("break_even", None, LineState.WAITING)


@pytest.mark.parametrize(("price", "distance"), [("103", "2"), ("107", "2"), (None, None)])
def test_the_distance_is_from_the_price_now(price: str | None, distance: str | None) -> None:
    line = ExitLine(ExitReason.LADDER, D(105))
    assert line.distance(None if price is None else D(price)) == (distance and D(distance))


def test_what_waits_for_no_price_has_no_distance() -> None:
    assert ExitLine(ExitReason.TIME, None, deadline_ns=1).distance(D(100)) is None
