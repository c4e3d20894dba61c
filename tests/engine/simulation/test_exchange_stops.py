"""Stop orders at a venue as it truly is: they rest, are triggered, and are cancelled."""

import pytest
from msgspec.structs import replace

from engine.model.events import OrderUpdated
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderSide, OrderStatus
from tests.engine.simulation.rig import PERP, SPOT
from tests.engine.simulation.test_exchange import POSITION, D, Stage


def stop_order(stage: Stage, instrument: Instrument, trigger: str) -> Order:
    """Have something held, and a stop order of it rest."""
    stage.buy(instrument)
    stop = replace(
        stage.order(instrument, 1, "0.05"),
        client_order_id=client_order_id(POSITION, Purpose.BACKSTOP, 0),
        purpose=Purpose.BACKSTOP,
        side=OrderSide.SELL,
        trigger_price=D(trigger),
        reduce_only=instrument is PERP,
    )
    (answer,) = stage.exchange.take(stop)
    assert isinstance(answer, OrderUpdated)
    assert answer.status is OrderStatus.ACKNOWLEDGED
    return stop


@pytest.mark.parametrize("instrument", [PERP, SPOT])
def test_a_stop_order_rests_until_a_price_reaches_it(instrument: Instrument) -> None:
    stage = Stage()
    stop = stop_order(stage, instrument, "950")
    for price in (1000.0, 940.0, 940.0):
        stage.pass_ms(100)
        stage.price(instrument, price)
    assert stage.exchange.look_up(stop.client_order_id).status is OrderStatus.FILLED


def test_one_that_would_be_triggered_at_once_is_refused_by_the_price_of_now() -> None:
    stage = Stage()
    stage.buy()
    stage.pass_ms(100)
    stage.exchange.model.marks.clear()
    stop = replace(
        stage.order(PERP, 1, "0.05"),
        purpose=Purpose.BACKSTOP, side=OrderSide.SELL, trigger_price=D(1100), reduce_only=True,
    )  # fmt: skip
    (answer,) = stage.exchange.take(stop)
    assert isinstance(answer, OrderUpdated)
    assert answer.status is OrderStatus.REJECTED


def test_a_cancellation_is_answered_and_told_by_the_stream() -> None:
    stage = Stage()
    stop = stop_order(stage, PERP, "950")
    reports = stage.exchange.cancel(stop.client_order_id)
    assert [r.status for r in reports if isinstance(r, OrderUpdated)] == [OrderStatus.CANCELLED]
    assert stage.heard[-len(reports) :] == reports
    assert stage.exchange.cancel(stop.client_order_id) == []
