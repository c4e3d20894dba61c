"""Orders placed and cancelled, request by request."""

from decimal import Decimal

import pytest

from engine.model.ids import Purpose
from engine.model.order import OrderSide, OrderStatus, Refusal
from engine.venues.account import Outcome
from tests.engine.venues.binance.orders import (
    NO_SUCH_ORDER,
    UNKNOWN_ORDER,
    backstop,
    close,
    entry,
    essence,
    failure,
    place,
)
from tests.engine.venues.binance.replies import (
    algo,
    spot_fill,
    spot_order,
    spot_trade,
    usdm_order,
    usdm_trade,
)
from tests.engine.venues.binance.venue import CUT, LINEAR, SPOT, error

# Placing


async def test_a_spot_order_tells_its_fills_before_where_it_stands(account, venue):
    fills = [spot_fill(56, "0.004"), spot_fill(57, "0.006", "USDT", "0.3")]
    venue.answer("post /api/v3/order", spot_order(fills=fills))
    events = await place(account, entry(SPOT))
    assert essence(events) == [
        ("fill", "56", Decimal("0.004")),
        ("fill", "57", Decimal("0.006")),
        (OrderStatus.FILLED, Decimal("0.01")),
    ]
    first = events[0].fill
    assert (first.fee, first.fee_asset, first.fee_rate) == (Decimal("0.00000400"), "BTC", None)
    assert first.time_ns == 1_700_000_000_000_000_000
    assert first.client_order_id == entry(SPOT).client_order_id
    (asked,) = venue.of("post /api/v3/order")
    for name in ("timestamp", "signature", "recvWindow"):
        asked.pop(name)
    assert asked == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "0.01",
        "newClientOrderId": entry(SPOT).client_order_id,
        "newOrderRespType": "FULL",
    }


async def test_a_fee_in_a_third_asset_is_valued_at_its_price_of_that_minute(account, venue):
    venue.answer("post /api/v3/order", spot_order(fills=[spot_fill(56, "0.01", "BNB", "0.0005")]))
    venue.answer("get /api/v3/klines", [[1_699_999_980_000, "600", "610", "590", "605.5", "1"]])
    events = await place(account, entry(SPOT))
    assert events[0].fill.fee_rate == Decimal("605.5")
    (asked,) = venue.of("get /api/v3/klines")
    assert (asked["symbol"], asked["endTime"]) == ("BNBUSDT", "1700000000000")


async def test_a_fee_whose_price_cannot_be_had_has_no_rate(account, venue):
    venue.answer("post /api/v3/order", spot_order(fills=[spot_fill(56, "0.01", "BNB", "0.0005")]))
    events = await place(account, entry(SPOT))
    assert events[0].fill.fee_rate is None


async def test_a_market_order_that_found_no_more_is_cancelled_with_what_it_filled(account, venue):
    venue.answer(
        "post /api/v3/order",
        spot_order(status="EXPIRED", executedQty="0.004", fills=[spot_fill(56, "0.004")]),
    )
    events = await place(account, entry(SPOT))
    assert essence(events)[-1] == (OrderStatus.CANCELLED, Decimal("0.004"))


async def test_a_futures_order_tells_its_fills_from_the_history(account, venue):
    venue.answer("post /fapi/v1/order", usdm_order())
    venue.answer(
        "get /fapi/v1/userTrades", [usdm_trade(5, qty="0.004"), usdm_trade(6, qty="0.006")]
    )
    events = await place(account, entry())
    assert essence(events) == [
        ("fill", "5", Decimal("0.004")),
        ("fill", "6", Decimal("0.006")),
        (OrderStatus.FILLED, Decimal("0.010")),
    ]
    (asked,) = venue.of("post /fapi/v1/order")
    assert (asked["type"], asked["newOrderRespType"]) == ("MARKET", "RESULT")
    assert "reduceOnly" not in asked
    assert "positionSide" not in asked
    assert venue.of("get /fapi/v1/userTrades")[0]["orderId"] == "91"


@pytest.mark.parametrize("trades", [[], [usdm_trade(5, qty="0.004")], (500, {}), CUT])
async def test_a_futures_order_stands_where_it_does_also_while_its_fills_lag(
    account, venue, trades
):
    venue.answer("post /fapi/v1/order", usdm_order())
    venue.answer("get /fapi/v1/userTrades", trades)
    events = await place(account, entry())
    assert essence(events) == [(OrderStatus.FILLED, Decimal("0.010"))]


@pytest.mark.parametrize(
    ("hedged", "placed", "expected"),
    [
        (False, entry(), {}),
        (False, close(), {"reduceOnly": "true"}),
        (False, backstop(), {"reduceOnly": "true"}),
        (True, entry(), {"positionSide": "LONG"}),
        (True, close(), {"positionSide": "LONG"}),
        (True, close(side=OrderSide.BUY), {"positionSide": "SHORT"}),
        (True, backstop(), {"positionSide": "LONG"}),
    ],
)
async def test_orders_reduce_only_or_name_their_leg_by_the_mode(
    account, venue, hedged, placed, expected
):
    venue.answer("get /fapi/v1/accountConfig", {"dualSidePosition": hedged})
    venue.answer("post /fapi/v1/order", usdm_order(status="NEW", executedQty="0"))
    venue.answer("post /fapi/v1/algoOrder", algo())
    await place(account, placed)
    path = "algoOrder" if placed.purpose is Purpose.BACKSTOP else "order"
    (asked,) = venue.of(f"post /fapi/v1/{path}")
    told = {name: asked[name] for name in ("reduceOnly", "positionSide") if name in asked}
    assert told == expected


async def test_a_mode_that_was_changed_is_read_again_after_the_refusal(account, venue):
    venue.answer(
        "get /fapi/v1/accountConfig", {"dualSidePosition": False}, {"dualSidePosition": True}
    )
    refusal = (400, error(-4061, "Order's position side does not match user's setting."))
    venue.answer("post /fapi/v1/order", refusal, usdm_order(status="NEW", executedQty="0"))
    refused = await failure(account.place(close(), lambda _: None))
    assert refused.verdict.outcome is Outcome.REJECTED
    await place(account, close())
    assert venue.of("post /fapi/v1/order")[1]["positionSide"] == "LONG"


async def test_an_order_whose_mode_cannot_be_read_was_not_sent(account, venue):
    venue.answer("get /fapi/v1/accountConfig", (500, {}))
    refused = await failure(account.place(close(), lambda _: None))
    assert refused.verdict.outcome is Outcome.RETRY
    assert venue.of("post /fapi/v1/order") == []


async def test_a_backstop_on_futures_is_a_conditional_order_by_mark_price(account, venue):
    venue.answer("post /fapi/v1/algoOrder", algo())
    events = await place(account, backstop())
    assert essence(events) == [(OrderStatus.ACKNOWLEDGED, 0)]
    assert events[0].venue_order_id == "700"
    (asked,) = venue.of("post /fapi/v1/algoOrder")
    for name in ("timestamp", "signature", "recvWindow"):
        asked.pop(name)
    assert asked == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "reduceOnly": "true",
        "algoType": "CONDITIONAL",
        "type": "STOP_MARKET",
        "triggerPrice": "40000",
        "workingType": "MARK_PRICE",
        "clientAlgoId": backstop().client_order_id,
    }


async def test_a_backstop_on_spot_is_a_stop_loss_order(account, venue):
    venue.answer("post /api/v3/order", spot_order(status="NEW", executedQty="0", fills=[]))
    events = await place(account, backstop(SPOT))
    assert essence(events) == [(OrderStatus.ACKNOWLEDGED, 0)]
    (asked,) = venue.of("post /api/v3/order")
    assert (asked["type"], asked["stopPrice"], asked["side"]) == ("STOP_LOSS", "40000", "SELL")


async def test_a_refused_order_says_why(account, venue):
    venue.answer("post /fapi/v1/order", (400, error(-2022, "ReduceOnly Order is rejected.")))
    refused = await failure(account.place(close(), lambda _: None))
    assert refused.verdict.refusal is Refusal.REDUCE_ONLY


async def test_a_backstop_that_was_refused_leaves_orders_by_hand_alone(account, venue):
    symbol = LINEAR.id.symbol
    venue.answer("post /fapi/v1/algoOrder", CUT)
    await failure(account.place(backstop(), lambda _: None))
    assert account.usdm.backstops.may_have_child(symbol)
    venue.answer("post /fapi/v1/algoOrder", (400, error(-4045, "Reach max stop order limit.")))
    await failure(account.place(backstop(), lambda _: None))
    assert not account.usdm.backstops.may_have_child(symbol)


# Cancelling


async def test_a_cancelled_spot_backstop_tells_what_it_filled_first(account, venue):
    mine = backstop(SPOT).client_order_id
    row = spot_order(
        status="CANCELED",
        executedQty="0.004",
        clientOrderId="cancel-request",
        origClientOrderId=mine,
    )
    venue.answer("delete /api/v3/order", row)
    venue.answer("get /api/v3/myTrades", [spot_trade(9, qty="0.004", isBuyer=False)])
    events = await account.cancel(backstop(SPOT))
    assert essence(events) == [
        ("fill", "9", Decimal("0.004")),
        (OrderStatus.CANCELLED, Decimal("0.004")),
    ]
    assert events[1].client_order_id == mine


async def test_a_cancelled_futures_backstop_is_cancelled_among_the_conditional_orders(
    account, venue
):
    venue.answer("delete /fapi/v1/algoOrder", {"algoId": 700, "code": "200", "msg": "success"})
    events = await account.cancel(backstop())
    assert essence(events) == [(OrderStatus.CANCELLED, 0)]
    assert venue.of("delete /fapi/v1/algoOrder")[0]["clientAlgoId"] == backstop().client_order_id


async def test_a_cancellation_that_came_too_late_tells_what_the_trigger_did(account, venue):
    venue.answer("delete /fapi/v1/algoOrder", UNKNOWN_ORDER)
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus="FINISHED", actualOrderId="95"))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [])
    venue.answer("get /fapi/v1/order", usdm_order(orderId=95, clientOrderId="venue-made"))
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(8, 95, side="SELL")])
    events = await account.cancel(backstop())
    assert essence(events) == [
        ("fill", "8", Decimal("0.010")),
        (OrderStatus.FILLED, Decimal("0.010")),
    ]
    assert events[0].fill.client_order_id == backstop().client_order_id


async def test_a_cancellation_of_what_the_venue_does_not_know_tells_nothing(account, venue):
    venue.answer("delete /api/v3/order", UNKNOWN_ORDER)
    venue.answer("get /api/v3/order", NO_SUCH_ORDER)
    for path in ("openOrders", "allOrders", "myTrades"):
        venue.answer(f"get /api/v3/{path}", [])
    assert await account.cancel(backstop(SPOT)) == ()
