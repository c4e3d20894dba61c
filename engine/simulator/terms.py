"""What is asked of an order besides side and quantity: trigger, leg, limit, quote amount."""

from decimal import Decimal

from msgspec import Struct

from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Market
from engine.model.order import Order, OrderSide


class Trigger(Struct, frozen=True):
    """When a conditional order becomes a market order.

    Attributes:
        price: in quote asset; reached counts.
        rises: True where the price has to rise to it, False where it has to fall.
        by_mark: compared with the mark price, else with the last trade.
        locks: on spot, whether the asset is locked from placement on (Binance STOP_LOSS, Bybit
            ``tpslOrder``) or only when it triggers (Bybit ``StopOrder``).
    """

    price: Decimal
    rises: bool
    by_mark: bool
    locks: bool = True

    def is_met(self, price: Decimal) -> bool:
        """Tell whether a price triggers."""
        return price >= self.price if self.rises else price <= self.price


class Terms(Struct, frozen=True):
    """What is asked of an order besides side and quantity.

    Attributes:
        quote_qty: of a market order on spot: quote asset to spend or to receive, instead of a
            quantity; the order's own is 0 until it is done.
        leg: of an account in hedge mode, the position it is for; None is one-way.
        trigger: of a conditional order.
        limit_price: the worst price it may trade at, in quote asset; what cannot be had at it is
            cancelled (IOC).
    """

    quote_qty: Decimal | None = None
    leg: Side | None = None
    trigger: Trigger | None = None
    limit_price: Decimal | None = None


PLAIN = Terms()
"""A market order of a one-way account."""


def backstop_trigger(order: Order) -> Trigger | None:
    """Return when a backstop triggers: a sale when the price falls to it, a buy when it rises."""
    if order.purpose is not Purpose.BACKSTOP or order.trigger_price is None:
        return None
    is_linear = order.instrument.id.market is Market.LINEAR
    return Trigger(order.trigger_price, order.side is OrderSide.BUY, is_linear)
