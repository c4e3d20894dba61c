import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

from engine.simulator.server import Timing
from tests.engine.simulator.rig import Client, quiet, simulator

SPOT = "binance:spot:BTCUSDT"
USDM = "binance:linear:BTCUSDT"


async def subscribe(client: Client, *streams: str, number: int = 1) -> Any:
    return await client.ask({"method": "SUBSCRIBE", "params": list(streams), "id": number})


async def test_raw_and_combined_connections(tmp_path: Path) -> None:
    async with (
        quiet(tmp_path) as rig,
        rig.spot("/ws/btcusdt@trade/btcusdt@bookTicker") as raw,
        rig.spot("/stream?streams=btcusdt@trade/btcusdt@aggTrade") as combined,
    ):
        await rig.price(SPOT, 100)
        trade, quote = await raw.next(), await raw.next()
        assert trade["e"] == "trade"
        assert list(quote) == ["u", "s", "b", "B", "a", "A"]
        wrapped, aggregate = await combined.next(), await combined.next()
    assert wrapped == {"stream": "btcusdt@trade", "data": trade}
    assert aggregate["stream"] == "btcusdt@aggTrade"
    assert aggregate["data"]["f"] == aggregate["data"]["l"] == trade["t"]


async def test_streams_are_subscribed_listed_and_left(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.spot("/stream") as client:
        assert await subscribe(client, "btcusdt@trade", "ethusdt@trade") == {
            "result": None,
            "id": 1,
        }
        listing = {"method": "LIST_SUBSCRIPTIONS", "id": 2}
        assert (await client.ask(listing))["result"] == ["btcusdt@trade", "ethusdt@trade"]
        request = {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 3}
        assert await client.ask(request) == {"result": None, "id": 3}
        await rig.price(SPOT, 100)
        await rig.price("binance:spot:ETHUSDT", 10)
        assert (await client.next())["stream"] == "ethusdt@trade"


async def test_the_envelope_is_a_property(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.spot("/ws/btcusdt@trade") as client:
        request = {"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}
        assert await client.ask(request) == {"result": None, "id": 5}
        assert (await client.ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 6}))[
            "result"
        ]
        await rig.price(SPOT, 100)
        assert (await client.next())["stream"] == "btcusdt@trade"


async def test_streams_that_do_not_exist_are_acked_and_silent(tmp_path: Path) -> None:
    names = ("nopeusdt@trade", "BTCUSDT@trade", "btcusdt@nonsense", "!ticker@arr")
    async with quiet(tmp_path) as rig, rig.spot() as client:
        assert await subscribe(client, *names) == {"result": None, "id": 1}
        listed = await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert listed["result"] == list(names)
        await rig.price(SPOT, 100)
        assert await client.silence()


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ("{", 3, "Invalid JSON"),
        ([1], 2, "missing field `method`"),
        ({"method": "DANCE", "id": 1}, 2, "unknown variant `DANCE`"),
        ({"method": "SUBSCRIBE", "params": [], "id": 1}, 2, "invalid stream"),
        ({"method": "SUBSCRIBE", "params": ["not asdf"], "id": 1}, 2, "invalid stream"),
        ({"method": "SUBSCRIBE", "params": "x", "id": 1}, 2, "params"),
        ({"method": "SUBSCRIBE", "params": ["a@trade"], "id": -1}, 2, "unsigned integer"),
        ({"method": "SUBSCRIBE", "params": ["a@trade"], "id": "1"}, 2, "unsigned integer"),
    ],
)
async def test_bad_requests_are_refused(
    tmp_path: Path, request_: Any, code: int, message: str
) -> None:
    async with quiet(tmp_path) as rig, rig.usdm("/market/ws") as client:
        answer = await client.ask(request_)
    assert set(answer) == {"code", "msg"}
    assert answer["code"] == code
    assert message in answer["msg"]
    assert code == 3 or answer["msg"].startswith("Invalid request: ")


async def test_spot_takes_text_as_request_id(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.spot() as client:
        request = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": "abc"}
        assert await client.ask(request) == {"result": None, "id": "abc"}


async def test_usdm_streams_speak_only_on_their_route(tmp_path: Path) -> None:
    streams = "/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker/btcusdt@markPrice@1s"
    async with (
        quiet(tmp_path) as rig,
        rig.usdm(f"/market{streams}") as market,
        rig.usdm(f"/public{streams}") as public,
        rig.usdm(streams) as unrouted,
    ):
        await rig.price(USDM, 100)
        for client in (market, public, unrouted):
            await client.drain(0.5)
    names = [{json.loads(text)["stream"] for text in c.texts} for c in (market, public, unrouted)]
    assert names[0] == {"btcusdt@aggTrade", "btcusdt@markPrice@1s"}
    assert names[1] == names[2] == {"btcusdt@bookTicker"}


async def test_usdm_frames_have_the_recorded_order_of_fields(
    tmp_path: Path, recordings: Path
) -> None:
    directory = recordings / "binance"

    def recorded(name: str) -> Any:
        path = directory / f"{name}.jsonl"
        packed = path.with_name(f"{path.name}.gz")
        data = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
        return json.loads(data.splitlines()[0])["data"]

    async with (
        quiet(tmp_path) as rig,
        rig.usdm("/market/ws/btcusdt@trade/btcusdt@markPrice/btcusdt@aggTrade") as market,
        rig.usdm("/public/ws/btcusdt@bookTicker") as public,
        rig.spot("/ws/btcusdt@trade/btcusdt@aggTrade") as spot,
    ):
        await rig.price(USDM, 100)
        await rig.price(SPOT, 100)
        trade, aggregate, mark = [await market.next() for _ in range(3)]
        quote = await public.next()
        spot_trade, spot_aggregate = await spot.next(), await spot.next()
    assert list(trade) == list(recorded("usdm_trade_btcusdt_20240718"))
    assert list(aggregate) == [*recorded("usdm_aggTrade_altcoins_2021"), "nq"]
    assert list(mark) == list(recorded("usdm_markPrice_1s_btcusdt_20230404"))
    assert list(quote) == list(recorded("usdm_bookTicker_btcusdt_20240718"))
    assert list(spot_trade) == list(recorded("spot_trade_btcusdt_20240808"))
    assert list(spot_aggregate) == list(recorded("spot_aggTrade_altcoins_2021"))


async def test_slow_marks_come_every_third_second() -> None:
    async with simulator(prices="seeded", speed=10) as rig:
        streams = "/market/stream?streams=btcusdt@markPrice/btcusdt@markPrice@1s"
        async with rig.usdm(streams) as client:
            await client.drain(1.5)
    names = [json.loads(text)["stream"] for text in client.texts]
    fast, slow = names.count("btcusdt@markPrice@1s"), names.count("btcusdt@markPrice")
    assert fast >= 9
    assert abs(fast / 3 - slow) <= 1


@pytest.mark.parametrize(
    ("name", "path", "limit"), [("spot", "/ws", 5), ("usdm", "/public/ws", 10)]
)
async def test_too_many_messages_in_a_second_disconnect(
    tmp_path: Path, name: str, path: str, limit: int
) -> None:
    async with quiet(tmp_path) as rig, getattr(rig, name)(path) as client:
        for number in range(limit):
            await client.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
            await client.next()
        await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 99})
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.text()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


async def test_the_limit_counts_a_sliding_second(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.spot() as client:
        for number in range(7):
            await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": number})
            await asyncio.sleep(0.25)


async def test_the_server_pings_and_cuts_a_client_that_does_not_answer(tmp_path: Path) -> None:
    timing = Timing(spot_ping_s=0.1, spot_pong_s=0.3)
    async with quiet(tmp_path, timing=timing) as rig:
        async with rig.spot() as good:
            assert await good.silence(0.6)
            assert (await good.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1}))["id"] == 1
        url = rig.server.urls["BINANCE_SPOT_WS_URL"].removeprefix("ws://")
        host, _, port = url.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        opcode = (await reader.readexactly(1))[0] & 0x0F
        assert opcode == 9
        async with asyncio.timeout(5):
            rest = await reader.read()
        assert b"keepalive ping timeout" in rest
        writer.close()


@pytest.mark.parametrize("path", ["/other", "/stream/x", "/private/stream", ""])
async def test_unknown_paths_are_not_found(tmp_path: Path, path: str) -> None:
    async with quiet(tmp_path) as rig:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with rig.usdm(path):
                pass
    assert refused.value.response.status_code == 404
