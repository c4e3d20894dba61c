from collections.abc import AsyncIterator

import pytest

from engine.clock import SystemClock
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.venues.binance.account import BinanceAccount
from tests.engine.venues.binance.replies import spot_account
from tests.engine.venues.binance.venue import KEY, LINEAR, SECRET, SPOT, Venue


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with Venue().running() as venue:
        yield venue


@pytest.fixture
async def account(venue: Venue) -> AsyncIterator[BinanceAccount]:
    venue.answer("get /api/v3/account", spot_account())
    venue.answer("get /fapi/v1/accountConfig", {"dualSidePosition": False, "canTrade": True})
    known = {each.id: each for each in (SPOT, LINEAR)}

    def lookup(name: str, market: Market, symbol: str) -> Instrument | None:
        return known.get(InstrumentId(name, market, symbol))

    account = BinanceAccount(
        venue.urls, KEY, SECRET, SystemClock(), lookup, leverage=3, margin_mode="isolated"
    )
    yield account
    await account.close()
