"""Bybit's instrument lists: read from a recorded ``instruments-info`` result, or composed here."""

from typing import Any

from msgspec import Struct

from engine.model.instrument import InstrumentId, Market
from engine.simulator.market_listings import Listing


class Terms(Struct, frozen=True):
    """The filters of a built-in instrument: price step, quantity steps, largest market orders."""

    base: str
    linear_tick: str
    linear_step: str
    linear_max: str
    spot_tick: str
    spot_step: str
    spot_max: str


TERMS = (
    Terms("BTC", "0.10", "0.001", "150.000", "0.1", "0.000001", "120"),
    Terms("ETH", "0.01", "0.01", "1500.00", "0.01", "0.00001", "2700"),
    Terms("SOL", "0.010", "0.1", "15000.0", "0.01", "0.001", "14000"),
    Terms("XRP", "0.0001", "0.1", "600000.0", "0.0001", "0.01", "650000"),
    Terms("DOGE", "0.00001", "1", "6000000", "0.00001", "0.1", "5000000"),
)


def read(market: Market, entries: list[dict[str, Any]]) -> list[Listing]:
    """Read the entries of an ``instruments-info`` result."""
    return [_listing(market, entry) for entry in entries]


def _listing(market: Market, info: dict[str, Any]) -> Listing:
    lots = info["lotSizeFilter"]
    return Listing(
        id=InstrumentId("bybit", market, info["symbol"]),
        base=info["baseCoin"],
        quote=info["quoteCoin"],
        tick=info["priceFilter"]["tickSize"],
        step=lots["qtyStep"] if market is Market.LINEAR else lots["basePrecision"],
        info=info,
    )


def built_in() -> list[Listing]:
    """Return instruments with filters like the venue's own, for prices without recordings."""
    linear = [_linear(number, terms) for number, terms in enumerate(TERMS, 1)]
    spot = [_spot(number, terms) for number, terms in enumerate(TERMS, 1)]
    return read(Market.LINEAR, linear) + read(Market.SPOT, spot)


def _linear(number: int, terms: Terms) -> dict[str, Any]:
    return {
        "symbol": f"{terms.base}USDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": terms.base,
        "quoteCoin": "USDT",
        "launchTime": "1600000000000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(len(terms.linear_tick.partition(".")[2])),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": terms.linear_tick,
            "maxPrice": "1999999.80",
            "tickSize": terms.linear_tick,
        },
        "lotSizeFilter": {
            "maxOrderQty": terms.linear_max,
            "minOrderQty": terms.linear_step,
            "qtyStep": terms.linear_step,
            "postOnlyMaxOrderQty": terms.linear_max,
            "maxMktOrderQty": terms.linear_max,
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": "USDT",
        "copyTrading": "both",
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
        "displayName": "",
        "symbolType": "",
        "symbolId": number,
    }


def _spot(number: int, terms: Terms) -> dict[str, Any]:
    return {
        "symbolId": number,
        "symbol": f"{terms.base}USDT",
        "baseCoin": terms.base,
        "quoteCoin": "USDT",
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": terms.spot_step,
            "quotePrecision": "0.0000001",
            "minOrderQty": terms.spot_step,
            "maxOrderQty": terms.spot_max,
            "minOrderAmt": "5",
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": terms.spot_max,
            "maxMarketOrderQty": terms.spot_max,
        },
        "priceFilter": {"tickSize": terms.spot_tick},
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
        "symbolType": "",
    }
