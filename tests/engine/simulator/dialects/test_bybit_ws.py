import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

from engine.simulator.server import Timing
from tests.engine.simulator.rig import quiet, simulator

BTC = "bybit:linear:BTCUSDT"
SPOT = "bybit:spot:BTCUSDT"


def shape(text: str) -> dict[str, Any]:
    """A control frame with its connection's name taken out; order of fields kept."""
    message = json.loads(text)
    assert message.pop("conn_id")
    return message


@pytest.mark.parametrize("category", ["linear", "spot"])
async def test_acks_are_those_of_the_recording(
    tmp_path: Path, recordings: Path, category: str
) -> None:
    directory = recordings / "bybit"
    sent = (directory / f"v5_control_{category}.sent.jsonl").read_text().splitlines()
    received = (directory / f"v5_control_{category}.jsonl").read_text().splitlines()
    topic = json.dumps({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
    async with quiet(tmp_path) as rig, rig.bybit(category) as client:
        assert any("publicTrade" in request for request in sent)
        await client.send(topic)
        ours = await client.text()
    assert shape(ours) == shape(received[0])
    assert list(json.loads(ours)) == list(json.loads(received[0]))


@pytest.mark.parametrize(("category", "message"), [("linear", ""), ("spot", "subscribe")])
async def test_acks_echo_the_request_id(tmp_path: Path, category: str, message: str) -> None:
    async with quiet(tmp_path) as rig, rig.bybit(category) as client:
        request = {"req_id": "r7", "op": "subscribe", "args": ["tickers.BTCUSDT"]}
        ack = await client.ask(request)
        conn = ack.pop("conn_id")
        assert ack == {"success": True, "ret_msg": message, "req_id": "r7", "op": "subscribe"}
        again = await client.ask({"op": "unsubscribe", "args": ["tickers.BTCUSDT"]})
        assert again["success"]
        assert again["op"] == "unsubscribe"
        assert again["conn_id"] == conn


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"op": "subscribe", "args": ["publicTrade.NOPEUSDT"]}, "Invalid topic: publicTrade.NOPE"),
        ({"op": "subscribe", "args": ["nonsense"]}, "Invalid topic: nonsense"),
        ({"op": "unsubscribe", "args": ["orderbook.7.BTCUSDT"]}, "Invalid topic: orderbook.7"),
        ({"op": "subscribe", "args": []}, "args"),
        ({"op": "subscribe", "args": [1]}, "args"),
        ({"op": "subscribe"}, "args"),
        ({"op": "dance"}, "unknown op dance"),
        ("not json", "invalid request"),
        ("[1]", "invalid request"),
    ],
)
async def test_bad_requests_are_refused_and_the_connection_lives(
    tmp_path: Path, request_: Any, message: str
) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        answer = await client.ask(request_)
        assert answer["success"] is False
        assert message in answer["ret_msg"]
        assert (await client.ask({"op": "ping"}))["success"]


async def test_spot_refuses_more_than_ten_args_and_linear_does_not(tmp_path: Path) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    topics = [f"{c}.{s}" for c in ("publicTrade", "tickers", "kline.1") for s in symbols]
    async with quiet(tmp_path) as rig, rig.bybit("spot") as spot, rig.bybit() as linear:
        assert (await spot.subscribe(*topics))["ret_msg"] == "args size >10"
        assert (await spot.subscribe(*topics[:10]))["success"]
        assert (await linear.subscribe(*topics))["success"]


async def test_a_topic_subscribed_twice_is_refused(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT")
        answer = await client.subscribe("publicTrade.BTCUSDT")
        assert answer["ret_msg"] == "error:already subscribed,topic:publicTrade.BTCUSDT"


async def test_pings_are_answered(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        pong = await client.ask({"op": "ping", "req_id": "x"})
    assert pong["success"]
    assert (pong["ret_msg"], pong["op"], pong["req_id"]) == ("pong", "ping", "x")


async def test_an_idle_connection_is_cut(tmp_path: Path) -> None:
    async with quiet(tmp_path, timing=Timing(bybit_idle_s=0.2)) as rig, rig.bybit() as client:
        await client.ask({"op": "ping"})
        with pytest.raises(websockets.ConnectionClosed):
            await client.text()


async def test_unknown_paths_are_not_found(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        for path in ("/inverse", "/spot/more"):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with rig.client("BYBIT_WS_PUBLIC_URL", path):
                    pass
            assert refused.value.response.status_code == 404


async def test_linear_tickers_start_with_a_snapshot_and_go_on_with_what_changed(
    tmp_path: Path,
) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await rig.price(BTC, 100)
        await client.subscribe("tickers.BTCUSDT")
        first = await client.next()
        assert first["type"] == "snapshot"
        assert first["data"]["lastPrice"] == first["data"]["markPrice"] == "100.00"
        assert first["data"]["bid1Price"] == "100.00"
        await rig.price(BTC, 105)
        merged = first["data"]
        for _ in range(3):
            delta = await client.next()
            assert delta["type"] == "delta"
            assert "fundingRate" not in delta["data"]
            merged |= delta["data"]
    assert merged["markPrice"] == merged["lastPrice"] == merged["highPrice24h"] == "105.00"
    assert (merged["ask1Price"], merged["price24hPcnt"]) == ("105.10", "0.050000")
    assert merged["lowPrice24h"] == "100.00"


async def test_spot_tickers_are_always_whole_and_have_no_touch(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit("spot") as client:
        await rig.price(SPOT, 100)
        await client.subscribe("tickers.BTCUSDT")
        first = await client.next()
        await rig.price(SPOT, 90)
        second = await client.next()
    for ticker in (first, second):
        assert ticker["type"] == "snapshot"
        assert list(ticker) == ["topic", "ts", "type", "cs", "data"]
        assert not {"bid1Price", "ask1Price", "markPrice"} & set(ticker["data"])
    assert second["data"]["lastPrice"] == second["data"]["lowPrice24h"] == "90"


async def test_the_book_comes_on_subscribe_and_again_unchanged_after_three_seconds(
    tmp_path: Path,
) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await rig.price(BTC, 100)
        await client.subscribe("orderbook.1.BTCUSDT")
        first = await client.next()
        assert first["type"] == "snapshot"
        assert [first["data"][side][0][0] for side in "ba"] == ["100.00", "100.10"]
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        again = await client.next()
    assert 1.5 < loop.time() - start_s < 5
    assert again["data"] == first["data"]
    assert again["ts"] > first["ts"]


async def test_spot_books_and_trades_have_the_order_of_fields_of_spot(
    tmp_path: Path, recordings: Path
) -> None:
    lines = {
        f"{name}_{market}": json.loads(
            (recordings / "bybit" / f"v5_{name}_{market}.jsonl").read_text().splitlines()[0]
        )
        for name in ("publicTrade", "orderbook200", "kline1")
        for market in ("spot", "linear")
    }
    async with quiet(tmp_path) as rig, rig.bybit("spot") as spot, rig.bybit() as linear:
        for name, client in (("spot", spot), ("linear", linear)):
            await rig.price(f"bybit:{name}:BTCUSDT", 100)
            topics = [f"{c}.BTCUSDT" for c in ("publicTrade", "orderbook.1", "kline.1")]
            await client.subscribe(*topics)
            await rig.price(f"bybit:{name}:BTCUSDT", 101)
            trade = await client.until(lambda m: m.get("topic") == "publicTrade.BTCUSDT")
            recorded = lines[f"publicTrade_{name}"]
            assert list(trade) == list(recorded)
            assert list(trade["data"][0]) == list(recorded["data"][0])
            book = await client.until(lambda m: m.get("topic") == "orderbook.1.BTCUSDT")
            recorded = lines[f"orderbook200_{name}"]
            assert list(book) == list(recorded)
            assert list(book["data"]) == list(recorded["data"])
            bar = await client.until(lambda m: m.get("topic") == "kline.1.BTCUSDT")
            recorded = lines[f"kline1_{name}"]
            assert list(bar) == list(recorded)
            assert list(bar["data"][0]) == list(recorded["data"][0])
            assert bar["data"][0]["high"] == trade["data"][0]["p"]


async def test_tick_directions_compare_with_the_trade_before(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT")
        found = []
        for price in (100, 101, 101, 100):
            await rig.price(BTC, price)
            found.append((await client.next())["data"][0]["L"])
    assert found == ["ZeroPlusTick", "PlusTick", "ZeroPlusTick", "MinusTick"]


async def test_seeded_streams_flow_on_every_channel() -> None:
    async with (
        simulator(prices="seeded", seed=3, speed=10) as rig,
        rig.bybit() as linear,
        rig.bybit("spot") as spot,
    ):
        for client in (linear, spot):
            channels = ("publicTrade", "tickers", "orderbook.1", "kline.1")
            await client.subscribe(*(f"{channel}.SOLUSDT" for channel in channels))
            await client.drain(1.3)
            topics = {json.loads(text).get("topic") for text in client.texts}
            assert topics >= {f"{channel}.SOLUSDT" for channel in channels}
    deltas = [json.loads(text) for text in linear.texts if '"delta"' in text]
    assert len(deltas) > 5
