"""When a backstop is placed, moved and taken down."""

from engine.model.effects import SubmitOrder
from engine.model.events import LeaseChanged, TradingResumed, TradingStopped
from engine.model.exits import AtPrice, Percent
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from tests.engine.core.backstop_rig import ALL, BackstopRig, D
from tests.engine.core.restarts import answer_absent, restarted
from tests.engine.core.rig import BTC_SPOT, ETH_PERP, Rig


def test_off_there_is_none() -> None:
    rig = Rig()
    position = rig.open()
    rig.wait(10)
    assert [order.purpose for order in rig.submitted()] == ["entry"]
    assert rig.position(position).backstop is None


def test_it_is_placed_when_the_entry_is_final_and_sent_after_its_commit() -> None:
    rig = BackstopRig()
    position = rig.open()
    order = rig.placed()[-1]
    assert SubmitOrder(order, after_commit=True) in rig.last
    assert rig.order(order).status is OrderStatus.INTENDED
    assert rig.position(position).backstop_generation == 0
    rig.commit(order)
    assert rig.position(position).backstop is None
    rig.update(order, OrderStatus.ACKNOWLEDGED)
    assert rig.position(position).backstop == D("90.2")
    assert rig.guardian.backstops() == [rig.order(order)]
    assert rig.guardian.orders_in_flight() == []


def test_it_waits_two_seconds_for_the_rest_of_an_entry() -> None:
    rig = BackstopRig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.fill(entry, "100", "0.4")
    rig.wait(1)
    rig.fill(entry, "100", "0.1")
    rig.wait(0.9)
    assert rig.placed() == []
    rig.wait(0.1)
    assert [order.qty for order in rig.placed()] == [D("0.5")]


def test_it_is_sent_once_and_asked_for_if_nothing_is_heard() -> None:
    rig = BackstopRig()
    rig.open()
    order = rig.placed()[-1]
    rig.wait(60)
    assert order.client_order_id not in rig.asked(rig.effects)  # it waits for its commit
    rig.guardian.entry_refusal(order, rig.now)
    rig.wait(9.9)
    assert rig.asked() == []
    rig.wait(0.1)
    assert rig.asked() == [order.client_order_id]
    assert len(rig.placed()) == 1


def test_one_that_rests_is_looked_up_now_and_then() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.wait(599)
    assert rig.asked() == []
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    rig.found(order, OrderStatus.ACKNOWLEDGED)
    rig.wait(599)
    assert rig.asked() == []


def test_it_follows_the_stop_by_the_next_one_after_the_end_of_the_one_before() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.wait(5)
    rig.amend(position, stop_loss=AtPrice(D(98)))
    assert rig.cancelled() == [order.client_order_id]
    rig.wait(0.1)
    rig.amend(position, stop_loss=AtPrice(D(97)))
    assert rig.cancelled() == []  # it was asked for
    assert len(rig.placed()) == 1
    rig.gone(order)
    new = rig.placed()[-1]
    assert (new.client_order_id, new.trigger_price) == (f"{position.id}b1", D("92.1"))
    assert rig.position(position).backstop is None
    rig.rest()
    assert rig.position(position).backstop == D("92.1")


def test_it_is_moved_at_most_every_five_seconds() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.wait(4.8)
    rig.amend(position, stop_loss=AtPrice(D(98)))
    rig.amend(position, stop_loss=AtPrice(D(97)))
    rig.wait(0.1)
    assert rig.cancelled(rig.effects) == []
    rig.wait(0.1)
    assert rig.cancelled() == [order.client_order_id]


def test_what_comes_back_in_time_is_not_moved() -> None:
    rig = BackstopRig()
    position, _ = rig.protected()
    rig.amend(position, stop_loss=AtPrice(D(98)))
    rig.amend(position, stop_loss=Percent(D(5)))
    rig.wait(10)
    assert rig.cancelled(rig.effects) == []


def test_it_is_made_smaller_at_once() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.close(position, "0.4")
    rig.filled(rig.exits()[-1], "100")
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    assert rig.placed()[-1].qty == D("0.6")


def test_it_is_made_larger_when_more_is_bought() -> None:
    rig = BackstopRig(add_on_same=True)
    _, order = rig.protected()
    rig.signal("buy")
    add = rig.submitted()[-1]
    rig.sent(add)
    rig.filled(add, "100")
    rig.wait(4.9)
    assert rig.cancelled(rig.effects) == []
    rig.wait(0.1)
    assert rig.cancelled() == [order.client_order_id]


def test_small_moves_of_a_trailing_stop_are_not_followed() -> None:
    rig = BackstopRig()
    _, order = rig.protected(instrument=ETH_PERP, trailing=Percent(D(3)))
    assert order.trigger_price == D("92.15")
    rig.wait(5)
    rig.trade(100.05, ETH_PERP)
    rig.wait(5)
    assert rig.cancelled(rig.effects) == []
    rig.trade(100.2, ETH_PERP)
    rig.wait(5)
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    assert rig.placed()[-1].trigger_price == D("92.34")


def test_any_change_of_a_stop_by_its_owner_is_followed() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.wait(5)
    rig.amend(position, stop_loss=AtPrice(D("95.1")))
    assert rig.cancelled() == [order.client_order_id]


def test_the_close_goes_at_once_and_the_backstop_is_cancelled_in_the_same_step() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.trade(95.0)
    assert [o.qty for o in rig.submitted(rig.last)] == [D(1)]
    assert rig.cancelled() == [order.client_order_id]
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.gone(order)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, "stop_loss")
    assert closed.backstop is None
    assert len(rig.placed()) == 1
    rig.wait(10)
    assert rig.submitted(rig.last) == []


def test_the_close_may_end_after_the_backstop() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.trade(95.0)
    rig.gone(order)
    assert len(rig.exits()) == 1
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_cancellation_that_is_not_answered_is_looked_up_and_asked_for_again() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.trade(95.0)
    rig.filled(rig.exits()[-1], "95")
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    rig.found(order, OrderStatus.ACKNOWLEDGED)
    assert rig.cancelled() == [order.client_order_id]
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]


def test_a_pause_of_the_venue_holds_the_cancellation_back_too() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.close(position, "0.5")
    rig.deferred(rig.exits()[-1], retry_after_s=3)
    rig.close(position)
    assert rig.cancelled(rig.effects) == []
    rig.wait(3)
    assert order.client_order_id in rig.asked()
    rig.found(order, OrderStatus.ACKNOWLEDGED)
    assert rig.cancelled() == [order.client_order_id]


def test_one_that_waits_for_its_commit_is_dropped_when_the_position_changes() -> None:
    rig = BackstopRig()
    rig.open()
    order = rig.placed()[-1]
    rig.trade(95.0)
    assert rig.cancelled() == []
    assert rig.order(order).status is OrderStatus.CANCELLED
    refusal = rig.guardian.entry_refusal(order, rig.now)
    assert refusal == "settled: the backstop is not wanted any more"
    rig.gone(order)
    assert rig.last == ()


def test_the_next_one_takes_the_place_of_one_that_waits_for_its_commit() -> None:
    rig = BackstopRig()
    position = rig.open()
    first = rig.placed()[-1]
    rig.close(position, "0.5")
    rig.filled(rig.exits()[-1], "100")
    assert rig.order(first).status is OrderStatus.CANCELLED
    assert [order.qty for order in rig.placed()] == [D(1), D("0.5")]


def test_past_the_lease_none_is_sent_or_moved() -> None:
    rig = BackstopRig()
    position = rig.open()
    order = rig.placed()[-1]
    rig.handle(LeaseChanged(held=False, at_ns=rig.now))
    refusal = rig.guardian.entry_refusal(order, rig.now)
    assert str(refusal).startswith("held_back:")
    rig.update(order, OrderStatus.CANCELLED, message=refusal)
    rig.wait(5)
    assert len(rig.placed()) == 1
    assert rig.position(position).backstop_problem is None  # the venue did not refuse it
    rig.handle(LeaseChanged(held=True, at_ns=rig.now))
    rig.wait(1)
    order = rig.rest()
    assert order.client_order_id == f"{position.id}b1"
    rig.handle(LeaseChanged(held=False, at_ns=rig.now))
    rig.wait(6)
    rig.amend(position, stop_loss=AtPrice(D(97)))
    rig.wait(6)
    assert rig.cancelled(rig.effects) == []
    rig.handle(LeaseChanged(held=True, at_ns=rig.now))
    rig.wait(1)
    assert rig.cancelled() == [order.client_order_id]


def test_a_venue_that_takes_nothing_gets_none_until_it_does() -> None:
    rig = BackstopRig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.handle(TradingStopped("bybit", "renew the key", rig.now))
    rig.filled(entry, "100")
    rig.wait(5)
    assert rig.placed() == []
    rig.handle(TradingResumed("bybit", rig.now))
    rig.wait(1)
    assert len(rig.placed()) == 1


def test_one_that_is_not_wanted_any_more_after_a_restart_is_taken_down() -> None:
    old = BackstopRig()
    position, order = old.protected()
    rig = restarted(BackstopRig(backstops=frozenset()), old)
    assert rig.asked(rig.effects).count(order.client_order_id) == 1
    answer_absent_of(rig, position.id)
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    rig.wait(10)
    assert rig.position(position).backstop is None
    assert rig.placed() == []


def test_on_spot_none_is_placed_while_an_exit_is_under_way() -> None:
    rig = BackstopRig(backstops=ALL)
    position, first = rig.protected(instrument=BTC_SPOT)
    rig.close(position, "0.5")
    assert rig.exits() == []
    rig.gone(first)
    part = rig.exits()[-1]
    rig.sent(part, rig.monotonic_ns)
    rig.wait(30)
    assert len(rig.placed()) == 1
    rig.filled(part, "100")
    assert [order.qty for order in rig.placed()] == [D(1), D("0.5")]


def test_on_spot_one_is_placed_again_after_a_refused_part() -> None:
    rig = BackstopRig(backstops=ALL)
    position, first = rig.protected(instrument=BTC_SPOT)
    rig.close(position, "0.5")
    rig.gone(first)
    rig.update(rig.exits()[-1], OrderStatus.REJECTED)
    rig.wait(1)
    assert [order.qty for order in rig.placed()] == [D(1), D(1)]


def answer_absent_of(rig: BackstopRig, position_id: str) -> None:
    """Have nothing been sent before the start that is not on disk."""
    for generation in range(4):
        rig.absent(f"{position_id}x{generation}")


def test_a_position_found_without_one_gets_one_when_its_orders_are_accounted_for() -> None:
    old = Rig()
    old.open()
    rig = restarted(BackstopRig(), old)
    rig.wait(1)
    assert rig.placed() == []
    answer_absent(rig, 0, 1, 2, 3)
    assert [order.trigger_price for order in rig.placed()] == [D("90.2")]
