from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from engine.model.errors import Retryable
from engine.model.instrument import Market
from engine.venues.binance.prices import BinancePrices
from engine.venues.prices import NO_PRICES, Prices
from tests.engine.simulator.rig import FakeClock, ids
from tests.engine.venues.rest_server import RestServer

LINEAR = ids("binance:linear:BNBUSDT")
SPOT = ids("binance:spot:BNBUSDT")
SPOT_LAST, SPOT_TOUCH = "/api/v3/ticker/price", "/api/v3/ticker/bookTicker"
LAST, TOUCH, MARK = "/fapi/v2/ticker/price", "/fapi/v1/ticker/bookTicker", "/fapi/v1/premiumIndex"

LAST_ROW = {"symbol": "BNBUSDT", "price": "600.10", "time": 1}
TOUCH_ROW = {
    "symbol": "BNBUSDT",
    "bidPrice": "600.00",
    "bidQty": "4",
    "askPrice": "600.20",
    "askQty": "5",
    "time": 1,
}
MARK_ROW = {"symbol": "BNBUSDT", "markPrice": "600.05432100", "indexPrice": "600", "time": 1}
SPOT_PRICES = Prices(500.1, 500.0, 500.2)
LINEAR_PRICES = Prices(600.1, 600.0, 600.2, 600.054321)


class Venue:
    def __init__(self, rest: RestServer, client: httpx.AsyncClient) -> None:
        self.rest = rest
        self.clock = FakeClock()
        self.prices = BinancePrices(rest.url, rest.url, client, self.clock)
        rest.answer(SPOT_LAST, {"symbol": "BNBUSDT", "price": "500.10"})
        rest.answer(SPOT_TOUCH, TOUCH_ROW | {"bidPrice": "500.00", "askPrice": "500.20"})
        rest.answer(LAST, LAST_ROW)
        rest.answer(TOUCH, TOUCH_ROW)
        rest.answer(MARK, MARK_ROW)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with RestServer().running() as rest, httpx.AsyncClient(trust_env=False) as client:
        yield Venue(rest, client)


async def test_spot_tells_last_and_touch(venue):
    assert await venue.prices.ask(SPOT, 5.0) == SPOT_PRICES
    assert venue.rest.asked == {path: [{"symbol": "BNBUSDT"}] for path in (SPOT_LAST, SPOT_TOUCH)}


async def test_usdm_tells_last_touch_and_mark(venue):
    assert await venue.prices.ask(LINEAR, 5.0) == LINEAR_PRICES
    assert venue.rest.asked == {path: [{"symbol": "BNBUSDT"}] for path in (LAST, TOUCH, MARK)}


async def test_what_is_no_price_is_left_out(venue):
    venue.rest.answer(TOUCH, TOUCH_ROW | {"askPrice": "0.00"})
    venue.rest.answer(MARK, MARK_ROW | {"markPrice": "0.00000000"})
    assert await venue.prices.ask(LINEAR, 5.0) == Prices(600.1)
    venue.rest.answer(LAST, {"symbol": "BNBUSDT"})
    assert await venue.prices.ask(LINEAR, 5.0) == NO_PRICES


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"symbol":"ETHUSDT","price":"1"}'])
async def test_what_the_others_bring_counts_when_one_fails(venue, body):
    venue.rest.answer(LAST, body)
    with capture_logs() as logs:
        found = await venue.prices.ask(LINEAR, 5.0)
    assert found == Prices(None, 600.0, 600.2, 600.054321)
    assert [entry["event"] for entry in logs] == ["prices.partly_failed"]
    assert LAST in logs[0]["reasons"][0]


async def test_one_that_is_late_does_not_cost_the_others(venue):
    venue.rest.silent.add(TOUCH)
    assert await venue.prices.ask(LINEAR, 1.0) == Prices(600.1, mark=600.054321)


@pytest.mark.parametrize("instrument", [SPOT, LINEAR])
async def test_when_all_fail_there_is_no_answer(venue, instrument):
    venue.rest.answer_all(400, {"code": -1121, "msg": "Invalid symbol."})
    with pytest.raises(Retryable, match=r"-1121.*; .*-1121"):
        await venue.prices.ask(instrument, 5.0)


async def test_silence_is_kept_by_address(venue):
    venue.rest.answer_all(429, retry_after="9")
    with pytest.raises(Retryable, match="HTTP 429"):
        await venue.prices.ask(LINEAR, 5.0)
    asked = venue.rest.count
    with pytest.raises(Retryable, match="silence"):
        await venue.prices.ask(LINEAR, 5.0)
    assert venue.rest.count == asked
    with pytest.raises(Retryable, match="HTTP 429"):
        await venue.prices.ask(SPOT, 5.0)
    venue.clock.advance_ms(9000)
    venue.rest.answer(MARK, MARK_ROW)
    assert await venue.prices.ask(LINEAR, 5.0) == Prices(mark=600.054321)


async def test_all_of_a_market_come_in_one_answer_a_kind(venue):
    other = {"symbol": "ETHUSDT"}
    venue.rest.answer(LAST, [{"symbol": "BNBUSDT", "price": "600.10"}, other | {"price": "3"}])
    venue.rest.answer(TOUCH, [TOUCH_ROW])
    venue.rest.answer(MARK, [MARK_ROW])
    found = await venue.prices.ask_all(Market.LINEAR, 5.0)
    assert found == {
        "BNBUSDT": Prices(600.1, 600.0, 600.2, 600.054321),
        "ETHUSDT": Prices(3.0),
    }
    assert venue.rest.asked[MARK] == [{}]
    venue.rest.answer(MARK, MARK_ROW)
    with pytest.raises(Retryable):
        await venue.prices.ask_all(Market.LINEAR, 5.0)
