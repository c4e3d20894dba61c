"""What the simulator lists: an instrument's steps, and the venue's own description of it."""

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec import Struct

from engine.model.instrument import InstrumentId, Market
from engine.model.money import ceil_to_step, plain

TYPICAL_NOTIONAL = Decimal(1000)
"""Quote value of a generated trade."""


class Listing(Struct, frozen=True):
    """One instrument of one venue.

    Attributes:
        tick: price step in quote asset, written with as many decimals as the venue's prices.
        step: quantity step in base asset, written likewise.
        info: the entry of the venue's REST instrument list.
    """

    id: InstrumentId
    base: str
    quote: str
    tick: str
    step: str
    info: dict[str, Any]

    @property
    def tick_size(self) -> Decimal:
        return Decimal(self.tick)

    def price_text(self, price: Decimal) -> str:
        """Write a price as the venue does; only Bybit spot drops trailing zeros."""
        text = _written_like(price, self.tick)
        bare = self.id.venue == "bybit" and self.id.market is Market.SPOT
        return plain(Decimal(text)) if bare else text

    def qty_text(self, qty: Decimal) -> str:
        """Write a quantity as the venue does."""
        return _written_like(qty, self.step)

    def nearest_tick(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick, never to zero."""
        ticks = (price / self.tick_size).quantize(Decimal(1), ROUND_HALF_UP)
        return max(ticks, Decimal(1)) * self.tick_size

    def typical_qty(self, price: Decimal, times: int = 1) -> Decimal:
        """Return about ``times`` x 1,000 quote units' worth, on the step."""
        return ceil_to_step(TYPICAL_NOTIONAL * times / price, Decimal(self.step))


def _written_like(value: Decimal, pattern: str) -> str:
    exponent = min(int(Decimal(pattern).as_tuple().exponent), 0)
    return format(value.quantize(Decimal((0, (1,), exponent)), ROUND_HALF_UP), "f")


class Listings:
    """All instruments of the simulator, per venue and market, in the venue's order."""

    def __init__(self, listings: Iterable[Listing] = ()) -> None:
        self._by_id = {listing.id: listing for listing in listings}

    def get(self, instrument: InstrumentId) -> Listing | None:
        return self._by_id.get(instrument)

    def of(self, venue: str, market: Market) -> list[Listing]:
        """Return the listings of one market."""
        return [
            listing
            for listing in self._by_id.values()
            if listing.id.venue == venue and listing.id.market is market
        ]

    def __iter__(self) -> Iterator[Listing]:
        return iter(self._by_id.values())
