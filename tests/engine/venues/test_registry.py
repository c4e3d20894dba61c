import random
from dataclasses import fields

import httpx
import pytest

from engine.clock import SystemClock
from engine.model.errors import Misconfigured
from engine.model.instrument import Market
from engine.venues.binance.instruments import BinanceInstruments
from engine.venues.bybit.instruments import BybitInstruments
from engine.venues.registry import (
    VENUES,
    BinanceUrls,
    BybitUrls,
    Environment,
    build_feed,
    build_instruments,
    default_urls,
)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("environment", Environment)
def test_every_environment_has_all_addresses(venue, environment):
    urls = default_urls(venue, environment)
    for field in fields(urls):
        value = getattr(urls, field.name)
        scheme = "wss://" if "ws" in field.name else "https://"
        assert value.startswith(scheme) or (field.name == "rest_public" and not value)
        assert not value.endswith("/")


def test_an_unknown_venue_names_the_setting():
    with pytest.raises(Misconfigured, match="VENUES"):
        default_urls("mtgox", Environment.MAINNET)


def test_a_trailing_slash_is_ignored():
    urls = BybitUrls(rest="http://a/", ws_public="ws://a/v5/public/", ws_private="ws://a//")
    assert (urls.rest, urls.ws_public, urls.ws_private) == (
        "http://a",
        "ws://a/v5/public",
        "ws://a",
    )


def test_bybit_demo_takes_public_data_from_mainnet():
    demo, main = (default_urls("bybit", Environment(name)) for name in ("demo", "mainnet"))
    assert demo.ws_public == main.ws_public
    assert demo.rest_public == main.rest
    assert demo.rest != main.rest


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
        bybit = build_instruments("bybit", default_urls("bybit", Environment.DEMO), client)
        binance = build_instruments("binance", default_urls("binance", Environment.MAINNET), client)
    assert isinstance(bybit, BybitInstruments)
    assert bybit._url.startswith("https://api.bybit.com/")
    assert isinstance(binance, BinanceInstruments)
