from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.events import MissedPrice
from engine.model.ticks import PriceSource
from engine.venues.bybit.missed import MAX_PAGES, MOST_BARS, BybitMissed
from engine.venues.bybit.prices import BybitPrices
from engine.venues.missed import MINUTE_MS, Missed
from engine.venues.rest import RateLimited
from tests.engine.simulator.rig import FakeClock, ids
from tests.engine.venues.rest_server import RestServer

TRADES, BARS = "/v5/market/recent-trade", "/v5/market/kline"
MARK_BARS = "/v5/market/mark-price-kline"
LINEAR, SPOT = ids("bybit:linear:BTCUSDT"), ids("bybit:spot:BTCUSDT")
LAST, MARK = PriceSource.LAST, PriceSource.MARK


def wrapped(rows: list[Any]) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": {"list": rows}, "time": 1}


def trade(time_ms: int, price: str = "100.5", **fields: Any) -> dict[str, Any]:
    row = {"execId": "x", "symbol": "BTCUSDT", "price": price, "size": "1", "side": "Buy"}
    return row | {"time": str(time_ms), "isBlockTrade": False, "seq": "7"} | fields


def bar(start_ms: int, high: str = "102", low: str = "99") -> list[str]:
    return [str(start_ms), "100", high, low, "101", "5", "500"]


class Venue:
    def __init__(self, rest: RestServer, client: httpx.AsyncClient) -> None:
        self.rest = rest
        self.clock = FakeClock()
        self.missed = BybitMissed(BybitPrices(rest.url, client, self.clock), self.clock)

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


async def test_trades_that_reach_back_far_enough_are_all_oldest_first(venue):
    rows = [trade(3000, "103"), trade(2000, "102"), trade(1000, "101"), trade(500)]
    venue.rest.answer(TRADES, wrapped(rows))
    found = await venue.missed.fetch(LINEAR, LAST, 1000)
    times = [(1000, 101.0), (2000, 102.0), (3000, 103.0)]
    assert found == Missed(tuple(MissedPrice(at, at, price, price) for at, price in times))
    query = {"category": "linear", "symbol": "BTCUSDT", "limit": "1000"}
    assert venue.rest.asked == {TRADES: [query]}


async def test_block_trades_are_no_prices(venue):
    rows = [trade(2000, "50", isBlockTrade=True), trade(1000, "50", isBlockTrade=True)]
    venue.rest.answer(TRADES, wrapped(rows))
    assert await venue.missed.fetch(LINEAR, LAST, 1000) == Missed(())


async def test_a_symbol_without_trades_has_missed_none(venue):
    venue.rest.answer(TRADES, wrapped([]))
    assert await venue.missed.fetch(SPOT, LAST, 1000) == Missed(())


async def test_all_that_a_young_symbol_has_is_complete(venue):
    venue.rest.answer(TRADES, wrapped([trade(5000)]))
    found = await venue.missed.fetch(SPOT, LAST, 1000)
    assert (len(found.prices), found.complete) == (1, True)


@pytest.mark.parametrize(("instrument", "most"), [(SPOT, 60), (LINEAR, 1000)])
async def test_what_recent_trades_do_not_reach_is_told_by_bars(venue, instrument, most):
    minute = venue.minute
    rows = [trade(minute - 1 - number) for number in range(most)]
    venue.rest.answer(TRADES, wrapped([trade(minute + 5, "98"), *rows[:-1]]))
    starts = [minute - back * MINUTE_MS for back in range(4)]
    venue.rest.answer(BARS, wrapped([bar(start_ms) for start_ms in starts]))
    found = await venue.missed.fetch(instrument, LAST, minute - 3 * MINUTE_MS + 7)
    bars = [MissedPrice(at, at + MINUTE_MS, 99.0, 102.0) for at in reversed(starts[1:])]
    assert found == Missed((*bars, MissedPrice(minute + 5, minute + 5, 98.0, 98.0)))
    (query,) = venue.rest.asked[BARS]
    assert query == {
        "category": str(instrument.market),
        "symbol": "BTCUSDT",
        "interval": "1",
        "start": str(minute - 3 * MINUTE_MS),
        "end": str(minute - 3 * MINUTE_MS + (MOST_BARS - 1) * MINUTE_MS),
        "limit": "1000",
    }


async def test_marks_are_told_by_their_bars(venue):
    venue.rest.answer(MARK_BARS, wrapped([bar(venue.minute)[:5]]))
    found = await venue.missed.fetch(LINEAR, MARK, venue.now_ms)
    assert found == Missed((MissedPrice(venue.minute, venue.minute + MINUTE_MS, 99.0, 102.0),))
    assert list(venue.rest.asked) == [MARK_BARS]


async def test_a_long_gap_is_told_page_by_page_and_the_longest_not_whole(venue):
    venue.rest.answer(MARK_BARS, wrapped([]))
    found = await venue.missed.fetch(LINEAR, MARK, venue.now_ms - 1440 * MINUTE_MS)
    assert found.complete
    assert len(venue.rest.asked[MARK_BARS]) == 2
    first, second = (
        (int(query["start"]), int(query["end"])) for query in venue.rest.asked[MARK_BARS]
    )
    assert second[0] == first[1] + MINUTE_MS
    assert second[0] <= venue.minute <= second[1]
    venue.rest.asked.clear()
    found = await venue.missed.fetch(LINEAR, MARK, venue.now_ms - 9000 * MINUTE_MS)
    assert not found.complete
    queries = venue.rest.asked[MARK_BARS]
    assert len(queries) == MAX_PAGES
    assert int(queries[-1]["end"]) == venue.minute


async def test_too_many_visits_are_followed_by_silence(venue):
    venue.rest.answer(TRADES, {"retCode": 10006, "retMsg": "Too many", "result": {}})
    with pytest.raises(RateLimited):
        await venue.missed.fetch(LINEAR, LAST, 0)
    with pytest.raises(Retryable, match="silence"):
        await venue.missed.fetch(LINEAR, MARK, venue.now_ms)
    assert venue.rest.count == 1


@pytest.mark.parametrize(
    "rows",
    [[trade(1000, "0")], [trade(1000) | {"time": "x"}], [{"price": "1"}], [trade(1) | {"time": 5}]],
)
async def test_trades_that_are_none_are_refused(venue, rows):
    venue.rest.answer(TRADES, wrapped(rows))
    with pytest.raises(Retryable):
        await venue.missed.fetch(LINEAR, LAST, 0)


@pytest.mark.parametrize("row", [["x", "1", "2", "1"], ["60000", "1", "1", "2"], ["60000", "1"]])
async def test_bars_that_are_none_are_refused(venue, row):
    venue.rest.answer(MARK_BARS, wrapped([row]))
    with pytest.raises(Retryable):
        await venue.missed.fetch(LINEAR, MARK, venue.now_ms)


async def test_a_server_without_such_answers_is_refused(venue):
    with pytest.raises(Retryable, match="404"):
        await venue.missed.fetch(LINEAR, LAST, 0)
