from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.events import MissedPrice
from engine.model.ticks import PriceSource
from engine.venues.binance.missed import (
    LONGEST_BY_TRADES_MS,
    MAX_BAR_PAGES,
    MAX_TRADE_PAGES,
    MOST_TRADES,
    BinanceMissed,
)
from engine.venues.binance.prices import BinancePrices
from engine.venues.missed import MINUTE_MS, Missed
from tests.engine.simulator.rig import FakeClock, ids
from tests.engine.venues.rest_server import RestServer

SPOT, LINEAR = ids("binance:spot:BTCUSDT"), ids("binance:linear:BTCUSDT")
LAST, MARK = PriceSource.LAST, PriceSource.MARK
TRADES = {SPOT: "/api/v3/aggTrades", LINEAR: "/fapi/v1/aggTrades"}
BARS = {SPOT: "/api/v3/klines", LINEAR: "/fapi/v1/klines"}
MARK_BARS = "/fapi/v1/markPriceKlines"


def trade(number: int, time_ms: int, price: str = "100.5") -> dict[str, Any]:
    return {"a": number, "p": price, "q": "1", "f": 1, "l": 1, "T": time_ms, "m": True}


def bar(start_ms: int, high: str = "102", low: str = "99") -> list[Any]:
    return [start_ms, "100", high, low, "101", "5", start_ms + 59_999, "500", 3, "2", "200", "0"]


class Venue:
    def __init__(self, rest: RestServer, client: httpx.AsyncClient) -> None:
        self.rest = rest
        self.clock = FakeClock()
        prices = BinancePrices(rest.url, rest.url, client, self.clock)
        self.missed = BinanceMissed(prices, self.clock)

    @property
    def now_ms(self) -> int:
        return self.clock.now_ns() // 1_000_000

    @property
    def minute(self) -> int:
        return self.now_ms - self.now_ms % MINUTE_MS


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with RestServer().running() as rest, httpx.AsyncClient(trust_env=False) as client:
        yield Venue(rest, client)


@pytest.mark.parametrize("instrument", [SPOT, LINEAR])
async def test_trades_are_asked_for_from_the_moment_on(venue, instrument):
    since_ms = venue.now_ms - 60_000
    venue.rest.answer(TRADES[instrument], [trade(1, since_ms), trade(2, since_ms + 5, "99")])
    found = await venue.missed.fetch(instrument, LAST, since_ms)
    times = [(since_ms, 100.5), (since_ms + 5, 99.0)]
    assert found == Missed(tuple(MissedPrice(at, at, price, price) for at, price in times))
    query = {"symbol": "BTCUSDT", "limit": "1000", "startTime": str(since_ms)}
    assert venue.rest.asked == {TRADES[instrument]: [query]}


@pytest.mark.parametrize("instrument", [SPOT, LINEAR])
async def test_full_pages_are_followed_by_their_last_id_and_too_many_told_by_bars(
    venue, instrument
):
    since_ms, minute = venue.now_ms - 60_000, venue.minute
    rows = [trade(number, since_ms) for number in range(MOST_TRADES)]
    venue.rest.answer(TRADES[instrument], rows)
    venue.rest.answer(BARS[instrument], [bar(minute - MINUTE_MS), bar(minute)])
    found = await venue.missed.fetch(instrument, LAST, since_ms)
    assert [each.from_ms for each in found.prices] == [minute - MINUTE_MS, minute]
    first, *others = venue.rest.asked[TRADES[instrument]]
    assert len(others) + 1 == MAX_TRADE_PAGES[instrument.market]
    assert "startTime" in first
    onward = {"symbol": "BTCUSDT", "limit": "1000", "fromId": str(MOST_TRADES)}
    assert all(query == onward for query in others)


async def test_a_long_gap_is_told_by_bars_from_the_start(venue):
    venue.rest.answer(BARS[SPOT], [bar(venue.minute)])
    since_ms = venue.now_ms - LONGEST_BY_TRADES_MS - 1
    found = await venue.missed.fetch(SPOT, LAST, since_ms)
    assert found.complete
    assert list(venue.rest.asked) == [BARS[SPOT]]
    (query,) = venue.rest.asked[BARS[SPOT]]
    assert int(query["startTime"]) == since_ms - since_ms % MINUTE_MS
    assert query["interval"] == "1m"


async def test_marks_are_told_by_their_bars(venue):
    venue.rest.answer(MARK_BARS, [bar(venue.minute)])
    found = await venue.missed.fetch(LINEAR, MARK, venue.now_ms)
    assert found == Missed((MissedPrice(venue.minute, venue.minute + MINUTE_MS, 99.0, 102.0),))


async def test_the_longest_gap_is_not_told_whole(venue):
    venue.rest.answer(MARK_BARS, [])
    found = await venue.missed.fetch(LINEAR, MARK, venue.now_ms - 9000 * MINUTE_MS)
    assert not found.complete
    queries = venue.rest.asked[MARK_BARS]
    assert len(queries) == MAX_BAR_PAGES
    spans = [(int(query["startTime"]), int(query["endTime"])) for query in queries]
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))
    assert spans[-1][0] <= venue.minute <= spans[-1][1]


@pytest.mark.parametrize("rows", [[trade(1, 5, "0")], [{"a": 1}], {"code": -1121}, [5]])
async def test_trades_that_are_none_are_refused(venue, rows):
    venue.rest.answer(TRADES[SPOT], rows)
    with pytest.raises(Retryable):
        await venue.missed.fetch(SPOT, LAST, venue.now_ms)


async def test_a_server_without_such_answers_is_refused(venue):
    with pytest.raises(Retryable, match="404"):
        await venue.missed.fetch(SPOT, LAST, venue.now_ms)
