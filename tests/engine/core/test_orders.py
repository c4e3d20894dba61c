"""What the venue says of our orders while the process runs."""

from decimal import Decimal

from msgspec.structs import replace

from engine.model.effects import LookUpOrder, SaveFill, SubmitOrder
from engine.model.events import OrderFilled
from engine.model.order import Order, OrderSide, OrderStatus
from engine.model.position import PositionStatus
from tests.engine.core.rig import SECOND, T0, Rig, position_id

D = Decimal


def entry(rig: Rig) -> Order:
    rig.signal("buy")
    rig.trade(100.0)
    return rig.submitted()[-1]


def test_a_fill_counts_once_however_often_it_is_told() -> None:
    rig = Rig()
    order = entry(rig)
    fill = rig.fill(order, "100", "0.4")
    again = rig.found(order, OrderStatus.PARTIALLY_FILLED, fill)
    assert rig.position(order.position_id).qty == D("0.4")
    assert not any(isinstance(effect, SaveFill) for effect in again)


def test_an_acknowledgement_that_a_fill_has_overtaken_takes_nothing_back() -> None:
    rig = Rig()
    order = entry(rig)
    rig.fill(order, "100", "0.4")
    rig.update(order, OrderStatus.ACKNOWLEDGED, venue_order_id="v1")
    assert rig.order(order).status is OrderStatus.PARTIALLY_FILLED
    assert rig.order(order).venue_order_id == "v1"


def test_a_final_status_without_all_its_fills_is_looked_up_and_not_believed() -> None:
    rig = Rig()
    order = entry(rig)
    fill = rig.fill(order, "100", "0.4")
    rig.update(order, OrderStatus.FILLED)
    assert rig.last[-1] == LookUpOrder(rig.order(order))
    assert rig.position(order.position_id).status is PositionStatus.OPENING
    rig.found(order, OrderStatus.FILLED, fill)  # the history lags behind
    assert rig.position(order.position_id).status is PositionStatus.OPENING
    rig.wait(1.1)
    assert rig.asked() == [order.client_order_id]
    rig.found(order, OrderStatus.FILLED, fill, rig.fill_of(order, "101", "0.6"))
    assert rig.position(order.position_id).status is PositionStatus.OPEN
    assert rig.position(order.position_id).qty == D(1)


def test_a_cancellation_that_counts_more_than_we_saw_is_looked_up() -> None:
    rig = Rig()
    order = entry(rig)
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.4"))
    assert rig.asked() == [order.client_order_id]


def test_an_unknown_outcome_is_asked_for_and_never_turns_into_a_failure() -> None:
    rig = Rig()
    order = entry(rig)
    rig.update(order, OrderStatus.UNKNOWN)
    pauses = []
    last = rig.now
    for _ in range(400):
        rig.wait(0.1)
        if rig.asked():
            pauses.append((rig.now - last) / SECOND)
            last = rig.now
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 10, 10]
    assert rig.order(order).status is OrderStatus.UNKNOWN
    assert len(rig.submitted()) == 1


def test_an_order_that_was_sent_and_not_heard_of_is_asked_for_after_a_second() -> None:
    rig = Rig()
    order = entry(rig)
    rig.wait(30)
    assert rig.asked() == []  # it waits for its commit
    rig.sent(order)
    rig.wait(0.9)
    assert rig.asked() == []
    rig.wait(0.1)
    assert rig.asked() == [order.client_order_id]


def test_an_exit_of_which_not_even_the_sending_was_told_is_asked_for() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    rig.wait(10)
    assert rig.asked() == [rig.exits()[0].client_order_id]


def test_two_answers_that_an_exit_is_absent_lead_to_one_request() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    order = rig.exits()[0]
    rig.sent(order)
    rig.wait(1)
    rig.wait(2)
    rig.absent(order)
    assert rig.submitted(rig.last) == [rig.order(order)]
    rig.absent(order)
    assert rig.last == ()
    rig.sent(order)
    rig.absent(order)  # older than the request
    assert rig.last == ()
    rig.wait(1)
    rig.absent(order)
    assert len(rig.submitted(rig.last)) == 1


def test_an_absent_part_close_is_sent_again_while_it_is_held() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    order = rig.exits()[0]
    rig.sent(order)
    rig.wait(1)
    rig.absent(order)
    assert SubmitOrder(rig.order(order), after_commit=False) in rig.last


def test_an_absent_exit_of_what_is_gone_is_dropped() -> None:
    rig = Rig()
    position = rig.open()
    rig.trade(95.0)
    order = rig.exits()[0]
    rig.foreign(position.instrument, "sell", "0.6", "95")
    rig.sent(order)
    rig.wait(1)
    rig.absent(order)
    assert rig.order(order).status is OrderStatus.CANCELLED
    rig.wait(1)
    assert rig.exits()[-1].qty == D("0.4")


def test_news_of_orders_that_are_not_ours_or_ended_is_nothing() -> None:
    rig = Rig()
    order = entry(rig)
    rig.filled(order, "100")
    assert rig.sent(order) == ()
    assert rig.update(order, OrderStatus.FILLED) == ()


def test_that_an_order_was_sent_is_kept_and_told_late_takes_nothing_back() -> None:
    rig = Rig()
    order = entry(rig)
    rig.sent(order)
    assert rig.order(order).status is OrderStatus.SENT
    rig.fill(order, "100", "0.1")
    rig.sent(order)
    assert rig.order(order).status is OrderStatus.PARTIALLY_FILLED


def test_a_fill_of_the_other_side_under_our_id_is_never_booked() -> None:
    rig = Rig()
    order = entry(rig)
    wrong = rig.fill_of(order, "100", "0.4")
    rig.handle(OrderFilled(replace(wrong, side=OrderSide.SELL), rig.now))
    assert rig.position(order.position_id).qty == D(0)
    assert rig.notices() == ["order.contradicted"]


def test_a_restarted_clock_never_makes_time_go_back() -> None:
    rig = Rig()
    order = entry(rig)
    rig.sent(order)
    rig.set_wall_clock(-100)
    assert rig.asked() == []
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    assert rig.now < T0
    assert rig.position(position_id(1)).status is PositionStatus.OPENING
