"""Rows of Binance's public REST answers."""

from decimal import Decimal
from typing import Any

from engine.model.instrument import Market
from engine.model.money import plain
from engine.simulator.market import InstrumentState
from engine.simulator.market_events import Aggregate, Print
from engine.simulator.market_history import Candle
from engine.simulator.market_listings import Listing


def trade_row(print_: Print, market: Market) -> dict[str, Any]:
    """Write a trade of ``/trades``."""
    row: dict[str, Any] = {
        "id": print_.number,
        "price": print_.price,
        "qty": print_.qty,
        "quoteQty": plain(Decimal(print_.price) * Decimal(print_.qty)),
        "time": print_.time_ms,
        "isBuyerMaker": not print_.taker_buys,
    }
    return row | {"isBestMatch": True} if market is Market.SPOT else row


def aggregate_row(entry: Aggregate, market: Market) -> dict[str, Any]:
    """Write an aggregate of ``/aggTrades``."""
    row: dict[str, Any] = {
        "a": entry.number,
        "p": entry.price,
        "q": entry.qty,
        "f": entry.first,
        "l": entry.last,
        "T": entry.time_ms,
        "m": not entry.taker_buys,
    }
    return row | {"M": True} if market is Market.SPOT else row


def kline_row(bar: Candle, length_ms: int, listing: Listing) -> list[Any]:
    """Write a bar of ``/klines``."""
    return [
        bar.start_ms,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        listing.qty_text(bar.volume),
        bar.start_ms + length_ms - 1,
        plain(bar.turnover),
        bar.trades,
        listing.qty_text(bar.taker_volume),
        plain(bar.taker_turnover),
        "0",
    ]


def mark_kline_row(bar: Candle, length_ms: int) -> list[Any]:
    """Write a bar of ``/markPriceKlines``: its volumes mean nothing."""
    prices = [bar.open, bar.high, bar.low, bar.close]
    return [bar.start_ms, *prices, "0", bar.start_ms + length_ms - 1, "0", 60, "0", "0", "0"]


def quote_row(state: InstrumentState, market: Market) -> dict[str, Any] | None:
    """Write a touch of ``/ticker/bookTicker``; None before the first one."""
    quote = state.quote
    if quote is None:
        return None
    row: dict[str, Any] = {
        "symbol": state.listing.id.symbol,
        "bidPrice": quote.bid,
        "bidQty": quote.bid_qty,
        "askPrice": quote.ask,
        "askQty": quote.ask_qty,
    }
    if market is Market.SPOT:
        return row
    return row | {"time": quote.time_ms, "lastUpdateId": quote.update}


def premium_row(state: InstrumentState) -> dict[str, Any] | None:
    """Write a mark of ``/premiumIndex``; None before the first one."""
    mark = state.mark
    if mark is None:
        return None
    return {
        "symbol": state.listing.id.symbol,
        "markPrice": mark.mark,
        "indexPrice": mark.index,
        "estimatedSettlePrice": mark.settle,
        "lastFundingRate": mark.funding_rate,
        "interestRate": "0.00010000",
        "nextFundingTime": mark.next_funding_ms,
        "time": mark.sent_ms,
    }
