"""Real feeds at a scripted server, quick enough for tests."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.clock import SystemClock
from engine.model.instrument import InstrumentId, Market
from engine.venues.feed import StreamFeed
from engine.venues.link import LinkTimings
from engine.venues.registry import BinanceUrls, BybitUrls, build_feed
from engine.venues.stream import Timings
from tests.engine.venues import frames
from tests.engine.venues.venue_server import Heard, VenueServer, until

BTC = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
ETH = InstrumentId("bybit", Market.LINEAR, "ETHUSDT")
BTC_SPOT = InstrumentId("bybit", Market.SPOT, "BTCUSDT")
BNB = InstrumentId("binance", Market.LINEAR, "BNBUSDT")
BNB_SPOT = InstrumentId("binance", Market.SPOT, "BNBUSDT")

QUICK = Timings(
    connect_seconds=2.0,
    backoff_seconds=0.02,
    max_backoff_seconds=0.1,
    link=LinkTimings(
        ack_seconds=0.3,
        send_seconds=1.0,
        close_seconds=0.5,
        watch_seconds=0.02,
        retry_seconds=(0.05, 60.0),
    ),
)


def make_feed(
    server: VenueServer, heard: Heard, venue: str = "bybit", stale: float = 30.0,
    timings: Timings = QUICK,
) -> StreamFeed:  # fmt: skip
    url = server.url
    urls = (
        BybitUrls(rest=url, ws_public=f"{url}/v5/public/", ws_private=url)
        if venue == "bybit"
        else BinanceUrls(url, url, url, url, url)
    )
    clock = SystemClock()
    return build_feed(
        venue, urls, clock, heard.tick, heard.event, stale,
        connector=server.library(clock.monotonic_ns), rng=random.Random(7), timings=timings,
    )  # fmt: skip


@asynccontextmanager
async def running(feed: StreamFeed) -> AsyncIterator[asyncio.Task[None]]:
    before = asyncio.all_tasks()
    task = asyncio.create_task(feed.run())
    try:
        yield task
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left = {each for each in asyncio.all_tasks() - before if "feed" in repr(each.get_coro())}
        assert not left, "the feed left tasks behind"


def watch(feed: StreamFeed, *ids: InstrumentId) -> None:
    for each in ids:
        feed.watch(frames.instrument(each.venue, each.market, each.symbol))


async def subscribed(server: VenueServer, count: int) -> None:
    await until(lambda: len(server.topics()) >= count)
