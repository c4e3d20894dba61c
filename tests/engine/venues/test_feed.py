"""Checks of prices as the guard meets them: by a feed, of a venue with streams and REST."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from engine.clock import SystemClock
from engine.model.events import PricesChecked
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.venues.feed import StreamFeed
from engine.venues.registry import BinanceUrls, BybitUrls, VenueUrls, build_feed
from tests.engine.simulator.rig import Rig, ids, quiet
from tests.engine.venues import frames
from tests.engine.venues.feeds import QUICK, running
from tests.engine.venues.rest_server import RestServer
from tests.engine.venues.venue_server import Heard, VenueServer, until

TICKERS = "/v5/market/tickers"
BTC = ids("bybit:linear:BTCUSDT")


class Watched:
    """A feed that watches one instrument."""

    def __init__(self, feed: StreamFeed, heard: Heard, instrument: Instrument) -> None:
        self.feed = feed
        self.heard = heard
        self.instrument = instrument

    @property
    def checked(self) -> list[PricesChecked]:
        return [event for event in self.heard.events if isinstance(event, PricesChecked)]

    def check(self) -> None:
        self.feed.check(self.instrument)

    async def answered(self, count: int = 1) -> PricesChecked:
        await until(lambda: len(self.checked) >= count)
        return self.checked[-1]

    def latest(self, kind: type) -> TradeTick | QuoteTick | MarkTick | None:
        ticks = [tick for tick in self.heard.ticks if isinstance(tick, kind)]
        return ticks[-1] if ticks else None


def is_of_venues(task: asyncio.Task[object]) -> bool:
    frames_of_task = task.get_stack(limit=1)
    return any("/engine/venues/" in frame.f_code.co_filename for frame in frames_of_task)


@asynccontextmanager
async def watched(instrument: InstrumentId, urls: VenueUrls) -> AsyncIterator[Watched]:
    heard = Heard()
    async with httpx.AsyncClient(trust_env=False) as client:
        feed = build_feed(
            instrument.venue, urls, SystemClock(), heard.tick, heard.event, 30.0,
            client=client, rng=random.Random(7), timings=QUICK,
        )  # fmt: skip
        found = Watched(
            feed, heard, frames.instrument(instrument.venue, instrument.market, instrument.symbol)
        )
        feed.watch(found.instrument)
        before = asyncio.all_tasks()
        async with running(feed):
            yield found
        left = [task for task in asyncio.all_tasks() - before if is_of_venues(task)]
        assert not left, "the feed left tasks behind"


@asynccontextmanager
async def scripted(server: VenueServer) -> AsyncIterator[tuple[RestServer, Watched]]:
    """Watch a linear instrument of Bybit whose REST a test scripts."""
    async with RestServer().running() as rest:
        row = {"symbol": BTC.symbol, "lastPrice": "100"}
        rest.answer(TICKERS, {"retCode": 0, "retMsg": "OK", "result": {"list": [row]}})
        urls = BybitUrls("http://127.0.0.1:1", server.url, "", rest_public=rest.url)
        async with watched(BTC, urls) as found:
            yield rest, found


def urls_of(rig: Rig, venue: str) -> VenueUrls:
    urls = rig.server.urls
    if venue == "bybit":
        return BybitUrls(urls["BYBIT_REST_URL"], urls["BYBIT_WS_PUBLIC_URL"], "")
    return BinanceUrls(
        urls["BINANCE_SPOT_REST_URL"], urls["BINANCE_SPOT_WS_URL"], "",
        urls["BINANCE_USDM_REST_URL"], urls["BINANCE_USDM_WS_URL"],
    )  # fmt: skip


async def all_subscribed(rig: Rig, count: int) -> None:
    async def subscriptions() -> int:
        return sum(len(each["subscriptions"]) for each in (await rig.state())["connections"])

    async with asyncio.timeout(10):
        while await subscriptions() < count:
            pass


@pytest.mark.parametrize("name", ["bybit:linear", "bybit:spot", "binance:linear", "binance:spot"])
async def test_rest_tells_the_prices_of_the_streams(tmp_path: Path, name: str) -> None:
    instrument = ids(f"{name}:BTCUSDT")
    linear = instrument.market is Market.LINEAR
    async with (
        quiet(tmp_path) as rig,
        watched(instrument, urls_of(rig, instrument.venue)) as found,
    ):
        await all_subscribed(rig, 3 if linear else 2)
        for price in (65000.3, 64321.7):
            await rig.price(str(instrument), price)
        kinds = [TradeTick, QuoteTick, *([MarkTick] if linear else [])]
        await until(lambda: all(found.latest(kind) for kind in kinds))
        await until(lambda: found.latest(TradeTick).price == 64321.7)
        found.check()
        told = await found.answered()
        quote, mark = found.latest(QuoteTick), found.latest(MarkTick)
    assert told.instrument == instrument
    assert (told.last, told.bid, told.ask) == (64321.7, quote.bid, quote.ask)
    assert told.mark == (mark.mark if linear else None)
    assert told.received_ns > quote.received_ns


async def test_only_what_is_watched_is_asked_of(server: VenueServer) -> None:
    async with scripted(server) as (rest, found):
        found.feed.check(frames.instrument("bybit", Market.LINEAR, "ETHUSDT"))
        found.check()
        assert (await found.answered()).last == 100.0
        assert rest.asked[TICKERS] == [{"category": "linear", "symbol": "BTCUSDT"}]


async def test_what_was_given_up_meanwhile_is_not_told_of(server: VenueServer) -> None:
    async with scripted(server) as (_, found):
        with capture_logs() as logs:
            found.check()
            found.feed.unwatch(BTC)
            await until(lambda: any(entry["event"] == "prices.checked" for entry in logs))
        assert found.checked == []


@pytest.mark.parametrize("status", [429, 500])
async def test_a_venue_that_refuses_is_a_log_line_and_the_streams_go_on(
    server: VenueServer, status: int
) -> None:
    async with scripted(server) as (rest, found):
        rest.answer_all(status)
        with capture_logs() as logs:
            found.check()
            await until(lambda: any(entry["event"] == "prices.check_failed" for entry in logs))
        await until(server.topics)
        await server.send(frames.bybit_trade("BTCUSDT", 100, 1))
        await until(lambda: found.heard.ticks)
        assert found.checked == []


async def test_the_end_does_not_wait_for_the_venue(server: VenueServer) -> None:
    async with scripted(server) as (rest, found):
        rest.silent.add(TICKERS)
        found.check()
        await until(lambda: rest.count)
    assert found.checked == []


async def test_a_feed_without_rest_streams_only(server: VenueServer, heard: Heard) -> None:
    urls = BybitUrls("http://127.0.0.1:1", server.url, "")
    feed = build_feed("bybit", urls, SystemClock(), heard.tick, heard.event, 30.0, timings=QUICK)
    instrument = frames.instrument("bybit", Market.LINEAR, "BTCUSDT")
    feed.watch(instrument)
    feed.check(instrument)
    async with running(feed):
        await until(server.topics)
    assert heard.events == []
