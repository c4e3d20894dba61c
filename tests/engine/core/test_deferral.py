"""Requests that the venue did not take, and filters that it read again."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.effects import RefreshInstrument, SubmitOrder
from engine.model.events import (
    AccountResumed,
    BotSwitched,
    InstrumentRefreshed,
    LeaseChanged,
    OrderDeferred,
)
from engine.model.exits import Disarmed, Percent, Points
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderStatus, Refusal
from engine.model.position import Position, PositionStatus
from tests.engine.core.ladders import opened as with_ladder
from tests.engine.core.rig import BTC_PERP, ETH_PERP, SECOND, Rig

D = Decimal


def closing() -> tuple[Rig, Position, Order]:
    rig = Rig()
    position = rig.open()
    rig.trade(95.0)
    return rig, position, rig.exits()[0]


def entering() -> tuple[Rig, Order]:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    return rig, rig.submitted()[0]


def until_sent(rig: Rig) -> float:
    """Seconds until something is sent, to a tenth."""
    for tenth in range(1, 2000):
        if rig.submitted(rig.wait(0.1)):
            return tenth / 10
    raise AssertionError("nothing is sent")


# Requests


def test_a_deferred_close_goes_again_under_its_id_and_nothing_is_asked_meanwhile() -> None:
    rig, _, order = closing()
    rig.sent(order)
    rig.deferred(order, 7)
    for _ in range(6):
        rig.wait(1)
        assert rig.asked() == []
        assert rig.submitted(rig.last) == []
    rig.wait(1)
    assert SubmitOrder(rig.order(order), after_commit=False) in rig.last
    assert rig.submitted()[-1].client_order_id == order.client_order_id
    assert "order.deferred" in rig.logged()


def test_pauses_grow_to_a_minute_where_the_venue_names_none() -> None:
    rig, _, order = closing()
    pauses = []
    for _ in range(8):
        rig.deferred(order)
        pauses.append(round(until_sent(rig)))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_no_pause_is_shorter_than_a_second() -> None:
    rig, _, order = closing()
    rig.deferred(order, 0.2)
    assert until_sent(rig) == 1.0


def test_a_pause_begins_when_the_venue_named_it_though_the_clock_lags_behind() -> None:
    rig, _, order = closing()
    rig.now += SECOND // 2
    rig.monotonic_ns += SECOND // 2
    rig.deferred(order, 2)
    assert until_sent(rig) == 2.0


def test_a_deferred_order_is_not_looked_up_when_the_stream_of_the_account_is_back() -> None:
    rig, _, order = closing()
    rig.sent(order)
    rig.deferred(order, 5)
    rig.handle(AccountResumed("bybit", rig.now))
    assert rig.asked() == []


def test_a_deferral_that_is_told_twice_counts_once() -> None:
    rig, _, order = closing()
    rig.deferred(order, 5)
    assert rig.deferred(order, 60) == ()
    assert until_sent(rig) == 5.0
    rig.now -= SECOND
    assert rig.deferred(order) == ()  # it was said before the request went again
    rig.now += SECOND
    assert rig.submitted(rig.wait(1)) == []


def test_a_deferral_of_what_is_not_in_flight_is_nothing() -> None:
    rig, _, order = closing()
    rig.filled(order, "95")
    assert rig.deferred(order) == ()


@pytest.mark.parametrize("sign", ["fill", "acknowledged", "found", "unknown"])
def test_a_deferred_order_that_turns_up_is_not_sent_again(sign: str) -> None:
    rig, _, order = closing()
    rig.sent(order)
    rig.deferred(order, 2)
    match sign:
        case "fill":
            rig.fill(order, "95", "0.3")
        case "acknowledged":
            rig.update(order, OrderStatus.ACKNOWLEDGED)
        case "found":
            rig.found(order, OrderStatus.ACKNOWLEDGED, qty=order.qty)
        case _:
            rig.update(order, OrderStatus.UNKNOWN)
    assert rig.asked(rig.wait(1)) == [order.client_order_id]
    rig.wait(5)
    assert len(rig.exits()) == 1


@pytest.mark.parametrize("status", [OrderStatus.ACKNOWLEDGED, OrderStatus.UNKNOWN])
def test_a_deferral_of_what_the_venue_may_have_is_looked_up(status: OrderStatus) -> None:
    rig, _, order = closing()
    rig.update(order, status)
    rig.deferred(order)
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    assert len(rig.exits()) == 1


def test_that_a_deferred_request_was_sent_told_late_asks_for_nothing() -> None:
    rig, _, order = closing()
    rig.deferred(order, 5)
    rig.sent(order)
    rig.wait(1.1)
    assert rig.asked() == []


def test_a_deferred_close_of_what_is_gone_is_dropped() -> None:
    rig, position, order = closing()
    rig.deferred(order)
    rig.foreign(position.instrument, "sell", "0.6", "95")
    rig.wait(1)
    assert rig.order(order).status is OrderStatus.CANCELLED
    rig.wait(1)
    assert rig.exits()[-1].qty == D("0.4")


def test_a_deferred_entry_goes_again_after_its_commit_while_it_is_wanted() -> None:
    rig, order = entering()
    rig.sent(order)
    rig.deferred(order, 3)
    rig.wait(3)
    assert rig.last[-1] == SubmitOrder(rig.order(order), after_commit=True)
    rig.wait(30)
    assert rig.asked() == []  # it waits for its commit


@pytest.mark.parametrize("reason", ["bot_stopped", "too_old", "fenced"])
def test_a_deferred_entry_that_is_not_wanted_any_more_is_rejected(reason: str) -> None:
    rig, order = entering()
    rig.deferred(order, 61 if reason == "too_old" else 3)
    if reason == "bot_stopped":
        rig.handle(BotSwitched(False, "owner", rig.now))
    elif reason == "fenced":
        rig.handle(LeaseChanged(False, rig.now))
    rig.wait(62)
    assert rig.order(order).status is OrderStatus.REJECTED
    assert str(rig.order(order).message).startswith(reason)
    assert len(rig.submitted()) == 1


def test_three_deferrals_in_a_row_are_alarmed_once_and_the_close_is_still_sent() -> None:
    rig, position, order = closing()
    for _ in range(5):
        rig.deferred(order)
        until_sent(rig)
    assert rig.notices().count("position.stuck") == 1
    assert rig.position(position).status is PositionStatus.STUCK
    assert {o.client_order_id for o in rig.exits()} == {order.client_order_id}
    rig.close(position)  # its order is still to be sent
    assert {o.client_order_id for o in rig.exits()} == {order.client_order_id}


@pytest.mark.parametrize("sign", ["fill", "acknowledged"])
def test_a_deferred_close_that_is_taken_is_closing_again(sign: str) -> None:
    rig, position, order = closing()
    for _ in range(3):
        rig.deferred(order)
        until_sent(rig)
    if sign == "fill":
        rig.fill(order, "95", "0.3")
    else:
        rig.update(order, OrderStatus.ACKNOWLEDGED)
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.filled(order, "95", qty=None if sign == "acknowledged" else "0.7")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_refusals_and_deferrals_in_a_row_are_counted_together() -> None:
    rig, position, order = closing()
    rig.update(order, OrderStatus.REJECTED)
    rig.wait(1)
    rig.deferred(rig.exits()[-1])
    assert rig.position(position).status is PositionStatus.CLOSING
    until_sent(rig)
    rig.deferred(rig.exits()[-1])
    assert rig.position(position).status is PositionStatus.STUCK


def test_a_deferred_part_leaves_its_position_open() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    for _ in range(4):
        rig.deferred(rig.exits()[0])
        until_sent(rig)
    assert rig.position(position).status is PositionStatus.OPEN
    assert "position.stuck" not in rig.notices()


def test_a_deferred_close_is_looked_up_when_the_lease_is_over() -> None:
    rig, _, order = closing()
    rig.deferred(order)
    rig.handle(LeaseChanged(False, rig.now))
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    assert len(rig.exits()) == 1
    rig.absent(order)
    assert len(rig.exits()) == 2


def test_a_pause_that_seems_to_begin_far_ahead_is_not_believed() -> None:
    rig, _, order = closing()
    event = OrderDeferred(order.client_order_id, rig.now + 3600 * SECOND, 2 * SECOND)
    rig.handle(event)
    assert until_sent(rig) <= 3.0


# Filters


def refreshed(rig: Rig, instrument: Instrument) -> None:
    rig.handle(InstrumentRefreshed(instrument, rig.now))


def refuse(rig: Rig, order: Order, refusal: Refusal = Refusal.FILTERS, **fields: Any) -> None:
    rig.update(order, OrderStatus.REJECTED, refusal=refusal, message="refused", **fields)


def test_an_exit_refused_for_its_filters_goes_by_those_that_are_read_again() -> None:
    rig, _, order = closing()
    refuse(rig, order)
    assert RefreshInstrument(BTC_PERP) in rig.last
    refreshed(rig, replace(BTC_PERP, qty_step=D("0.3")))
    again = rig.exits()[-1]
    assert (again.generation, again.qty) == (1, D("0.9"))
    assert again.instrument.qty_step == D("0.3")


def test_an_exit_refused_for_its_filters_waits_its_pause_when_none_come() -> None:
    rig, _, order = closing()
    refuse(rig, order)
    rig.wait(0.9)
    assert len(rig.exits()) == 1
    rig.wait(0.1)
    assert len(rig.exits()) == 2


def test_filters_that_are_as_they_were_do_not_hasten_what_is_stuck() -> None:
    rig, position, _ = closing()
    for _ in range(3):
        refuse(rig, rig.exits()[-1])
        refreshed(rig, BTC_PERP)
    assert rig.position(position).status is PositionStatus.STUCK
    assert len(rig.exits()) == 3
    rig.wait(4.9)
    assert len(rig.exits()) == 3
    refreshed(rig, replace(BTC_PERP, max_market_qty=D("0.5")))
    assert rig.exits()[-1].qty == D("0.5")


def test_filters_read_for_another_reason_do_not_hasten_an_exit() -> None:
    rig, _, order = closing()
    refuse(rig, order, Refusal.OTHER)
    refreshed(rig, replace(BTC_PERP, qty_step=D("0.01")))
    assert len(rig.exits()) == 1


def test_a_rung_refused_for_its_filters_goes_by_those_that_are_read_again() -> None:
    rig, _ = with_ladder("5:0.5")
    rig.trade(105.0)
    refuse(rig, rig.exits()[-1])
    refreshed(rig, replace(BTC_PERP, qty_step=D("0.3")))
    assert rig.exits()[-1].qty == D("0.3")


def test_limits_lie_on_the_new_ticks_and_are_guarded_there() -> None:
    rig = Rig()
    position = rig.open(price="101")
    assert rig.position(position).stop_loss == D("96.0")
    refreshed(rig, replace(BTC_PERP, tick_size=D(5)))
    assert rig.position(position).stop_loss == D(100)
    rig.trade(99.0)
    assert len(rig.exits()) == 1


def test_a_peak_that_has_moved_is_kept_when_filters_change() -> None:
    rig = Rig()
    position = rig.open(trailing=Points(D(3)), take_profit=Disarmed(), stop_loss=Percent(D(50)))
    rig.trade(120.0)
    refreshed(rig, replace(BTC_PERP, tick_size=D("0.5")))
    peak = rig.position(position).progress.peak
    assert peak == D(120)
    refreshed(rig, replace(BTC_PERP, tick_size=D("0.5"), min_qty=D("0.002")))
    rig.trade(117.0)
    assert len(rig.exits()) == 1


def test_new_ticks_arm_nothing_that_is_being_closed() -> None:
    rig, position, order = closing()
    refreshed(rig, replace(BTC_PERP, tick_size=D(5)))
    rig.trade(50.0)
    assert rig.exits() == [order]
    assert rig.position(position).instrument.tick_size == D(5)


def test_filters_of_what_nobody_watches_are_nothing() -> None:
    rig = Rig()
    refreshed(rig, ETH_PERP)
    assert rig.last == ()


def test_a_pause_is_kept_whole_where_utc_was_set_back_just_before() -> None:
    rig, _, order = closing()
    rig.sent(order)
    rig.now -= 3600 * SECOND
    rig.deferred(order, 7)
    rig.now += 3600 * SECOND
    assert until_sent(rig) >= 7.9


def test_an_answer_that_is_older_than_the_clock_makes_its_pause_no_longer() -> None:
    rig, _, order = closing()
    rig.sent(order)
    rig.wait(0)
    older_ns = rig.now - SECOND // 1000
    rig.handle(OrderDeferred(order.client_order_id, older_ns, 7 * SECOND))
    assert until_sent(rig) == 7.0
