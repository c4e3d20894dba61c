"""How the venues' adapters are built from plain addresses."""

import random
from collections.abc import Mapping, Sequence
from typing import Literal

import httpx

from engine.model.instrument import Market
from engine.ports import Clock, FeedSink, Instruments, TickSink
from engine.venues.account import ExaminedAccount
from engine.venues.binance import feed as binance_feed
from engine.venues.binance.account import BinanceAccount
from engine.venues.binance.instruments import BinanceInstruments
from engine.venues.binance.missed import BinanceMissed
from engine.venues.binance.prices import BinancePrices
from engine.venues.bybit import feed as bybit_feed
from engine.venues.bybit.account import BybitAccount
from engine.venues.bybit.instruments import BybitInstruments
from engine.venues.bybit.missed import BybitMissed
from engine.venues.bybit.prices import BybitPrices
from engine.venues.catalog import Lookup
from engine.venues.feed import Endpoint, StreamFeed
from engine.venues.missed import MissedSource
from engine.venues.prices import PriceSource
from engine.venues.stream import Timings
from engine.venues.transport import Connector
from engine.venues.urls import BinanceUrls, BybitUrls, VenueUrls
from engine.venues.websockets_transport import WebsocketsConnector

__all__ = [
    "BinanceUrls",
    "BybitUrls",
    "VenueUrls",
    "build_account",
    "build_feed",
    "build_instruments",
    "public_rest",
]

MarginMode = Literal["isolated", "cross"]


def build_feed(
    venue: str,
    urls: VenueUrls,
    clock: Clock,
    tick_sink: TickSink,
    feed_sink: FeedSink,
    stale_feed_seconds: float,
    *,
    client: httpx.AsyncClient | None = None,
    connector: Connector | None = None,
    rng: random.Random | None = None,
    timings: Timings | None = None,
) -> StreamFeed:
    """Build a venue's feed. It opens no connection before its ``run`` and a first ``watch``.

    ``client`` asks for prices by REST and stays the caller's to close; without one none are asked.
    ``rng`` jitters the pauses between connections; ``connector`` is the WebSocket library.
    """
    prices, missed = _by_rest(urls, client, clock) if client is not None else (None, None)
    return StreamFeed(
        venue,
        _endpoints(urls),
        connector or WebsocketsConnector(clock.monotonic_ns),
        clock,
        tick_sink,
        feed_sink,
        stale_feed_seconds,
        rng=rng or random.SystemRandom(),
        timings=timings,
        prices=prices,
        missed=missed,
    )


def build_instruments(venue: str, urls: VenueUrls, client: httpx.AsyncClient) -> Instruments:
    """Build the source of a venue's instrument lists; the client stays the caller's to close."""
    del venue
    if isinstance(urls, BybitUrls):
        return BybitInstruments(urls.rest_public or urls.rest, client)
    return BinanceInstruments(urls.spot_rest, urls.usdm_rest, client)


def build_account(
    venue: str,
    urls: VenueUrls,
    key: str,
    secret: str,
    clock: Clock,
    lookup: Lookup,
    *,
    leverage: int = 1,
    margin_mode: MarginMode | None = None,
    connector: Connector | None = None,
) -> ExaminedAccount:
    """Build a venue's account. It opens nothing before its ``open``, and is closed by ``close``.

    Args:
        lookup: finds the instruments of executions that are not ours.
        leverage: set on an instrument before our first entry there.
        margin_mode: set at the venue; None leaves it as it is.
    """
    del venue
    if isinstance(urls, BybitUrls):
        return BybitAccount(
            urls,
            key,
            secret,
            clock,
            lookup,
            leverage=leverage,
            margin_mode=margin_mode,
            connector=connector,
        )
    return BinanceAccount(
        urls,
        key,
        secret,
        clock,
        lookup,
        leverage=leverage,
        margin_mode=margin_mode,
        connector=connector,
    )


def public_rest(urls: VenueUrls) -> str:
    """Return where a venue's public data comes from: lists of one place are not another's."""
    if isinstance(urls, BybitUrls):
        return urls.rest_public or urls.rest
    return f"{urls.spot_rest} {urls.usdm_rest}"


def _endpoints(urls: VenueUrls) -> Mapping[Market, Sequence[Endpoint]]:
    if isinstance(urls, BybitUrls):
        return bybit_feed.endpoints(urls.ws_public)
    return binance_feed.endpoints(urls.spot_ws, urls.usdm_ws)


def _by_rest(
    urls: VenueUrls, client: httpx.AsyncClient, clock: Clock
) -> tuple[PriceSource, MissedSource]:
    if isinstance(urls, BybitUrls):
        bybit = BybitPrices(urls.rest_public or urls.rest, client, clock)
        return bybit, BybitMissed(bybit, clock)
    binance = BinancePrices(urls.spot_rest, urls.usdm_rest, client, clock)
    return binance, BinanceMissed(binance, clock)
