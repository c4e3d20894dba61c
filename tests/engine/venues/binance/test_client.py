"""The library's client as we use it, on real sockets; the venue recomputes each signature."""

import asyncio
import time

import pytest

from engine.clock import SystemClock
from engine.model.instrument import Market
from engine.model.order import Refusal
from engine.venues.account import Outcome, RequestFailed, Urgency
from engine.venues.binance import client
from engine.venues.binance.client import MarketRest
from engine.venues.binance.client_costs import costs
from engine.venues.binance.parse import Done, OrderRow
from engine.venues.pacing import PATIENCE_S
from tests.engine.venues.binance.venue import CUT, HANG, KEY, SECRET, error

PATHS = {Market.SPOT: "/api/v3/order", Market.LINEAR: "/fapi/v1/order"}


@pytest.fixture(params=list(Market))
async def rest(request, venue):
    rest = MarketRest(request.param, venue.urls, KEY, SECRET, SystemClock())
    yield rest
    await rest.close()


async def post(rest, seconds=5.0, sent=None, **params):
    return await rest.send(
        "post", PATHS[rest.market], params, Done, Urgency.CLOSE, seconds=seconds, sent=sent
    )


async def failure(awaitable):
    with pytest.raises(RequestFailed) as caught:
        await awaitable
    return caught.value


async def test_what_is_sent_is_signed_by_the_venues_time_in_a_window_of_5_s(rest, venue):
    venue.offset_ms = 90_000
    venue.answer(f"post {PATHS[rest.market]}", {})
    await post(rest, symbol="BTCUSDT", quantity="0.00001")
    (asked,) = venue.asked
    assert asked.params["recvWindow"] == "5000"
    assert asked.params["quantity"] == "0.00001"
    assert abs(int(asked.params["timestamp"]) - venue.now_ms()) < 1000
    assert asked.names[-1] == "signature"


async def test_each_market_has_a_clock_of_its_own(venue):
    clock = SystemClock()
    spot = MarketRest(Market.SPOT, venue.urls, KEY, SECRET, clock)
    usdm = MarketRest(Market.LINEAR, venue.urls, KEY, SECRET, clock)
    venue.offset_ms = 4000
    await spot.sync()
    venue.offset_ms = -3000
    await usdm.sync()
    assert spot.offset_ms == pytest.approx(4000, abs=300)
    assert usdm.offset_ms == pytest.approx(-3000, abs=300)
    await spot.close()
    await usdm.close()


async def test_a_clock_that_went_off_is_set_before_the_next_request(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", {})
    await rest.sync()
    venue.offset_ms = -20_000
    refused = await failure(post(rest))
    assert (refused.verdict.outcome, refused.code) == (Outcome.RETRY, "-1021")
    await post(rest)
    assert len(venue.asked) == 2


async def test_the_moment_of_the_hand_over_lies_before_the_request_arrives(rest, venue):
    arrived = []
    venue.answer(f"post {PATHS[rest.market]}", lambda _: arrived.append(time.monotonic_ns()) or {})
    told = []
    before_ns = time.monotonic_ns()
    await post(rest, sent=told.append, symbol="BTCUSDT")
    assert len(told) == 1
    assert before_ns <= told[0] <= arrived[0]


async def test_an_order_that_was_accepted_without_an_answer_is_unknown_and_not_repeated(
    rest, venue
):
    venue.answer(f"post {PATHS[rest.market]}", CUT)
    lost = await failure(post(rest))
    assert (lost.verdict.outcome, lost.code) == (Outcome.UNKNOWN, "")
    assert len(venue.asked) == 1


async def test_an_order_without_an_answer_in_time_is_unknown(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", HANG)
    lost = await failure(post(rest, seconds=0.3))
    assert lost.verdict.outcome is Outcome.UNKNOWN


async def test_what_never_reached_a_socket_may_be_sent_again(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", {})
    await post(rest)
    closed = MarketRest(
        rest.market,
        type(venue.urls)(*["http://127.0.0.1:9"] * 5),
        KEY,
        SECRET,
        SystemClock(),
    )
    told = []
    refused = await failure(post(closed, sent=told.append))
    assert (refused.verdict.outcome, told) == (Outcome.RETRY, [])
    await closed.close()


async def test_an_answer_that_is_no_json_leaves_an_order_unknown(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", (200, b"<html>"))
    assert (await failure(post(rest))).verdict.outcome is Outcome.UNKNOWN
    for status, body in [(502, b"<html>"), (400, b"[]"), (400, b"{}"), (400, b"")]:
        venue.answer(f"post {PATHS[rest.market]}", (status, body))
        lost = await failure(post(rest))
        assert (lost.verdict.outcome, lost.code) == (Outcome.UNKNOWN, str(status))


async def test_an_answer_of_another_shape_leaves_an_order_unknown(rest, venue):
    path = PATHS[rest.market]
    venue.answer(f"post {path}", {"symbol": "BTCUSDT"})
    lost = await failure(rest.send("post", path, {}, OrderRow, Urgency.ORDER))
    assert lost.verdict.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", [418, 429, 403])
async def test_nothing_is_sent_until_a_ban_is_over(rest, venue, status):
    refusal = (status, error(-1003, "Way too much request weight used"), {"Retry-After": "7"})
    venue.answer(f"post {PATHS[rest.market]}", refusal)
    banned = await failure(post(rest))
    assert (banned.verdict.outcome, banned.verdict.wait_ns) == (Outcome.WAIT, 7_000_000_000)
    later = await failure(post(rest))
    assert later.verdict.outcome is Outcome.WAIT
    assert 6_000_000_000 < later.verdict.wait_ns <= 7_000_000_000
    assert len(venue.asked) == 1


async def test_too_many_orders_do_not_silence_look_ups(rest, venue):
    refusal = (429, error(-1015, "Too many new orders"), {"Retry-After": "10"})
    venue.answer(f"post {PATHS[rest.market]}", refusal)
    venue.answer(f"get {PATHS[rest.market]}", {})
    assert (await failure(post(rest))).verdict.outcome is Outcome.RETRY
    await rest.get(PATHS[rest.market], {}, Done, Urgency.LOOK_UP)


async def test_the_venues_own_count_of_our_weight_is_believed(rest, venue, monkeypatch):
    monkeypatch.setitem(PATIENCE_S, Urgency.HOUSEKEEPING, 0.0)
    venue.headers["X-MBX-USED-WEIGHT-1M"] = "2300" if rest.market is Market.LINEAR else "5900"
    venue.answer(f"get {PATHS[rest.market]}", {})
    venue.answer(f"post {PATHS[rest.market]}", {})
    await rest.get(PATHS[rest.market], {}, Done, Urgency.CLOSE)
    waiting = await failure(rest.get(PATHS[rest.market], {}, Done))
    assert waiting.verdict.outcome is Outcome.RETRY
    await post(rest)  # a close may use what is left


async def test_a_refusal_says_path_code_and_text(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", (400, error(-1111, "Precision is over the maximum")))
    refused = await failure(post(rest))
    assert str(refused) == f"{PATHS[rest.market]}: -1111 Precision is over the maximum"
    assert refused.verdict.refusal is Refusal.FILTERS


async def test_a_session_can_be_closed_before_and_after_its_first_request(venue):
    rest = MarketRest(Market.SPOT, venue.urls, KEY, SECRET, SystemClock())
    await rest.close()
    await rest.sync()
    await rest.close()
    await rest.close()


async def test_connections_are_kept_for_the_next_request(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", {})
    await rest.sync()
    connector = rest._client.session.connector
    await post(rest)
    await asyncio.sleep(0)
    assert sum(map(len, connector._conns.values())) == 1


@pytest.mark.parametrize(
    ("market", "method", "path", "params", "expected"),
    [
        (Market.SPOT, "post", "/api/v3/order", {}, {"weight": 1, "orders_10s": 1}),
        (Market.LINEAR, "post", "/fapi/v1/order", {}, {"orders_10s": 1, "orders_1m": 1}),
        (Market.LINEAR, "post", "/fapi/v1/algoOrder", {}, {"orders_10s": 1, "orders_1m": 1}),
        (Market.SPOT, "get", "/api/v3/order", {}, {"weight": 4}),
        (Market.SPOT, "get", "/api/v3/myTrades", {}, {"weight": 20}),
        (Market.SPOT, "get", "/api/v3/myTrades", {"orderId": "1"}, {"weight": 5}),
        (Market.LINEAR, "delete", "/fapi/v1/order", {}, {"weight": 1}),
        (Market.LINEAR, "get", "/fapi/v1/openAlgoOrders", {}, {"weight": 40}),
        (Market.LINEAR, "get", "/fapi/v1/openAlgoOrders", {"symbol": "X"}, {"weight": 1}),
        (Market.LINEAR, "get", "/fapi/v1/income", {}, {"weight": 30}),
    ],
)
def test_what_a_request_costs(market, method, path, params, expected):
    assert costs(market, method, path, params) == expected


async def test_a_clock_that_cannot_be_set_does_not_hide_the_refusal(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", {})
    await rest.sync()
    venue.offset_ms = -20_000
    venue.time_answer = (500, b"")
    assert (await failure(post(rest))).code == "-1021"


async def test_what_waits_for_a_clock_that_cannot_be_set_was_not_sent(rest, venue):
    venue.time_answer = (500, b"")
    told = []
    refused = await failure(post(rest, sent=told.append))
    assert (refused.verdict.outcome, told, venue.asked) == (Outcome.RETRY, [], [])


async def test_the_quickest_of_slow_answers_sets_the_clock(rest, venue, monkeypatch):
    monkeypatch.setattr(client, "GOOD_ROUND_TRIP_NS", 0)
    venue.offset_ms = 5000
    await rest.sync()
    assert rest.offset_ms == pytest.approx(5000, abs=300)
    assert venue.times_asked == client.SYNC_TRIES


async def test_requests_that_wait_for_the_clock_wait_for_the_same_answer(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", {})
    await asyncio.gather(*(post(rest) for _ in range(8)))
    assert len(venue.asked) == 8
    assert venue.times_asked <= client.SYNC_TRIES


async def test_one_that_goes_away_leaves_the_clock_to_the_others(rest, venue):
    venue.answer(f"post {PATHS[rest.market]}", {})
    impatient = asyncio.create_task(post(rest))
    patient = asyncio.create_task(post(rest))
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert impatient.cancelled()
    assert len(venue.asked) == 1
