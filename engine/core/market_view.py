"""One watched instrument: its prices, its part of the book, and what waits there."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Self

from engine.core.belief import Belief, PriceName
from engine.core.book.instrument import InstrumentBook
from engine.model.instrument import Instrument
from engine.model.money import exact
from engine.model.order import OrderSide
from engine.model.position import Position
from engine.model.ticks import PriceSource


class Arrival(NamedTuple):
    """A price as it arrived: venue time in ms (0 unknown), local monotonic ns of arrival."""

    name: PriceName
    price: float
    time_ms: int
    received_ns: int


@dataclass(slots=True)
class Gap:
    """A time in which prices of an instrument may have been missed.

    Attributes:
        since_ns: when it began at the earliest, UTC ns.
        before: positions as they were when their last prices were taken, by id.
        asked_ns: elapsed time at which the venue was asked what was missed; None before that.
        awaited: sources of which the answer is due.
        told: ids of positions of which a missed limit was told.
        incomplete: whether it was told that not all can be known.
    """

    since_ns: int
    before: dict[str, Position]
    asked_ns: int | None = None
    awaited: set[PriceSource] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    incomplete: bool = False


@dataclass(slots=True)
class MarketView:
    """Prices of one watched instrument, and its part of the book."""

    instrument: Instrument
    book: InstrumentBook
    beliefs: dict[PriceName, Belief]
    waiting: int = 0
    """Entries that wait for a price of this instrument."""
    later: deque[Arrival] = field(default_factory=deque)
    """Prices that wait until the closes of an earlier one are under way."""
    doubted: bool = False
    """A price is held until another one tells whether to believe it."""
    check_due_ns: int = 0
    """Elapsed time at which the venue is asked next for prices that do not arrive."""
    gap: Gap | None = None
    """Prices are missing, or were and the venue is being asked for them."""

    @classmethod
    def of(cls, instrument: Instrument, bound: float) -> Self:
        """Build the view of an instrument; ``bound`` is the largest believed jump, a fraction."""
        book = InstrumentBook(instrument)
        channels = zip(PriceName, book.channels, strict=True)
        beliefs = {name: Belief(name, channel, bound) for name, channel in channels}
        return cls(instrument, book, beliefs)

    @property
    def last(self) -> float | None:
        return self.book.last.price

    @property
    def mark(self) -> float | None:
        return self.book.mark.price

    @property
    def bid(self) -> float | None:
        return self.book.bid.price

    @property
    def ask(self) -> float | None:
        return self.book.ask.price

    def entry_price(self, side: OrderSide) -> Decimal | None:
        """The price an entry would meet now: the far touch, else the last trade; None unknown."""
        touch = self.ask if side is OrderSide.BUY else self.bid
        price = touch if touch is not None else self.last
        return None if price is None else exact(price)

    def current(self, source: PriceSource) -> Decimal | None:
        """The price to show and to value with: mark if that is the source, else last or mid."""
        if source is PriceSource.MARK and self.mark is not None:
            return exact(self.mark)
        if self.last is not None:
            return exact(self.last)
        if self.bid is not None and self.ask is not None:
            return (exact(self.bid) + exact(self.ask)) / 2
        return None
