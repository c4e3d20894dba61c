"""The simulated spot account: what it takes, what it refuses and by which code."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.simulator.dialects.binance_rig import SOL, Binance, binance

D = Decimal
ORDER = "/api/v3/order"
MARKET = {"symbol": SOL, "side": "BUY", "type": "MARKET", "quantity": "1"}
STOP = {"symbol": SOL, "side": "SELL", "type": "STOP_LOSS", "quantity": "0.9", "stopPrice": "140"}


@pytest.fixture
async def venue() -> AsyncIterator[Binance]:
    async with binance() as opened:
        yield opened


async def balance(venue: Binance, asset: str) -> tuple[Decimal, Decimal]:
    rows = (await venue.get("/api/v3/account"))["balances"]
    return next(((D(r["free"]), D(r["locked"])) for r in rows if r["asset"] == asset), (D(0), D(0)))


async def test_a_market_order_is_answered_in_full_with_its_fee_from_what_was_bought(
    venue: Binance,
) -> None:
    done = await venue.spot(newClientOrderId="a")
    assert (done["status"], D(done["executedQty"])) == ("FILLED", 1)
    assert sum(D(fill["qty"]) for fill in done["fills"]) == 1
    assert {fill["commissionAsset"] for fill in done["fills"]} == {"SOL"}
    fee = sum(D(fill["commission"]) for fill in done["fills"])
    assert await balance(venue, "SOL") == (1 - fee, 0)
    assert (await balance(venue, "USDT"))[0] == 100_000 - D(done["cummulativeQuoteQty"])


@pytest.mark.parametrize(("kind", "has"), [("ACK", 5), ("RESULT", None), ("FULL", None)])
async def test_the_answer_is_as_short_as_asked_for(
    venue: Binance, kind: str, has: int | None
) -> None:
    done = await venue.spot(newOrderRespType=kind)
    assert ("fills" in done) is (kind == "FULL")
    assert has is None or len(done) == has


async def test_an_amount_buys_whole_steps_for_no_more(venue: Binance) -> None:
    asked = {"symbol": SOL, "side": "BUY", "type": "MARKET", "quoteOrderQty": "100"}
    done = await venue.post(ORDER, **asked)
    assert done["status"] == "FILLED"
    assert D("99") < D(done["cummulativeQuoteQty"]) <= 100


async def test_fees_can_be_paid_in_a_third_asset(venue: Binance) -> None:
    await venue.control("deposit", "spot", asset="BNB", amount="1")
    await venue.control("fee_asset", "spot", asset="BNB", rate="600")
    done = await venue.spot()
    assert {fill["commissionAsset"] for fill in done["fills"]} == {"BNB"}
    assert (await venue.get("/api/v3/account/commission", symbol=SOL))["discount"][
        "enabledForAccount"
    ]
    trades = await venue.get("/api/v3/myTrades", symbol=SOL)
    assert sum(D(t["commission"]) for t in trades) == 1 - (await balance(venue, "BNB"))[0]


async def test_an_id_may_be_used_again_after_its_order_is_filled(venue: Binance) -> None:
    first = await venue.spot(newClientOrderId="a")
    second = await venue.spot(newClientOrderId="a")
    assert first["orderId"] != second["orderId"]
    assert (await balance(venue, "SOL"))[0] > D("1.9")
    newest = await venue.get(ORDER, symbol=SOL, origClientOrderId="a")
    assert newest["orderId"] == second["orderId"]
    listed = await venue.get("/api/v3/allOrders", symbol=SOL)
    assert [row["clientOrderId"] for row in listed] == ["a", "a"]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"symbol": "NOSUCH"}, -1121, "Invalid symbol"),
    ({"side": "HOLD"}, -1117, "Invalid side"),
    ({"type": "OCO"}, -1116, "Invalid orderType"),
    ({"quantity": "0.0001"}, -1013, "LOT_SIZE"),
    ({"quantity": "1.123456789"}, -1111, "precision"),
    ({"quantity": "0.01"}, -1013, "NOTIONAL"),
    ({"quantity": "90000"}, -1013, "MARKET_LOT_SIZE"),
    ({"quantity": "1000"}, -2010, "insufficient balance"),
    ({"side": "SELL"}, -2010, "insufficient balance"),
    ({"price": "150"}, -1106, "price"),
    ({"quoteOrderQty": "100"}, -1106, "quantity"),
    ({"newClientOrderId": "a b"}, -1100, "newClientOrderId"),
    ({"nonsense": "1"}, -1104, "read"),
    ({"newOrderRespType": "LOUD"}, -1100, "newOrderRespType"),
    ({"type": "LIMIT", "price": "150", "timeInForce": "GTC"}, -1115, "IOC"),
    ({"type": "LIMIT", "price": "150.001", "timeInForce": "IOC"}, -1013, "PRICE_FILTER"),
    ({"type": "STOP_LOSS"}, -1102, "stopPrice"),
]


@pytest.mark.parametrize(("changes", "code", "words"), REFUSED)
async def test_an_order_that_cannot_be_is_refused_by_its_code(
    venue: Binance, changes: dict[str, Any], code: int, words: str
) -> None:
    body = await venue.post(ORDER, **(MARKET | changes))
    assert body["code"] == code, body
    assert words in body["msg"]
    assert await balance(venue, "SOL") == (0, 0)


async def test_a_limit_order_takes_no_worse_price(venue: Binance) -> None:
    limit = MARKET | {"type": "LIMIT", "timeInForce": "IOC"}
    assert (await venue.post(ORDER, **(limit | {"price": "140"})))["status"] == "EXPIRED"
    done = await venue.post(ORDER, **(limit | {"price": "160"}))
    assert (done["status"], done["type"]) == ("FILLED", "LIMIT")


async def test_a_stop_locks_what_it_would_sell_until_it_is_cancelled(venue: Binance) -> None:
    await venue.spot()
    placed = await venue.post(ORDER, **STOP, newClientOrderId="stop")
    assert "status" not in placed
    assert (await balance(venue, "SOL"))[1] == D("0.9")
    duplicate = await venue.post(ORDER, **(STOP | {"quantity": "0.05"}), newClientOrderId="stop")
    assert (duplicate["code"], duplicate["msg"]) == (-2010, "Duplicate order sent.")
    assert await venue.refused("POST", ORDER, **(MARKET | {"side": "SELL"})) == -2010
    resting = await venue.get(ORDER, symbol=SOL, origClientOrderId="stop")
    assert (resting["status"], resting["isWorking"], D(resting["stopPrice"])) == ("NEW", False, 140)
    assert len(await venue.get("/api/v3/openOrders", symbol=SOL)) == 1
    gone = await venue.delete(ORDER, symbol=SOL, origClientOrderId="stop")
    assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "stop")
    assert gone["clientOrderId"] != "stop"
    assert (await balance(venue, "SOL"))[1] == 0
    again = {"symbol": SOL, "origClientOrderId": "stop"}
    assert await venue.refused("DELETE", ORDER, **again) == -2011


async def test_a_stop_sells_when_the_price_falls_to_it(venue: Binance) -> None:
    await venue.spot()
    passed = await venue.post(ORDER, **(STOP | {"stopPrice": "160"}))
    assert passed["code"] == -2010
    await venue.post(ORDER, **STOP, newClientOrderId="stop")
    async with venue.api() as api:
        await api.send(venue.subscription())
        await api.until(lambda m: m.get("id") == "s")
        await venue.rig.price(f"binance:spot:{SOL}", 139)
        sold = await api.until(lambda m: m.get("event", {}).get("X") == "FILLED")
    assert (sold["event"]["c"], sold["event"]["o"]) == ("stop", "STOP_LOSS")
    assert (await balance(venue, "SOL"))[1] == 0


async def test_what_is_not_there_is_not_found(venue: Binance) -> None:
    assert await venue.refused("GET", ORDER, symbol=SOL, origClientOrderId="a") == -2013
    assert await venue.refused("GET", ORDER, symbol=SOL) == -1102


async def test_lists_go_by_id_and_time(venue: Binance) -> None:
    for name in ("a", "b"):
        await venue.spot(newClientOrderId=name)
    trades = await venue.get("/api/v3/myTrades", symbol=SOL)
    later = await venue.get("/api/v3/myTrades", symbol=SOL, fromId=trades[-1]["id"])
    assert [row["id"] for row in later] == [trades[-1]["id"]]
    mixed = {"symbol": SOL, "fromId": 1, "startTime": 1}
    assert await venue.refused("GET", "/api/v3/myTrades", **mixed) == -1128
    wide = {"symbol": SOL, "startTime": 1, "endTime": 10**12}
    assert await venue.refused("GET", "/api/v3/allOrders", **wide) == -1127
    (newest,) = await venue.get("/api/v3/allOrders", symbol=SOL, limit=1)
    assert newest["clientOrderId"] == "b"
    since = await venue.get("/api/v3/allOrders", symbol=SOL, orderId=newest["orderId"])
    assert since == [newest]


async def test_empty_assets_are_left_out_on_request(venue: Binance) -> None:
    await venue.spot()
    for amount in ("1", "-1"):
        await venue.control("deposit", "spot", asset="ETH", amount=amount)
    rows = (await venue.get("/api/v3/account", omitZeroBalances="true"))["balances"]
    assert "ETH" not in {row["asset"] for row in rows}
    assert (await balance(venue, "ETH")) == (0, 0)
