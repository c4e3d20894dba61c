from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.rig import Rig, quiet

BASES = {"binance:spot:BTCUSDT": "/api/v3", "binance:linear:BTCUSDT": "/fapi/v1"}
both = pytest.mark.parametrize(("instrument", "base"), BASES.items())


async def fine(rig: Rig, path: str, **params: Any) -> Any:
    answer = await rig.get(path, **params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


@both
async def test_basics(tmp_path: Path, instrument: str, base: str) -> None:
    async with quiet(tmp_path) as rig:
        assert await fine(rig, f"{base}/ping") == {}
        assert (await fine(rig, f"{base}/time"))["serverTime"] > 1_600_000_000_000
        info = await fine(rig, f"{base}/exchangeInfo")
    assert len(info["symbols"]) == 5
    assert info["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"


async def test_spot_filters_its_list(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        one = await fine(rig, "/api/v3/exchangeInfo", symbol="ETHUSDT")
        two = await fine(rig, "/api/v3/exchangeInfo", symbols='["ETHUSDT","BTCUSDT"]')
        bad = await rig.get("/api/v3/exchangeInfo", symbols="x")
    assert [entry["symbol"] for entry in one["symbols"]] == ["ETHUSDT"]
    assert [entry["symbol"] for entry in two["symbols"]] == ["ETHUSDT", "BTCUSDT"]
    assert bad.json()["code"] == -1100


@both
async def test_answers_agree_with_what_was_sent(tmp_path: Path, instrument: str, base: str) -> None:
    async with quiet(tmp_path) as rig:
        for price in (100, 120, 90):
            await rig.price(instrument, price)
        trades = await fine(rig, f"{base}/trades", symbol="BTCUSDT")
        aggregates = await fine(rig, f"{base}/aggTrades", symbol="BTCUSDT")
        (bar,) = (await fine(rig, f"{base}/klines", symbol="BTCUSDT", interval="1d"))[-1:]
        last = await fine(rig, f"{base}/ticker/price", symbol="BTCUSDT")
        quote = await fine(rig, f"{base}/ticker/bookTicker", symbol="BTCUSDT")
        depth = await fine(rig, f"{base}/depth", symbol="BTCUSDT", limit=5)
        empty = await fine(rig, f"{base}/depth", symbol="XRPUSDT")
        prices = await fine(rig, f"{base}/ticker/price")
    assert [float(trade["price"]) for trade in trades] == [100, 120, 90]
    assert [trade["isBuyerMaker"] for trade in trades] == [False, False, True]
    assert [entry["f"] for entry in aggregates] == [trade["id"] for trade in trades]
    assert [float(value) for value in bar[1:5]] == [100, 120, 90, 90]
    assert bar[8] == 3
    assert float(last["price"]) == 90
    assert ("time" in last) == (base == "/fapi/v1")
    assert float(quote["askPrice"]) > float(quote["bidPrice"]) == 90
    assert float(depth["bids"][0][0]) == 90
    assert empty["bids"] == empty["asks"] == []
    assert "BTCUSDT" in {entry["symbol"] for entry in prices}


@both
async def test_aggregates_are_fetched_onward_from_an_id(
    tmp_path: Path, instrument: str, base: str
) -> None:
    async with quiet(tmp_path) as rig:
        for price in range(100, 110):
            await rig.price(instrument, price)
        path, ask = f"{base}/aggTrades", {"symbol": "BTCUSDT"}
        whole = await fine(rig, path, **ask)
        onward = await fine(rig, path, **ask, fromId=whole[4]["a"], limit=3)
        newest = await fine(rig, path, **ask, limit=2)
        since = await fine(rig, path, **ask, startTime=whole[0]["T"], limit=2)
        until = await fine(rig, path, **ask, endTime=whole[-1]["T"], limit=2)
        mixed = await rig.get(path, **ask, fromId=1, startTime=1)
    assert [entry["a"] for entry in whole] == list(range(whole[0]["a"], whole[0]["a"] + 10))
    assert onward == whole[4:7]
    assert newest == until == whole[-2:]
    assert since == whole[:2]
    assert mixed.json()["code"] == -1128


async def test_usdm_tells_marks_and_the_newer_ticker(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        await rig.price("binance:linear:BTCUSDT", 100)
        one = await fine(rig, "/fapi/v1/premiumIndex", symbol="BTCUSDT")
        (entry,) = await fine(rig, "/fapi/v1/premiumIndex")
        ticker = await fine(rig, "/fapi/v2/ticker/price", symbol="BTCUSDT")
        none = await rig.get("/fapi/v1/premiumIndex", symbol="XRPUSDT")
    assert one["markPrice"] == entry["markPrice"] == "100.00000000"
    assert one["nextFundingTime"] % 28_800_000 == 0
    assert ticker["price"] == "100.00"
    assert none.status_code == 400


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("trades", {}, -1102),
        ("trades", {"symbol": "NOPE"}, -1121),
        ("trades", {"symbol": "BTCUSDT", "limit": "x"}, -1100),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("ticker/price", {"symbol": "NOPE"}, -1121),
    ],
)
@both
async def test_bad_parameters_are_refused_with_http_400(
    tmp_path: Path, instrument: str, base: str, path: str, params: dict[str, str], code: int
) -> None:
    async with quiet(tmp_path) as rig:
        answer = await rig.get(f"{base}/{path}", **params)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "msg"}
    assert answer.json()["code"] == code
    if code == -1121:
        assert answer.json()["msg"] == "Invalid symbol."


async def test_bars_of_the_mark_are_those_of_its_prices(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        for price in (100, 120, 80, 90):
            await rig.price("binance:linear:BTCUSDT", price)
        asked = {"symbol": "BTCUSDT", "interval": "1d"}
        bars = await fine(rig, "/fapi/v1/markPriceKlines", **asked)
        spot = await rig.get("/api/v3/markPriceKlines", **asked)
    assert float(bars[0][1]) == 100
    assert max(float(bar[2]) for bar in bars) == 120
    assert min(float(bar[3]) for bar in bars) == 80
    assert float(bars[-1][4]) == 90
    assert all(len(bar) == 12 and bar[6] - bar[0] == 86_399_999 for bar in bars)
    assert spot.status_code == 404


async def test_klines_are_cut_by_time(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        await rig.price("binance:spot:BTCUSDT", 5)
        path, ask = "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m"}
        (bar, *_) = await fine(rig, path, **ask)
        same = await fine(rig, path, **ask, startTime=bar[0], limit=1)
        before = await fine(rig, path, **ask, endTime=bar[0] - 1)
    assert same[0][:5] == bar[:5]
    assert before == []
