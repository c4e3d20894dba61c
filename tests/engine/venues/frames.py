"""Frames made by hand, in the venues' layouts."""

import json
from decimal import Decimal
from typing import Any

from engine.model.instrument import Instrument, InstrumentId, Market


def instrument(venue: str, market: Market, symbol: str) -> Instrument:
    return Instrument(
        id=InstrumentId(venue, market, symbol),
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick_size=Decimal("0.1"),
        qty_step=Decimal("0.001"),
        min_qty=Decimal("0.001"),
        min_notional=Decimal(5),
    )


def compact(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def bybit_trade(symbol: str, price: object, seq: int, **fields: Any) -> bytes:
    return bybit_trades(symbol, [(price, seq, fields)])


def bybit_trades(symbol: str, rows: list[tuple[object, int, dict[str, Any]]]) -> bytes:
    data = [
        {"T": 1000 + seq, "s": symbol, "S": "Buy", "v": "1", "p": str(price), "BT": False,
         "seq": seq, **fields}
        for price, seq, fields in rows
    ]  # fmt: skip
    return compact({"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": 1, "data": data})


def bybit_quote(symbol: str, bid: object, ask: object, update: int, ts: int = 0) -> bytes:
    return bybit_book(symbol, [[str(bid), "1"]], [[str(ask), "2"]], update, ts)


def bybit_book(symbol: str, bids: list, asks: list, update: int, ts: int = 0) -> bytes:
    data = {"s": symbol, "b": bids, "a": asks, "u": update, "seq": update}
    ts = ts or 1000 + update
    return compact(
        {
            "topic": f"orderbook.1.{symbol}",
            "type": "snapshot",
            "ts": ts,
            "data": data,
            "cts": ts - 1,
        }
    )


def bybit_ticker(symbol: str, ts: int, kind: str = "delta", **fields: str) -> bytes:
    data = {"symbol": symbol, **fields}
    return compact({"topic": f"tickers.{symbol}", "type": kind, "data": data, "cs": ts, "ts": ts})


def binance(stream: str, **data: Any) -> bytes:
    return compact({"stream": stream, "data": data})


def binance_trade(symbol: str, price: object, trade_id: int, **fields: Any) -> bytes:
    return binance(
        f"{symbol.lower()}@trade", e="trade", E=5000 + trade_id, s=symbol, t=trade_id,
        p=str(price), q="1", T=4000 + trade_id, m=True, **fields,
    )  # fmt: skip


def binance_aggregate(symbol: str, price: object, trade_id: int) -> bytes:
    return binance(
        f"{symbol.lower()}@aggTrade", e="aggTrade", E=5000 + trade_id, s=symbol, a=trade_id,
        p=str(price), q="1", f=1, l=1, T=4000 + trade_id, m=True,
    )  # fmt: skip


def binance_quote(symbol: str, bid: object, ask: object, update: int, **fields: Any) -> bytes:
    return binance(
        f"{symbol.lower()}@bookTicker", u=update, s=symbol, b=str(bid), B="1", a=str(ask), A="2",
        **fields,
    )  # fmt: skip


def binance_mark(symbol: str, mark: object, time_ms: int, **fields: Any) -> bytes:
    data = {"e": "markPriceUpdate", "E": time_ms, "s": symbol, "p": str(mark), "i": "1",
            "r": "0.0001", "T": 9_000_000, **fields}  # fmt: skip
    return binance(f"{symbol.lower()}@markPrice@1s", **data)
