from decimal import Decimal

import pytest

from engine.model.instrument import Market
from engine.simulator.dialects import binance_listings, bybit_listings
from engine.simulator.market_listings import Listing, Listings
from tests.engine.simulator.rig import ids


def listing(name: str, tick: str, step: str = "0.001") -> Listing:
    return Listing(ids(name), "BTC", "USDT", tick, step, {})


@pytest.mark.parametrize(
    ("name", "tick", "price", "text"),
    [
        ("bybit:linear:BTCUSDT", "0.10", "65114.2", "65114.20"),
        ("bybit:spot:BTCUSDT", "0.1", "65140", "65140"),
        ("binance:spot:BTCUSDT", "0.01000000", "61837.63", "61837.63000000"),
        ("binance:linear:DOGEUSDT", "1", "120", "120"),
    ],
)
def test_prices_are_written_as_the_venue_does(name: str, tick: str, price: str, text: str) -> None:
    assert listing(name, tick).price_text(Decimal(price)) == text


def test_prices_are_rounded_to_the_nearest_tick_and_never_to_zero() -> None:
    entry = listing("bybit:linear:BTCUSDT", "0.10")
    assert entry.nearest_tick(Decimal("100.05")) == Decimal("100.1")
    assert entry.nearest_tick(Decimal("100.04")) == Decimal("100.0")
    assert entry.nearest_tick(Decimal("0.001")) == Decimal("0.1")


def test_typical_quantities_are_worth_a_thousand_and_on_the_step() -> None:
    entry = listing("bybit:linear:BTCUSDT", "0.10")
    assert entry.typical_qty(Decimal(60000)) == Decimal("0.017")
    assert entry.qty_text(Decimal("0.01")) == "0.010"


def test_built_in_lists_hold_the_same_symbols_on_all_markets() -> None:
    lists = Listings([*bybit_listings.built_in(), *binance_listings.built_in()])
    wanted = {f"{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "DOGE")}
    for venue in ("bybit", "binance"):
        for market in Market:
            assert {entry.id.symbol for entry in lists.of(venue, market)} == wanted
    assert len(list(lists)) == 20
    assert lists.get(ids("bybit:linear:NOPEUSDT")) is None
