"""How the venues' adapters are built from plain addresses.

The setting that holds an address is named in the comment beside it; a trailing slash is ignored.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import httpx

from engine.model.instrument import Market
from engine.ports import Clock, FeedSink, Instruments, TickSink
from engine.venues.binance import feed as binance_feed
from engine.venues.binance.instruments import BinanceInstruments
from engine.venues.binance.missed import BinanceMissed
from engine.venues.binance.prices import BinancePrices
from engine.venues.bybit import feed as bybit_feed
from engine.venues.bybit.instruments import BybitInstruments
from engine.venues.bybit.missed import BybitMissed
from engine.venues.bybit.prices import BybitPrices
from engine.venues.feed import Endpoint, StreamFeed
from engine.venues.missed import MissedSource
from engine.venues.prices import PriceSource
from engine.venues.stream import Timings
from engine.venues.transport import Connector
from engine.venues.websockets_transport import WebsocketsConnector


class _Addresses:
    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = str(getattr(self, field.name)).rstrip("/")
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True, slots=True)
class BybitUrls(_Addresses):
    """Addresses of Bybit.

    Attributes:
        rest: before ``/v5``.
        ws_public: ends in ``/v5/public``.
        ws_private: whole.
        rest_public: where public data is asked for; empty means ``rest``.
    """

    rest: str  # BYBIT_REST_URL
    ws_public: str  # BYBIT_WS_PUBLIC_URL
    ws_private: str  # BYBIT_WS_PRIVATE_URL
    rest_public: str = ""


@dataclass(frozen=True, slots=True)
class BinanceUrls(_Addresses):
    """Addresses of Binance.

    Attributes:
        spot_rest: before ``/api``.
        spot_ws: before ``/ws`` and ``/stream``.
        spot_ws_api: whole.
        usdm_rest: before ``/fapi``.
        usdm_ws: before ``/public``, ``/market`` and ``/private``.
    """

    spot_rest: str  # BINANCE_SPOT_REST_URL
    spot_ws: str  # BINANCE_SPOT_WS_URL
    spot_ws_api: str  # BINANCE_SPOT_WS_API_URL
    usdm_rest: str  # BINANCE_USDM_REST_URL
    usdm_ws: str  # BINANCE_USDM_WS_URL


VenueUrls = BybitUrls | BinanceUrls


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
