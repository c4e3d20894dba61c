import random

import httpx
import pytest

from engine.clock import SystemClock
from engine.model.instrument import Market
from engine.venues.binance.instruments import BinanceInstruments
from engine.venues.bybit.instruments import BybitInstruments
from engine.venues.registry import (
    BinanceUrls,
    BybitUrls,
    build_account,
    build_feed,
    build_instruments,
    public_rest,
)

BYBIT = BybitUrls(
    rest="https://api-demo.bybit.example",
    rest_public="https://api.bybit.example",
    ws_public="wss://stream.bybit.example/v5/public",
    ws_private="wss://stream.bybit.example/v5/private",
)
BINANCE = BinanceUrls(
    spot_rest="https://api.binance.example",
    spot_ws="wss://stream.binance.example",
    spot_ws_api="wss://ws-api.binance.example/ws-api/v3",
    usdm_rest="https://fapi.binance.example",
    usdm_ws="wss://fstream.binance.example",
)


def test_a_trailing_slash_is_ignored():
    urls = BybitUrls(rest="http://a/", ws_public="ws://a/v5/public/", ws_private="ws://a//")
    assert (urls.rest, urls.ws_public, urls.ws_private) == (
        "http://a",
        "ws://a/v5/public",
        "ws://a",
    )


def test_feeds_connect_where_they_are_told():
    def addresses(venue, urls):
        feed = build_feed(venue, urls, SystemClock(), print, print, 10, rng=random.Random(0))
        assert feed.venue == venue
        return {
            market: [session._url for session in sessions]
            for market, sessions in feed._sessions.items()
        }

    assert addresses("bybit", BybitUrls("http://r", "ws://w/v5/public", "ws://p")) == {
        Market.SPOT: ["ws://w/v5/public/spot"],
        Market.LINEAR: ["ws://w/v5/public/linear"],
    }
    urls = BinanceUrls("http://r", "ws://s", "ws://a", "http://u", "ws://f")
    assert addresses("binance", urls) == {
        Market.SPOT: ["ws://s/stream"],
        Market.LINEAR: ["ws://f/market/stream", "ws://f/public/stream"],
    }


async def test_each_venue_has_its_instrument_lists():
    async with httpx.AsyncClient() as client:
        bybit = build_instruments("bybit", BYBIT, client)
        binance = build_instruments("binance", BINANCE, client)
    assert isinstance(bybit, BybitInstruments)
    assert bybit._url.startswith("https://api.bybit.example/")
    assert isinstance(binance, BinanceInstruments)


@pytest.mark.parametrize(("venue", "urls"), [("bybit", BYBIT), ("binance", BINANCE)])
async def test_each_venue_has_its_account_which_opens_nothing_by_itself(venue, urls):
    account = build_account(venue, urls, "key", "secret", SystemClock(), lambda *_: None)
    assert account.venue == venue
    assert list(account.positions()) == []
    await account.close()


def test_lists_are_those_of_the_place_they_come_from():
    assert public_rest(BYBIT) == "https://api.bybit.example"
    assert public_rest(BybitUrls("http://a", "ws://a/v5/public", "ws://p")) == "http://a"
    assert public_rest(BINANCE) == "https://api.binance.example https://fapi.binance.example"
