"""Neutral market events of the simulator; the dialects write them as venue frames.

Prices and quantities are decimal strings as a venue writes them. Times are venue time: UTC
milliseconds. ``raw`` is the payload of a recorded frame with ids and times already rewritten; a
dialect sends it field by field as recorded instead of composing its own.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from engine.model.instrument import InstrumentId

MARKET_SOURCE = "MARKET"
"""``X`` of a Binance USD-M print that traded in the order book; others are no market prices."""


class Origin(StrEnum):
    """Where a frame's price comes from."""

    RECORDED = "recorded"
    SEEDED = "seeded"
    SCRIPTED = "scripted"


class Print(Struct, frozen=True, gc=False):
    """One public trade.

    Attributes:
        id: the venue's trade id as text (a UUID on Bybit linear).
        number: its place in the instrument's rising trade numbers.
        time_ms: when it was executed.
        seq: Bybit's cross sequence; 0 on Binance.
        source: ``MARKET``, or why the print is no market trade.
    """

    id: str
    number: int
    price: str
    qty: str
    taker_buys: bool
    time_ms: int
    seq: int = 0
    source: str = MARKET_SOURCE


class Prints(Struct, frozen=True):
    """Trades that share one frame. ``closes`` ends the aggregate of trades that is being built."""

    instrument: InstrumentId
    origin: Origin
    prints: tuple[Print, ...]
    sent_ms: int
    closes: bool = True
    raw: dict[str, Any] | None = None


class Aggregate(Struct, frozen=True):
    """Neighbouring trades of one time, price and taker side, as Binance reports them."""

    instrument: InstrumentId
    origin: Origin
    number: int
    price: str
    qty: str
    first: int
    last: int
    taker_buys: bool
    time_ms: int
    sent_ms: int


class Quote(Struct, frozen=True):
    """Best bid and ask. ``update`` is the book's rising update number."""

    instrument: InstrumentId
    origin: Origin
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    update: int
    seq: int
    time_ms: int
    sent_ms: int
    raw: dict[str, Any] | None = None


class Mark(Struct, frozen=True):
    """Mark and index price of a linear instrument, with funding (rate as a fraction, as text)."""

    instrument: InstrumentId
    origin: Origin
    mark: str
    index: str
    settle: str
    funding_rate: str
    next_funding_ms: int
    sent_ms: int
    raw: dict[str, Any] | None = None


class Ticker(Struct, frozen=True):
    """Recorded Bybit ticker fields: all of them when ``full``, else those that changed."""

    instrument: InstrumentId
    origin: Origin
    fields: dict[str, str]
    full: bool
    seq: int
    sent_ms: int
    raw: dict[str, Any] | None = None


MarketEvent = Prints | Aggregate | Quote | Mark | Ticker
