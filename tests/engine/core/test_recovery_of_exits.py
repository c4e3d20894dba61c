"""After a start: exits that may be under way, and what is asked for meanwhile."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.effects import SaveFill
from engine.model.events import Started
from engine.model.exits import ExitReason
from engine.model.order import OrderStatus
from engine.model.position import GuardStatus, PositionStatus
from engine.model.signal import Outcome
from tests.engine.core.restarts import (
    KEY,
    answer_absent,
    exit_id,
    opened,
    possible,
    restart,
)
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig, position_id

D = Decimal


# Exits


def test_a_close_sent_and_never_journalled_is_found_and_booked() -> None:
    rig, _ = opened()
    fill = rig.fill_of(possible(rig, 0), "95.2")
    rig.found(exit_id(0), OrderStatus.FILLED, fill, qty=D(1))
    closed = rig.position(KEY)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)
    assert closed.exit_price == D("95.2")
    assert rig.guardian.resolving() == []
    rig.found(exit_id(0), OrderStatus.FILLED, fill, qty=D(1))
    assert rig.last == ()


@pytest.mark.parametrize(
    ("price", "reason"), [("109", ExitReason.TAKE_PROFIT), ("97", ExitReason.STOP_LOSS)]
)
def test_the_reason_of_a_found_close_is_the_nearer_limit(price: str, reason: ExitReason) -> None:
    rig, _ = opened()
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(possible(rig, 0), price))
    assert rig.position(KEY).exit_reason is reason


def test_a_found_close_without_fills_is_taken_for_the_owners() -> None:
    rig, _ = opened()
    rig.found(exit_id(0), OrderStatus.ACKNOWLEDGED)
    position = rig.position(KEY)
    assert (position.status, position.exit_reason) == (PositionStatus.CLOSING, ExitReason.MANUAL)
    assert rig.guardian.orders_in_flight()[0].qty == D(1)


def test_a_found_exit_has_the_four_after_it_asked_for_too() -> None:
    rig, _ = opened()
    answer_absent(rig, 0, 2)
    part = possible(rig, 1, "0.4")
    rig.found(exit_id(1), OrderStatus.FILLED, rig.fill_of(part, "100"), qty=D("0.4"))
    assert rig.asked() == [exit_id(2), exit_id(4), exit_id(5)]
    answer_absent(rig, 2, 3, 4, 5)
    assert rig.position(KEY).status is PositionStatus.OPEN
    rig.trade(95.0)  # the rest is guarded, and its exit has an id of its own
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(2), D("0.6"))]


def test_a_found_exit_as_large_as_the_venue_takes_means_the_whole() -> None:
    old = Rig()
    old.open(instrument=replace(BTC_PERP, max_market_qty=D(1)), price="100")
    positions = list(old.guardian.positions())
    positions[0] = replace(positions[0], qty=D(3), entry_value=D(300))
    rig = Rig()
    rig.handle(Started(rig.now, True, positions=tuple(positions)))
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(possible(rig, 0), "95"), qty=D(1))
    assert rig.position(KEY).status is PositionStatus.CLOSING
    answer_absent(rig, 1, 2, 3, 4)
    assert [o.client_order_id for o in rig.exits()] == [exit_id(1), exit_id(2)]


def test_an_exit_of_the_ledger_that_the_venue_never_got_is_sent_again_under_its_id() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    assert rig.asked() == [exit_id(n) for n in range(5)]
    rig.absent(exit_id(0))
    assert rig.submitted() == []  # a later one may have closed it
    answer_absent(rig, 1, 2, 3, 4)
    assert rig.submitted() == [old.exits()[0]]
    rig.absent(exit_id(0))
    assert len(rig.submitted()) == 1
    rig.wait(10)
    assert rig.asked() == [exit_id(0)]


def test_an_answer_from_before_an_exit_was_sent_again_does_not_send_it_twice() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    rig.absent(exit_id(0))
    rig.update(old.exits()[0], OrderStatus.UNKNOWN)
    rig.wait(1.1)
    assert exit_id(0) in rig.asked()
    answer_absent(rig, 1, 2, 3, 4)
    assert len(rig.submitted()) == 1
    rig.absent(exit_id(0))  # asked for before it was sent again
    assert len(rig.submitted()) == 1


def test_an_absent_exit_is_not_sent_again_when_a_later_one_closed_the_position() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    rig.absent(exit_id(0))
    fill = rig.fill_of(possible(rig, 1), "94")
    rig.found(exit_id(1), OrderStatus.FILLED, fill, qty=D(1))
    answer_absent(rig, 2, 3, 4, 5)
    assert rig.submitted() == []
    assert rig.order(exit_id(0)).status is OrderStatus.CANCELLED
    assert rig.position(KEY).status is PositionStatus.CLOSED


def test_an_exit_that_ended_by_an_event_before_its_answer_is_not_found_twice() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    order = old.exits()[0]
    rig = restart(old)
    fill = rig.fill(order, "95", "0.5")
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.5"))
    rig.found(order, OrderStatus.CANCELLED, fill, qty=D(1))
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.submitted()] == [(exit_id(1), D("0.5"))]


def test_an_absent_exit_that_ended_by_an_event_is_not_sent_again() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    order = old.exits()[0]
    rig = restart(old)
    rig.absent(order)
    rig.update(order, OrderStatus.REJECTED)
    answer_absent(rig, 1, 2, 3, 4)
    assert [o.client_order_id for o in rig.submitted()] == [exit_id(1)]


def test_a_closing_position_whose_exit_was_refused_goes_on() -> None:
    old = Rig()
    position = old.open()
    old.trade(95.0)
    old.update(old.exits()[0], OrderStatus.REJECTED, message="busy")
    rig = restart(old)
    assert rig.submitted() == []
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(1), position.qty)]
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


def test_a_closing_position_is_not_in_the_book_again() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    assert rig.trade(94.0) == ()


def test_an_exit_proved_absent_twice_is_sent_again_once() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    rig.absent(exit_id(0))
    rig.update(old.exits()[0], OrderStatus.UNKNOWN)
    rig.wait(1.1)
    rig.absent(exit_id(0))
    answer_absent(rig, 1, 2, 3, 4)
    assert len(rig.submitted()) == 1


def found_and_killed() -> Rig:
    """A process that found the second of two exits, and died before it found the first."""
    rig, _ = opened()
    part = possible(rig, 1, "0.4")
    rig.found(exit_id(1), OrderStatus.FILLED, rig.fill_of(part, "100"), qty=D("0.4"))
    return rig


def test_an_exit_before_one_that_was_found_is_asked_for_again_by_the_next_process() -> None:
    rig = restart(found_and_killed())
    assert rig.asked() == [exit_id(n) for n in range(4)]
    fill = replace(rig.fill_of(possible(rig, 0, "0.2"), "100"), venue_trade_id="lost")
    rig.found(exit_id(0), OrderStatus.FILLED, fill, qty=D("0.2"))
    assert rig.position(KEY).qty_open == D("0.4")


def test_an_exit_that_a_process_before_found_is_not_found_anew() -> None:
    old = found_and_killed()
    rig = restart(old)
    booked = [e.fill for e in old.effects if isinstance(e, SaveFill)][-1]
    rig.found(exit_id(1), OrderStatus.FILLED, booked, qty=D("0.4"))
    assert exit_id(5) in rig.asked()
    assert rig.guardian.positions()[0].qty_open == D("0.6")
    answer_absent(rig, 0, 2, 3, 4, 5)
    assert rig.position(KEY).exit_generation == 1
    assert "position.exit_recovered" not in rig.logged()


def test_an_exit_of_the_ledger_after_one_that_is_lost_has_both_asked_for() -> None:
    old, _ = opened()
    part = possible(old, 2, "0.4")
    old.found(exit_id(2), OrderStatus.ACKNOWLEDGED, qty=part.qty)
    rig = restart(old)
    assert rig.asked() == [exit_id(2), *(exit_id(n) for n in (0, 1, 3, 4, 5, 6))]


# Meanwhile


def test_a_crossing_while_the_venue_is_asked_acts_when_it_answers() -> None:
    rig, _ = opened()
    rig.trade(94.0)
    assert rig.exits() == []
    rig.trade(100.0)
    answer_absent(rig, 0, 1, 2, 3)
    assert (rig.exits()[0].reason, rig.exits()[0].trigger_price) == (
        ExitReason.STOP_LOSS,
        D("94.0"),
    )


def test_a_close_asked_for_meanwhile_is_not_sent_over_an_id_that_may_exist() -> None:
    rig, _ = opened()
    rig.close(KEY, "0.5")
    close = rig.signal("close")
    rig.trade(110.0)
    assert rig.exits() == []
    assert rig.outcome(close).outcome is Outcome.PENDING
    answer_absent(rig, 0, 1, 2, 3)
    assert [o.qty for o in rig.exits()] == [D(1)]
    for order in rig.exits():
        rig.filled(order, "110")
    assert rig.outcome(close).outcome is Outcome.CLOSED


def test_a_close_asked_for_meanwhile_succeeds_when_the_venue_had_closed_it_already() -> None:
    rig, _ = opened()
    close = rig.signal("close")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(possible(rig, 0), "95"), qty=D(1))
    assert rig.outcome(close).outcome is Outcome.CLOSED
    assert rig.exits() == []


def test_closes_asked_for_meanwhile_of_what_turns_out_to_be_dust_end_it_once() -> None:
    old = Rig()
    old.signal("buy", BTC_SPOT)
    old.trade(100.0, BTC_SPOT)
    entry = old.submitted()[0]
    old.fill(entry, "100", "0.000005")
    old.update(entry, OrderStatus.CANCELLED)
    rig = restart(old)
    rig.close(KEY)
    close = rig.signal("close", BTC_SPOT)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.position(KEY).status is PositionStatus.CLOSED
    assert rig.notices() == ["position.closed"]
    assert rig.outcome(close).outcome is Outcome.CLOSED


def test_a_crossing_of_a_position_that_turns_out_to_be_closing_sends_one_exit() -> None:
    rig, _ = opened()
    rig.trade(94.0)
    half = possible(rig, 0, "1")
    rig.found(exit_id(0), OrderStatus.CANCELLED, rig.fill_of(half, "95", "0.5"), qty=D(1))
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(1), D("0.5"))]


def test_positions_are_armed_one_by_one() -> None:
    old = Rig()
    old.open()
    old.open(instrument=ETH_PERP)
    rig = restart(old)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.position(KEY).guard is GuardStatus.ARMED
    assert rig.guardian.resolving() == [position_id(2)]
