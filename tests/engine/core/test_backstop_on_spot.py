"""On spot a backstop locks the asset, so closes wait for its end."""

from engine.model.exits import Disarmed, ExitReason, Percent
from engine.model.order import Order, OrderStatus
from engine.model.position import Position, PositionStatus
from engine.model.rules.ladder import Rung
from engine.model.signal import Outcome, Size, SizeKind
from tests.engine.core.backstop_rig import ALL, BackstopRig, D
from tests.engine.core.rig import BTC_SPOT


def on_spot(**fields: object) -> tuple[BackstopRig, Position, Order]:
    rig = BackstopRig(backstops=ALL)
    position, order = rig.protected(instrument=BTC_SPOT, **fields)
    return rig, position, order


def test_on_spot_the_close_is_sent_when_the_end_of_the_cancellation_is_known() -> None:
    rig, position, order = on_spot()
    rig.trade(95.0, BTC_SPOT, received_ns=rig.monotonic_ns)
    assert rig.cancelled() == [order.client_order_id]
    assert rig.exits() == []
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.wait(0.1)
    rig.gone(order)
    (close,) = rig.exits()
    assert (close.qty, close.reason, close.trigger_price) == (D(1), "stop_loss", D(95))
    rig.filled(close, "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_on_spot_the_close_is_sent_too_when_a_look_up_finds_the_end() -> None:
    rig, _, order = on_spot()
    rig.trade(95.0, BTC_SPOT)
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    rig.found(order, OrderStatus.CANCELLED)
    assert len(rig.exits()) == 1


def test_on_spot_the_rest_is_closed_when_it_triggered_meanwhile() -> None:
    rig, position, order = on_spot()
    rig.trade(95.0, BTC_SPOT)
    rig.fill(order, "90", "0.6")
    assert rig.exits() == []
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.6"))
    assert [o.qty for o in rig.exits()] == [D("0.4")]
    rig.filled(rig.exits()[-1], "90")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)


def test_on_spot_a_triggered_one_is_not_cancelled() -> None:
    rig, position, order = on_spot()
    rig.fill(order, "90", "0.6")
    rig.close(position)
    rig.wait(0.1)
    assert rig.cancelled(rig.effects) == []
    rig.filled(order, "90", qty="0.4")
    assert rig.position(position).exit_reason is ExitReason.BACKSTOP


def test_on_spot_a_close_need_not_wait_for_one_that_waits_for_its_commit() -> None:
    rig = BackstopRig(backstops=ALL)
    rig.open(instrument=BTC_SPOT)
    rig.trade(95.0, BTC_SPOT)
    assert len(rig.exits()) == 1
    assert rig.order(rig.placed()[-1]).status is OrderStatus.CANCELLED


def test_on_spot_a_whole_close_takes_the_place_of_parts_that_wait() -> None:
    rig, position, order = on_spot()
    rig.close(position, "0.3")
    rig.close(position, "0.3")
    rig.close(position)
    rig.close(position)
    assert rig.exits() == []
    rig.gone(order)
    assert [o.qty for o in rig.exits()] == [D(1)]


def test_on_spot_parts_are_sold_when_it_is_gone_and_the_rest_is_protected_again() -> None:
    rig, position, order = on_spot()
    first = rig.signal("close", BTC_SPOT, size=Size(SizeKind.PERCENT, D(40)))
    second = rig.signal("close", BTC_SPOT, size=Size(SizeKind.PERCENT, D(10)))
    assert rig.outcome(first).outcome is Outcome.PENDING
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    assert [o.qty for o in rig.exits()] == [D("0.4"), D("0.1")]
    for part in rig.exits():
        rig.filled(part, "100")
    assert rig.outcome(first).outcome is Outcome.CLOSED
    assert rig.outcome(second).outcome is Outcome.CLOSED
    assert rig.placed()[-1].qty == D("0.5")
    assert rig.position(position).status is PositionStatus.OPEN


def test_on_spot_a_part_after_which_nothing_is_left_ends_what_waits() -> None:
    rig, position, order = on_spot()
    rig.close(position, "0.6")
    rig.close(position, "0.6")
    rig.gone(order)
    assert sum(o.qty for o in rig.exits()) == D(1)


def test_on_spot_a_close_waits_once_however_often_it_is_gone_on_with() -> None:
    rig = BackstopRig(backstops=ALL, add_on_same=True)
    position, order = rig.protected(instrument=BTC_SPOT)
    rig.signal("buy", BTC_SPOT)
    add = rig.submitted()[-1]
    rig.sent(add)
    rig.close(position)
    rig.filled(add, "100")
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    assert [o.qty for o in rig.exits()] == [D(2)]


def test_on_spot_what_waits_says_nothing_of_a_position_that_is_worth_too_little_by_then() -> None:
    rig, position, order = on_spot(stop_loss=Disarmed())
    rig.close(position, "0.88")
    rig.gone(order)
    rig.filled(rig.exits()[-1], "100")
    order = rig.rest()
    rig.close(position, "0.5")
    rig.close(position, "0.5")
    rig.trade(40.0, BTC_SPOT)
    rig.gone(order)
    closed = rig.position(position)
    assert (closed.status, closed.dust) == (PositionStatus.CLOSED, D("0.12"))
    assert len(rig.exits()) == 1


def test_on_spot_what_is_bought_while_it_sells_is_closed_after_it() -> None:
    rig = BackstopRig(backstops=ALL, add_on_same=True)
    _, order = rig.protected(instrument=BTC_SPOT)
    rig.signal("buy", BTC_SPOT)
    add = rig.submitted()[-1]
    rig.sent(add)
    rig.fill(order, "90", "0.6")
    rig.filled(add, "90", qty="1")
    assert rig.exits() == []
    rig.filled(order, "90", qty="0.4")
    assert rig.cancelled(rig.effects) == []
    assert [o.qty for o in rig.exits()] == [D(1)]


def test_on_spot_a_rung_waits_and_is_closed_once() -> None:
    rig, _, order = on_spot(ladder=(Rung(Percent(D(5)), D("0.5")),))
    rig.trade(105.0, BTC_SPOT)
    rig.trade(106.0, BTC_SPOT)
    rig.wait(0.1)
    assert rig.exits() == []
    rig.gone(order)
    assert [(o.qty, o.reason) for o in rig.exits()] == [(D("0.5"), "ladder")]
    rig.filled(rig.exits()[-1], "105")
    assert rig.placed()[-1].qty == D("0.5")


def test_on_spot_a_position_sold_by_hand_while_a_part_waits_ends() -> None:
    rig, position, order = on_spot()
    rig.close(position, "0.5")
    rig.foreign(BTC_SPOT, "sell", "1", "100")
    rig.gone(order)
    assert rig.exits() == []
    assert rig.position(position).status is PositionStatus.CLOSED
