import asyncio
from pathlib import Path

import pytest
import websockets

from tests.engine.simulator.rig import quiet, simulator

BTC = "bybit:linear:BTCUSDT"


async def test_a_price_reaches_subscribers_at_once_and_is_rounded_to_the_tick(
    tmp_path: Path,
) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT")
        assert await rig.price(BTC, "65000.06") == {"instrument": BTC, "price": "65000.1"}
        trade = await client.next()
        assert trade["data"][0]["p"] == "65000.10"
        assert (await rig.price(BTC, 65000.25))["price"] == "65000.3"
        assert (await rig.price(BTC, None))["price"] is None


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("price", {"instrument": "BTCUSDT", "price": 1}, "instrument"),
        ("price", {"price": 1}, "instrument"),
        ("price", {"instrument": "bybit:linear:NOPEUSDT", "price": 1}, "instrument"),
        ("price", {"instrument": BTC}, "price"),
        ("price", {"instrument": BTC, "price": "-1"}, "price"),
        ("price", {"instrument": BTC, "price": 1, "size": 2}, "size"),
        ("price", [], "body"),
        ("path", {"instrument": BTC}, "prices"),
        ("path", {"instrument": BTC, "prices": []}, "prices"),
        ("path", {"instrument": BTC, "prices": [1, "x"]}, "prices[1]"),
        ("path", {"instrument": BTC, "prices": [1], "interval_ms": -1}, "interval_ms"),
        ("path", {"instrument": BTC, "prices": [1], "interval_ms": True}, "interval_ms"),
        ("fault", {}, "kind"),
        ("fault", {"kind": "nope"}, "kind"),
        ("fault", {"kind": "mute", "venue": "okx"}, "venue"),
        ("fault", {"kind": "mute", "market": "option"}, "market"),
        ("fault", {"kind": "mute", "instrument": "x"}, "instrument"),
        ("fault", {"kind": "mute", "duration_ms": 0}, "duration_ms"),
        ("fault", {"kind": "duplicate", "count": "2"}, "count"),
        ("fault", {"kind": "close", "code": 1006}, "code"),
        ("fault", {"kind": "close", "code": 5000}, "code"),
        ("fault", {"kind": "close", "conn": "nobody"}, "conn"),
    ],
)
async def test_bad_requests_name_the_field(
    tmp_path: Path, path: str, body: object, field: str
) -> None:
    async with quiet(tmp_path) as rig:
        answer = await rig.http.post(f"{rig.server.control_url}/{path}", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert answer.json()["errors"][0]["remedy"]


async def test_a_body_that_is_not_json_is_refused(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        answer = await rig.http.post(f"{rig.server.control_url}/price", content=b"{")
    assert answer.json()["errors"][0]["field"] == "body"


async def test_a_path_is_sent_price_by_price(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.spot("/ws/btcusdt@trade") as client:
        body = {"instrument": "binance:spot:BTCUSDT", "prices": ["1", 2, 3.5], "interval_ms": 5}
        answer = await rig.ask("path", body)
        assert answer.json()["prices"] == 3
        prices = [(await client.next())["p"] for _ in range(3)]
    assert prices == ["1.00000000", "2.00000000", "3.50000000"]


async def test_a_pause_holds_the_sources_but_not_scripts() -> None:
    async with simulator(prices="seeded", speed=20) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT")
        await client.next()
        assert (await rig.ask("pause")).json() == {"paused": True}
        await client.drain(0.2)
        assert await client.silence(0.3)
        await rig.price(BTC, 70000)
        assert (await client.next())["data"][0]["p"] == "70000.00"
        assert (await rig.state())["paused"]
        await rig.ask("resume")
        after = await client.next()
        assert abs(float(after["data"][0]["p"]) - 70000) < 100


async def test_the_state_tells_prices_connections_and_faults(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.usdm("/market/ws/btcusdt@aggTrade") as client:
        await rig.price("binance:linear:BTCUSDT", 60000)
        await client.next()
        await rig.fault("mute", symbol="ETHUSDT", venue="binance")
        state = await rig.state()
    assert state["prices"]["binance:linear:BTCUSDT"] == {
        "last": "60000.00",
        "bid": "60000.00",
        "ask": "60000.10",
        "mark": "60000.00000000",
        "scripted": True,
    }
    (connection,) = state["connections"]
    assert connection["subscriptions"] == ["btcusdt@aggTrade"]
    assert (connection["route"], connection["frames_sent"]) == ("market", 1)
    assert state["frames_sent"] == 1
    assert state["faults"][0]["symbol"] == "ETHUSDT"


# --- faults ------------------------------------------------------------------------------------


async def test_mute_stops_data_but_not_answers_and_ends_with_its_time(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT", "publicTrade.ETHUSDT")
        await rig.fault("mute", instrument=BTC, duration_ms=400)
        await rig.price(BTC, 1)
        await rig.price("bybit:linear:ETHUSDT", 2)
        assert (await client.next())["data"][0]["s"] == "ETHUSDT"
        assert (await client.ask({"op": "ping"}))["ret_msg"] == "pong"
        await asyncio.sleep(0.5)
        await rig.price(BTC, 3)
        assert (await client.next())["data"][0]["p"] == "3.00"


async def test_mute_meets_new_connections_until_cleared(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        await rig.fault("mute", symbol="all")
        async with rig.bybit() as client:
            assert (await client.subscribe("publicTrade.BTCUSDT"))["success"]
            await rig.price(BTC, 1)
            assert await client.silence()
            assert await rig.fault("clear") == {"kind": "clear"}
            await rig.price(BTC, 2)
            assert (await client.next())["data"][0]["p"] == "2.00"


async def test_close_uses_the_code_and_leaves_others_alone(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit("spot") as spot, rig.bybit() as linear:
        await spot.ask({"op": "ping"})
        await linear.ask({"op": "ping"})
        assert (await rig.fault("close", venue="bybit", market="spot", code=4001))[
            "connections"
        ] == 1
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await spot.text()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001
        assert (await linear.ask({"op": "ping"}))["success"]


async def test_half_open_leaves_only_pongs_and_spares_new_connections(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as old:
        await old.subscribe("publicTrade.BTCUSDT")
        await rig.fault("half_open")
        await old.send({"op": "subscribe", "args": ["publicTrade.ETHUSDT"]})
        await rig.price(BTC, 1)
        assert await old.silence()
        assert (await old.ask({"op": "ping"}))["ret_msg"] == "pong"
        await (await old.socket.ping())
        async with rig.bybit() as new:
            await new.subscribe("publicTrade.BTCUSDT")
            await rig.price(BTC, 2)
            assert (await new.next())["data"][0]["p"] == "2.00"


async def test_refuse_turns_new_connections_away_for_a_while(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        await rig.fault("refuse", venue="bybit", duration_ms=300)
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with rig.bybit():
                pass
        assert refused.value.response.status_code == 503
        async with rig.spot():
            pass
        await asyncio.sleep(0.4)
        async with rig.bybit() as client:
            assert (await client.ask({"op": "ping"}))["success"]


async def test_garbage_is_a_frame_that_cannot_be_parsed(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.ask({"op": "ping"})
        await rig.fault("garbage", venue="bybit", count=2)
        for _ in range(2):
            with pytest.raises(ValueError, match=r"delimiter|Unterminated"):
                await client.next()
        assert (await client.ask({"op": "ping"}))["success"]


async def test_duplicate_sends_frames_twice(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT")
        await rig.fault("duplicate", symbol="BTCUSDT", count=1)
        await rig.price(BTC, 1)
        await rig.price(BTC, 2)
        frames = [await client.text() for _ in range(3)]
    assert frames[0] == frames[1] != frames[2]


async def test_reorder_swaps_neighbours_of_a_channel(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as client:
        await client.subscribe("publicTrade.BTCUSDT", "publicTrade.ETHUSDT")
        await rig.fault("reorder", count=1)
        await rig.price(BTC, 1)
        await rig.price("bybit:linear:ETHUSDT", 9)
        for price in (2, 3):
            await rig.price(BTC, price)
        prices = [(await client.next())["data"][0]["p"] for _ in range(4)]
    assert prices == ["9.00", "2.00", "1.00", "3.00"]


async def test_reject_sub_refuses_the_next_subscription_only(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as bybit, rig.spot() as binance:
        await bybit.ask({"op": "ping"})
        await rig.fault("reject_sub", venue="bybit")
        await rig.fault("reject_sub", venue="binance")
        assert not (await bybit.subscribe("publicTrade.BTCUSDT"))["success"]
        assert (await bybit.subscribe("publicTrade.BTCUSDT"))["success"]
        request = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}
        assert (await binance.ask(request))["code"] == 2
        assert (await binance.ask(request)) == {"result": None, "id": 1}


async def test_a_fault_can_be_aimed_at_one_connection(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig, rig.bybit() as one, rig.bybit() as two:
        conn = (await one.subscribe("publicTrade.BTCUSDT"))["conn_id"]
        await two.subscribe("publicTrade.BTCUSDT")
        await rig.fault("mute", conn=conn)
        await rig.price(BTC, 1)
        assert (await two.next())["data"]
        assert await one.silence()
