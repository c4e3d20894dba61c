"""Shared by the tests of the paper account: instruments, orders, prices, a clock set by hand."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, Order, OrderSide
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.simulator.account import Account
from engine.simulator.matching import VenueModel, VenueRules

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
MS = 1_000_000
SECOND = 1000 * MS
NOON_NS = 1_700_000_000 * SECOND
NOON_MS = NOON_NS // MS

SPOT = Instrument(
    id=InstrumentId("bybit", Market.SPOT, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=D("0.01"),
    qty_step=D("0.001"),
    min_qty=D("0.002"),
    min_notional=D(5),
    max_market_qty=D(50),
)
PERP = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=D("0.1"),
    qty_step=D("0.001"),
    min_qty=D("0.001"),
    min_notional=D(5),
)
ETH = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "ETHUSDT"),
    base="ETH",
    quote="USDT",
    tick_size=D("0.01"),
    qty_step=D("0.01"),
    min_qty=D("0.01"),
    min_notional=D(5),
)
RATES = {Market.SPOT: D("0.001"), Market.LINEAR: D("0.00055")}


def rules(**changes: Any) -> VenueRules:
    values: dict[str, Any] = {
        "venue": "bybit",
        "fee_rates": RATES,
        "latency_ns": 100 * MS,
        "slippage_bps": D(5),
    }
    return VenueRules(**values | changes)


def model(usdt: str = "10000", **changes: Any) -> VenueModel:
    """A venue with an account that holds ``usdt``."""
    its = rules(**changes)
    account = Account(its.leverage)
    account.open("USDT", D(usdt))
    return VenueModel(its, account, next_id=1000)


def order(key: str, side: OrderSide, qty: str | Decimal, **changes: Any) -> Order:
    values: dict[str, Any] = {
        "client_order_id": key,
        "position_id": "p" * 26,
        "instrument": SPOT,
        "side": side,
        "purpose": Purpose.ENTRY,
        "generation": 0,
        "qty": D(qty),
        "reduce_only": False,
        "created_at_ns": NOON_NS,
        "actor": "guard",
    }
    return Order(**values | changes)


def quote(
    bid: float,
    ask: float,
    at_ns: int,
    instrument: Instrument = SPOT,
    size: float = 1000.0,
    ask_size: float | None = None,
) -> QuoteTick:
    """A quote received at ``at_ns``, monotonic; ``size`` is shown on both sides unless told."""
    ask_qty = size if ask_size is None else ask_size
    return QuoteTick(instrument.id, bid, ask, size, ask_qty, NOON_MS, 1, at_ns)


def trade(price: float, instrument: Instrument = SPOT) -> TradeTick:
    return TradeTick(instrument.id, price, NOON_MS, 1, 0)


def mark(
    price: float,
    at_ms: int = NOON_MS,
    next_ms: int = 0,
    rate: float | None = None,
    instrument: Instrument = PERP,
) -> MarkTick:
    return MarkTick(instrument.id, price, rate, next_ms, at_ms, 0)


def flows(fills: list[Fill]) -> dict[str, Decimal]:
    """What spot fills and the fees of all fills move in each asset, summed independently."""
    sums: dict[str, Decimal] = {}
    for fill in fills:
        sign = 1 if fill.side is BUY else -1
        if fill.instrument.id.market is Market.SPOT:
            base, money = fill.instrument.base, fill.instrument.quote
            sums[base] = sums.get(base, D(0)) + sign * fill.qty
            sums[money] = sums.get(money, D(0)) - sign * fill.qty * fill.price
        sums[fill.fee_asset] = sums.get(fill.fee_asset, D(0)) - fill.fee
    return sums


class ManualClock:
    """Both clocks, moved by hand; UTC is the monotonic time after ``NOON_NS``."""

    def __init__(self) -> None:
        self.at_ns = SECOND

    def now_ns(self) -> int:
        return NOON_NS + self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns


def rows(path: Path, query: str, *values: Any) -> list[Any]:
    """Read the record through a connection of its own."""
    db = sqlite3.connect(path)
    try:
        return db.execute(query, values).fetchall()
    finally:
        db.close()
