from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.instrument import Market
from engine.venues.bybit.prices import BybitPrices
from engine.venues.prices import NO_PRICES, Prices
from engine.venues.rest import RateLimited
from tests.engine.simulator.rig import FakeClock, ids
from tests.engine.venues.rest_server import RestServer

PATH = "/v5/market/tickers"
LINEAR = ids("bybit:linear:BTCUSDT")
SPOT = ids("bybit:spot:BTCUSDT")
ROW = {
    "symbol": "BTCUSDT",
    "lastPrice": "65000.10",
    "bid1Price": "65000.00",
    "bid1Size": "1.2",
    "ask1Price": "65000.20",
    "ask1Size": "3",
    "prevPrice24h": "64000",
}
LINEAR_ROW = ROW | {"markPrice": "64999.95", "indexPrice": "64999", "fundingRate": ""}


def wrapped(*rows: dict[str, Any]) -> dict[str, Any]:
    result = {"category": "linear", "list": list(rows)}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1}


class Venue:
    def __init__(self, rest: RestServer, client: httpx.AsyncClient) -> None:
        self.rest = rest
        self.clock = FakeClock()
        self.prices = BybitPrices(rest.url, client, self.clock)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with RestServer().running() as rest, httpx.AsyncClient(trust_env=False) as client:
        yield Venue(rest, client)


async def test_a_linear_ticker_tells_last_touch_and_mark(venue):
    venue.rest.answer(PATH, wrapped(LINEAR_ROW))
    found = await venue.prices.ask(LINEAR, 5.0)
    assert found == Prices(65000.1, 65000.0, 65000.2, 64999.95)
    assert venue.rest.asked[PATH] == [{"category": "linear", "symbol": "BTCUSDT"}]


async def test_a_spot_ticker_has_no_mark(venue):
    venue.rest.answer(PATH, wrapped(LINEAR_ROW))
    assert await venue.prices.ask(SPOT, 5.0) == Prices(65000.1, 65000.0, 65000.2)
    assert venue.rest.asked[PATH] == [{"category": "spot", "symbol": "BTCUSDT"}]


async def test_what_is_no_price_is_left_out(venue):
    odd = {"lastPrice": "0", "bid1Price": "", "markPrice": "64999.95"}
    venue.rest.answer(PATH, wrapped(LINEAR_ROW | odd))
    assert await venue.prices.ask(LINEAR, 5.0) == Prices(mark=64999.95)
    venue.rest.answer(PATH, wrapped(LINEAR_ROW | {"bid1Price": "65000.30"}))
    assert await venue.prices.ask(LINEAR, 5.0) == Prices(65000.1, mark=64999.95)
    venue.rest.answer(PATH, wrapped({"symbol": "BTCUSDT"}))
    assert await venue.prices.ask(LINEAR, 5.0) == NO_PRICES


@pytest.mark.parametrize("rows", [[], [LINEAR_ROW | {"symbol": "ETHUSDT"}]])
async def test_an_answer_about_something_else_is_none(venue, rows):
    venue.rest.answer(PATH, wrapped(*rows))
    with pytest.raises(Retryable, match="does not name it"):
        await venue.prices.ask(LINEAR, 5.0)


async def test_a_refusal_says_why(venue):
    refusal = {"retCode": 10001, "retMsg": "params error: Symbol Invalid", "result": {}}
    venue.rest.answer(PATH, refusal)
    for _ in range(2):
        with pytest.raises(Retryable, match="10001 params error: Symbol Invalid"):
            await venue.prices.ask(LINEAR, 5.0)
    assert venue.rest.count == 2


@pytest.mark.parametrize("code", [10006, 10018])
async def test_too_many_visits_are_followed_by_silence(venue, code):
    venue.rest.answer(PATH, {"retCode": code, "retMsg": "Too many visits!", "result": {}})
    with pytest.raises(RateLimited):
        await venue.prices.ask(LINEAR, 5.0)
    venue.rest.answer(PATH, wrapped(ROW))
    with pytest.raises(Retryable, match="silence"):
        await venue.prices.ask(SPOT, 5.0)
    assert venue.rest.count == 1
    venue.clock.advance_ms(5000)
    assert (await venue.prices.ask(SPOT, 5.0)).last == 65000.1


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"retCode":0,"result":{"list":{}}}'])
async def test_garbage_is_refused(venue, body):
    venue.rest.answer(PATH, body)
    with pytest.raises(Retryable, match="not what was asked for"):
        await venue.prices.ask(LINEAR, 5.0)


async def test_all_of_a_market_come_in_one_answer(venue):
    venue.rest.answer(PATH, wrapped(LINEAR_ROW, ROW | {"symbol": "ETHUSDT", "lastPrice": "3"}))
    found = await venue.prices.ask_all(Market.LINEAR, 5.0)
    assert found == {
        "BTCUSDT": Prices(65000.1, 65000.0, 65000.2, 64999.95),
        "ETHUSDT": Prices(3.0, 65000.0, 65000.2),
    }
    assert venue.rest.asked[PATH] == [{"category": "linear"}]
    venue.rest.answer(PATH, {"retCode": 10001, "retMsg": "no", "result": {}})
    with pytest.raises(Retryable, match="linear: 10001 no"):
        await venue.prices.ask_all(Market.LINEAR, 5.0)
