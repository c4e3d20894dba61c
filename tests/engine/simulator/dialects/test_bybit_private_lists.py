"""Orders and executions as lists: filters, pages, funding, and what others did."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, Trader, trading

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("order/realtime", {"category": "linear"}),
    ("order/realtime", {"category": "linear", "orderLinkId": "x"}),
    ("order/realtime", {}),
    ("order/realtime", {**LINEAR, "openOnly": "3"}),
    ("order/realtime", {**LINEAR, "limit": "51"}),
    ("order/history", {**LINEAR, "limit": "0"}),
    ("order/history", {**LINEAR, "since": "1"}),
    ("execution/list", {**LINEAR, "limit": "101"}),
    ("execution/list", {**LINEAR, "cursor": "???"}),
    ("execution/list", {**LINEAR, "cursor": "bmV4dA%3D%3D"}),
    ("execution/list", {**LINEAR, "startTime": "5", "endTime": "4"}),
    ("execution/list", {**LINEAR, "startTime": "1", "endTime": "604800002"}),
    ("execution/list", {**LINEAR, "execType": "Gift"}),
    ("position/list", {"category": "linear"}),
    ("position/list", {"category": "spot", "symbol": "BTCUSDT"}),
    ("account/wallet-balance", {"accountType": "CONTRACT"}),
    ("account/fee-rate", {"category": "option"}),
]


async def test_bad_list_requests_are_parameter_errors(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        codes = [(await trader.get(f"/v5/{path}", **params)) for path, params in REFUSED]
    assert [answer["retCode"] for answer in codes] == [10001] * len(REFUSED)


async def test_a_parameter_that_comes_twice_is_refused(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        answer = await trader.raw_get("/v5/order/realtime", "category=spot&category=linear")
    assert answer.json()["retCode"] == 10001


async def pages(trader: Trader, path: str, cursor: str = "", **params: Any) -> list[dict[str, Any]]:
    """All rows, by following the cursors as they come."""
    rows = []
    while True:
        page = await trader.result(path, **params, **({"cursor": cursor} if cursor else {}))
        rows += page["list"]
        cursor = page["nextPageCursor"]
        if not cursor:
            return rows


async def test_pages_hold_every_execution_once_newest_first(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        for number in range(5):
            await trader.market("Buy", f"0.0{number + 1}")
        await asyncio.sleep(0.1)
        first = await trader.result("/v5/execution/list", **LINEAR, limit=2)
        await trader.market("Buy", "0.09")
        await asyncio.sleep(0.1)
        cursor = first["nextPageCursor"]
        rest = await pages(trader, "/v5/execution/list", **LINEAR, limit=2, cursor=cursor)
        whole = await pages(trader, "/v5/execution/list", **LINEAR, limit=2)
        orders = await pages(trader, "/v5/order/history", **LINEAR, limit=4)
    assert "%3D" in cursor or "=" not in cursor
    assert [row["execQty"] for row in first["list"] + rest] == [
        "0.05",
        "0.04",
        "0.03",
        "0.02",
        "0.01",
    ]
    assert [row["execQty"] for row in whole] == ["0.09"] + [
        row["execQty"] for row in first["list"] + rest
    ]
    assert [row["cumExecQty"] for row in orders] == [row["execQty"] for row in whole]


async def test_filters_leave_what_fits(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.price("bybit:linear:ETHUSDT", 100)
        one = (await trader.filled("Buy", "0.01", orderLinkId="one"))["orderId"]
        await trader.market("Buy", "0.1", symbol="ETHUSDT", orderLinkId="two")
        await trader.filled("Buy", "100", **SPOT, orderLinkId="three")
        stop = {"reduceOnly": True, "triggerPrice": "950", "triggerDirection": 2}
        await trader.market("Sell", "0.01", **stop, orderLinkId="stop")
        scope = {"category": "linear", "settleCoin": "USDT"}

        async def links(path: str, **params: Any) -> list[str]:
            return [row["orderLinkId"] for row in (await trader.result(path, **params))["list"]]

        assert await links("/v5/order/realtime", **scope) == ["stop"]
        assert await links("/v5/order/realtime", **scope, openOnly=1) == ["stop", "two", "one"]
        assert await links("/v5/order/realtime", **scope, orderId=one) == ["one"]
        assert await links("/v5/order/history", **scope) == ["two", "one"]
        assert await links("/v5/order/history", **scope, orderStatus="Cancelled") == []
        assert await links("/v5/order/history", category="linear", baseCoin="ETH") == ["two"]
        assert await links("/v5/execution/list", category="linear", orderLinkId="two") == ["two"]
        assert await links("/v5/execution/list", category="linear", orderId=one) == ["one"]
        assert await links("/v5/execution/list", category="spot") == ["three"]
        assert await links("/v5/execution/list", **LINEAR, execType="Funding") == []
        later = {"startTime": 9_000_000_000_000}
        assert await links("/v5/execution/list", **LINEAR, **later) == []
        assert await links("/v5/order/history", **LINEAR, endTime=1000) == []


async def test_funding_is_an_execution_with_the_position_it_was_paid_on(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.stream("execution") as client:
        await trader.filled("Buy", "0.5")
        fund = {"action": "fund", "market": "linear", "symbol": "BTCUSDT"}
        await trader.control(**fund, rate="0.0001")
        await trader.control(**fund, rate="-0.0002")
        rows = (await trader.result("/v5/execution/list", **LINEAR, execType="Funding"))["list"]
        told = [await client.until(lambda m: m["data"][0]["execType"] == "Funding")]
    got = [(row["execFee"], row["execQty"], row["feeRate"], row["orderType"]) for row in rows]
    assert got == [
        ("-0.1", "0.5", "-0.0002", "UNKNOWN"),
        ("0.05", "0.5", "0.0001", "UNKNOWN"),
    ]
    assert told[0]["data"][0]["execId"] == rows[1]["execId"]


async def test_what_others_did_is_told_by_its_kind(tmp_path: Path) -> None:
    act = {"market": "linear", "symbol": "BTCUSDT"}
    async with trading(tmp_path) as trader, trader.stream("order", "execution") as client:
        await trader.filled("Buy", "0.5")
        await trader.control(action="trade", **act, side="sell", qty="0.1", client_order_id="web1")
        await trader.control(action="trade", **act, side="sell", qty="0.1", kind="adl")
        await trader.control(action="liquidate", **act)
        rows = (await trader.result("/v5/execution/list", **LINEAR, limit=3))["list"]
        held = await trader.position()
        orders = (await trader.result("/v5/order/history", **LINEAR, limit=3))["list"]
        await client.drain(0.2)
    got = [(row["execType"], row["execQty"], row["orderLinkId"]) for row in rows]
    assert got == [("BustTrade", "0.3", ""), ("AdlTrade", "0.1", ""), ("Trade", "0.1", "web1")]
    assert [row["closedSize"] for row in rows] == ["0.3", "0.1", "0.1"]
    assert [row["createType"] for row in orders] == [
        "CreateByTakeOver_PassThrough",
        "CreateByAdl_PassThrough",
        "CreateByUser",
    ]
    assert held["size"] == "0"


@pytest.mark.parametrize("scope", [LINEAR, SPOT])
async def test_fee_rates_are_told_of_one_symbol_or_all(
    tmp_path: Path, scope: dict[str, str]
) -> None:
    async with trading(tmp_path) as trader:
        one = (await trader.result("/v5/account/fee-rate", **scope))["list"]
        every = await trader.result("/v5/account/fee-rate", category=scope["category"])
        fill = await trader.filled("Buy", "100" if scope is SPOT else "0.1", **scope)
    (fee,) = fill["cumFeeDetail"].values()
    base = fill["cumExecQty"] if scope is SPOT else fill["cumExecValue"]
    assert abs(float(fee) / float(base) - float(one[0]["takerFeeRate"])) < 1e-9
    assert len(every["list"]) == 5


async def test_stale_lists_lack_what_is_new(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        old = (await trader.filled("Buy", "0.01"))["orderId"]
        await asyncio.sleep(0.4)
        await trader.rig.fault("stale_reads", venue="bybit", delay_ms=300)
        new = await trader.market("Buy", "0.02")
        seen = [
            [row["orderId"] for row in (await trader.result(path, **LINEAR, **more))["list"]]
            for path, more in (
                ("/v5/order/realtime", {"openOnly": 1}),
                ("/v5/order/history", {}),
                ("/v5/execution/list", {}),
            )
        ]
        assert (await trader.position())["size"] in ("0.01", "0.03")
        await asyncio.sleep(0.4)
        later = await trader.result("/v5/order/history", **LINEAR)
    assert seen == [[old]] * 3
    assert [row["orderId"] for row in later["list"]] == [new, old]
