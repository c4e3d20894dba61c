"""Orders placed, cancelled and looked up, request by request."""

from decimal import Decimal

import pytest

from engine.model.events import OrderFilled
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.order import FillKind, OrderSide, OrderStatus, Refusal
from engine.venues.account import Outcome, RequestFailed
from tests.engine.venues.binance.replies import (
    algo,
    spot_fill,
    spot_order,
    spot_trade,
    usdm_order,
    usdm_trade,
)
from tests.engine.venues.binance.venue import CUT, LINEAR, SPOT, error, order

NO_SUCH_ORDER = (400, error(-2013, "Order does not exist."))
UNKNOWN_ORDER = (400, error(-2011, "Unknown order sent."))
STOP = Decimal("40000.0")


def entry(instrument=LINEAR):
    return order(instrument)


def close(instrument=LINEAR, side=OrderSide.SELL):
    return order(instrument, Purpose.EXIT, side)


def backstop(instrument=LINEAR):
    return order(instrument, Purpose.BACKSTOP, OrderSide.SELL, trigger_price=STOP)


async def place(account, placed):
    sent = []
    events = await account.place(placed, sent.append)
    assert len(sent) == 1
    return events


async def failure(awaitable):
    with pytest.raises(RequestFailed) as caught:
        await awaitable
    return caught.value


def essence(events):
    return [
        ("fill", each.fill.venue_trade_id, each.fill.qty)
        if isinstance(each, OrderFilled)
        else (each.status, each.filled_qty)
        for each in events
    ]


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
    absent_on_spot(venue)
    assert await account.cancel(backstop(SPOT)) == ()


# Looking up


def absent_on_spot(venue, trades=()):
    venue.answer("get /api/v3/order", NO_SUCH_ORDER)
    venue.answer("get /api/v3/openOrders", [])
    venue.answer("get /api/v3/allOrders", [])
    venue.answer("get /api/v3/myTrades", list(trades))


async def test_an_order_that_nothing_knows_is_not_found(account, venue):
    absent_on_spot(venue)
    found = await account.find(entry(SPOT))
    assert (found.found, found.certain) == (False, False)
    paths = {each.path for each in venue.asked}
    assert {"/api/v3/order", "/api/v3/openOrders", "/api/v3/allOrders", "/api/v3/myTrades"} <= paths


@pytest.mark.parametrize("path", ["order", "openOrders", "allOrders", "myTrades"])
async def test_a_question_without_an_answer_makes_no_miss(account, venue, path):
    absent_on_spot(venue)
    venue.answer(f"get /api/v3/{path}", (502, b"<html>"))
    assert (await failure(account.find(entry(SPOT)))).verdict.outcome is Outcome.UNKNOWN


async def test_an_order_whose_execution_came_before_its_record_is_no_miss(account, venue):
    absent_on_spot(venue, [spot_trade(9, order_id=77)])
    mine = spot_order(orderId=77, clientOrderId=entry(SPOT).client_order_id)
    venue.answer("get /api/v3/order", NO_SUCH_ORDER, mine)
    assert "executed" in str(await failure(account.find(entry(SPOT))))


async def test_an_execution_of_somebody_else_changes_no_miss(account, venue):
    absent_on_spot(venue, [spot_trade(9, order_id=77)])
    venue.answer("get /api/v3/order", NO_SUCH_ORDER, spot_order(orderId=77, clientOrderId="web_1"))
    assert (await account.find(entry(SPOT))).found is False


async def test_an_order_is_found_with_its_fills(account, venue):
    venue.answer("get /api/v3/order", spot_order())
    venue.answer("get /api/v3/allOrders", [spot_order(), spot_order(orderId=3, clientOrderId="x")])
    venue.answer("get /api/v3/myTrades", [spot_trade(9)])
    found = await account.find(entry(SPOT))
    assert (found.status, found.qty, found.venue_order_id) == (
        OrderStatus.FILLED,
        Decimal("0.01"),
        "28",
    )
    assert [fill.venue_trade_id for fill in found.fills] == ["9"]
    assert found.message is None


async def test_a_second_order_under_one_id_is_told_with_both_quantities(account, venue):
    venue.answer("get /api/v3/order", spot_order(orderId=29))
    venue.answer("get /api/v3/allOrders", [spot_order(), spot_order(orderId=29)])
    venue.answer(
        "get /api/v3/myTrades", lambda p: [spot_trade(int(p["orderId"]), int(p["orderId"]))]
    )
    found = await account.find(entry(SPOT))
    assert found.qty == Decimal("0.02")
    assert [fill.venue_trade_id for fill in found.fills] == ["28", "29"]
    assert found.message == "2 orders under one id"


async def test_fills_that_lag_behind_the_order_make_no_answer(account, venue):
    venue.answer("get /fapi/v1/order", usdm_order(status="CANCELED"))
    venue.answer("get /fapi/v1/allOrders", [])
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(5, qty="0.004")])
    await failure(account.find(entry()))


async def test_a_resting_order_that_filled_a_part_is_partially_filled(account, venue):
    venue.answer("get /fapi/v1/order", usdm_order(status="NEW", executedQty="0.004"))
    venue.answer("get /fapi/v1/allOrders", [])
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(5, qty="0.004")])
    assert (await account.find(entry())).status is OrderStatus.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("NEW", OrderStatus.ACKNOWLEDGED),
        ("TRIGGERING", OrderStatus.ACKNOWLEDGED),
        ("CANCELED", OrderStatus.CANCELLED),
        ("EXPIRED", OrderStatus.CANCELLED),
        ("REJECTED", OrderStatus.REJECTED),
    ],
)
async def test_a_backstop_is_looked_up_among_the_conditional_orders(account, venue, told, status):
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus=told))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(algoStatus=told)])
    found = await account.find(backstop())
    assert (found.status, found.qty, found.fills) == (status, Decimal("0.010"), ())


async def test_a_backstop_that_nothing_knows_is_not_found(account, venue):
    venue.answer("get /fapi/v1/algoOrder", NO_SUCH_ORDER)
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(clientAlgoId="other")])
    assert (await account.find(backstop())).found is False


async def test_the_fills_of_a_backstops_child_are_told_under_our_id(account, venue):
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus="TRIGGERED", actualOrderId=95))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [])
    child = usdm_order(orderId=95, clientOrderId="made", status="PARTIALLY_FILLED")
    venue.answer("get /fapi/v1/order", child)
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(8, 95, side="SELL", positionSide="LONG")])
    found = await account.find(backstop())
    assert found.status is OrderStatus.PARTIALLY_FILLED
    (fill,) = found.fills
    assert fill.client_order_id == backstop().client_order_id
    assert (fill.side, fill.leg, fill.kind) == (OrderSide.SELL, Side.LONG, FillKind.TRADE)


async def test_a_child_that_the_history_lacks_makes_no_answer(account, venue):
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus="TRIGGERED", actualOrderId="95"))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [])
    venue.answer("get /fapi/v1/order", NO_SUCH_ORDER)
    assert "child" in str(await failure(account.find(backstop())))
