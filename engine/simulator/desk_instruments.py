"""A listing of the simulator as an instrument with filters, read from the venue's own description.

Sources: Bybit v5 docs, market/instrument; Binance docs, exchangeInfo of spot and of USD-M futures.
"""

from decimal import Decimal
from typing import Any

from engine.model.instrument import Instrument, Market
from engine.model.money import ZERO
from engine.simulator.market_listings import Listing


def instrument_of(listing: Listing) -> Instrument:
    """Return the instrument of a listing, with the filters of market orders."""
    read = _read_bybit if listing.id.venue == "bybit" else _read_binance
    return read(listing)


def _read_bybit(listing: Listing) -> Instrument:
    info, linear = listing.info, listing.id.market is Market.LINEAR
    lots: dict[str, Any] = info["lotSizeFilter"]
    largest = lots.get("maxMktOrderQty") if linear else lots.get("maxMarketOrderQty")
    least = lots.get("minNotionalValue") if linear else lots.get("minOrderAmt")
    return Instrument(
        id=listing.id,
        base=listing.base,
        quote=listing.quote,
        tick_size=listing.tick_size,
        qty_step=Decimal(listing.step),
        min_qty=Decimal(lots["minOrderQty"]),
        min_notional=Decimal(least or 0),
        max_market_qty=_limit(largest),
        trading=info["status"] == "Trading",
    )


def _read_binance(listing: Listing) -> Instrument:
    filters: dict[str, dict[str, Any]] = {
        each["filterType"]: each for each in listing.info["filters"]
    }
    lots, market = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", {})
    worth = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    least = worth.get("minNotional", worth.get("notional", "0"))
    # Both lot filters hold for market orders; a step of 0 is no filter.
    return Instrument(
        id=listing.id,
        base=listing.base,
        quote=listing.quote,
        tick_size=listing.tick_size,
        qty_step=max(Decimal(lots["stepSize"]), Decimal(market.get("stepSize", 0))),
        min_qty=max(Decimal(lots["minQty"]), Decimal(market.get("minQty", 0))),
        min_notional=Decimal(least),
        max_market_qty=_limit(market.get("maxQty")),
        trading=listing.info["status"] == "TRADING",
    )


def _limit(text: str | None) -> Decimal | None:
    amount = Decimal(text or 0)
    return amount if amount > ZERO else None
