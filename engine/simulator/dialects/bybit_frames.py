"""Market events as Bybit v5 public WebSocket frames.

Field order follows what Bybit sends: it differs between spot and linear, and between channels.
Source: the v5 documentation of publicTrade, orderbook and kline.
"""

from typing import Any

import msgspec

from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.simulator.market_events import Print, Prints, Quote
from engine.simulator.market_history import MINUTE_MS, Candle

encode = msgspec.json.encode


class TickDirections:
    """The direction of each trade against the one before (``L``; derivatives only)."""

    def __init__(self) -> None:
        self._last: dict[InstrumentId, tuple[float, str]] = {}

    def next(self, instrument: InstrumentId, price: str) -> str:
        """Return the direction of a trade at ``price``."""
        value = float(price)
        before, direction = self._last.get(instrument, (value, "ZeroPlusTick"))
        if value != before:
            direction = "PlusTick" if value > before else "MinusTick"
        elif not direction.startswith("Zero"):
            direction = f"Zero{direction}"
        self._last[instrument] = (value, direction)
        return direction


def trades(event: Prints, directions: TickDirections) -> bytes:
    """Write a ``publicTrade`` frame."""
    if event.raw is not None:
        return encode(event.raw)
    symbol = event.instrument.symbol
    if event.instrument.market is Market.SPOT:
        data = [_spot_trade(print_, symbol) for print_ in event.prints]
        return encode(
            {
                "topic": f"publicTrade.{symbol}",
                "ts": event.sent_ms,
                "type": "snapshot",
                "data": data,
            }
        )
    data = [
        _linear_trade(print_, symbol, directions.next(event.instrument, print_.price))
        for print_ in event.prints
    ]
    return encode(
        {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": event.sent_ms, "data": data}
    )


def _side(print_: Print) -> str:
    return "Buy" if print_.taker_buys else "Sell"


def _spot_trade(print_: Print, symbol: str) -> dict[str, Any]:
    return {
        "i": print_.id,
        "T": print_.time_ms,
        "p": print_.price,
        "v": print_.qty,
        "S": _side(print_),
        "seq": print_.seq,
        "s": symbol,
        "BT": False,
        "RPI": False,
    }


def _linear_trade(print_: Print, symbol: str, direction: str) -> dict[str, Any]:
    return {
        "T": print_.time_ms,
        "s": symbol,
        "S": _side(print_),
        "v": print_.qty,
        "p": print_.price,
        "L": direction,
        "i": print_.id,
        "BT": False,
        "RPI": False,
        "seq": print_.seq,
    }


def book(quote: Quote, sent_ms: int) -> bytes:
    """Write an ``orderbook.1`` snapshot."""
    symbol = quote.instrument.symbol
    head: dict[str, Any] = {"topic": f"orderbook.1.{symbol}"}
    if quote.instrument.market is Market.SPOT:
        head |= {"ts": sent_ms, "type": "snapshot"}
    else:
        head |= {"type": "snapshot", "ts": sent_ms}
    data = {
        "s": symbol,
        "b": [[quote.bid, quote.bid_qty]],
        "a": [[quote.ask, quote.ask_qty]],
        "u": quote.update,
        "seq": quote.seq,
    }
    return encode(head | {"data": data, "cts": quote.time_ms})


def kline(instrument: InstrumentId, bars: list[tuple[Candle, bool]], now_ms: int) -> bytes:
    """Write a ``kline.1`` frame of bars and whether each is finished."""
    topic = f"kline.1.{instrument.symbol}"
    data = [_bar(bar, confirm, now_ms) for bar, confirm in bars]
    if instrument.market is Market.SPOT:
        return encode({"type": "snapshot", "topic": topic, "data": data, "ts": now_ms})
    return encode({"topic": topic, "data": data, "ts": now_ms, "type": "snapshot"})


def _bar(bar: Candle, confirm: bool, now_ms: int) -> dict[str, Any]:
    return {
        "start": bar.start_ms,
        "end": bar.start_ms + MINUTE_MS - 1,
        "interval": "1",
        "open": bar.open,
        "close": bar.close,
        "high": bar.high,
        "low": bar.low,
        "volume": plain(bar.volume),
        "turnover": plain(bar.turnover),
        "confirm": confirm,
        "timestamp": now_ms,
    }
