"""The account kept alive: both streams on real sockets, clocks, and prices of fee assets."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from engine.clock import SystemClock
from engine.model.events import AccountResumed, OrderFilled
from engine.model.instrument import Market
from engine.venues.binance import account as account_module
from engine.venues.binance.account_fees import FeeRates
from engine.venues.binance.client import MarketRest
from tests.engine.venues.binance.replies import algo
from tests.engine.venues.binance.test_stream_user import spot_report, usdm_update
from tests.engine.venues.binance.venue import KEY, SECRET, SPOT, error

NOT_PERMITTED = (401, error(-2015, "Invalid API-key, IP, or permissions for action."))
BAR = [1_699_999_980_000, "600", "610", "590", "605.5", "1"]


@pytest.fixture
def venue(venue):
    venue.answer("post /fapi/v1/listenKey", {"listenKey": "abc"})
    venue.answer("get /fapi/v1/openAlgoOrders", [algo()])
    return venue


class Told:
    """What the account told, and waiting for more of it."""

    def __init__(self):
        self.events = []
        self._more = asyncio.Event()

    def __call__(self, event):
        self.events.append(event)
        self._more.set()

    async def count(self, kind, number):
        """Wait until so many events of a kind were told; returns them."""
        async with asyncio.timeout(8):
            while len(found := [each for each in self.events if isinstance(each, kind)]) < number:
                self._more.clear()
                await self._more.wait()
        return found


@asynccontextmanager
async def running(account):
    await account.open()
    told = Told()
    task = asyncio.create_task(account.run(told))
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_both_streams_are_opened_and_tell_fills(account, venue):
    async with running(account) as told:
        await told.count(AccountResumed, 2)
        assert sorted(venue.opened) == [("spot", {}), ("usdm", {"listenKey": "abc"})]
        assert venue.calls[0]["method"] == "userDataStream.subscribe.signature"
        await venue.streams["spot"].send_str(spot_report().decode())
        await venue.streams["usdm"].send_str(usdm_update().decode())
        fills = [each.fill for each in await told.count(OrderFilled, 2)]
    assert {each.instrument.id.market for each in fills} == set(Market)


async def test_a_stream_that_broke_is_opened_again_and_the_account_read(account, venue):
    async with running(account) as told:
        await told.count(AccountResumed, 2)
        await venue.streams["usdm"].close()
        await told.count(AccountResumed, 3)
    assert [name for name, _ in venue.opened].count("usdm") == 2


async def test_a_market_that_is_not_permitted_has_no_stream_until_it_is(account, venue):
    venue.answer("get /fapi/v1/accountConfig", NOT_PERMITTED, {"dualSidePosition": False})
    async with running(account) as told:
        await told.count(AccountResumed, 1)
        assert [name for name, _ in venue.opened] == ["spot"]
        await account.open()
        await told.count(AccountResumed, 2)
    assert [name for name, _ in venue.opened] == ["spot", "usdm"]


async def test_the_clock_is_kept_right_while_nothing_else_is_asked(account, venue, monkeypatch):
    monkeypatch.setattr(account_module, "WARM_SECONDS", 0.02)
    async with running(account) as told:
        await told.count(AccountResumed, 2)
        venue.time_answer = (500, b"")
        await asyncio.sleep(0.1)
        venue.time_answer = None
        venue.offset_ms = 7000
        async with asyncio.timeout(5):
            while abs(account.usdm.rest.offset_ms - 7000) > 500:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


# What fees in a third asset were worth


@pytest.fixture
async def fees(venue):
    rest = MarketRest(Market.SPOT, venue.urls, KEY, SECRET, SystemClock())
    yield FeeRates(rest)
    await rest.close()


async def test_a_price_is_asked_for_once_a_minute(fees, venue):
    venue.answer("get /api/v3/klines", [BAR])
    for time_ms in (1_700_000_000_000, 1_700_000_000_001):
        assert await fees.at(SPOT, "BNB", time_ms) == Decimal("605.5")
    assert len(venue.asked) == 1
    assert fees.now(SPOT, "BNB", 1_700_000_000_000 + 120_000) == Decimal("605.5")
    assert fees.now(SPOT, "BNB", 1_700_000_000_000 + 600_000) is None


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
async def test_base_and_quote_need_no_price(fees, venue, asset):
    assert await fees.at(SPOT, asset, 1) is None
    assert fees.now(SPOT, asset, 1) is None
    assert (venue.asked, fees.wanted) == ([], set())


async def test_a_price_without_a_bar_is_none(fees, venue):
    venue.answer("get /api/v3/klines", [])
    assert await fees.at(SPOT, "BNB", 1_700_000_000_000) is None


async def test_the_present_price_is_asked_for_anew(fees, venue):
    venue.answer("get /api/v3/klines", [BAR], [[*BAR[:4], "700", "1"]])
    now_ms = venue.now_ms()
    assert await fees.at(SPOT, "BNB", now_ms) == Decimal("605.5")
    await fees.refresh()
    assert fees.now(SPOT, "BNB", now_ms + 1000) == Decimal(700)


async def test_a_price_that_cannot_be_had_now_does_not_undo_the_last_one(fees, venue):
    venue.answer("get /api/v3/klines", [BAR], (500, {}))
    now_ms = venue.now_ms()
    await fees.at(SPOT, "BNB", now_ms)
    await fees.refresh()
    assert fees.now(SPOT, "BNB", now_ms + 1000) == Decimal("605.5")
