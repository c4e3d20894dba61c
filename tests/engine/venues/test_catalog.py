import asyncio
import random

import pytest

from engine.model.errors import Retryable
from engine.model.instrument import Instrument, Market
from engine.venues.catalog import Catalog, CatalogTimings
from engine.venues.rest import RateLimited
from tests.engine.venues import frames
from tests.engine.venues.venue_server import until

QUICK = CatalogTimings(
    refresh_seconds=0.05, load_seconds=0.1, backoff_seconds=0.01, max_backoff_seconds=0.02
)


class Source:
    """An ``Instruments`` whose answers a test scripts."""

    def __init__(self, venue: str, symbols: list[str]) -> None:
        self.venue = venue
        self.symbols = symbols
        self.failure: Exception | None = None
        self.hang = False
        self.loads = 0

    async def load(self, market: Market) -> list[Instrument]:
        self.loads += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return [frames.instrument(self.venue, market, symbol) for symbol in self.symbols]


def make(*sources: Source) -> Catalog:
    return Catalog(sources, random.Random(3), QUICK)


async def test_instruments_are_found_after_a_refresh():
    catalog = make(Source("bybit", ["BTCUSDT"]), Source("binance", ["ETHUSDT"]))
    assert not catalog.available("bybit", Market.SPOT)
    assert catalog.lookup("bybit", Market.SPOT, "BTCUSDT") is None
    await catalog.refresh()
    assert catalog.available("bybit", Market.SPOT)
    assert catalog.lookup("bybit", Market.LINEAR, "BTCUSDT").base == "BTC"
    assert catalog.lookup("binance", Market.LINEAR, "BTCUSDT") is None
    assert not catalog.available("okx", Market.SPOT)


async def test_near_names_are_offered():
    catalog = make(Source("bybit", ["BTCUSDT", "BTCUSDC", "ETHUSDT", "XRPUSDT"]))
    await catalog.refresh()
    assert catalog.near("bybit", Market.SPOT, "btcusd", 2) == ["BTCUSDT", "BTCUSDC"]
    assert catalog.near("bybit", Market.SPOT, "ZZZZ") == []
    assert catalog.near("okx", Market.SPOT, "BTCUSDT") == []


async def test_a_list_that_cannot_be_renewed_is_kept():
    good, bad = Source("bybit", ["BTCUSDT"]), Source("binance", ["BTCUSDT"])
    catalog = make(good, bad)
    await catalog.refresh()
    good.symbols, bad.failure = ["ETHUSDT"], Retryable("down")
    with pytest.raises(Retryable, match="down"):
        await catalog.refresh()
    assert catalog.lookup("bybit", Market.SPOT, "ETHUSDT") is not None
    assert catalog.lookup("binance", Market.SPOT, "BTCUSDT") is not None


async def test_an_empty_list_is_a_failure_not_a_delisting():
    source = Source("bybit", ["BTCUSDT"])
    catalog = make(source)
    await catalog.refresh()
    source.symbols = []
    with pytest.raises(Retryable, match="empty"):
        await catalog.refresh()
    assert catalog.lookup("bybit", Market.SPOT, "BTCUSDT") is not None


async def test_lists_are_retried_and_renewed_in_the_background():
    source, hanging = Source("bybit", ["BTCUSDT"]), Source("binance", [])
    source.failure, hanging.hang = RateLimited("slow down", 0.05), True
    catalog = make(source, hanging)
    task = asyncio.create_task(catalog.run())
    await until(lambda: source.loads >= 4)
    assert not catalog.available("bybit", Market.SPOT)
    source.failure = None
    await until(lambda: catalog.available("bybit", Market.SPOT))
    loads = source.loads
    await until(lambda: source.loads > loads + 4)
    assert hanging.loads > 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
