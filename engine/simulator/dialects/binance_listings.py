"""Binance's instrument lists: read from a recorded ``exchangeInfo``, or composed here."""

from typing import Any

from msgspec import Struct

from engine.model.instrument import InstrumentId, Market
from engine.simulator.market_listings import Listing


class Terms(Struct, frozen=True):
    """The filters of a built-in instrument: price steps, quantity steps, largest market orders."""

    base: str
    spot_tick: str
    spot_step: str
    spot_market_max: str
    usdm_tick: str
    usdm_step: str
    usdm_market_max: str
    usdm_notional: str


TERMS = (
    Terms("BTC", "0.01000000", "0.00001000", "120.00000000", "0.10", "0.001", "120", "100"),
    Terms("ETH", "0.01000000", "0.00010000", "2500.00000000", "0.01", "0.001", "2000", "20"),
    Terms("SOL", "0.01000000", "0.00100000", "30000.00000000", "0.0100", "0.01", "5000", "5"),
    Terms("XRP", "0.00010000", "0.10000000", "900000.00000000", "0.0001", "0.1", "2000000", "5"),
    Terms("DOGE", "0.00001000", "1.00000000", "9000000.00000000", "0.000010", "1", "30000000", "5"),
)

SPOT_ORDER_TYPES = [
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
]


def read(market: Market, entries: list[dict[str, Any]]) -> list[Listing]:
    """Read the ``symbols`` of an ``exchangeInfo``."""
    return [_listing(market, entry) for entry in entries]


def _listing(market: Market, info: dict[str, Any]) -> Listing:
    filters = {entry["filterType"]: entry for entry in info["filters"]}
    return Listing(
        id=InstrumentId("binance", market, info["symbol"]),
        base=info["baseAsset"],
        quote=info["quoteAsset"],
        tick=filters["PRICE_FILTER"]["tickSize"],
        step=filters["LOT_SIZE"]["stepSize"],
        info=info,
    )


def built_in() -> list[Listing]:
    """Return instruments with filters like the venue's own, for prices without recordings."""
    return read(Market.SPOT, [_spot(terms) for terms in TERMS]) + read(
        Market.LINEAR, [_usdm(terms) for terms in TERMS]
    )


def _spot(terms: Terms) -> dict[str, Any]:
    return {
        "symbol": f"{terms.base}USDT",
        "status": "TRADING",
        "baseAsset": terms.base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": SPOT_ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": _spot_filters(terms),
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
    }


def _spot_filters(terms: Terms) -> list[dict[str, Any]]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": terms.spot_tick,
            "maxPrice": "1000000.00000000",
            "tickSize": terms.spot_tick,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": terms.spot_step,
            "maxQty": "9000000.00000000",
            "stepSize": terms.spot_step,
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": terms.spot_market_max,
            "stepSize": "0.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]


def _usdm(terms: Terms) -> dict[str, Any]:
    return {
        "symbol": f"{terms.base}USDT",
        "pair": f"{terms.base}USDT",
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": terms.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": len(terms.usdm_tick.partition(".")[2]),
        "quantityPrecision": len(terms.usdm_step.partition(".")[2]),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": _usdm_filters(terms),
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


def _usdm_filters(terms: Terms) -> list[dict[str, Any]]:
    step = terms.usdm_step
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": terms.usdm_tick,
            "maxPrice": "1000000",
            "tickSize": terms.usdm_tick,
        },
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "10000000", "stepSize": step},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": step,
            "maxQty": terms.usdm_market_max,
            "stepSize": step,
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": terms.usdm_notional},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
    ]
