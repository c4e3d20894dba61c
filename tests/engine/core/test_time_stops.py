"""The time stop: when it closes, and the calendar of deadlines itself."""

from decimal import Decimal
from typing import Any

from engine.core.time_stops import TimeStops
from engine.model.exit_lines import exit_lines
from engine.model.exits import ExitReason
from engine.model.order import OrderStatus
from engine.model.position import Position, PositionStatus
from tests.engine.core.restarts import KEY, answer_absent, restart
from tests.engine.core.rig import SECOND, T0, Rig

D = Decimal
MINUTE = 60 * SECOND


def opened(**fields: Any) -> tuple[Rig, Position]:
    rig = Rig()
    return rig, rig.open(**fields)


def test_a_position_is_closed_after_its_longest_time() -> None:
    rig, position = opened(max_hold_ns=MINUTE)
    rig.wait(59.9)
    assert rig.exits() == []
    rig.wait(0.1)
    order = rig.exits()[0]
    assert (order.reason, order.qty, order.actor) == (ExitReason.TIME, D(1), "guard")
    assert (order.trigger_price, order.trigger_received_ns) == (None, 0)
    rig.filled(order, "101")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.TIME)


def test_time_counts_from_the_first_fill() -> None:
    rig = Rig()
    rig.signal("buy", max_hold_ns=MINUTE)
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.wait(30)
    rig.fill(entry, "100", "0.5")
    rig.wait(30)
    rig.filled(entry, "100", qty="0.5")
    assert rig.exits() == []
    rig.wait(30)
    assert rig.exits()[0].reason is ExitReason.TIME


def test_a_position_is_closed_at_its_moment() -> None:
    rig, _ = opened(close_at_ns=T0 + MINUTE)
    rig.wait(59)
    assert rig.exits() == []
    rig.wait(1)
    assert rig.exits()[0].reason is ExitReason.TIME


def test_of_both_the_earlier_closes() -> None:
    rig, _ = opened(close_at_ns=T0 + MINUTE, max_hold_ns=30 * SECOND)
    rig.wait(30)
    assert len(rig.exits()) == 1
    rig.wait(60)
    assert len(rig.exits()) == 1


def test_the_deadline_is_shown() -> None:
    rig, position = opened(max_hold_ns=MINUTE)
    line = exit_lines(rig.position(position))[-1]
    assert (line.rule, line.threshold, line.deadline_ns) == (ExitReason.TIME, None, T0 + MINUTE)
    assert line.distance(D(100)) is None


def test_a_refused_close_by_time_is_tried_again() -> None:
    rig, _ = opened(max_hold_ns=MINUTE)
    rig.wait(60)
    rig.update(rig.exits()[0], OrderStatus.REJECTED, message="busy")
    rig.wait(1.1)
    assert [o.reason for o in rig.exits()] == [ExitReason.TIME, ExitReason.TIME]


def test_a_position_that_closes_already_is_not_closed_by_time() -> None:
    rig, _ = opened(max_hold_ns=MINUTE)
    rig.trade(95.0)
    rig.wait(60)
    assert [o.reason for o in rig.exits()] == [ExitReason.STOP_LOSS]


def test_a_part_in_flight_is_not_closed_twice_by_time() -> None:
    rig, position = opened(max_hold_ns=MINUTE)
    rig.close(position, "0.4")
    rig.wait(60)
    assert [o.qty for o in rig.exits()] == [D("0.4"), D("0.6")]


def test_time_that_passed_during_a_restart_closes_when_the_venue_has_answered() -> None:
    old, _ = opened(max_hold_ns=MINUTE)
    old.now += 90 * SECOND
    rig = restart(old)
    rig.wait(0)
    rig.wait(1)
    assert rig.exits() == []
    answer_absent(rig, 0, 1, 2, 3)
    assert [o.reason for o in rig.exits()] == [ExitReason.TIME]


def test_time_goes_on_over_a_restart() -> None:
    old, _ = opened(max_hold_ns=MINUTE)
    old.wait(40)
    rig = restart(old)
    answer_absent(rig, 0, 1, 2, 3)
    rig.wait(19)
    assert rig.exits() == []
    rig.wait(1)
    assert rig.exits()[0].position_id == KEY


def test_a_clock_set_back_delays_the_moment_and_never_closes_twice() -> None:
    rig, _ = opened(close_at_ns=T0 + MINUTE)
    rig.wait(50)
    rig.set_wall_clock(-30)
    rig.wait(39)
    assert rig.exits() == []
    rig.wait(1)
    assert len(rig.exits()) == 1
    rig.set_wall_clock(-30)
    rig.wait(60)
    assert len(rig.exits()) == 1


def test_an_amended_deadline_holds_and_the_one_before_does_not() -> None:
    rig, position = opened(max_hold_ns=MINUTE)
    rig.amend(position, max_hold_ns=2 * MINUTE)
    rig.wait(119)
    assert rig.exits() == []
    rig.amend(position, max_hold_ns=0)
    rig.wait(60)
    assert rig.exits() == []
    rig.amend(position, close_at_ns=rig.now + SECOND)
    rig.wait(1)
    assert rig.exits()[0].reason is ExitReason.TIME


# The calendar


def test_deadlines_come_due_in_their_order_and_once() -> None:
    calendar = TimeStops()
    for key, at_ns in (("late", 30), ("early", 10), ("middle", 20)):
        calendar.set(key, at_ns)
    assert calendar.due(9) == []
    assert calendar.due(20) == ["early", "middle"]
    assert calendar.due(29) == []
    assert calendar.due(99) == ["late"]


def test_a_deadline_that_moved_is_due_when_it_stands_now() -> None:
    calendar = TimeStops()
    calendar.set("a", 10)
    calendar.set("a", 20)
    calendar.set("b", 10)
    calendar.set("b", None)
    assert calendar.due(10) == []
    calendar.set("a", 20)
    calendar.set("a", 5)
    calendar.set("a", 20)
    assert calendar.due(20) == ["a"]
    assert calendar.due(99) == []
