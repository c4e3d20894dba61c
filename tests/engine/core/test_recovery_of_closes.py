"""Closes that were accepted while the venue was being asked, and another crash before they went."""

from decimal import Decimal

from engine.model.exits import ExitReason
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from engine.model.signal import Outcome, Size, SizeKind
from tests.engine.core.restarts import KEY, answer_absent, exit_id, opened, restart

D = Decimal
HALF = Size(SizeKind.PERCENT, D(50))


def test_a_close_by_the_owner_survives_a_crash_before_it_could_be_sent() -> None:
    rig, _ = opened()
    rig.close(KEY)
    assert rig.position(KEY).status is PositionStatus.CLOSING
    assert rig.exits() == []
    again = restart(rig)
    answer_absent(again, 0, 1, 2, 3)
    assert [(o.qty, o.reason) for o in again.exits()] == [(D(1), ExitReason.MANUAL)]


def test_a_crossing_survives_a_crash_before_it_could_be_acted_on() -> None:
    rig, _ = opened()
    rig.trade(94.0)
    again = restart(rig)
    again.trade(100.0)
    answer_absent(again, 0, 1, 2, 3)
    assert [(o.qty, o.reason) for o in again.exits()] == [(D(1), ExitReason.STOP_LOSS)]


def test_a_closing_signal_survives_a_crash_and_is_settled() -> None:
    rig, _ = opened()
    close = rig.signal("close")
    again = restart(rig)
    answer_absent(again, 0, 1, 2, 3)
    again.filled(again.exits()[0], "100")
    assert again.outcome(close).outcome is Outcome.CLOSED
    assert again.position(KEY).status is PositionStatus.CLOSED


def test_every_signal_that_asked_for_a_close_is_settled_after_a_crash() -> None:
    rig, _ = opened()
    first, second = rig.signal("close"), rig.signal("sell")
    again = restart(rig)
    answer_absent(again, 0, 1, 2, 3)
    again.filled(again.exits()[0], "100")
    assert again.outcome(first).outcome is Outcome.CLOSED
    assert again.outcome(second).outcome is Outcome.CLOSED


def test_a_part_close_by_a_signal_survives_a_crash_once() -> None:
    rig, _ = opened()
    close = rig.signal("close", size=HALF)
    again = restart(rig)
    answer_absent(again, 0, 1, 2, 3)
    assert [o.qty for o in again.exits()] == [D("0.5")]
    third = restart(again)
    third.found(again.exits()[0], OrderStatus.ACKNOWLEDGED, qty=D("0.5"))
    answer_absent(third, 1, 2, 3, 4)
    assert third.exits() == []
    third.filled(again.exits()[0], "100")
    assert third.outcome(close).outcome is Outcome.CLOSED
    assert third.position(KEY).status is PositionStatus.OPEN


def test_a_part_that_was_sent_and_never_journalled_is_not_closed_again() -> None:
    rig, _ = opened()
    close = rig.signal("close", size=HALF)
    again = restart(rig)
    again.found(exit_id(0), OrderStatus.ACKNOWLEDGED, qty=D("0.5"))
    answer_absent(again, 1, 2, 3, 4)
    assert again.exits() == []
    assert again.outcome(close).outcome is Outcome.CLOSED
