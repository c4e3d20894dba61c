from decimal import Decimal

from engine.model.events import OrderDeferred, OrderFilled, OrderLookedUp, OrderUpdated
from engine.model.ids import Purpose
from engine.model.order import Order, OrderStatus
from engine.simulation.checks.known import Known
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import fill, order


def asked() -> tuple[Known, Order]:
    known, out = Known(), order(Purpose.EXIT)
    known.ask(out)
    return known, out


def test_an_order_is_in_flight_until_its_end_is_told():
    known, out = asked()
    assert known.in_flight("x") == [out]
    assert known.in_flight("e") == []
    known.take(OrderUpdated(out.client_order_id, OrderStatus.REJECTED, EPOCH_NS))
    assert known.in_flight("x") == []
    known.ask(out)
    assert known.in_flight("x") == [out]
    known.take(OrderDeferred(out.client_order_id, EPOCH_NS))
    assert known.in_flight("x") == []


def test_an_order_whose_fills_add_up_is_over_and_each_counts_once():
    known, out = asked()
    half = OrderFilled(fill(out, 1, "94", "0.5"), EPOCH_NS)
    known.take(half)
    known.take(half)
    assert known.filled[out.client_order_id] == Decimal("0.5")
    assert known.in_flight("x") == [out]
    rest = fill(out, 2, "94", "0.5")
    known.take(OrderLookedUp(out.client_order_id, EPOCH_NS, True, fills=(rest,)))
    assert known.in_flight("x") == []


def test_three_misses_or_a_certain_one_may_prove_an_order_absent():
    known, out = asked()
    missed = OrderLookedUp(out.client_order_id, EPOCH_NS, False)
    for _ in range(3):
        assert known.in_flight("x") == [out]
        known.take(missed)
    assert known.in_flight("x") == []
    assert known.in_flight("x", missing=True) == [out]
    known.ask(out)
    known.take(OrderLookedUp(out.client_order_id, EPOCH_NS, False, certain=True))
    assert known.in_flight("x") == []
