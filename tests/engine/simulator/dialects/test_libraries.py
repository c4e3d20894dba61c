"""The venues' own client libraries against the simulator, unchanged."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from binance import AsyncClient, BinanceAPIException, BinanceSocketManager
from binance.ws.reconnecting_websocket import ReconnectingWebsocket
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP

from tests.engine.simulator.rig import Rig, quiet


def pybit_calls(url: str) -> dict[str, Any]:
    session = HTTP()
    session.endpoint = url
    ask = {"category": "linear", "symbol": "BTCUSDT"}
    found = {
        "time": session.get_server_time(),
        "instruments": session.get_instruments_info(**ask),
        "trades": session.get_public_trade_history(**ask, limit=2),
        "tickers": session.get_tickers(**ask),
        "kline": session.get_kline(**ask, interval=1),
        "book": session.get_orderbook(**ask),
    }
    with pytest.raises(InvalidRequestError) as refused:
        session.get_tickers(category="linear", symbol="NOPEUSDT")
    assert refused.value.status_code == 10001
    session.client.close()
    return {name: answer["result"] for name, answer in found.items()}


async def test_pybit_http(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        for price in (100, 101):
            await rig.price("bybit:linear:BTCUSDT", price)
        found = await asyncio.to_thread(pybit_calls, rig.server.urls["BYBIT_REST_URL"])
    assert int(found["time"]["timeSecond"]) > 1_600_000_000
    assert found["instruments"]["list"][0]["lotSizeFilter"]["qtyStep"] == "0.001"
    assert [trade["price"] for trade in found["trades"]["list"]] == ["101.00", "100.00"]
    assert found["tickers"]["list"][0]["lastPrice"] == "101.00"
    assert found["kline"]["list"][0][4] == "101.00"
    assert found["book"]["b"][0][0] == "101.00"


async def binance_client(rig: Rig) -> Any:
    urls = rig.server.urls

    class Local(AsyncClient):
        API_URL = urls["BINANCE_SPOT_REST_URL"] + "/api"
        FUTURES_URL = urls["BINANCE_USDM_REST_URL"] + "/fapi"

    return await Local.create()


async def test_python_binance_rest(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        await rig.price("binance:spot:BTCUSDT", 100)
        await rig.price("binance:linear:BTCUSDT", 200)
        client = await binance_client(rig)
        try:
            assert (await client.get_symbol_info("BTCUSDT"))["baseAsset"] == "BTC"
            assert (await client.get_recent_trades(symbol="BTCUSDT"))[0]["qty"]
            assert (await client.get_aggregate_trades(symbol="BTCUSDT"))[0]["p"] == "100.00000000"
            assert len(await client.get_klines(symbol="BTCUSDT", interval="1m")) >= 1
            assert (await client.get_symbol_ticker(symbol="BTCUSDT"))["price"] == "100.00000000"
            assert (await client.get_orderbook_ticker(symbol="BTCUSDT"))["bidQty"]
            assert (await client.get_order_book(symbol="BTCUSDT"))["asks"]
            assert await client.futures_ping() == {}
            assert (await client.futures_time())["serverTime"]
            assert len((await client.futures_exchange_info())["symbols"]) == 5
            assert (await client.futures_recent_trades(symbol="BTCUSDT"))[0]["price"] == "200.00"
            assert (await client.futures_aggregate_trades(symbol="BTCUSDT"))[0]["p"] == "200.00"
            assert len(await client.futures_klines(symbol="BTCUSDT", interval="1m")) >= 1
            assert (await client.futures_mark_price(symbol="BTCUSDT"))["markPrice"]
            assert (await client.futures_symbol_ticker(symbol="BTCUSDT"))["price"] == "200.00"
            assert (await client.futures_orderbook_ticker(symbol="BTCUSDT"))["askPrice"]
            with pytest.raises(BinanceAPIException) as refused:
                await client.get_symbol_ticker(symbol="NOPE")
            assert (refused.value.code, refused.value.status_code) == (-1121, 400)
        finally:
            await client.close_connection()


async def test_python_binance_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReconnectingWebsocket, "TIMEOUT", 0.5)  # what leaving a stream waits for
    async with quiet(tmp_path) as rig:
        client = await binance_client(rig)
        try:
            manager = BinanceSocketManager(client)
            manager.STREAM_URL = rig.server.urls["BINANCE_SPOT_WS_URL"] + "/"
            manager.FSTREAM_URL = rig.server.urls["BINANCE_USDM_WS_URL"] + "/"
            async with manager.trade_socket("BTCUSDT") as spot:
                await rig.price("binance:spot:BTCUSDT", 100)
                assert (await spot.recv())["p"] == "100.00000000"
            async with manager.aggtrade_futures_socket("BTCUSDT") as futures:
                await rig.price("binance:linear:BTCUSDT", 200)
                assert (await futures.recv())["data"]["p"] == "200.00"
        finally:
            await client.close_connection()
