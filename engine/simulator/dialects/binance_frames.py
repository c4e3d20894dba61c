"""Market events as Binance stream payloads (without the combined-stream envelope).

Field order follows what Binance sends. Source: the web-socket-streams documentation of spot and
the market streams of USD-M futures (``nq``, the quantity without RPI orders, since 2026).
"""

from typing import Any

import msgspec

from engine.model.instrument import Market
from engine.simulator.market_events import Aggregate, Mark, Print, Prints, Quote

encode = msgspec.json.encode


def trade(event: Prints, print_: Print) -> bytes:
    """Write a ``@trade`` payload; USD-M's names the source of the print in ``X``."""
    if event.raw is not None:
        return encode(event.raw)
    symbol = event.instrument.symbol
    if event.instrument.market is Market.SPOT:
        return encode(
            {
                "e": "trade",
                "E": event.sent_ms,
                "s": symbol,
                "t": print_.number,
                "p": print_.price,
                "q": print_.qty,
                "T": print_.time_ms,
                "m": not print_.taker_buys,
                "M": True,
            }
        )
    return encode(
        {
            "e": "trade",
            "E": event.sent_ms,
            "T": print_.time_ms,
            "s": symbol,
            "t": print_.number,
            "p": print_.price,
            "q": print_.qty,
            "X": print_.source,
            "m": not print_.taker_buys,
        }
    )


def aggregate(event: Aggregate) -> bytes:
    """Write an ``@aggTrade`` payload."""
    symbol = event.instrument.symbol
    tail: dict[str, Any] = {
        "p": event.price,
        "q": event.qty,
        "f": event.first,
        "l": event.last,
        "T": event.time_ms,
        "m": not event.taker_buys,
    }
    head: dict[str, Any] = {"e": "aggTrade", "E": event.sent_ms}
    if event.instrument.market is Market.SPOT:
        return encode(head | {"s": symbol, "a": event.number} | tail | {"M": True})
    return encode(head | {"a": event.number, "s": symbol} | tail | {"nq": event.qty})


def book_ticker(quote: Quote) -> bytes:
    """Write a ``@bookTicker`` payload; spot's carries no time."""
    if quote.raw is not None:
        return encode(quote.raw)
    data: dict[str, Any] = {
        "u": quote.update,
        "s": quote.instrument.symbol,
        "b": quote.bid,
        "B": quote.bid_qty,
        "a": quote.ask,
        "A": quote.ask_qty,
    }
    if quote.instrument.market is Market.SPOT:
        return encode(data)
    return encode({"e": "bookTicker"} | data | {"T": quote.time_ms, "E": quote.sent_ms})


def mark_price(mark: Mark) -> bytes:
    """Write a ``@markPrice`` payload."""
    if mark.raw is not None:
        return encode(mark.raw)
    return encode(
        {
            "e": "markPriceUpdate",
            "E": mark.sent_ms,
            "s": mark.instrument.symbol,
            "p": mark.mark,
            "P": mark.settle,
            "i": mark.index,
            "r": mark.funding_rate,
            "T": mark.next_funding_ms,
        }
    )
