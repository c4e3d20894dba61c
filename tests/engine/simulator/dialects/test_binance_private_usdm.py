"""The simulated USD-M account: what it takes, what it refuses and by which code."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.simulator.dialects.binance_rig import SOL, Binance, binance

D = Decimal
ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
MARKET = {"symbol": SOL, "side": "BUY", "type": "MARKET", "quantity": "1"}
STOP = {
    "algoType": "CONDITIONAL", "symbol": SOL, "side": "SELL", "type": "STOP_MARKET",
    "quantity": "1", "triggerPrice": "140", "reduceOnly": "true",
}  # fmt: skip


@pytest.fixture
async def venue() -> AsyncIterator[Binance]:
    async with binance() as opened:
        yield opened


async def amount(venue: Binance) -> list[tuple[str, Decimal]]:
    rows = await venue.get("/fapi/v3/positionRisk")
    return [(row["positionSide"], D(row["positionAmt"])) for row in rows]


async def test_a_result_is_final_and_an_ack_is_not(venue: Binance) -> None:
    done = await venue.usdm(newClientOrderId="a")
    assert (done["status"], D(done["executedQty"])) == ("FILLED", 1)
    assert "avgPrice" not in done
    ack = await venue.post(ORDER, **MARKET)
    assert (ack["status"], D(ack["executedQty"])) == ("NEW", 0)
    assert venue.last is not None
    assert int(venue.last.headers["X-MBX-ORDER-COUNT-10S"]) == 2
    assert int(venue.last.headers["X-MBX-USED-WEIGHT-1M"]) >= 2


async def test_an_order_is_found_by_both_ids_with_its_trades_and_its_position(
    venue: Binance,
) -> None:
    placed = await venue.usdm(newClientOrderId="a")
    for ids in ({"orderId": placed["orderId"]}, {"origClientOrderId": "a"}):
        found = await venue.get(ORDER, symbol=SOL, **ids)
        assert (found["orderId"], found["status"]) == (placed["orderId"], "FILLED")
        assert D(found["avgPrice"]) > 0
    trades = await venue.get("/fapi/v1/userTrades", symbol=SOL, orderId=placed["orderId"])
    assert sum(D(trade["qty"]) for trade in trades) == 1
    assert all(D(trade["commission"]) > 0 for trade in trades)
    assert await amount(venue) == [("BOTH", D(1))]
    listed = await venue.get("/fapi/v1/allOrders", symbol=SOL)
    assert [row["clientOrderId"] for row in listed] == ["a"]
    assert await venue.get("/fapi/v1/openOrders", symbol=SOL) == []


async def test_what_a_close_earned_is_told_with_its_trade(venue: Binance) -> None:
    bought = await venue.usdm()
    await venue.rig.price(f"binance:linear:{SOL}", 160)
    sold = await venue.usdm("SELL", reduceOnly="true")
    ids = [bought["orderId"], sold["orderId"]]
    trades = await venue.get("/fapi/v1/userTrades", symbol=SOL)
    by_order = {each: [t for t in trades if t["orderId"] == each] for each in ids}
    paid = sum(D(t["qty"]) * D(t["price"]) for t in by_order[ids[0]])
    got = sum(D(t["qty"]) * D(t["price"]) for t in by_order[ids[1]])
    assert sum(D(t["realizedPnl"]) for t in by_order[ids[1]]) == got - paid > 0
    wallet = await venue.get("/fapi/v3/balance")
    fees = sum(D(t["commission"]) for t in trades)
    usdt = next(D(row["balance"]) for row in wallet if row["asset"] == "USDT")
    assert usdt == 100_000 + got - paid - fees


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"symbol": "NOSUCH"}, -1121),
    ({"side": "HOLD"}, -1117),
    ({"type": "ICEBERG"}, -1116),
    ({"type": "STOP_MARKET", "stopPrice": "1"}, -4120),
    ({"quantity": "0"}, -4003),
    ({"quantity": "0.001"}, -1111),
    ({"quantity": "9999999"}, -4005),
    ({"quantity": "0.01"}, -4164),
    ({"quantity": "1e3"}, -1100),
    ({"reduceOnly": "true"}, -2022),
    ({"positionSide": "LONG"}, -4061),
    ({"newClientOrderId": "a b"}, -1100),
    ({"newClientOrderId": "a" * 37}, -4015),
    ({"nonsense": "1"}, -1104),
    ({"newOrderRespType": "LOUD"}, -1100),
    ({"type": "LIMIT", "price": "150", "timeInForce": "GTC"}, -1115),
    ({"type": "LIMIT", "price": "150.001", "timeInForce": "IOC"}, -4014),
    ({"type": "LIMIT", "timeInForce": "IOC"}, -1102),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
async def test_an_order_that_cannot_be_is_refused_by_its_code(
    venue: Binance, changes: dict[str, Any], code: int
) -> None:
    assert await venue.refused("POST", ORDER, **(MARKET | changes)) == code
    assert await amount(venue) == []


async def test_an_order_without_margin_is_refused(venue: Binance) -> None:
    await venue.control("deposit", asset="USDT", amount="-99990")
    assert await venue.refused("POST", ORDER, **MARKET) == -2019
    assert await venue.refused("POST", "/fapi/v1/leverage", symbol=SOL, leverage=0) == -4028


async def test_what_is_missing_is_named(venue: Binance) -> None:
    body = await venue.post(ORDER, symbol=SOL, type="MARKET", quantity="1")
    assert body["code"] == -1102
    assert "side" in body["msg"]
    assert await venue.refused("GET", ORDER, symbol=SOL) == -1102


async def test_a_limit_order_takes_no_worse_price(venue: Binance) -> None:
    limit = {"type": "LIMIT", "timeInForce": "IOC", "newOrderRespType": "RESULT"}
    none = await venue.post(ORDER, **(MARKET | limit | {"price": "140"}))
    assert none["status"] == "EXPIRED"
    all_of_it = await venue.post(ORDER, **(MARKET | limit | {"price": "160"}))
    assert all_of_it["status"] == "FILLED"


async def test_an_open_id_cannot_be_used_twice(venue: Binance) -> None:
    await venue.control("partial_fills", on=True)
    first = await venue.post(ORDER, **(MARKET | {"newClientOrderId": "a", "quantity": "200"}))
    assert first["status"] == "NEW"
    assert await venue.refused("POST", ORDER, **(MARKET | {"newClientOrderId": "a"})) == -4116


async def test_what_is_not_there_is_not_found(venue: Binance) -> None:
    assert await venue.refused("GET", ORDER, symbol=SOL, origClientOrderId="a") == -2013
    assert await venue.refused("DELETE", ORDER, symbol=SOL, origClientOrderId="a") == -2011
    assert await venue.refused("GET", ALGO, clientAlgoId="a") == -2013
    assert await venue.refused("DELETE", ALGO, clientAlgoId="a") == -2011


# Hedge mode


async def test_in_hedge_mode_both_legs_stand_apart(venue: Binance) -> None:
    dual = "/fapi/v1/positionSide/dual"
    assert await venue.refused("POST", dual, dualSidePosition="false") == -4059
    await venue.post(dual, dualSidePosition="true")
    assert await venue.get(dual) == {"dualSidePosition": True}
    assert (await venue.get("/fapi/v1/accountConfig"))["dualSidePosition"] is True
    await venue.usdm("BUY", "2", positionSide="LONG")
    await venue.usdm("SELL", "1", positionSide="SHORT")
    assert sorted(await amount(venue)) == [("LONG", D(2)), ("SHORT", D(-1))]
    assert await venue.refused("POST", ORDER, **MARKET) == -4061
    both = MARKET | {"positionSide": "LONG", "reduceOnly": "true"}
    assert await venue.refused("POST", ORDER, **both) == -1106
    assert await venue.refused("POST", dual, dualSidePosition="false") == -4068
    await venue.usdm("SELL", "2", positionSide="LONG")
    assert await amount(venue) == [("SHORT", D(-1))]


# Conditional orders


async def test_a_stop_rests_and_its_child_trades_under_other_ids(venue: Binance) -> None:
    await venue.usdm()
    placed = await venue.post(ALGO, **STOP, clientAlgoId="stop")
    assert placed["algoStatus"] == "NEW"
    assert (await venue.get(ALGO, clientAlgoId="stop"))["actualOrderId"] == ""
    assert len(await venue.get("/fapi/v1/openAlgoOrders", symbol=SOL)) == 1
    assert await venue.get("/fapi/v1/openOrders", symbol=SOL) == []
    async with venue.user_stream() as events:
        await venue.rig.price(f"binance:linear:{SOL}", 139)
        triggered = await events.until(lambda e: e["e"] == "ALGO_UPDATE" and e["o"]["ai"])
        traded = await events.until(
            lambda e: e["e"] == "ORDER_TRADE_UPDATE" and e["o"]["X"] == "FILLED"
        )
    child = int(triggered["o"]["ai"])
    assert (triggered["o"]["caid"], traded["o"]["i"]) == ("stop", child)
    assert traded["o"]["c"] != "stop"
    done = await venue.get(ALGO, algoId=placed["algoId"])
    assert (done["algoStatus"], int(done["actualOrderId"])) == ("FINISHED", child)
    assert (await venue.get(ORDER, symbol=SOL, orderId=child))["status"] == "FILLED"
    assert await amount(venue) == []
    assert await venue.refused("DELETE", ALGO, clientAlgoId="stop") == -2011
    assert len(await venue.get("/fapi/v1/allAlgoOrders", symbol=SOL)) == 1


async def test_a_stop_can_be_cancelled_while_it_rests(venue: Binance) -> None:
    await venue.usdm()
    await venue.post(ALGO, **STOP, clientAlgoId="stop")
    gone = await venue.delete(ALGO, clientAlgoId="stop")
    assert (gone["clientAlgoId"], gone["msg"]) == ("stop", "success")
    assert (await venue.get(ALGO, clientAlgoId="stop"))["algoStatus"] == "CANCELED"
    assert await venue.get("/fapi/v1/openAlgoOrders") == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"algoType": "TWAP"}, -1102),
        ({"type": "LIMIT"}, -1116),
        ({"triggerPrice": "0"}, -4014),
        ({"triggerPrice": "160"}, -2021),
        ({"workingType": "INDEX"}, -1102),
        ({"closePosition": "true"}, -4136),
        ({"quantity": "0.001"}, -1111),
    ],
)
async def test_a_stop_that_cannot_be_is_refused_by_its_code(
    venue: Binance, changes: dict[str, Any], code: int
) -> None:
    await venue.usdm()
    assert await venue.refused("POST", ALGO, **(STOP | changes)) == code


# Settings


async def test_leverage_and_margin_type_are_set_and_read_back(venue: Binance) -> None:
    await venue.post("/fapi/v1/leverage", symbol=SOL, leverage=3)
    await venue.post("/fapi/v1/marginType", symbol=SOL, marginType="CROSSED")
    (config,) = await venue.get("/fapi/v1/symbolConfig", symbol=SOL)
    assert (config["leverage"], config["marginType"]) == (3, "CROSSED")
    again = {"symbol": SOL, "marginType": "CROSSED"}
    assert await venue.refused("POST", "/fapi/v1/marginType", **again) == -4046
    odd = {"symbol": SOL, "marginType": "ODD"}
    assert await venue.refused("POST", "/fapi/v1/marginType", **odd) == -1102
    assert await venue.refused("POST", "/fapi/v1/leverage", symbol=SOL, leverage=500) == -4028
    await venue.usdm()
    held = {"symbol": SOL, "marginType": "ISOLATED"}
    assert await venue.refused("POST", "/fapi/v1/marginType", **held) == -4048
    fees = await venue.get("/fapi/v1/commissionRate", symbol=SOL)
    assert D(fees["takerCommissionRate"]) == D("0.0005")


async def test_funding_is_told_as_income(venue: Binance) -> None:
    await venue.usdm()
    await venue.control("fund", symbol=SOL, rate="0.001")
    (row,) = await venue.get("/fapi/v1/income", incomeType="FUNDING_FEE")
    assert (row["symbol"], row["asset"], D(row["income"]) < 0) == (SOL, "USDT", True)
    assert await venue.get("/fapi/v1/income", incomeType="COMMISSION") == []


async def test_lists_go_by_id_and_time(venue: Binance) -> None:
    for name in ("a", "b"):
        await venue.usdm(newClientOrderId=name)
    trades = await venue.get("/fapi/v1/userTrades", symbol=SOL)
    later = await venue.get("/fapi/v1/userTrades", symbol=SOL, fromId=trades[-1]["id"])
    assert [row["id"] for row in later] == [trades[-1]["id"]]
    mixed = {"symbol": SOL, "fromId": 1, "startTime": 1}
    assert await venue.refused("GET", "/fapi/v1/userTrades", **mixed) == -1128
    wide = {"symbol": SOL, "startTime": 1, "endTime": 10**12}
    assert await venue.refused("GET", "/fapi/v1/userTrades", **wide) == -4166
    newest = await venue.get("/fapi/v1/allOrders", symbol=SOL, limit=1)
    assert [row["clientOrderId"] for row in newest] == ["b"]
    since = await venue.get("/fapi/v1/allOrders", symbol=SOL, orderId=newest[0]["orderId"])
    assert since == newest
