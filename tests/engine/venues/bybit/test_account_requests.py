import pytest

from engine.model.ids import Purpose
from engine.model.order import OrderSide
from engine.venues.bybit.account_requests import cancel_body, identified, order_body
from engine.venues.bybit.parse_events import Unreadable
from tests.engine.venues.bybit.venue import BTC_LINEAR, BTC_SPOT, POSITION_ID, order

BUY, SELL = OrderSide.BUY, OrderSide.SELL
ENTRY, ADD, EXIT, BACKSTOP = Purpose.ENTRY, Purpose.ADD, Purpose.EXIT, Purpose.BACKSTOP


def test_an_entry_on_linear_is_a_market_order_of_base_asset():
    assert order_body(order(), hedged=False) == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Market",
        "qty": "0.01",
        "orderLinkId": f"{POSITION_ID}e0",
        "positionIdx": 0,
    }


def test_a_close_on_linear_only_reduces():
    body = order_body(order(EXIT, SELL), hedged=False)
    assert (body["side"], body["reduceOnly"], body["positionIdx"]) == ("Sell", True, 0)


@pytest.mark.parametrize(
    ("purpose", "side", "leg"),
    [
        (ENTRY, BUY, 1),
        (ENTRY, SELL, 2),
        (ADD, BUY, 1),
        (ADD, SELL, 2),
        (EXIT, SELL, 1),
        (EXIT, BUY, 2),
        (BACKSTOP, SELL, 1),
        (BACKSTOP, BUY, 2),
    ],
)
def test_in_hedge_mode_an_order_names_the_leg_it_is_for(purpose, side, leg):
    made = order(purpose, side, trigger="40000" if purpose is BACKSTOP else None)
    assert order_body(made, hedged=True)["positionIdx"] == leg
    assert order_body(made, hedged=False)["positionIdx"] == 0


@pytest.mark.parametrize(("side", "direction"), [(SELL, 2), (BUY, 1)])
def test_a_backstop_on_linear_triggers_by_the_mark_and_only_reduces(side, direction):
    body = order_body(order(BACKSTOP, side, trigger="47500.0"), hedged=False)
    assert body["triggerPrice"] == "47500"
    assert (body["triggerDirection"], body["triggerBy"]) == (direction, "MarkPrice")
    assert (body["reduceOnly"], body["closeOnTrigger"]) == (True, False)
    assert body["orderType"] == "Market"


def test_an_entry_on_spot_is_of_base_asset_and_never_borrows():
    body = order_body(order(instrument=BTC_SPOT, qty="1E-5"), hedged=False)
    assert (body["qty"], body["marketUnit"], body["isLeverage"]) == ("0.00001", "baseCoin", 0)
    assert {"positionIdx", "reduceOnly", "orderFilter"}.isdisjoint(body)


def test_a_backstop_on_spot_is_a_stop_order_that_locks_nothing_before():
    body = order_body(order(BACKSTOP, SELL, BTC_SPOT, trigger="47500"), hedged=True)
    assert (body["orderFilter"], body["triggerPrice"]) == ("StopOrder", "47500")
    assert {"triggerBy", "triggerDirection", "reduceOnly", "positionIdx"}.isdisjoint(body)


@pytest.mark.parametrize("instrument", [BTC_LINEAR, BTC_SPOT])
def test_a_backstop_without_a_price_is_not_sent(instrument):
    with pytest.raises(Unreadable):
        order_body(order(BACKSTOP, SELL, instrument), hedged=False)


def test_an_order_is_named_by_our_id():
    named = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": f"{POSITION_ID}x0"}
    assert identified(order(EXIT, SELL)) == named
    assert cancel_body(order(EXIT, SELL)) == named


def test_cancelling_a_conditional_order_on_spot_names_its_kind():
    assert cancel_body(order(BACKSTOP, SELL, BTC_SPOT))["orderFilter"] == "StopOrder"
    assert "orderFilter" not in cancel_body(order(BACKSTOP, SELL))
    assert "orderFilter" not in cancel_body(order(EXIT, SELL, BTC_SPOT))
