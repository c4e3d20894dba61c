import asyncio
import contextlib
import hashlib
import hmac
import logging
import time

import pytest

from engine.clock import SystemClock
from engine.venues.account import Outcome, RequestFailed, Urgency
from engine.venues.bybit import client as client_module
from engine.venues.bybit.client import BybitClient, Deadlines, Keys
from engine.venues.bybit.client_budgets import (
    BUDGETS,
    CREATE,
    ENDPOINTS,
    OPEN_ORDERS,
    POSITIONS,
    TIME,
)
from engine.venues.bybit.parse import SHAPES
from tests.engine.venues.bybit.venue import KEY, SECRET, Said, eventually, leg, rows

BODY = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Market",
    "qty": "0.01",
    "orderLinkId": "abcdefghijklmnopqrstuvwxyze0",
}
CREATED, TIMED = "/v5/order/create", "/v5/market/time"
QUICK = Deadlines(connect_seconds=0.3, order_seconds=0.3, read_seconds=0.5)


@contextlib.asynccontextmanager
async def connected(venue, deadlines=None, url="", **options):
    asking = BybitClient(
        url or venue.url, Keys(KEY, SECRET), SystemClock(), deadlines=deadlines, **options
    )
    try:
        yield asking
    finally:
        venue.released.set()
        asking.close()


async def refused(asking, endpoint=CREATE, params=BODY, urgency=Urgency.CLOSE, **options):
    with pytest.raises(RequestFailed) as caught:
        await asking.ask(endpoint, params, urgency, **options)
    return caught.value


def signature(asked):
    """What the venue computes (v5 documentation, "Integration Guidance")."""
    payload = asked.body.decode() if asked.method == "POST" else asked.query
    headers = asked.headers
    text = headers["x-bapi-timestamp"] + KEY + headers["x-bapi-recv-window"] + payload
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


async def test_requests_carry_the_venues_own_signature_over_the_bytes_that_are_sent(venue):
    async with connected(venue) as asking:
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
        await asking.ask(POSITIONS, {"category": "linear", "symbol": "BTCUSDT", "cursor": "a%3Ab"})
    for path in (CREATED, "/v5/position/list"):
        (asked,) = venue.to(path)
        assert asked.headers["x-bapi-sign"] == signature(asked)
        assert asked.headers["x-bapi-api-key"] == KEY
        assert asked.headers["x-bapi-recv-window"] == "5000"
    assert venue.to(CREATED)[0].params == BODY
    assert "cursor=a%3Ab" in venue.to("/v5/position/list")[0].query


async def test_requests_are_signed_by_the_venues_clock_and_not_by_ours(venue):
    venue.ahead_ms = 3_600_000
    async with connected(venue) as asking:
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
        assert abs(asking.time.ahead_ms() - 3_600_000) < 200
    stamp = int(venue.to(CREATED)[0].headers["x-bapi-timestamp"])
    assert abs(stamp - venue.now_ns() / 1e6) < 2000


async def test_the_moment_of_handing_over_is_told_before_the_answer(venue):
    told = []
    async with connected(venue) as asking:
        before_ns = time.monotonic_ns()
        await asking.ask(CREATE, BODY, Urgency.CLOSE, told.append)
    (asked,) = venue.to(CREATED)
    assert before_ns < told[0] < asked.at_ns
    assert len(told) == 1


async def test_an_answer_that_is_late_leaves_the_outcome_unknown_after_one_request(venue):
    venue.says[CREATED] = venue.hang
    async with connected(venue, QUICK) as asking:
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.UNKNOWN
    assert len(venue.to(CREATED)) == 1


async def test_a_reply_that_is_dropped_leaves_the_outcome_unknown_after_one_request(venue):
    venue.says[CREATED] = Said(cut=True)
    async with connected(venue) as asking:
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.UNKNOWN
    assert len(venue.to(CREATED)) == 1


@pytest.mark.parametrize(
    "said",
    [
        Said(status=500),
        Said(status=503),
        Said(raw=b"<html>"),
        Said(raw=b""),
        Said(raw=b"[]"),
        Said(raw=b"{}"),
        Said(raw=b'"text"'),
        Said({"orderId": 7}),
        Said(code=10016),
        Said(code=424242),
        Said(status=302, headers=(("Location", "http://127.0.0.1:9/"),)),
    ],
)
async def test_an_answer_that_says_nothing_leaves_the_outcome_unknown_after_one_request(
    venue, said
):
    venue.says[CREATED] = said
    async with connected(venue) as asking:
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.UNKNOWN
    assert len(venue.to(CREATED)) == 1


async def test_a_venue_that_cannot_be_reached_has_not_got_the_request(venue):
    async with connected(venue) as asking:
        await asking.set_clock()
        for lane in (asking._orders, asking._reads):
            lane.http.endpoint = "http://127.0.0.1:9"
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.RETRY
    assert venue.to(CREATED) == []


async def test_a_request_is_not_sent_while_the_venues_time_cannot_be_had(venue):
    venue.says[TIMED] = Said(status=500)
    async with connected(venue) as asking:
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.RETRY
    assert venue.to(CREATED) == []


async def test_a_time_that_is_none_is_not_taken(venue):
    venue.says[TIMED] = Said({"timeNano": "soon"})
    async with connected(venue) as asking:
        assert (await refused(asking)).verdict.outcome is Outcome.RETRY


async def test_a_clock_that_is_off_is_set_before_the_next_request(venue):
    venue.says[CREATED] = [Said(code=10002, message="timestamp"), venue.says[CREATED]]
    async with connected(venue) as asking:
        error = await refused(asking)
        assert (error.verdict.outcome, error.verdict.skewed) == (Outcome.RETRY, True)
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
    assert [asked.path for asked in venue.asked] == [TIMED, CREATED, TIMED, CREATED]


async def test_a_rate_limit_is_told_with_the_moment_it_ends_and_not_slept_through(venue):
    reset = (("X-Bapi-Limit-Reset-Timestamp", str(venue.now_ns() // 1_000_000 + 700)),)
    venue.says[CREATED] = Said(code=10006, message="too many visits", headers=reset)
    async with connected(venue) as asking:
        began = time.monotonic()
        error = await refused(asking)
        assert time.monotonic() - began < 0.5
        assert error.verdict.outcome is Outcome.RETRY
        assert 0.3e9 < error.verdict.wait_ns <= 0.75e9
        venue.says[CREATED] = Said({"orderId": "v", "orderLinkId": "l"})
        await asking.ask(CREATE, BODY, Urgency.ORDER)
    first, later = venue.to(CREATED)
    # Held back here until then: the venue is not asked in vain.
    assert later.at_ns - first.at_ns >= error.verdict.wait_ns - 0.05e9


@pytest.mark.parametrize("reset", ["0", "soon", ""])
async def test_a_rate_limit_without_a_moment_to_come_lasts_a_second(venue, reset):
    headers = (("X-Bapi-Limit-Reset-Timestamp", reset),)
    venue.says[CREATED] = Said(code=10006, headers=headers)
    async with connected(venue) as asking:
        assert (await refused(asking)).verdict.wait_ns == 1_000_000_000


async def test_a_banned_address_sends_nothing_until_the_ban_is_over(venue):
    venue.says[CREATED] = Said(status=403)
    async with connected(venue) as asking:
        error = await refused(asking)
        assert (error.verdict.outcome, error.verdict.wait_ns) == (Outcome.WAIT, 600 * 10**9)
        again = await refused(asking, POSITIONS, {"category": "linear"})
    assert again.verdict.outcome is Outcome.WAIT
    assert len(venue.asked) == 2


async def test_the_venue_says_how_long_a_ban_lasts(venue):
    venue.says[CREATED] = Said(status=429, headers=(("Retry-After", "7"),))
    async with connected(venue) as asking:
        assert (await refused(asking)).verdict.wait_ns == 7 * 10**9


async def test_a_limit_of_the_address_holds_up_everything(venue):
    venue.says[CREATED] = Said(code=10018)
    async with connected(venue) as asking:
        await refused(asking)
        again = await refused(asking, POSITIONS, {"category": "linear"})
    assert again.verdict.outcome is Outcome.WAIT
    assert len(venue.asked) == 2


async def test_what_the_venue_says_is_left_of_a_limit_is_kept_to(venue):
    left = (
        ("X-Bapi-Limit-Status", "0"),
        ("X-Bapi-Limit-Reset-Timestamp", str(venue.now_ns() // 1_000_000 + 800)),
    )
    body = {"orderId": "v", "orderLinkId": "l"}
    venue.says[CREATED] = [Said(body, headers=left), Said(body)]
    async with connected(venue) as asking:
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
        entry = asyncio.create_task(asking.ask(CREATE, BODY, Urgency.ORDER))
        await asking.ask(POSITIONS, {"category": "linear"})
        assert len(venue.to(CREATED)) == 1
        await entry
    first, later = venue.to(CREATED)
    assert later.at_ns - first.at_ns >= 0.6e9


async def test_errors_do_not_tell_the_key_that_the_venue_repeats(venue):
    message = f"error sign! origin_string[1661418529190{KEY}5000{SECRET}]"
    venue.says[CREATED] = Said(code=10004, message=message)
    async with connected(venue) as asking:
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.STOP
    assert "error sign" in str(error)
    for word in (KEY, SECRET):
        assert word not in str(error)
        assert word not in repr(asking._keys)


async def test_an_order_does_not_queue_behind_readings(venue):
    venue.says["/v5/position/list"] = venue.hang
    async with connected(venue) as asking:
        await asking.set_clock()
        hung = [
            asyncio.create_task(asking.ask(POSITIONS, {"category": "linear"})) for _ in range(8)
        ]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
        assert time.monotonic() - began < 0.5
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)


async def test_a_request_whose_turn_came_too_late_is_never_sent(venue, monkeypatch):
    monkeypatch.setattr(client_module, "ORDER_THREADS", 1)
    venue.says[CREATED] = venue.hang
    async with connected(venue, QUICK) as asking:
        await asking.set_clock()
        asking._orders.http.timeout = (5, 5)  # an answer that trickles in holds its thread
        first = asyncio.create_task(asking.ask(CREATE, BODY, Urgency.CLOSE))
        await asyncio.sleep(0.05)
        error = await refused(asking)
        with pytest.raises(RequestFailed):
            await first
        venue.released.set()
        await asyncio.sleep(0.1)
    assert len(venue.to(CREATED)) == 1
    assert error.verdict.outcome is Outcome.RETRY


async def test_an_order_goes_by_the_connection_that_the_clock_keeps_warm(venue):
    async with connected(venue) as asking:
        await asking.set_clock()
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
    assert venue.to(TIMED)[0].port == venue.to(CREATED)[0].port


async def test_proxies_of_the_environment_are_not_used(venue, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with connected(venue) as asking:
        await asking.ask(CREATE, BODY, Urgency.CLOSE)
    assert len(venue.to(CREATED)) == 1


async def test_proxies_of_the_environment_are_used_where_the_owner_says_so(venue, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with connected(venue, proxies=True) as asking:
        await refused(asking)
    assert venue.asked == []


async def test_pybit_writes_no_lines_of_its_own(venue):
    async with connected(venue):
        assert logging.getLogger("pybit._http_manager").handlers == []


async def test_public_data_is_asked_for_where_it_is(venue):
    venue.says["/v5/market/instruments-info"] = rows()
    async with connected(venue, public_url=venue.url) as asking:
        await asking.set_clock()
        asking._reads.http.endpoint = asking._orders.http.endpoint = "http://127.0.0.1:9"
        await asking.ask(client_module.INSTRUMENTS, {"category": "linear"})
    assert len(venue.to("/v5/market/instruments-info")) == 1


async def test_a_client_that_is_closed_sends_nothing(venue):
    async with connected(venue) as asking:
        await asking.set_clock()
        asking.close()
        error = await refused(asking)
    assert error.verdict.outcome is Outcome.RETRY
    assert venue.to(CREATED) == []


async def test_a_caller_that_goes_away_is_not_told_and_does_no_harm(venue):
    venue.says[CREATED] = venue.hang
    told = []
    async with connected(venue) as asking:
        task = asyncio.create_task(asking.ask(CREATE, BODY, Urgency.CLOSE, told.append))
        await eventually(lambda: venue.to(CREATED))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(told) == 1


async def test_answers_are_of_the_type_that_is_named(venue):
    venue.says["/v5/position/list"] = rows(leg(size="1", side="Buy"))
    async with connected(venue) as asking:
        answer = await asking.ask(POSITIONS, {"category": "linear"})
    assert answer.rows[0].size == "1"


def test_every_endpoint_has_a_type_and_a_budget():
    assert {endpoint.name for endpoint in ENDPOINTS} == set(SHAPES)
    names = {budget.name for budget in BUDGETS}
    for endpoint in ENDPOINTS:
        for category in ("linear", "spot"):
            assert set(endpoint.costs(category)) <= names
    assert TIME.costs("") == {"address": 1}
    assert OPEN_ORDERS.costs("spot") == {"address": 1, "open_orders": 1}
