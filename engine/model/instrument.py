"""What can be traded, and the limits that its venue sets."""

from decimal import Decimal
from enum import StrEnum
from typing import Self

from msgspec import Struct

from engine.model.money import ceil_to_step, floor_to_step


class Market(StrEnum):
    """Kinds of market: spot, or perpetuals margined in the quote asset."""

    SPOT = "spot"
    LINEAR = "linear"


class InstrumentId(Struct, frozen=True, cache_hash=True, order=True):
    """One symbol on one market of one venue, written ``bybit:linear:BTCUSDT``."""

    venue: str
    market: Market
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.market}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``venue:market:symbol``.

        Raises:
            ValueError: not three parts, or an unknown market.
        """
        parts = text.split(":")
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"{text!r} is not venue:market:symbol, as bybit:linear:BTCUSDT")
        venue, market, symbol = parts
        return cls(venue.lower(), Market(market.lower()), symbol.upper())


class Instrument(Struct, frozen=True):
    """An instrument with its filters.

    Attributes:
        tick_size: price step, in quote asset.
        qty_step: quantity step of market orders, in base asset.
        min_qty: smallest market order, in base asset.
        max_market_qty: largest market order, in base asset; None where the venue sets none.
        min_notional: smallest order value, in quote asset (reduce-only is exempt on linear).
        trading: False while the venue takes no orders for it.
    """

    id: InstrumentId
    base: str
    quote: str
    tick_size: Decimal
    qty_step: Decimal
    min_qty: Decimal
    min_notional: Decimal
    max_market_qty: Decimal | None = None
    trading: bool = True

    def floor_qty(self, qty: Decimal) -> Decimal:
        """Round a quantity down to the step."""
        return floor_to_step(qty, self.qty_step)

    def floor_price(self, price: Decimal) -> Decimal:
        """Round a price down to the tick."""
        return floor_to_step(price, self.tick_size)

    def ceil_price(self, price: Decimal) -> Decimal:
        """Round a price up to the tick."""
        return ceil_to_step(price, self.tick_size)
