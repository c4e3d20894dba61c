"""Addresses: their form, and the hosts of each mode."""

import pytest

from engine.settings import Settings
from engine.settings_addresses import ADDRESSES, HOSTS, PRIVATE, PUBLIC, clean_address, needed


def test_every_mode_has_a_host_for_every_address():
    assert all(set(hosts) == ADDRESSES for hosts in HOSTS.values())


def test_every_venues_own_host_is_an_address_in_good_form():
    for hosts in HOSTS.values():
        for name, url in hosts.items():
            assert clean_address(name, url) == url


def test_every_address_belongs_to_one_venue():
    names = [name for table in (PUBLIC, PRIVATE) for names in table.values() for name in names]
    assert sorted(names) == sorted(ADDRESSES)


def test_paper_and_live_are_mainnet_and_demo_takes_bybits_prices_from_it():
    assert HOSTS["paper"] == HOSTS["live"]
    assert HOSTS["demo"]["bybit_ws_public_url"] == HOSTS["live"]["bybit_ws_public_url"]
    for name in needed("binance", "live"):
        assert len({HOSTS[mode][name] for mode in ("live", "demo", "testnet")}) == 3


def test_paper_needs_the_public_addresses_only():
    assert needed("bybit", "paper") == PUBLIC["bybit"]
    assert set(needed("bybit", "demo")) == {*PUBLIC["bybit"], "bybit_ws_private_url"}


def test_the_mode_chooses_the_hosts():
    assert Settings(trading_mode="testnet").bybit_rest_url == "https://api-testnet.bybit.com"


@pytest.mark.parametrize(
    ("name", "text", "clean"),
    [
        ("bybit_rest_url", "http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("bybit_ws_public_url", "ws://[::1]:9/v5/public//", "ws://[::1]:9/v5/public"),
        ("binance_spot_rest_url", "https://host/path/", "https://host/path"),
        ("bybit_ws_private_url", "wss://host/v5/private?x=1", "wss://host/v5/private?x=1"),
        ("telegram_api_url", "http://127.0.0.1:1/", "http://127.0.0.1:1"),
    ],
)
def test_a_trailing_slash_is_ignored(name, text, clean):
    assert clean_address(name, text) == clean


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("bybit_rest_url", "wss://host", "https://host"),
        ("bybit_rest_url", "host", "https://host"),
        ("bybit_rest_url", "https://", "https://host"),
        ("bybit_rest_url", "https://host:port", "https://host"),
        ("bybit_rest_url", "https://host:0", "https://host"),
        ("bybit_rest_url", "https://[::1", "https://host"),
        ("bybit_ws_public_url", "https://host/v5/public", "wss://host"),
        ("bybit_ws_public_url", "wss://host", "/v5/public"),
        ("bybit_rest_url", "https://host/v5/", "/v5"),
        ("binance_usdm_ws_url", "wss://host/market", "/market"),
        ("binance_usdm_rest_url", "https://user:word@host", "password"),
    ],
)
def test_what_is_no_such_address_is_refused_without_repeating_it(name, text, wanted):
    with pytest.raises(ValueError, match=wanted) as caught:
        clean_address(name, text)
    assert "word@" not in str(caught.value)
