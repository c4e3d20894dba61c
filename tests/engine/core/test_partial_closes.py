"""Closes of less than all: parts, entries still in flight, and rests too small to sell."""

from decimal import Decimal

from engine.model.effects import AppendEvent
from engine.model.exits import ExitReason
from engine.model.order import Order, OrderStatus
from engine.model.position import PositionStatus
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig, position_id

D = Decimal


def refuse(rig: Rig, order: Order, message: str = "busy") -> None:
    rig.update(order, OrderStatus.REJECTED, message=message)


# Parts


def test_a_part_close_keeps_the_position_guarded() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.25")
    part = rig.exits()[-1]
    assert (part.qty, part.reason) == (D("0.25"), ExitReason.MANUAL)
    rig.filled(part, "101")
    left = rig.position(position)
    assert (left.status, left.qty_open) == (PositionStatus.OPEN, D("0.75"))
    rig.trade(95.0)
    assert rig.exits()[-1].qty == D("0.75")


def test_a_second_part_is_of_what_the_first_leaves() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    rig.close(position, "0.5")
    assert [o.qty for o in rig.exits()] == [D("0.5"), D("0.25")]


def test_a_whole_close_after_a_part_asks_only_for_the_rest() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.3")
    rig.trade(110.0)
    assert [o.qty for o in rig.exits()] == [D("0.3"), D("0.7")]
    rig.filled(rig.exits()[0], "110")
    rig.filled(rig.exits()[1], "110")
    assert rig.position(position).exit_reason is ExitReason.TAKE_PROFIT


def test_a_part_that_is_refused_after_the_whole_was_asked_for_is_closed_with_it() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.3")
    rig.close(position)
    refuse(rig, rig.exits()[0])
    rig.filled(rig.exits()[1], "100")
    rig.filled(rig.exits()[2], "100")
    assert rig.exits()[2].qty == D("0.3")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_refused_part_is_told_and_the_position_stays_guarded() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    refuse(rig, rig.exits()[-1])
    assert rig.notices()[-1] == "position.part_refused"
    rig.trade(95.0)
    assert rig.exits()[-1].qty == D(1)
    assert rig.position(position).status is PositionStatus.CLOSING


def test_a_part_below_a_step_sells_nothing() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.0001")
    assert rig.exits() == []
    assert "position.part_refused" in [e.kind for e in rig.last if isinstance(e, AppendEvent)]


def test_a_part_that_leaves_too_little_to_sell_closes_the_whole() -> None:
    rig = Rig()
    position = rig.open(instrument=BTC_SPOT, price="100")
    rig.close(position, "0.96")  # 4 USDT would be left, the venue's minimum is 5
    assert rig.exits()[-1].qty == D(1)
    assert rig.position(position).status is PositionStatus.CLOSING


def test_at_most_four_exits_are_in_flight() -> None:
    rig = Rig()
    position = rig.open()
    for _ in range(6):
        rig.close(position, "0.1")
    assert len(rig.exits()) == 4
    rig.trade(95.0)
    assert len(rig.exits()) == 4
    rig.filled(rig.exits()[0], "95")
    assert len(rig.exits()) == 5
    for order in rig.exits()[1:]:
        rig.filled(order, "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_part_of_an_entry_still_in_flight_does_not_close_the_rest() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.5")
    rig.close(entry.position_id, "0.5")
    rig.filled(rig.exits()[-1], "100")
    rig.filled(entry, "100", qty="0.5")
    position = rig.position(entry.position_id)
    assert (position.status, position.qty_open) == (PositionStatus.OPEN, D("0.75"))
    assert len(rig.exits()) == 1


def test_a_part_of_nothing_is_nothing() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    rig.close(rig.submitted()[-1].position_id, "0.5")
    assert rig.exits() == []
    assert rig.position(position_id(1)).status is PositionStatus.OPENING


def test_a_part_that_sells_the_last_step_ends_the_position_with_its_reason() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    rig.filled(rig.exits()[-1], "100")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.MANUAL)


# Before the entry is whole


def test_a_close_during_the_entry_closes_each_fill_and_ends_flat() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.close(entry.position_id)
    assert rig.exits() == []
    rig.fill(entry, "100", "0.4")
    rig.fill(entry, "100", "0.6")
    assert [o.qty for o in rig.exits()] == [D("0.4"), D("0.6")]
    rig.update(entry, OrderStatus.FILLED)
    for order in rig.exits():
        rig.filled(order, "100")
    assert rig.position(entry.position_id).status is PositionStatus.CLOSED


def test_a_close_before_an_entry_that_never_fills_leaves_it_rejected() -> None:
    rig = Rig()
    signal = rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.close(entry.position_id)
    refuse(rig, entry, "too late")
    assert rig.position(entry.position_id).status is PositionStatus.REJECTED
    assert rig.outcome(signal).reason == "too late"


def test_an_entry_that_ends_while_its_exit_is_stuck_breaks_nothing() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.4")
    rig.close(entry.position_id)
    for _ in range(3):
        refuse(rig, rig.exits()[-1])
        rig.wait(1.1)
    assert rig.position(entry.position_id).status is PositionStatus.STUCK
    rig.fill(entry, "100", "0.6")
    rig.update(entry, OrderStatus.FILLED)
    rig.wait(6)
    for order in rig.guardian.orders_in_flight():
        rig.filled(order, "100")
    assert rig.position(entry.position_id).status is PositionStatus.CLOSED


# Dust


def test_what_the_base_fee_leaves_below_a_step_is_booked_as_dust() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(99.9999, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.filled(entry, "100", fee=D("0.0010005"), fee_asset="BTC")
    rig.close(entry.position_id)
    rig.filled(rig.exits()[-1], "100")
    closed = rig.position(entry.position_id)
    assert (closed.dust, closed.qty_open) == (D("0.0000005"), D(0))
    assert closed.status is PositionStatus.CLOSED


def test_a_rest_below_the_minimum_value_is_dust_and_not_tried_for_ever() -> None:
    rig = Rig()
    position = rig.open(instrument=BTC_SPOT)
    rig.trade(95.0, BTC_SPOT)
    rig.fill(rig.exits()[-1], "95", "0.96")
    rig.update(rig.exits()[-1], OrderStatus.CANCELLED)
    closed = rig.position(position)
    assert (closed.status, closed.dust) == (PositionStatus.CLOSED, D("0.04"))


def test_a_position_that_fell_below_the_minimum_value_unsold_is_no_dust() -> None:
    rig = Rig()
    position = rig.open(instrument=BTC_SPOT)
    rig.trade(4.0, BTC_SPOT)
    refuse(rig, rig.exits()[-1], "below the minimum")
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.wait(1.1)
    assert len(rig.exits()) == 2


def test_a_fill_too_small_to_sell_waits_for_what_is_in_flight() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.close(entry.position_id)
    rig.fill(entry, "100", "0.01")
    assert rig.exits() == []
    rig.filled(entry, "100", qty="0.99")
    assert [o.qty for o in rig.exits()] == [D(1)]


def test_nothing_but_dust_is_closed_without_an_order() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.000005")
    rig.update(entry, OrderStatus.CANCELLED)
    rig.close(entry.position_id)
    assert rig.exits() == []
    assert rig.position(entry.position_id).dust == D("0.000005")
