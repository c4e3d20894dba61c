"""A desk over a market place whose prices a test sets."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.clock import NS_PER_SECOND, SystemClock
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, Market
from engine.model.order import Order, OrderSide
from engine.simulator.desk import Desk, desk_rules
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects import binance_listings, bybit_listings
from engine.simulator.filters import Refused
from engine.simulator.market import MarketPlace
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import VenueTime
from engine.simulator.matching import Report
from engine.simulator.terms import PLAIN, Terms
from tests.engine.simulator.rig import ids

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL


class Counter:
    """A desk with what its listener was told; prices stand still until ``price`` moves them."""

    def __init__(
        self, venue: str = "bybit", markets: tuple[Market, ...] = tuple(Market), **rules: Any
    ) -> None:
        clock = SystemClock()
        listings = Listings([*bybit_listings.built_in(), *binance_listings.built_in()])
        self.place = MarketPlace(listings, VenueTime(clock))
        self.desk = Desk(self.place, clock, replace(desk_rules(venue), **rules), markets)
        self.told: list[Report] = []
        self.desk.listeners.append(self.told.append)
        self.spot = self._listed(Market.SPOT)
        self.perp = self._listed(Market.LINEAR)

    def _listed(self, market: Market) -> Instrument:
        found = self.desk.instrument(ids(f"{self.desk.venue}:{market}:BTCUSDT"))
        # Where the desk lacks a market, the other one's instrument is never asked for.
        other = Market.SPOT if market is Market.LINEAR else Market.LINEAR
        return found or self._listed(other)

    def price(self, price: str | int, instrument: Instrument | None = None) -> None:
        self.place.script((instrument or self.perp).id, D(price))

    def order(
        self,
        key: str,
        side: OrderSide,
        qty: str,
        instrument: Instrument | None = None,
        **changes: Any,
    ) -> Order:
        values: dict[str, Any] = {
            "client_order_id": key,
            "position_id": "",
            "instrument": instrument or self.perp,
            "side": side,
            "purpose": Purpose.ENTRY,
            "generation": 0,
            "qty": D(qty),
            "reduce_only": False,
            "created_at_ns": 0,
            "actor": "owner",
        }
        return Order(**values | changes)

    async def done(self, order: Order, terms: Terms = PLAIN) -> DeskOrder:
        """Submit an order and wait until it is final or rests."""
        return await self.desk.settled(self.desk.submit(order, terms).venue_order_id)

    async def buys(self, key: str, qty: str, **changes: Any) -> DeskOrder:
        return await self.done(self.order(key, BUY, qty, **changes))


async def until(wanted: Callable[[], bool], patience_s: float = 5.0) -> None:
    """Wait until something is so."""
    end_ns = time.monotonic_ns() + int(patience_s * NS_PER_SECOND)
    while not wanted():
        if time.monotonic_ns() > end_ns:
            raise TimeoutError
        await asyncio.sleep(0.001)


def refused(counter: Counter, cause: str, *args: object, **kwargs: object) -> Refused:
    """Submit what must be refused, and left off the record."""
    terms = kwargs.pop("terms", Terms())
    order = counter.order(*args, **kwargs)  # type: ignore[arg-type]
    filed = counter.desk.orders()
    with pytest.raises(Refused, match=f"^{cause}:") as caught:
        counter.desk.submit(order, terms)  # type: ignore[arg-type]
    assert counter.desk.orders() == filed
    return caught.value
