"""Orders as a venue keeps them."""

from decimal import Decimal

from msgspec import UNSET, Struct, UnsetType

from engine.model.money import ZERO
from engine.model.order import FINAL, Fill, Order, OrderStatus, Refusal
from engine.simulator.terms import PLAIN, Terms


class VenueOrder(Struct, frozen=True):
    """An order as the venue keeps it. ``due_ns`` is when it may be matched, monotonic.

    The record of a plain market order lacks what follows ``refusal``.

    Attributes:
        terms: what was asked besides side and quantity.
        triggered_ns: when a conditional order triggered, UTC.
        child_id: the venue order id that a triggered order trades under, where it is another one.
    """

    order: Order
    venue_order_id: str
    status: OrderStatus
    filled_qty: Decimal = ZERO
    due_ns: int = 0
    message: str | None = None
    fills: tuple[Fill, ...] = ()
    refusal: Refusal = Refusal.OTHER
    terms: Terms | UnsetType = UNSET
    triggered_ns: int | UnsetType = UNSET
    child_id: str | UnsetType = UNSET

    @property
    def asked(self) -> Terms:
        """What was asked besides side and quantity; nothing of a plain market order."""
        return PLAIN if self.terms is UNSET else self.terms

    @property
    def is_triggered(self) -> bool:
        return self.triggered_ns is not UNSET

    @property
    def is_resting(self) -> bool:
        """Whether it waits for its trigger."""
        waits = self.asked.trigger is not None and not self.is_triggered
        return waits and self.status not in FINAL

    @property
    def left_value(self) -> Decimal | None:
        """Quote asset that is still to be moved; None where a quantity was asked for."""
        asked = self.asked.quote_qty
        if asked is None:
            return None
        return asked - sum((fill.qty * fill.price for fill in self.fills), ZERO)
