"""Prices as they arrive. Built once per frame, so they are plain structs of machine numbers.

Prices and quantities are the nearest doubles of the venue's decimal strings (at most 15
significant digits, see ``money.exact``). ``received_ns`` is local monotonic time in nanoseconds,
``venue_time_ms`` the venue's own UTC time in milliseconds (0 where the frame carries none), and
``sequence`` the venue's rising id for the channel (0 where there is none).
"""

from enum import StrEnum

from msgspec import Struct

from engine.model.instrument import InstrumentId


class PriceSource(StrEnum):
    """Which price a position's limits are compared with."""

    LAST = "last"
    MARK = "mark"
    BOOK = "book"


class TradeTick(Struct, frozen=True, gc=False):
    """A market trade: the price source ``last``."""

    instrument: InstrumentId
    price: float
    venue_time_ms: int
    sequence: int
    received_ns: int


class QuoteTick(Struct, frozen=True, gc=False):
    """The best bid and ask: the price source ``book``."""

    instrument: InstrumentId
    bid: float
    ask: float
    bid_qty: float
    ask_qty: float
    venue_time_ms: int
    sequence: int
    received_ns: int


class MarkTick(Struct, frozen=True, gc=False):
    """The venue's mark price, with funding (rate as a fraction, 0.0001 is 1 bp).

    ``funding_rate`` and ``next_funding_ms`` are None and 0 where the frame did not carry them.
    """

    instrument: InstrumentId
    mark: float
    funding_rate: float | None
    next_funding_ms: int
    venue_time_ms: int
    received_ns: int


Tick = TradeTick | QuoteTick | MarkTick
