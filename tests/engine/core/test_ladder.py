"""The ladder at work: which order each rung makes, and what becomes of it."""

from decimal import Decimal

import pytest

from engine.model.exits import AtPrice, ExitReason, Percent
from engine.model.instrument import Instrument
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from engine.model.rules.ladder import Rung
from engine.model.signal import Size, SizeKind
from tests.engine.core.ladders import NONE, entering, opened, quantities, refuse
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig

D = Decimal


# Rungs


@pytest.mark.parametrize("instrument", [BTC_PERP, BTC_SPOT], ids=["linear", "spot"])
def test_each_rung_closes_its_part_of_a_long(instrument: Instrument) -> None:
    rig, position = opened("2:0.5", "4:0.25", instrument=instrument)
    rig.trade(101.9, instrument)
    assert rig.exits() == []
    rig.trade(102.0, instrument)
    first = rig.exits()[-1]
    assert (first.qty, first.reason, first.trigger_price, first.side) == (
        D("0.5"),
        ExitReason.LADDER,
        D(102),
        "sell",
    )
    assert first.reduce_only is (instrument is BTC_PERP)
    rig.filled(first, "102")
    rig.trade(104.5, instrument)
    assert quantities(rig) == [D("0.5"), D("0.25")]
    rig.filled(rig.exits()[-1], "104.5")
    left = rig.position(position)
    assert (left.status, left.qty_open, left.progress.rungs_done) == ("open", D("0.25"), 2)


def test_each_rung_closes_its_part_of_a_short() -> None:
    rig, _ = opened("2:0.5", "4:0.25", action="sell")
    rig.trade(98.1)
    assert rig.exits() == []
    rig.trade(98.0)
    rig.filled(rig.exits()[-1], "98")
    rig.trade(96.0)
    assert [(o.qty, o.side) for o in rig.exits()] == [(D("0.5"), "buy"), (D("0.25"), "buy")]


def test_what_the_rungs_leave_stays_under_the_other_rules() -> None:
    rig, position = opened("2:0.5", "4:0.25")
    rig.trade(102.0)
    rig.filled(rig.exits()[-1], "102")
    rig.trade(95.0)
    assert (rig.exits()[-1].qty, rig.exits()[-1].reason) == (D("0.5"), ExitReason.STOP_LOSS)
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).exit_reason is ExitReason.STOP_LOSS


def test_a_stop_while_a_rung_is_in_flight_asks_for_the_rest_only() -> None:
    rig, position = opened("2:0.5")
    rig.trade(102.0)
    rig.trade(95.0)
    assert quantities(rig) == [D("0.5"), D("0.5")]
    for order in rig.exits():
        rig.filled(order, "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_the_last_rung_of_a_whole_closes_the_rest_whatever_it_is() -> None:
    rig, position = opened("2:0.333", "4:0.333", "6:0.334")
    rig.close(position, "0.1")
    rig.filled(rig.exits()[-1], "100")
    rig.trade(102.0)
    rig.filled(rig.exits()[-1], "102")
    rig.trade(104.0)
    rig.filled(rig.exits()[-1], "104")
    rig.trade(106.0)
    assert quantities(rig) == [D("0.1"), D("0.333"), D("0.333"), D("0.234")]
    rig.filled(rig.exits()[-1], "106")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.LADDER)


def test_fractions_are_of_the_filled_quantity_not_of_what_is_left() -> None:
    rig, position = opened("2:0.5")
    rig.close(position, "0.4")
    rig.filled(rig.exits()[-1], "100")
    rig.trade(102.0)
    assert quantities(rig) == [D("0.4"), D("0.5")]


def test_a_rung_never_asks_for_more_than_is_left() -> None:
    rig, position = opened("2:0.5")
    rig.close(position, "0.8")
    rig.trade(102.0)
    assert quantities(rig) == [D("0.8"), D("0.2")]
    for order in rig.exits():
        rig.filled(order, "102")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_rung_is_reached_once() -> None:
    rig, _ = opened("2:0.5")
    rig.trade(102.0)
    rig.filled(rig.exits()[-1], "102")
    for price in (100.0, 102.0, 103.0):
        rig.trade(price)
    assert len(rig.exits()) == 1


def test_rungs_reached_by_one_price_are_one_order() -> None:
    rig, position = opened("2:0.5", "4:0.25", "6:0.1")
    rig.trade(105.0)
    assert quantities(rig) == [D("0.75")]
    assert rig.position(position).progress.rungs_done == 2


def test_a_price_that_reaches_all_rungs_of_a_whole_is_one_close() -> None:
    rig, position = opened("2:0.5", "4:0.5")
    rig.trade(110.0)
    assert quantities(rig) == [D(1)]
    assert rig.position(position).status is PositionStatus.CLOSING


def test_rungs_at_prices_stay_where_they_are() -> None:
    ladder = (Rung(AtPrice(D(103)), D("0.5")),)
    rig = Rig()
    rig.open(price="100", take_profit=NONE, ladder=ladder)
    rig.trade(102.9)
    assert rig.exits() == []
    rig.trade(103.0)
    assert quantities(rig) == [D("0.5")]


def test_a_take_profit_beyond_the_rungs_closes_what_they_leave() -> None:
    rig, position = opened("2:0.5", take_profit=Percent(D(10)))
    rig.trade(102.0)
    rig.filled(rig.exits()[-1], "102")
    rig.trade(110.0)
    assert (rig.exits()[-1].qty, rig.exits()[-1].reason) == (D("0.5"), ExitReason.TAKE_PROFIT)
    assert rig.position(position).exit_reason is ExitReason.TAKE_PROFIT


# Small rungs


def test_a_rung_below_the_minimum_is_closed_with_the_next() -> None:
    rig, position = opened("2:0.04", "4:0.5", instrument=BTC_SPOT)
    rig.trade(102.0, BTC_SPOT)  # 4 USDT, the venue's minimum is 5
    assert rig.exits() == []
    assert rig.position(position).progress.rungs_done == 1
    rig.trade(104.0, BTC_SPOT)
    assert quantities(rig) == [D("0.54")]


def test_a_rung_below_a_step_is_closed_with_the_next() -> None:
    size = Size(SizeKind.QTY, D("0.003"))
    rig, _ = opened("2:0.25", "4:0.25", size=size, price="10000")
    rig.trade(10200.0)
    assert rig.exits() == []
    rig.trade(10400.0)
    assert quantities(rig) == [D("0.001")]


def test_a_rung_that_leaves_too_little_to_sell_closes_all() -> None:
    rig, position = opened("2:0.96", instrument=BTC_SPOT)
    rig.trade(102.0, BTC_SPOT)
    assert quantities(rig) == [D(1)]
    rig.filled(rig.exits()[-1], "102")
    assert rig.position(position).exit_reason is ExitReason.LADDER


# While the entry fills


def test_a_rung_reached_while_the_entry_fills_closes_its_part_of_what_is_filled() -> None:
    rig, entry = entering("2:0.5", "4:0.25")
    rig.fill(entry, "100", "0.4")
    rig.trade(102.0)
    assert quantities(rig) == [D("0.2")]
    rig.filled(rig.exits()[-1], "102")
    rig.filled(entry, "100", qty="0.6")
    position = rig.position(entry.position_id)
    assert (position.status, position.qty_open) == (PositionStatus.OPEN, D("0.8"))
    rig.trade(104.0)
    assert quantities(rig) == [D("0.2"), D("0.25")]


def test_a_rung_reached_while_the_entry_fills_does_not_close_what_is_to_come() -> None:
    rig, entry = entering("2:0.9", instrument=BTC_SPOT)
    rig.fill(entry, "100", "0.06")
    rig.trade(102.0, BTC_SPOT)  # it would leave 0.6 USDT of what is filled so far
    rig.filled(entry, "100", qty="0.94")
    position = rig.position(entry.position_id)
    assert (position.status, quantities(rig)) == (PositionStatus.OPEN, [D("0.054")])


# Refused and filled in part


def test_a_refused_rung_is_asked_for_again_after_a_pause_and_never_twice() -> None:
    rig, position = opened("2:0.5")
    rig.trade(102.0)
    refuse(rig, rig.exits()[0])
    assert rig.notices()[-1] == "position.part_refused"
    assert len(rig.exits()) == 1
    rig.wait(0.5)
    assert len(rig.exits()) == 1
    rig.wait(0.6)
    assert quantities(rig) == [D("0.5"), D("0.5")]
    rig.wait(5)
    assert len(rig.exits()) == 2  # it is in flight
    rig.filled(rig.exits()[1], "102")
    rig.wait(60)
    assert len(rig.exits()) == 2
    assert rig.position(position).qty_open == D("0.5")


def test_a_rung_that_is_refused_again_and_again_is_told_once_and_asked_for_more_slowly() -> None:
    rig, _ = opened("2:0.5")
    rig.trade(102.0)
    for seconds in (1.1, 1.1, 5.1, 10.1):
        refuse(rig, rig.exits()[-1])
        count = len(rig.exits())
        rig.wait(seconds - 0.2)
        assert len(rig.exits()) == count
        rig.wait(0.2)
        assert len(rig.exits()) == count + 1
    assert rig.notices().count("position.part_refused") == 1


def test_the_owner_is_told_of_a_refused_part_while_a_rung_waits_to_be_asked_for_again() -> None:
    rig, position = opened("2:0.5")
    rig.trade(102.0)
    refuse(rig, rig.exits()[-1])
    rig.close(position, "0.3")
    refuse(rig, rig.exits()[-1])
    assert rig.notices().count("position.part_refused") == 2


def test_a_stop_during_the_pause_closes_all_once() -> None:
    rig, position = opened("2:0.5")
    rig.trade(102.0)
    refuse(rig, rig.exits()[0])
    rig.trade(95.0)
    rig.wait(2)
    assert quantities(rig) == [D("0.5"), D(1)]
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_rung_reached_during_the_pause_takes_the_refused_one_along() -> None:
    rig, _ = opened("2:0.5", "4:0.25")
    rig.trade(102.0)
    refuse(rig, rig.exits()[0])
    rig.trade(104.0)
    rig.wait(5)
    assert quantities(rig) == [D("0.5"), D("0.75")]


def test_the_rest_of_a_rung_filled_in_part_is_asked_for_again() -> None:
    rig, position = opened("2:0.5")
    rig.trade(102.0)
    rig.fill(rig.exits()[0], "102", "0.2")
    rig.update(rig.exits()[0], OrderStatus.CANCELLED, filled_qty=D("0.2"))
    assert quantities(rig) == [D("0.5"), D("0.3")]
    rig.filled(rig.exits()[1], "102")
    assert rig.position(position).progress.rung_filled == D("0.5")


def test_a_rung_that_finds_four_exits_in_flight_is_closed_when_one_has_ended() -> None:
    rig, position = opened("2:0.5")
    for _ in range(4):
        rig.close(position, "0.1")
    rig.trade(102.0)
    assert len(rig.exits()) == 4
    rig.filled(rig.exits()[0], "102")
    assert quantities(rig)[4:] == [D("0.5")]


def test_a_rung_whose_position_was_closed_meanwhile_asks_for_nothing() -> None:
    rig, position = opened("2:0.5")
    rig.trade(102.0)
    refuse(rig, rig.exits()[0])
    rig.foreign(BTC_PERP, "sell", "1", "102")
    assert rig.position(position).status is PositionStatus.CLOSED
    rig.wait(5)
    assert len(rig.exits()) == 1


# The stop after a rung


def test_the_stop_moves_to_break_even_after_the_rung_that_was_named() -> None:
    rig, position = opened("2:0.25", "4:0.25", "6:0.25", break_even_after_rung=2)
    rig.trade(102.0)
    assert rig.position(position).stop_loss == D(95)
    rig.trade(104.0)
    moved = rig.position(position)
    assert (moved.stop_loss, moved.progress.at_break_even) == (D("100.2"), True)
    assert "position.stop_moved" in rig.notices()
    rig.trade(100.2)
    assert (rig.exits()[-1].qty, rig.exits()[-1].reason) == (D("0.5"), ExitReason.BREAK_EVEN)


def test_a_gap_beyond_the_named_rung_moves_the_stop_once() -> None:
    rig, position = opened("2:0.25", "4:0.25", "6:0.25", break_even_after_rung=1)
    rig.trade(104.0)
    assert rig.position(position).progress.at_break_even
    assert rig.notices().count("position.stop_moved") == 1
