"""What create and cancel requests must say, and what becomes of orders."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, Trader, events, trading

BUY: dict[str, Any] = {"side": "Buy", "orderType": "Market"}
SELL: dict[str, Any] = {"side": "Sell", "orderType": "Market"}
STOP = {"triggerPrice": "950", "triggerDirection": 2, "triggerBy": "MarkPrice"}
SPOT_STOP = {"triggerPrice": "900", "orderFilter": "StopOrder"}

REFUSED: list[tuple[dict[str, Any], int]] = [
    # parameters
    ({**LINEAR, **BUY}, 10001),
    ({**LINEAR, **BUY, "qty": ""}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "quantity": "1"}, 10001),
    ({**LINEAR, **BUY, "qty": 1}, 10001),
    ({**LINEAR, **BUY, "qty": "1e-2"}, 10001),
    ({**LINEAR, **BUY, "qty": "-1"}, 10001),
    ({**LINEAR, "side": "buy", "orderType": "Market", "qty": "1"}, 10001),
    ({**LINEAR, "side": "Buy", "orderType": "Stop", "qty": "1"}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "reduceOnly": "true"}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "positionIdx": True}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "timeInForce": "SOON"}, 10001),
    ({**LINEAR, "symbol": "NOPEUSDT", **BUY, "qty": "1"}, 10001),
    ({"category": "inverse", "symbol": "BTCUSDT", **BUY, "qty": "1"}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "orderLinkId": "a" * 37}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "orderLinkId": "a.b"}, 10001),
    # quantity and price
    ({**LINEAR, **BUY, "qty": "0.0005"}, 10001),
    ({**LINEAR, **BUY, "qty": "0"}, 10001),
    ({**LINEAR, **BUY, "qty": "151"}, 10001),
    ({**LINEAR, **BUY, "qty": "0.004"}, 110094),
    ({**SPOT, **SELL, "qty": "0.0000001"}, 170137),
    ({**SPOT, **SELL, "qty": "0"}, 170136),
    ({**SPOT, **SELL, "qty": "121"}, 170135),
    ({**SPOT, **BUY, "qty": "4"}, 170140),
    ({**SPOT, **BUY, "qty": "10.00000001"}, 170148),
    ({**SPOT, **BUY, "qty": "0.001", "marketUnit": "baseCoin"}, 170140),
    ({**SPOT, **BUY, "qty": "1", "marketUnit": "coin"}, 10001),
    ({**SPOT, **BUY, "qty": "10", "isLeverage": 1}, 10001),
    # limit orders
    ({**LINEAR, "side": "Buy", "orderType": "Limit", "qty": "1"}, 10001),
    ({**LINEAR, "side": "Buy", "orderType": "Limit", "qty": "1", "price": "900"}, 10001),
    (
        {**LINEAR, "side": "Buy", "orderType": "Limit", "qty": "1", "price": "9.01"}
        | {"timeInForce": "IOC"},
        10001,
    ),
    (
        {**SPOT, "side": "Buy", "orderType": "Limit", "qty": "1", "price": "9.01"}
        | {"timeInForce": "IOC"},
        170134,
    ),
    # money
    ({**LINEAR, **BUY, "qty": "150", "orderLinkId": "rich"}, 0),
    ({**SPOT, **BUY, "qty": "100001"}, 170131),
    ({**SPOT, **SELL, "qty": "0.1"}, 170131),
    # reducing
    ({**LINEAR, **SELL, "qty": "1", "reduceOnly": True, "symbol": "ETHUSDT"}, 110017),
    (
        {**LINEAR, **SELL, "qty": "0", "reduceOnly": True, "closeOnTrigger": True}
        | {"symbol": "ETHUSDT"},
        110017,
    ),
    ({**SPOT, **SELL, "qty": "1", "reduceOnly": True}, 10001),
    # conditions
    ({**LINEAR, **SELL, "qty": "1", "triggerPrice": "900"}, 10001),
    ({**LINEAR, **SELL, "qty": "1", **STOP, "triggerPrice": "900.01"}, 10001),
    ({**LINEAR, **SELL, "qty": "1", **STOP, "triggerBy": "IndexPrice"}, 10001),
    ({**LINEAR, **SELL, "qty": "1", **STOP, "triggerDirection": 3}, 10001),
    ({**LINEAR, **SELL, "qty": "1", **STOP, "triggerPrice": "1100"}, 110093),
    ({**LINEAR, **SELL, "qty": "1", **STOP, "triggerDirection": 1}, 110092),
    ({**SPOT, **SELL, "qty": "1", "triggerPrice": "900"}, 10001),
    ({**SPOT, **SELL, "qty": "1", "orderFilter": "StopOrder"}, 10001),
    ({**SPOT, **SELL, "qty": "1", **SPOT_STOP, "triggerBy": "MarkPrice"}, 10001),
    ({**SPOT, **SELL, "qty": "1", **SPOT_STOP, "triggerPrice": "900.01"}, 170134),
    # position mode
    ({**LINEAR, **BUY, "qty": "1", "positionIdx": 1}, 10001),
    ({**LINEAR, **BUY, "qty": "1", "positionIdx": 3}, 10001),
]


async def test_what_does_not_fit_is_refused_by_its_code(tmp_path: Path) -> None:
    found = []
    async with trading(tmp_path) as trader:
        await trader.rig.price("bybit:linear:ETHUSDT", 100)
        for body, wanted in REFUSED:
            answer = await trader.create(**body)
            while answer["retCode"] == 10006:
                await asyncio.sleep(0.3)
                answer = await trader.create(**body)
            if answer["retCode"] != wanted:
                found.append((body, wanted, answer["retCode"], answer["retMsg"]))
    assert found == []


async def test_more_than_the_margin_allows_is_refused(tmp_path: Path) -> None:
    async with trading(tmp_path, price=100_000) as trader:
        await trader.control(market="linear", action="deposit", asset="USDT", amount="-99000")
        answer = await trader.create(**LINEAR, **BUY, qty="1")
    assert answer["retCode"] == 110007


async def test_a_link_id_is_used_once(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        linear = {**LINEAR, **BUY, "qty": "0.01", "orderLinkId": "one"}
        spot = {**SPOT, **BUY, "qty": "100", "orderLinkId": "two"}
        codes = [(await trader.create(**body))["retCode"] for body in (linear, spot, linear, spot)]
    assert codes == [0, 0, 110072, 170141]


async def test_the_answer_comes_before_the_order_is_filled(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.stream() as client:
        order_id = await trader.market("Buy", "0.01", orderLinkId="mine")
        (row,) = (await trader.result("/v5/order/realtime", **LINEAR, orderLinkId="mine"))["list"]
        await trader.order(order_id, "Filled")
        await client.drain(0.2)
    told = [(each["orderStatus"], each["cumExecQty"]) for each in events(client, "order")]
    assert row["orderId"] == order_id
    assert told == [("New", "0"), ("Filled", "0.01")]


async def test_a_spot_market_buy_spends_a_quote_amount(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        by_quote = await trader.filled("Buy", "500", **SPOT)
        by_base = await trader.filled("Buy", "0.5", **SPOT, marketUnit="baseCoin")
        sold = await trader.filled("Sell", "0.25", **SPOT)
    assert by_quote["qty"] == "500"
    assert 499 < float(by_quote["cumExecValue"]) <= 500
    assert by_base["cumExecQty"] == "0.5"
    assert by_base["cumFeeDetail"] == {"BTC": "0.0005"}
    assert set(sold["cumFeeDetail"]) == {"USDT"}


async def test_a_limit_order_trades_at_its_price_or_not_at_all(tmp_path: Path) -> None:
    limit = {"orderType": "Limit", "qty": "0.01", "timeInForce": "IOC"}
    async with trading(tmp_path) as trader:
        near = await trader.create(**LINEAR, **limit, side="Buy", price="1010")
        far = await trader.create(**LINEAR, **limit, side="Buy", price="900")
        filled = await trader.order(near["result"]["orderId"], "Filled")
        row = await trader.order(far["result"]["orderId"], "Cancelled")
    assert (filled["price"], float(filled["avgPrice"])) == ("1010", 1000.1)
    assert (row["rejectReason"], row["cumExecQty"]) == ("EC_NoImmediateQtyToFill", "0")


async def test_reduce_only_closes_no_more_than_is_open(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "0.02")
        answer = await trader.create(**LINEAR, **BUY, qty="0.01", reduceOnly=True)
        order_id = await trader.market("Sell", "0.05", reduceOnly=True)
        row = await trader.order(order_id, "Cancelled")
        held = await trader.position()
        fills = (await trader.result("/v5/execution/list", **LINEAR, orderId=order_id))["list"]
    assert answer["retCode"] == 110017
    assert (held["size"], held["side"]) == ("0", "")
    assert (row["cumExecQty"], row["cancelType"]) == ("0.02", "CancelByReduceOnly")
    assert [(fill["closedSize"], fill["execQty"]) for fill in fills] == [("0.02", "0.02")]


async def test_nothing_left_to_reduce_ends_on_the_stream(tmp_path: Path) -> None:
    async with trading(tmp_path, latency_ms=300) as trader, trader.stream("order") as client:
        await trader.filled("Buy", "0.02")
        close = {**SELL, "qty": "0.02", "reduceOnly": True}
        one, two = await asyncio.gather(
            trader.create(**LINEAR, **close), trader.create(**LINEAR, **close)
        )
        assert (one["retCode"], two["retCode"]) == (0, 0)
        await client.drain(0.8)
    last = {row["orderId"]: row for row in events(client, "order")}
    ends = [last[answer["result"]["orderId"]] for answer in (one, two)]
    ended = sorted((row["orderStatus"], row["cancelType"], row["cumExecQty"]) for row in ends)
    assert ended == [("Cancelled", "CancelByReduceOnly", "0"), ("Filled", "UNKNOWN", "0.02")]


async def test_a_whole_position_is_closed_by_a_quantity_of_nothing(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "0.02")
        row = await trader.filled("Sell", "0", reduceOnly=True, closeOnTrigger=True)
    assert row["cumExecQty"] == "0.02"


async def test_a_conditional_order_rests_triggers_and_fills(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.stream("order", "execution") as client:
        await trader.filled("Buy", "0.02")
        body = {**SELL, "qty": "0.02", "reduceOnly": True, **STOP, "orderLinkId": "stop"}
        order_id = (await trader.create(**LINEAR, **body))["result"]["orderId"]
        resting = await trader.order(order_id, "Untriggered")
        await trader.rig.price("bybit:linear:BTCUSDT", 949)
        filled = await trader.order(order_id, "Filled")
        await client.drain(0.2)
    assert (resting["stopOrderType"], resting["triggerPrice"]) == ("Stop", "950")
    assert (resting["triggerDirection"], resting["triggerBy"]) == (2, "MarkPrice")
    assert filled["orderLinkId"] == "stop"
    told = [row["orderStatus"] for row in events(client, "order") if row["orderId"] == order_id]
    assert told[0] == "Untriggered"
    assert told[-1] == "Filled"
    done = [row for row in events(client, "execution") if row["orderId"] == order_id]
    assert [(row["orderLinkId"], row["createType"]) for row in done] == [
        ("stop", "CreateByStopOrder")
    ]


async def test_a_spot_stop_needs_its_filter_to_be_cancelled(tmp_path: Path) -> None:
    cancel = "/v5/order/cancel"
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "500", **SPOT)
        body = {**SPOT, **SELL, "qty": "0.1", **SPOT_STOP, "orderLinkId": "stop"}
        order_id = (await trader.create(**body))["result"]["orderId"]
        await trader.order(order_id, "Untriggered", **SPOT)
        plain = await trader.post(cancel, **SPOT, orderLinkId="stop")
        right = await trader.post(cancel, **SPOT, orderLinkId="stop", orderFilter="StopOrder")
        row = await trader.order(order_id, "Deactivated", **SPOT)
        again = await trader.post(cancel, **SPOT, orderLinkId="stop", orderFilter="StopOrder")
    assert (plain["retCode"], right["retCode"]) == (170213, 0)
    assert (row["cancelType"], row["rejectReason"]) == ("CancelByUser", "EC_PerCancelRequest")
    assert again["retCode"] == 170142


async def test_cancelling_what_is_done_or_not_there_says_so(tmp_path: Path) -> None:
    cancel = "/v5/order/cancel"
    async with trading(tmp_path) as trader:
        filled = (await trader.filled("Buy", "0.02"))["orderId"]
        sold = (await trader.filled("Buy", "500", **SPOT))["orderId"]
        codes = [
            (await trader.post(cancel, **scope, **name))["retCode"]
            for scope, name in (
                (LINEAR, {"orderId": filled}),
                (LINEAR, {"orderLinkId": "nobody"}),
                (SPOT, {"orderId": sold}),
                (SPOT, {"orderId": filled}),
                (LINEAR, {}),
            )
        ]
    assert codes == [110001, 110001, 170139, 170213, 10001]


async def test_no_more_than_ten_conditional_orders_rest_on_a_symbol(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "0.02")
        codes = []
        while len(codes) < 11:
            answer = await trader.create(**LINEAR, **SELL, qty="0.02", reduceOnly=True, **STOP)
            if answer["retCode"] == 10006:
                await asyncio.sleep(0.3)
            else:
                codes.append(answer["retCode"])
    assert codes == [0] * 10 + [110009]


async def test_no_more_than_thirty_stops_rest_on_a_spot_symbol(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "500", **SPOT)
        codes = []
        while len(codes) < 31:
            answer = await trader.create(**SPOT, **SELL, qty="0.01", **SPOT_STOP)
            if answer["retCode"] == 10006:
                await asyncio.sleep(0.3)
            else:
                codes.append(answer["retCode"])
    assert codes == [0] * 30 + [170810]


@pytest.mark.parametrize("text", ["", "[]", '{"category":', "null"])
async def test_a_body_that_is_no_object_is_a_parameter_error(tmp_path: Path, text: str) -> None:
    async with trading(tmp_path) as trader:
        answer = await trader.raw_post("/v5/order/create", text)
    assert answer.json()["retCode"] == 10001


async def test_a_stop_beyond_the_market_rises_to_its_trigger_on_spot(tmp_path: Path) -> None:
    above = {"triggerPrice": "1100", "orderFilter": "tpslOrder", "marketUnit": "baseCoin"}
    async with trading(tmp_path) as trader:
        order_id = await trader.market("Buy", "0.1", **SPOT, **above)
        await trader.order(order_id, "Untriggered", **SPOT)
        await trader.rig.price("bybit:spot:BTCUSDT", 1100)
        row = await trader.order(order_id, "Filled", **SPOT)
    assert (row["stopOrderType"], row["cumExecQty"]) == ("tpslOrder", "0.1")


async def test_a_whole_close_takes_no_more_than_one_order_may(tmp_path: Path) -> None:
    async with trading(tmp_path, price=10) as trader:
        for _ in range(2):
            await trader.filled("Buy", "150")
        row = await trader.filled("Sell", "0", reduceOnly=True, closeOnTrigger=True)
        held = await trader.position()
    assert (row["qty"], held["size"]) == ("150", "150")


async def test_legs_are_kept_apart_in_hedge_mode(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        mode = "/v5/position/switch-mode"
        assert (await trader.post(mode, **LINEAR, mode=3))["retCode"] == 0
        plain = await trader.create(**LINEAR, **BUY, qty="0.01")
        await trader.filled("Buy", "0.03", positionIdx=1)
        await trader.filled("Sell", "0.02", positionIdx=2)
        await trader.filled("Sell", "0.01", positionIdx=1, reduceOnly=True)
        wrong = await trader.create(**LINEAR, **BUY, qty="0.01", positionIdx=1, reduceOnly=True)
        rows = (await trader.result("/v5/position/list", **LINEAR))["list"]
        held = await trader.post(mode, **LINEAR, mode=0)
    assert (plain["retCode"], plain["retMsg"]) == (10001, "position idx not match position mode")
    assert wrong["retCode"] == 110017
    assert [(row["positionIdx"], row["side"], row["size"]) for row in rows] == [
        (1, "Buy", "0.02"),
        (2, "Sell", "0.02"),
    ]
    assert held["retCode"] == 110024


@pytest.mark.parametrize("rests", [True, False])
async def test_what_one_quote_does_not_hold_waits_or_is_cancelled(
    tmp_path: Path, rests: bool
) -> None:
    async with trading(tmp_path, price=10_000) as trader:
        await trader.control(market="linear", action="partial_fills", on=rests)
        order_id = await trader.market("Buy", "2")
        row = await partly(trader, order_id) if rests else await trader.order(order_id, "Filled")
    assert row["orderStatus"] == ("PartiallyFilled" if rests else "Filled")
    assert 0 < float(row["cumExecQty"]) <= 2


async def partly(trader: Trader, order_id: str) -> dict[str, Any]:
    return await trader.order(order_id, "PartiallyFilled")
