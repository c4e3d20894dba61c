from decimal import Decimal

import pytest

from api.wiring import (
    TAKER_FEES,
    feed_connector,
    guard_config,
    margin_mode,
    venue_rules,
    venue_urls,
)
from engine.clock import NS_PER_MS, NS_PER_SECOND, SystemClock
from engine.model.errors import Misconfigured
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, Percent
from engine.model.instrument import Market
from engine.model.rules.ladder import Rung
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from engine.settings import (
    Backstop,
    FeedTransport,
    GapPolicy,
    MarginMode,
    OnSame,
    Settings,
    TradingMode,
)
from engine.venues.picows_transport import PicowsConnector
from engine.venues.registry import BinanceUrls, BybitUrls
from engine.venues.websockets_transport import WebsocketsConnector


def test_the_guard_gets_the_limits_of_the_settings() -> None:
    config = guard_config(
        Settings(
            take_profit_percent=Decimal("7.5"),
            stop_loss_percent=Decimal(3),
            position_size=Decimal(250),
            leverage=3,
            max_entry_deviation_percent=Decimal(2),
            signal_max_age_seconds=30,
            monitor_interval=12.5,
            max_open_positions=4,
            on_same_signal=OnSame.ADD,
            max_tick_jump_percent=Decimal(7),
        )
    )
    assert config.exits == Exits(Percent(Decimal("7.5")), Percent(Decimal(3)))
    assert (config.position_size, config.leverage) == (Decimal(250), Decimal(3))
    assert config.max_entry_deviation_percent == Decimal(2)
    assert config.signal_max_age_ns == 30 * NS_PER_SECOND
    assert config.monitor_interval_ns == 12_500_000_000
    assert config.max_open_positions == 4
    assert config.add_on_same
    assert config.max_tick_jump_percent == Decimal(7)
    assert config.trigger is PriceSource.LAST
    assert config.close_on_opposite
    assert config.fee_rates == TAKER_FEES


def test_the_guard_gets_every_exit_rule_of_the_settings() -> None:
    settings = Settings(
        trailing_percent=Decimal(2), take_profit_ladder=((Decimal(5), Decimal("0.5")),)
    )
    exits = guard_config(settings).exits
    assert exits.trailing == Trailing(Percent(Decimal(2)))
    assert exits.ladder == (Rung(Percent(Decimal(5)), Decimal("0.5")),)


def test_the_guard_learns_how_gaps_are_judged_and_when_silence_is_told() -> None:
    assert not guard_config(Settings()).gap_strict
    settings = Settings(gap_policy=GapPolicy.STRICT, stale_feed_seconds=2.5)
    config = guard_config(settings)
    assert config.gap_strict
    assert config.stale_feed_ns == 2_500_000_000


def test_equal_signals_do_not_add_unless_the_owner_says_so() -> None:
    assert not guard_config(Settings()).add_on_same


@pytest.mark.parametrize(
    ("mode", "value", "markets"),
    [
        (TradingMode.PAPER, Backstop.ALL, set()),
        (TradingMode.DEMO, Backstop.LINEAR, {Market.LINEAR}),
        (TradingMode.LIVE, Backstop.ALL, {Market.LINEAR, Market.SPOT}),
        (TradingMode.TESTNET, Backstop.OFF, set()),
    ],
)
def test_stop_orders_rest_at_exchanges_and_never_on_paper(
    mode: TradingMode, value: Backstop, markets: set[Market]
) -> None:
    settings = Settings(trading_mode=mode, backstop=value, backstop_extra_percent=Decimal(7))
    assert guard_config(settings).backstops == markets
    assert guard_config(settings).backstop_extra_percent == Decimal(7)


def test_a_limit_of_zero_is_off() -> None:
    config = guard_config(Settings(take_profit_percent=Decimal(0), stop_loss_percent=Decimal(0)))
    assert config.exits == Exits(Disarmed(), Disarmed())


@pytest.mark.parametrize("venue", ["bybit", "binance"])
def test_a_paper_account_charges_its_venue_s_taker_fees(venue: str) -> None:
    settings = Settings(paper_latency_ms=70, paper_slippage_bps=Decimal(3), leverage=2)
    rules = venue_rules(settings, venue)
    assert (rules.venue, rules.latency_ns) == (venue, 70 * NS_PER_MS)
    assert (rules.slippage_bps, rules.leverage) == (Decimal(3), Decimal(2))
    assert rules.fee_rates == {market: TAKER_FEES[venue, market] for market in Market}


def test_only_binance_takes_an_id_again() -> None:
    settings = Settings()
    assert venue_rules(settings, "bybit").ids_unique_for_ever
    assert not venue_rules(settings, "binance").ids_unique_for_ever


def test_the_price_streams_are_carried_by_the_chosen_library() -> None:
    chosen = Settings(feed_transport=FeedTransport.PICOWS)
    assert isinstance(feed_connector(chosen, SystemClock()), PicowsConnector)
    assert isinstance(feed_connector(Settings(), SystemClock()), WebsocketsConnector)


def test_each_venue_gets_its_own_addresses() -> None:
    settings = Settings(
        bybit_rest_url="http://a",
        bybit_ws_public_url="ws://b/v5/public",
        binance_spot_rest_url="http://c",
        binance_usdm_ws_url="ws://d",
    )
    bybit, binance = venue_urls(settings, "bybit"), venue_urls(settings, "binance")
    assert isinstance(bybit, BybitUrls)
    assert isinstance(binance, BinanceUrls)
    assert (bybit.rest, bybit.ws_public) == ("http://a", "ws://b/v5/public")
    assert (binance.spot_rest, binance.usdm_ws) == ("http://c", "ws://d")


def test_bybit_s_demo_takes_public_data_from_mainnet_unless_its_host_is_replaced() -> None:
    def public(mode: TradingMode, **fields: str) -> str:
        urls = venue_urls(Settings(trading_mode=mode, **fields), "bybit")
        assert isinstance(urls, BybitUrls)
        return urls.rest_public

    assert public(TradingMode.DEMO) == "https://api.bybit.com"
    assert public(TradingMode.DEMO, bybit_rest_url="http://a") == ""
    assert public(TradingMode.TESTNET) == ""
    assert public(TradingMode.LIVE) == ""


def test_private_addresses_are_replaced_like_the_others() -> None:
    settings = Settings(
        trading_mode=TradingMode.LIVE,
        bybit_ws_private_url="ws://a/v5/private",
        binance_spot_ws_api_url="ws://b/ws-api/v3",
    )
    bybit, binance = venue_urls(settings, "bybit"), venue_urls(settings, "binance")
    assert isinstance(bybit, BybitUrls)
    assert isinstance(binance, BinanceUrls)
    assert (bybit.ws_private, binance.spot_ws_api) == ("ws://a/v5/private", "ws://b/ws-api/v3")


def test_cross_margin_is_known_to_the_guard_and_set_only_where_it_is_named() -> None:
    named = Settings(margin_mode=MarginMode.CROSS)
    assert guard_config(named).cross_margin
    assert margin_mode(named) == "cross"
    assert margin_mode(Settings(margin_mode=MarginMode.ISOLATED)) == "isolated"
    assert not guard_config(Settings()).cross_margin
    assert margin_mode(Settings()) is None


def test_a_venue_without_an_adapter_is_named() -> None:
    with pytest.raises(Misconfigured, match="VENUES names 'okx'"):
        venue_urls(Settings(), "okx")
