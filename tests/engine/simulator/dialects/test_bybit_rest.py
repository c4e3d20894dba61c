import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.rig import Rig, quiet, simulator

BTC = "bybit:linear:BTCUSDT"


async def result(rig: Rig, name: str, **params: Any) -> dict[str, Any]:
    answer = await rig.get(f"/v5/market/{name}", **params)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert (body["retCode"], body["retMsg"]) == (0, "OK"), body
    return body["result"]


async def test_time_comes_in_seconds_and_nanoseconds(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        found = await result(rig, "time")
    assert found["timeNano"].startswith(found["timeSecond"])


@pytest.mark.parametrize("category", ["linear", "spot"])
async def test_instruments_are_listed_and_filtered(tmp_path: Path, category: str) -> None:
    async with quiet(tmp_path) as rig:
        whole = await result(rig, "instruments-info", category=category)
        one = await result(rig, "instruments-info", category=category, symbol="ETHUSDT")
        none = await result(rig, "instruments-info", category=category, status="PreLaunch")
        base = await result(rig, "instruments-info", category=category, baseCoin="SOL")
    assert len(whole["list"]) == 5
    assert [entry["symbol"] for entry in one["list"]] == ["ETHUSDT"]
    assert none["list"] == []
    assert [entry["symbol"] for entry in base["list"]] == ["SOLUSDT"]
    assert ("nextPageCursor" in whole) == (category == "linear")


async def test_linear_instruments_come_in_pages(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        symbols, cursor = [], ""
        for _ in range(3):
            page = await result(rig, "instruments-info", category="linear", limit=2, cursor=cursor)
            symbols += [entry["symbol"] for entry in page["list"]]
            cursor = page["nextPageCursor"]
    assert len(symbols) == len(set(symbols)) == 5
    assert cursor == ""


async def test_trades_are_those_that_were_sent_newest_first(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT")
        sent = []
        for price in (100, 99, 101):
            await rig.price(BTC, price)
            sent += (await client.next())["data"]
        found = await result(rig, "recent-trade", category="linear", symbol="BTCUSDT")
        newest = await result(rig, "recent-trade", category="linear", symbol="BTCUSDT", limit=1)
    rows = [(t["execId"], t["price"], t["size"], t["side"], t["time"]) for t in found["list"]]
    assert rows == [(t["i"], t["p"], t["v"], t["S"], str(t["T"])) for t in reversed(sent)]
    assert newest["list"] == found["list"][:1]


async def test_tickers_bars_and_books_agree_with_the_streams(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        for price in (100, 120, 90):
            await rig.price(BTC, price)
            await rig.price("bybit:spot:BTCUSDT", price)
        (ticker,) = (await result(rig, "tickers", category="linear"))["list"]
        spot = (await result(rig, "tickers", category="spot", symbol="BTCUSDT"))["list"]
        bars = await result(rig, "kline", category="linear", symbol="BTCUSDT", interval="1")
        day = await result(rig, "kline", category="linear", symbol="BTCUSDT", interval="D", limit=1)
        book = await result(rig, "orderbook", category="spot", symbol="BTCUSDT")
        nothing = await result(rig, "orderbook", category="spot", symbol="XRPUSDT")
        silent = await result(rig, "tickers", category="linear", symbol="XRPUSDT")
    assert ticker["lastPrice"] == ticker["markPrice"] == ticker["bid1Price"] == "90.00"
    assert (spot[0]["bid1Price"], spot[0]["ask1Price"]) == ("90", "90.1")
    assert bars["list"][0][4] == "90.00"
    assert day["list"][0][1:5] == ["100.00", "120.00", "90.00", "90.00"]
    assert book["b"][0][0] == "90"
    assert (nothing["b"], silent["list"]) == ([], [])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("tickers", {}),
        ("tickers", {"category": "option"}),
        ("tickers", {"category": "linear", "symbol": "NOPEUSDT"}),
        ("recent-trade", {"category": "linear"}),
        ("recent-trade", {"category": "spot", "symbol": "BTCUSDT", "limit": "x"}),
        ("recent-trade", {"category": "spot", "symbol": "BTCUSDT", "limit": "0"}),
        ("kline", {"category": "linear", "symbol": "BTCUSDT", "interval": "2"}),
        ("kline", {"category": "linear", "symbol": "BTCUSDT"}),
        ("mark-price-kline", {"category": "spot", "symbol": "BTCUSDT", "interval": "1"}),
        ("mark-price-kline", {"category": "linear", "symbol": "BTCUSDT", "interval": "2"}),
        ("instruments-info", {"category": "linear", "cursor": "???"}),
        ("instruments-info", {"category": "linear", "cursor": "bmV4dDp4"}),
    ],
)
async def test_bad_parameters_are_refused_with_http_200(
    tmp_path: Path, name: str, params: dict[str, str]
) -> None:
    async with quiet(tmp_path) as rig:
        answer = await rig.get(f"/v5/market/{name}", **params)
    assert answer.status_code == 200
    assert answer.json()["retCode"] == 10001
    assert answer.json()["result"] == {}


async def test_bars_of_the_mark_have_prices_and_no_volumes(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        for price in (100, 120, 80, 90):
            await rig.price(BTC, price)
        asked = {"category": "linear", "symbol": "BTCUSDT", "interval": "D"}
        marks = (await result(rig, "mark-price-kline", **asked))["list"]
        trades = (await result(rig, "kline", **asked))["list"]
    assert [bar[:5] for bar in trades] == marks
    assert float(marks[-1][1]) == 100
    assert max(float(bar[2]) for bar in marks) == 120
    assert min(float(bar[3]) for bar in marks) == 80
    assert float(marks[0][4]) == 90


async def test_recorded_lists_are_served_whole(recordings: Path) -> None:
    name = "v5_market_instruments-info_linear.json.gz"
    with gzip.open(recordings / "bybit" / "rest" / name) as file:
        recorded = json.load(file)["result"]["list"]
    async with simulator(prices="recorded", recordings=recordings) as rig:
        symbols, cursor = [], ""
        while True:
            page = await result(
                rig, "instruments-info", category="linear", limit=100, cursor=cursor
            )
            symbols += page["list"]
            cursor = page["nextPageCursor"]
            if not cursor:
                break
    assert symbols == recorded
