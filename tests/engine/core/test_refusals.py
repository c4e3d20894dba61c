"""Exits that the venue refuses: what is read again, what is asked for next, and at what pace."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.refusals import retry_pause_ns
from engine.model.effects import ReadAccount, RefreshInstrument
from engine.model.events import VenuePosition
from engine.model.exits import Side
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderStatus, Refusal
from engine.model.position import Position, PositionStatus
from tests.engine.core.ladders import opened as with_ladder
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, SECOND, Rig

D = Decimal
HELD = VenuePosition(BTC_PERP.id, Side.LONG, D(1), D(100))
ACCOUNT = [Refusal.REDUCE_ONLY, Refusal.BALANCE]


def closing(instrument: Instrument = BTC_PERP) -> tuple[Rig, Position, Order]:
    rig = Rig()
    position = rig.open(instrument=instrument)
    rig.trade(95.0, instrument)
    return rig, position, rig.exits()[0]


def refuse(rig: Rig, refusal: Refusal, order: Order | None = None) -> None:
    rig.update(order or rig.exits()[-1], OrderStatus.REJECTED, refusal=refusal, message="no")


def test_the_pause_of_a_stuck_exit_is_bounded() -> None:
    assert [retry_pause_ns(n) // SECOND for n in range(1, 9)] == [1, 1, 5, 10, 20, 40, 60, 60]
    assert retry_pause_ns(10_000) == 60 * SECOND


def test_a_refusal_for_no_such_reason_has_nothing_read_again() -> None:
    rig, _, _ = closing()
    refuse(rig, Refusal.OTHER)
    assert not any(isinstance(e, ReadAccount | RefreshInstrument) for e in rig.last)


@pytest.mark.parametrize("refusal", ACCOUNT)
def test_an_exit_that_the_account_contradicts_waits_for_the_account(refusal: Refusal) -> None:
    rig, _, _ = closing()
    rig.wait(0.1)
    refuse(rig, refusal)
    assert ReadAccount("bybit") in rig.last
    rig.wait(0.1)
    assert len(rig.exits()) == 1
    rig.account(HELD)
    rig.wait(0.1)
    assert len(rig.exits()) == 2


@pytest.mark.parametrize("refusal", ACCOUNT)
def test_an_exit_that_waits_for_an_account_goes_after_its_pause_without(refusal: Refusal) -> None:
    rig, _, _ = closing()
    rig.account(HELD)  # asked for before the refusal
    refuse(rig, refusal)
    rig.wait(0.9)
    assert len(rig.exits()) == 1
    rig.wait(0.1)
    assert len(rig.exits()) == 2


def test_a_position_that_the_account_shows_to_be_gone_is_finished_by_its_executions() -> None:
    rig, position, _ = closing()
    refuse(rig, Refusal.REDUCE_ONLY)
    rig.foreign(BTC_PERP, "sell", "1", "95")
    rig.account()
    rig.wait(1)
    assert rig.position(position).status is PositionStatus.CLOSED
    assert len(rig.exits()) == 1


def test_accounts_do_not_hasten_what_is_stuck() -> None:
    rig, position, _ = closing()
    for _ in range(3):
        refuse(rig, Refusal.REDUCE_ONLY)
        rig.wait(0.1)
        rig.account(HELD)
        rig.wait(0.1)
    assert rig.position(position).status is PositionStatus.STUCK
    assert len(rig.exits()) == 3
    rig.wait(4.7)
    assert len(rig.exits()) == 3
    rig.wait(0.2)
    assert len(rig.exits()) == 4


def test_no_more_than_is_free_is_asked_for_on_spot() -> None:
    rig, position, order = closing(BTC_SPOT)
    refuse(rig, Refusal.BALANCE)
    rig.balance("BTC", "0.7000009")
    rig.wait(1)
    assert rig.exits()[-1].qty == D("0.7")
    assert rig.exits()[-1].client_order_id != order.client_order_id
    rig.filled(rig.exits()[-1], "95")
    assert rig.exits()[-1].qty == D("0.3")  # the venue is asked anew
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_an_exit_of_which_nothing_is_free_is_alarmed_and_tried_at_a_bounded_pace() -> None:
    rig, position, _ = closing(BTC_SPOT)
    rig.balance("BTC", "0")
    refuse(rig, Refusal.BALANCE)
    rig.wait(1)
    assert ReadAccount("bybit") in rig.last
    rig.wait(1)
    assert rig.position(position).status is PositionStatus.STUCK
    for _ in range(100):
        rig.wait(1)
    assert rig.notices().count("position.stuck") == 1
    assert len(rig.exits()) == 1
    rig.balance("BTC", "1")
    rig.wait(60)
    assert rig.exits()[-1].qty == D(1)
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_an_account_that_shows_nothing_free_counts_once_a_pause() -> None:
    rig, position, _ = closing(BTC_SPOT)
    rig.balance("BTC", "0")
    refuse(rig, Refusal.BALANCE)
    for _ in range(9):
        rig.account()
        rig.wait(0.1)
    assert rig.position(position).status is PositionStatus.CLOSING


def test_free_balances_bound_nothing_on_linear() -> None:
    rig, _, _ = closing()
    rig.balance("BTC", "0.1")
    refuse(rig, Refusal.BALANCE)
    rig.wait(1)
    assert rig.exits()[-1].qty == D(1)


def test_a_balance_that_was_never_told_bounds_nothing() -> None:
    rig, _, _ = closing(BTC_SPOT)
    refuse(rig, Refusal.BALANCE)
    rig.wait(1)
    assert rig.exits()[-1].qty == D(1)


def test_a_refused_part_has_read_again_what_contradicts_it() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    refuse(rig, Refusal.REDUCE_ONLY)
    assert ReadAccount("bybit") in rig.last


def test_a_stuck_exit_that_fills_goes_on_at_once() -> None:
    rig, position, _ = closing()
    for _ in range(3):
        refuse(rig, Refusal.OTHER)
        rig.wait(6)
    assert rig.position(position).status is PositionStatus.STUCK
    rig.fill(rig.exits()[-1], "95", "0.5")
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.update(rig.exits()[-1], OrderStatus.CANCELLED)
    assert rig.exits()[-1].qty == D("0.5")
    refuse(rig, Refusal.OTHER)
    assert rig.position(position).status is PositionStatus.CLOSING  # counted anew


# Slices


def sliced(largest: str, count: int = 10) -> tuple[Rig, Position]:
    """A long of so many units of which the venue takes no more than ``largest`` at once."""
    rig = Rig(position_size=D(100 * count))
    position = rig.open()
    big = replace(position, instrument=replace(BTC_PERP, max_market_qty=D(largest)))
    rig.guardian._state.positions[position.id] = big
    return rig, position


def sizes(rig: Rig) -> list[Decimal]:
    return [order.qty for order in rig.exits()]


def test_four_slices_go_at_once_and_the_others_as_they_end() -> None:
    rig, position = sliced("2")
    rig.trade(95.0)
    assert sizes(rig) == [D(2)] * 4
    rig.filled(rig.exits()[1], "95")
    assert sizes(rig) == [D(2)] * 5
    rig.filled(rig.exits()[0], "95")
    assert sizes(rig) == [D(2)] * 5
    for order in rig.exits()[2:]:
        rig.filled(order, "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_slices_refused_together_are_one_refusal() -> None:
    rig, position = sliced("3")
    rig.trade(95.0)
    for order in rig.exits():
        refuse(rig, Refusal.OTHER, order)
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.wait(1)
    assert len(rig.exits()) == 5  # one tells whether the venue takes them again
    rig.filled(rig.exits()[-1], "95")
    assert sizes(rig)[5:] == [D(3), D(3), D(1)]


def test_one_account_has_one_slice_tried() -> None:
    rig, _ = sliced("1")
    rig.trade(95.0)
    for order in rig.exits():
        refuse(rig, Refusal.REDUCE_ONLY, order)
    rig.wait(0.1)
    rig.account(replace(HELD, qty=D(10)))
    for _ in range(5):
        rig.wait(0.1)
    assert len(rig.exits()) == 5


def test_a_part_above_the_largest_order_is_closed_in_slices_and_no_more() -> None:
    rig, position = sliced("1")
    rig.close(position, "0.6")
    assert sizes(rig) == [D(1)] * 4
    for _ in range(4):
        rig.filled(rig.exits()[len([o for o in rig.exits() if rig.order(o).is_final])], "100")
    assert len(rig.exits()) == 6
    for order in rig.exits()[4:]:
        rig.filled(order, "100")
    assert rig.position(position).qty_open == D(4)
    assert len(rig.exits()) == 6


def test_the_rest_of_a_part_is_dropped_when_a_slice_is_refused() -> None:
    rig, position = sliced("1")
    rig.close(position, "0.6")
    refuse(rig, Refusal.OTHER, rig.exits()[0])
    for order in rig.exits()[1:]:
        rig.filled(order, "100")
    assert len(rig.exits()) == 4
    assert "position.part_refused" in rig.notices()


def test_a_whole_close_takes_the_place_of_what_is_left_of_a_part() -> None:
    rig, position = sliced("1")
    rig.close(position, "0.6")
    rig.close(position)
    for _ in range(10):
        rig.filled(next(o for o in rig.exits() if not rig.order(o).is_final), "100")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert sum(sizes(rig)) == D(10)


def test_rungs_above_the_largest_order_are_closed_in_slices() -> None:
    rig, position = with_ladder("5:0.5", rig=Rig(position_size=D(1000)))
    instrument = replace(BTC_PERP, max_market_qty=D(1))
    live = replace(rig.position(position), instrument=instrument)
    rig.guardian._state.positions[position.id] = live
    rig.trade(105.0)
    assert sizes(rig) == [D(1)] * 4
    rig.filled(rig.exits()[0], "105")
    assert sizes(rig) == [D(1)] * 5
    for order in rig.exits()[1:]:
        rig.filled(order, "105")
    assert rig.position(position).qty_open == D(5)


def test_slices_of_a_rung_refused_together_are_one_refusal() -> None:
    rig, position = with_ladder("5:0.5", rig=Rig(position_size=D(1000)))
    instrument = replace(BTC_PERP, max_market_qty=D(2))
    live = replace(rig.position(position), instrument=instrument)
    rig.guardian._state.positions[position.id] = live
    rig.trade(105.0)
    for order in rig.exits():
        refuse(rig, Refusal.OTHER, order)
    assert rig.guardian._state.rung_retries[position.id].refusals == 1


# What the venue holds


def test_no_more_is_closed_than_the_venue_holds() -> None:
    rig = Rig()
    position = rig.open()
    rig.guardian._state.unexplained[BTC_PERP.id] = D("0.4")
    rig.trade(95.0)
    assert sizes(rig) == [D("0.4")]
    rig.filled(rig.exits()[0], "95")
    assert sizes(rig) == [D("0.4")]  # nothing is left of what it holds
    for _ in range(10):
        rig.wait(1)
    assert rig.notices().count("position.stuck") == 1
    assert sizes(rig) == [D("0.4")]
    del rig.guardian._state.unexplained[BTC_PERP.id]
    rig.wait(60)
    assert sizes(rig)[1:] == [D("0.6")]
    rig.filled(rig.exits()[1], "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_positions_of_one_instrument_share_what_the_venue_holds() -> None:
    rig = Rig()
    rig.open(strategy="a")
    rig.open(strategy="b")
    rig.guardian._state.unexplained[BTC_PERP.id] = D("1.4")
    rig.trade(95.0)
    assert sizes(rig) == [D(1), D("0.4")]


def test_a_holding_on_the_other_side_closes_nothing() -> None:
    rig = Rig()
    rig.open()
    rig.guardian._state.unexplained[BTC_PERP.id] = D(-1)
    rig.trade(95.0)
    assert rig.exits() == []
    assert ReadAccount("bybit") in rig.last


def test_a_part_is_no_more_than_the_venue_holds() -> None:
    rig = Rig()
    position = rig.open()
    rig.guardian._state.unexplained[BTC_PERP.id] = D("0.2")
    rig.close(position, "0.5")
    assert sizes(rig) == [D("0.2")]
    rig.close(position, "0.5")
    assert sizes(rig) == [D("0.2")]
    assert "position.part_refused" in rig.logged()


def test_a_deferred_close_above_what_the_venue_holds_by_now_is_dropped() -> None:
    rig, _, order = closing()
    rig.deferred(order)
    rig.guardian._state.unexplained[BTC_PERP.id] = D("0.4")
    rig.wait(1)
    assert rig.order(order).status is OrderStatus.CANCELLED
    rig.wait(1)
    assert sizes(rig) == [D(1), D("0.4")]
