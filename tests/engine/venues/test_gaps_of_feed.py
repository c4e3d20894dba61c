"""What was missed, as the guard hears of it: a real feed against the simulator of each venue."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from engine.clock import SystemClock
from engine.model.events import PricesMissed
from engine.model.instrument import Instrument
from engine.model.ticks import PriceSource
from engine.venues.feed import StreamFeed
from engine.venues.registry import BinanceUrls, BybitUrls, VenueUrls, build_feed
from tests.engine.simulator.rig import Rig, ids, quiet
from tests.engine.venues import frames
from tests.engine.venues.feeds import QUICK, running
from tests.engine.venues.rest_server import RestServer
from tests.engine.venues.venue_server import Heard, until

LAST, MARK = PriceSource.LAST, PriceSource.MARK


class Missing:
    def __init__(self, feed: StreamFeed, heard: Heard, instrument: Instrument) -> None:
        self.feed = feed
        self.heard = heard
        self.instrument = instrument

    @property
    def told(self) -> list[PricesMissed]:
        return [event for event in self.heard.events if isinstance(event, PricesMissed)]

    async def fetch(self, source: PriceSource, since_ms: int) -> PricesMissed:
        known = len(self.told)
        self.feed.fetch_missed(self.instrument, source, since_ms)
        await until(lambda: len(self.told) > known)
        return self.told[-1]


@asynccontextmanager
async def missing(name: str, urls: VenueUrls, *, asks: bool = True) -> AsyncIterator[Missing]:
    heard, key = Heard(), ids(name)
    async with httpx.AsyncClient(trust_env=False) as client:
        feed = build_feed(
            key.venue,
            urls,
            SystemClock(),
            heard.tick,
            heard.event,
            30.0,
            client=client if asks else None,
            rng=random.Random(7),
            timings=QUICK,
        )
        instrument = frames.instrument(key.venue, key.market, key.symbol)
        feed.watch(instrument)
        async with running(feed):
            yield Missing(feed, heard, instrument)


def urls_of(rig: Rig, name: str) -> VenueUrls:
    urls = rig.server.urls
    if name.startswith("bybit"):
        return BybitUrls(urls["BYBIT_REST_URL"], urls["BYBIT_WS_PUBLIC_URL"], "")
    return BinanceUrls(
        urls["BINANCE_SPOT_REST_URL"],
        urls["BINANCE_SPOT_WS_URL"],
        "",
        urls["BINANCE_USDM_REST_URL"],
        urls["BINANCE_USDM_WS_URL"],
    )


def now_ms() -> int:
    return SystemClock().now_ns() // 1_000_000


VENUES = ["bybit:spot:BTCUSDT", "bybit:linear:BTCUSDT", "binance:spot:BTCUSDT",
          "binance:linear:BTCUSDT"]  # fmt: skip


@pytest.mark.parametrize("name", VENUES)
async def test_trades_that_the_venue_made_are_told_in_their_order(tmp_path: Path, name: str):
    async with quiet(tmp_path) as rig:
        since_ms = now_ms()
        for price in (100, 90, 110):
            await rig.price(name, price)
            await asyncio.sleep(0.002)
        async with missing(name, urls_of(rig, name)) as found:
            event = await found.fetch(LAST, since_ms)
            late = await found.fetch(LAST, now_ms() + 1000)
    assert [each.low for each in event.prices] == [100.0, 90.0, 110.0]
    assert (event.source, event.complete) == (LAST, True)
    assert all(since_ms <= each.from_ms == each.to_ms for each in event.prices)
    assert late.prices == ()


@pytest.mark.parametrize("name", [name for name in VENUES if ":linear:" in name])
async def test_marks_are_told_by_the_minute(tmp_path: Path, name: str):
    async with quiet(tmp_path) as rig:
        since_ms = now_ms()
        for price in (100, 90, 110):
            await rig.price(name, price)
        async with missing(name, urls_of(rig, name)) as found:
            event = await found.fetch(MARK, since_ms)
    assert min(each.low for each in event.prices) == 90.0
    assert max(each.high for each in event.prices) == 110.0
    assert all(each.to_ms - each.from_ms == 60_000 for each in event.prices)


async def test_nothing_is_asked_of_what_is_not_watched_nor_without_a_client(tmp_path: Path):
    async with RestServer().running() as rest:
        urls = BybitUrls(rest.url, "ws://127.0.0.1:1", "ws://127.0.0.1:1")
        async with missing(VENUES[1], urls) as found:
            found.feed.unwatch(found.instrument.id)
            found.feed.fetch_missed(found.instrument, LAST, 0)
            await asyncio.sleep(0.05)
        async with missing(VENUES[1], urls, asks=False) as found:
            found.feed.fetch_missed(found.instrument, LAST, 0)
            await asyncio.sleep(0.05)
        assert rest.count == 0


async def test_what_is_given_up_meanwhile_is_not_told(tmp_path: Path):
    async with RestServer().running() as rest:
        body = {"retCode": 0, "retMsg": "OK", "result": {"list": []}}
        rest.answer("/v5/market/recent-trade", body)
        urls = BybitUrls(rest.url, "ws://127.0.0.1:1", "ws://127.0.0.1:1")
        with capture_logs() as logs:
            async with missing(VENUES[1], urls) as found:
                found.feed.fetch_missed(found.instrument, LAST, 0)
                found.feed.unwatch(found.instrument.id)
                await until(lambda: any(entry["event"] == "gap.fetched" for entry in logs))
        assert found.told == []
