"""Bybit's private stream: log-in, topics, frames."""

import time
from pathlib import Path
from typing import Any

from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, events, hexed, trading

URL = "BYBIT_WS_PRIVATE_URL"


async def test_a_session_logs_in_before_it_subscribes(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.rig.client(URL) as client:
        early = await client.subscribe("order")
        good = await trader.log_in(client)
        after = await client.ask({"op": "subscribe", "args": ["order"], "req_id": "s1"})
        pong = await client.ask({"op": "ping", "req_id": "p1"})
    assert (early["success"], early["ret_msg"]) == (False, "Request not authorized")
    assert good == {
        "success": True,
        "ret_msg": "",
        "op": "auth",
        "conn_id": good["conn_id"],
        "req_id": "a1",
    }
    assert (after["success"], after["op"], after["req_id"]) == (True, "subscribe", "s1")
    assert (pong["op"], pong["req_id"]) == ("pong", "p1")
    assert abs(int(pong["args"][0]) - time.time() * 1000) < 5000


async def test_a_bad_log_in_says_why(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.rig.client(URL) as client:
        key, secret = trader.key, trader.secret
        soon = time.time_ns() // 1_000_000 + 5000

        async def log_in(*args: Any) -> int:
            answer = await client.ask({"op": "auth", "args": list(args)})
            assert answer["op"] == "auth"
            assert not answer["success"]
            return answer["retCode"]

        good = hexed(secret, f"GET/realtime{soon}")
        found = [
            await log_in(key, soon, "00"),
            await log_in("other", soon, good),
            await log_in(key, 1000, hexed(secret, "GET/realtime1000")),
            await log_in(key, str(soon), good),
            await log_in(key),
        ]
        await trader.control(action="permissions", key={"expired": True})
        found.append(await log_in(key, soon, good))
    assert found == [10004, 10003, 10002, 10001, 10001, 33004]


async def test_a_clock_that_is_behind_cannot_log_in(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.rig.client(URL) as client:
        await trader.rig.fault("skew", skew_ms=10_000)
        assert (await trader.log_in(client))["retCode"] == 10002
        assert (await trader.log_in(client, ahead_ms=12_000))["success"]


async def test_topics_are_whole_or_by_category(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.rig.client(URL) as client:
        await trader.log_in(client)
        good = await client.subscribe("order.linear", "wallet")
        found = [
            (await client.subscribe(*topics))["ret_msg"]
            for topics in ((), ("orders",), ("wallet.linear",), ("wallet",), ("order",))
        ]
        gone = await client.ask({"op": "unsubscribe", "args": ["wallet"]})
        odd = await client.ask({"op": "sing"})
        bad = await client.ask("{")
        await trader.filled("Buy", "100", **SPOT)
        await trader.filled("Buy", "0.1")
        await client.drain(0.2)
    assert good["success"]
    assert found[0].startswith("error:args")
    assert found[1] == "Invalid topic: orders"
    assert found[2] == "Invalid topic: wallet.linear"
    assert found[3].startswith("error:already subscribed")
    assert "by category" in found[4]
    assert gone["success"]
    assert not odd["success"]
    assert not bad["success"]
    assert {row["category"] for row in events(client, "order.linear")} == {"linear"}
    assert events(client, "wallet") == []


async def test_a_fault_refuses_a_subscription(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.rig.client(URL) as client:
        await trader.log_in(client)
        await trader.rig.fault("reject_sub", venue="bybit")
        assert not (await client.subscribe("order"))["success"]
        assert (await client.subscribe("order"))["success"]


async def test_one_fill_is_told_by_every_topic(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader, trader.stream() as client:
        order_id = await trader.market("Buy", "0.1", orderLinkId="mine")
        await trader.order(order_id, "Filled")
        await client.drain(0.2)
        stored = (await trader.result("/v5/execution/list", **LINEAR))["list"]
        held = await trader.position()
        wallet = await trader.result("/v5/account/wallet-balance", accountType="UNIFIED")
    (fill,) = events(client, "execution")
    told = events(client, "position")[-1]
    coin = events(client, "wallet")[-1]["coin"]
    assert fill.items() >= stored[0].items()
    assert (fill["orderLinkId"], fill["category"]) == ("mine", "linear")
    assert (told["size"], told["entryPrice"]) == (held["size"], held["avgPrice"])
    assert [row for row in wallet["list"][0]["coin"] if row["coin"] == "USDT"] == coin
    frames = [text for text in client.texts if '"topic":"order"' in text]
    assert len({frame[:40] for frame in frames}) == len(frames)
