"""Who may ask Binance's private side: keys, signatures, clocks, limits, streams."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from engine.simulator.dialects.binance_private_limits import BAN_AFTER
from tests.engine.simulator.dialects.binance_rig import SOL, Binance, binance

ACCOUNT, CONFIG, ORDER = "/api/v3/account", "/fapi/v1/accountConfig", "/api/v3/order"
BOTH = pytest.mark.parametrize("path", [ACCOUNT, CONFIG])
MARKET = {"symbol": SOL, "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.fixture
async def venue() -> AsyncIterator[Binance]:
    async with binance() as opened:
        yield opened


def status(venue: Binance) -> int:
    assert venue.last is not None
    return venue.last.status_code


@BOTH
async def test_a_signed_request_is_answered(venue: Binance, path: str) -> None:
    await venue.get(path)
    assert status(venue) == 200


@BOTH
@pytest.mark.parametrize(("key", "code"), [("short", -2014), ("x" * 64, -2015), ("", -2014)])
async def test_a_key_that_is_not_known_is_refused(
    venue: Binance, path: str, key: str, code: int
) -> None:
    body = await venue.send("GET", path, venue.signed({}), key=key)
    assert (status(venue), body["code"]) == (401, code)


@BOTH
async def test_what_was_changed_after_signing_is_refused(venue: Binance, path: str) -> None:
    text = venue.signed({})
    for spoilt in (text[:-1] + ("0" if text[-1] != "0" else "1"), "recvWindow=6000&" + text):
        assert (await venue.send("GET", path, spoilt))["code"] == -1022
    unsigned = text.partition("&signature=")[0]
    assert (await venue.send("GET", path, unsigned))["code"] == -1102
    assert (await venue.send("GET", path, f"{text}&recvWindow=1"))["code"] == -1022


@BOTH
@pytest.mark.parametrize("ahead_ms", [-60_000, 3_000])
async def test_a_request_of_another_time_is_refused(
    venue: Binance, path: str, ahead_ms: int
) -> None:
    stamp = int(time.time() * 1000) + ahead_ms
    assert (await venue.send("GET", path, venue.signed({}, timestamp=stamp)))["code"] == -1021
    await venue.rig.fault("skew", venue="binance", skew_ms=ahead_ms)
    told = await venue.send("GET", "/api/v3/time", "")
    assert abs(told["serverTime"] - stamp) < 2_000
    assert "code" not in await venue.send("GET", path, venue.signed({}, timestamp=stamp))


async def test_a_window_may_not_be_too_wide(venue: Binance) -> None:
    assert (await venue.get(ACCOUNT, recvWindow=60_001))["code"] == -1131
    text = venue.signed({}, timestamp="soon")
    assert (await venue.send("GET", ACCOUNT, text))["code"] == -1100


async def test_parameters_are_read_from_query_and_body_and_must_not_repeat(
    venue: Binance,
) -> None:
    text = venue.signed(MARKET | {"newOrderRespType": "RESULT"})
    assert (await venue.send("POST", ORDER, text))["status"] == "FILLED"
    twice = f"recvWindow=5000&recvWindow=5000&timestamp={int(time.time() * 1000)}"
    signed = f"{twice}&signature={venue.signature(twice)}"
    assert (await venue.send("GET", ACCOUNT, signed))["code"] == -1101


async def test_a_key_may_do_what_its_rights_say(venue: Binance) -> None:
    await venue.control("permissions", key={"read_only": True})
    assert (await venue.post(ORDER, **MARKET))["code"] == -2015
    assert "balances" in await venue.get(ACCOUNT)
    rights = await venue.get("/sapi/v1/account/apiRestrictions")
    assert rights["enableSpotAndMarginTrading"] is False
    await venue.control("permissions", key={"read_only": False, "withdraw": True})
    assert (await venue.get("/sapi/v1/account/apiRestrictions"))["enableWithdrawals"] is True
    await venue.control("permissions", key={"trade_linear": False})
    assert (await venue.get(CONFIG))["code"] == -2015
    await venue.control("permissions", key={"expired": True})
    assert (await venue.get(ACCOUNT))["code"] == -2015


# Limits


async def test_too_much_weight_is_told_then_banned(venue: Binance) -> None:
    codes = []
    for _ in range(400):
        await venue.get(ACCOUNT)  # weight 20 of 6,000 a minute
        codes.append(status(venue))
        if codes[-1] == 418:
            break
    assert venue.last is not None
    assert int(venue.last.headers["Retry-After"]) > 0
    assert codes.count(429) in (0, BAN_AFTER)  # a minute may have turned in between
    assert 418 in codes or codes.count(200) > 300


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("rate_limit", 429), ("ban", 418), ("maintenance", 400), ("error_before", 502)],
)
async def test_a_fault_is_worded_as_the_venue_would(
    venue: Binance, kind: str, expected: int
) -> None:
    await venue.rig.fault(kind, venue="binance", path=ACCOUNT, count=1)
    await venue.get(ACCOUNT)
    assert status(venue) == expected
    assert venue.last is not None
    assert ("Retry-After" in venue.last.headers) is (expected in (418, 429))


async def test_a_server_error_may_have_a_code(venue: Binance) -> None:
    await venue.rig.fault("error_after", venue="binance", path=ORDER, count=1, code=1007)
    assert (await venue.post(ORDER, **MARKET))["code"] == -1007
    assert len(await venue.get("/api/v3/allOrders", symbol=SOL)) == 1


# Streams


async def test_the_spot_stream_takes_a_signed_subscription(venue: Binance) -> None:
    async with venue.api() as api:
        wrong = venue.subscription()
        wrong["params"]["signature"] = "0" * 64
        await api.send(wrong)
        refused = await api.next()
        assert (refused["status"], refused["error"]["code"]) == (400, -1022)
        await api.send(venue.subscription(apiKey="x" * 64))
        assert (await api.next())["status"] == 401
        await api.send(venue.subscription())
        assert (await api.next())["result"] == {"subscriptionId": 0}
        await api.send(venue.subscription())
        assert (await api.next())["error"]["code"] == -2036
        await venue.spot(newClientOrderId="a")
        events = [(await api.next())["event"] for _ in range(3)]
        assert [event["e"] for event in events][:2] == ["executionReport", "executionReport"]
        assert (events[0]["x"], events[1]["x"], events[1]["c"]) == ("NEW", "TRADE", "a")


async def test_the_api_answers_other_requests(venue: Binance) -> None:
    async with venue.api() as api:
        await api.send({"id": 1, "method": "ping"})
        assert await api.next() == {"id": 1, "status": 200, "result": {}, "rateLimits": []}
        await api.send({"id": 2, "method": "time"})
        assert (await api.next())["result"]["serverTime"] > 0
        for odd in ("{", {"id": 3, "method": "nonsense"}, {"id": 4, "method": "time", "params": 1}):
            await api.send(odd)
            assert (await api.next())["error"]["code"] == -1135
        await api.send({"id": 5, "method": "userDataStream.subscribe.signature", "params": {}})
        assert (await api.next())["error"]["code"] == -1102
        await api.send(venue.subscription())
        await api.next()
        await api.send({"id": 6, "method": "userDataStream.unsubscribe"})
        assert (await api.next())["result"] == {}
        await venue.spot()
        assert await api.silence()


async def test_a_listen_key_is_renewed_and_ends(venue: Binance) -> None:
    path = "/fapi/v1/listenKey"
    assert (await venue.send("PUT", path, ""))["code"] == -1125
    first = await venue.send("POST", path, "")
    assert await venue.send("POST", path, "") == first
    assert await venue.send("PUT", path, "") == first
    async with venue.user_stream() as events:
        await venue.usdm()
        kinds = {(await events.next())["e"] for _ in range(3)}
        assert "ORDER_TRADE_UPDATE" in kinds
        await venue.send("DELETE", path, "")
        await events.until(lambda event: event["e"] == "listenKeyExpired")
        await venue.usdm()
        assert await events.silence()


async def test_a_stream_of_no_key_stays_silent(venue: Binance) -> None:
    async with venue.rig.usdm("/private/ws?listenKey=none") as events:
        await venue.usdm()
        assert await events.silence()
        await events.send("anything")
    async with venue.rig.usdm("/private/ws"):
        await asyncio.sleep(0)


async def test_what_happens_without_a_request_is_told(venue: Binance) -> None:
    async with venue.user_stream() as events:
        await venue.control("deposit", asset="USDT", amount="5")
        told = await events.next()
        assert (told["e"], told["a"]["m"], told["a"]["P"]) == ("ACCOUNT_UPDATE", "DEPOSIT", [])
        await venue.control("trade", symbol=SOL, side="buy", qty="1")
        traded = await events.until(lambda e: e["e"] == "ORDER_TRADE_UPDATE")
        assert traded["o"]["X"] == "FILLED"
        held = await events.until(lambda e: e["e"] == "ACCOUNT_UPDATE")
        assert [row["pa"] for row in held["a"]["P"]] == ["1"]
        await venue.control("liquidate", symbol=SOL)
        forced = await events.until(lambda e: e["e"] == "ORDER_TRADE_UPDATE")
        assert forced["o"]["c"].startswith("autoclose-")
