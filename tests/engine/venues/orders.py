"""Orders as the core hands them over."""

from decimal import Decimal
from typing import Any

from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Market
from engine.model.order import Order, OrderSide
from tests.engine.venues.frames import instrument

POSITION = "a" * 26


def order(
    purpose: Purpose = Purpose.EXIT,
    market: Market = Market.LINEAR,
    symbol: str = "BTCUSDT",
    venue: str = "bybit",
    generation: int = 0,
    **fields: Any,
) -> Order:
    """A market order of one unit: entries buy, what ends them sells."""
    opens = purpose in (Purpose.ENTRY, Purpose.ADD)
    given = {
        "client_order_id": client_order_id(POSITION, purpose, generation),
        "position_id": POSITION,
        "instrument": instrument(venue, market, symbol),
        "side": OrderSide.BUY if opens else OrderSide.SELL,
        "purpose": purpose,
        "generation": generation,
        "qty": Decimal(1),
        "reduce_only": not opens and market is Market.LINEAR,
        "created_at_ns": 1,
        "actor": "guard",
    }
    return Order(**(given | fields))
