"""From settings to the parts of the service: plain values in, configured objects out."""

from decimal import Decimal
from typing import Literal

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.core.state import GuardConfig
from engine.model.errors import Misconfigured
from engine.model.instrument import Market
from engine.ports import Clock
from engine.settings import (
    Backstop,
    FeedTransport,
    GapPolicy,
    MarginMode,
    OnOpposite,
    OnSame,
    Settings,
    TradingMode,
    default_exits,
)
from engine.settings_addresses import HOSTS
from engine.simulator.matching import VenueRules
from engine.venues.picows_transport import PicowsConnector
from engine.venues.registry import BinanceUrls, BybitUrls, VenueUrls
from engine.venues.transport import Connector
from engine.venues.websockets_transport import WebsocketsConnector

# Taker fees of accounts without a discount: the venues' public fee schedules, 2026.
TAKER_FEES: dict[tuple[str, Market], Decimal] = {
    ("bybit", Market.SPOT): Decimal("0.001"),
    ("bybit", Market.LINEAR): Decimal("0.00055"),
    ("binance", Market.SPOT): Decimal("0.001"),
    ("binance", Market.LINEAR): Decimal("0.0005"),
}

PAPER_QUOTES = ("USDT", "USDC")
"""Quote assets that a paper account holds from its start; others are credited when first used."""


def guard_config(settings: Settings) -> GuardConfig:
    """Return the guardian's part of the settings."""
    return GuardConfig(
        exits=default_exits(settings),
        position_size=settings.position_size,
        fee_rates={key: rate for key, rate in TAKER_FEES.items() if key[0] in settings.venues},
        trigger=settings.trigger_price,
        monitor_interval_ns=int(settings.monitor_interval * NS_PER_SECOND),
        gap_strict=settings.gap_policy is GapPolicy.STRICT,
        stale_feed_ns=int(settings.stale_feed_seconds * NS_PER_SECOND),
        leverage=Decimal(settings.leverage),
        max_entry_deviation_percent=settings.max_entry_deviation_percent,
        signal_max_age_ns=int(settings.signal_max_age_seconds * NS_PER_SECOND),
        close_on_opposite=settings.on_opposite_signal is OnOpposite.CLOSE,
        max_open_positions=settings.max_open_positions,
        add_on_same=settings.on_same_signal is OnSame.ADD,
        max_tick_jump_percent=settings.max_tick_jump_percent,
        cross_margin=settings.margin_mode is MarginMode.CROSS,
        backstops=_backstop_markets(settings),
        backstop_extra_percent=settings.backstop_extra_percent,
    )


def _backstop_markets(settings: Settings) -> frozenset[Market]:
    """The markets with stop orders at the venue; none on paper, whose account dies with us."""
    if settings.trading_mode is TradingMode.PAPER:
        return frozenset()
    markets = {Backstop.OFF: (), Backstop.LINEAR: (Market.LINEAR,), Backstop.ALL: tuple(Market)}
    return frozenset(markets[settings.backstop])


def fee_rates(venue: str) -> dict[Market, Decimal]:
    """Return the taker fees of a venue that sizes are computed with, as fractions."""
    return {market: TAKER_FEES[venue, market] for market in Market}


def margin_mode(settings: Settings) -> Literal["isolated", "cross"] | None:
    """Return the margin mode to set at the venues; None where the owner named none."""
    if "margin_mode" not in settings.model_fields_set:
        return None
    return "cross" if settings.margin_mode is MarginMode.CROSS else "isolated"


def venue_rules(settings: Settings, venue: str) -> VenueRules:
    """Return how a venue's paper account treats orders."""
    return VenueRules(
        venue=venue,
        fee_rates=fee_rates(venue),
        latency_ns=settings.paper_latency_ms * NS_PER_MS,
        slippage_bps=settings.paper_slippage_bps,
        leverage=Decimal(settings.leverage),
        ids_unique_for_ever=venue != "binance",
    )


def feed_connector(settings: Settings, clock: Clock) -> Connector:
    """Return the library that carries the price streams."""
    if settings.feed_transport is FeedTransport.PICOWS:
        return PicowsConnector(clock.monotonic_ns)
    return WebsocketsConnector(clock.monotonic_ns)


def venue_urls(settings: Settings, venue: str) -> VenueUrls:
    """Return a venue's addresses.

    Raises:
        Misconfigured: there is no adapter for the venue.
    """
    if venue == "bybit":
        return BybitUrls(
            rest=settings.bybit_rest_url,
            ws_public=settings.bybit_ws_public_url,
            ws_private=settings.bybit_ws_private_url,
            rest_public=_bybit_public(settings),
        )
    if venue == "binance":
        return BinanceUrls(
            spot_rest=settings.binance_spot_rest_url,
            spot_ws=settings.binance_spot_ws_url,
            spot_ws_api=settings.binance_spot_ws_api_url,
            usdm_rest=settings.binance_usdm_rest_url,
            usdm_ws=settings.binance_usdm_ws_url,
        )
    raise Misconfigured(f"VENUES names {venue!r}, which has no adapter yet; remove it")


def _bybit_public(settings: Settings) -> str:
    """Bybit's demo host serves the account only; public data is mainnet's (v5 docs, demo)."""
    demo_host = HOSTS[TradingMode.DEMO]["bybit_rest_url"]
    is_demo = settings.trading_mode is TradingMode.DEMO and settings.bybit_rest_url == demo_host
    return HOSTS[TradingMode.LIVE]["bybit_rest_url"] if is_demo else ""
