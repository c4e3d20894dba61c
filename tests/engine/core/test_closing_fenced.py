"""Closes past the lease: another process may have sent them."""

from engine.model.effects import LookUpOrder, SaveOrder
from engine.model.events import LeaseChanged
from engine.model.order import Order, OrderStatus
from engine.model.position import PositionStatus
from tests.engine.core.rig import Rig


def fenced() -> tuple[Rig, Order]:
    """A close that was decided when the lease was over."""
    rig = Rig()
    position = rig.open()
    rig.handle(LeaseChanged(False, rig.now))
    rig.trade(95.0)
    (order,) = [o for o in rig.guardian.orders_in_flight() if o.position_id == position.id]
    return rig, order


def test_a_close_past_the_lease_is_looked_up_before_it_is_sent() -> None:
    rig, order = fenced()
    assert rig.exits() == []
    assert LookUpOrder(order) in rig.last
    assert SaveOrder(order) in rig.last
    assert order.status is OrderStatus.INTENDED
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    rig.missed(order)
    rig.account()
    for _ in range(8):
        rig.wait(1)
        rig.missed(order)
    assert rig.exits() == []
    rig.wait(1)
    rig.missed(order)
    assert rig.exits() == [order]


def test_a_close_that_another_process_has_sent_is_not_sent_again() -> None:
    rig, order = fenced()
    rig.found(order, OrderStatus.FILLED, rig.fill_of(order, "95"), qty=order.qty)
    assert rig.position(order.position_id).status is PositionStatus.CLOSED
    assert rig.exits() == []


def test_an_entry_is_refused_past_the_lease() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[0]
    assert rig.guardian.entry_refusal(entry, rig.now) is None
    rig.handle(LeaseChanged(False, rig.now))
    assert str(rig.guardian.entry_refusal(entry, rig.now)).startswith("fenced: ")
