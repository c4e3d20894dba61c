"""A guardian that keeps stop orders at its venue, and the venue's words about them."""

from decimal import Decimal
from typing import Any

from engine.model.effects import CancelOrder, SaveFill, SendNotice
from engine.model.events import VenuePosition
from engine.model.exits import Side
from engine.model.instrument import Instrument, Market
from engine.model.order import Order, OrderStatus
from engine.model.position import Position
from tests.engine.core.rig import BTC_PERP, Rig

D = Decimal
LINEAR = frozenset({Market.LINEAR})
ALL = frozenset(Market)


class BackstopRig(Rig):
    """Stop-loss 5 %, backstop 5 % beyond it; on linear unless told otherwise."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**({"backstops": LINEAR} | changes))

    def placed(self) -> list[Order]:
        """Every backstop that was made, oldest first."""
        return [order for order in self.submitted() if order.purpose == "backstop"]

    def cancelled(self, effects: Any = None) -> list[str]:
        """Ids of the orders whose cancellation was asked for, in the last step by default."""
        every = self.last if effects is None else effects
        return [e.order.client_order_id for e in every if isinstance(e, CancelOrder)]

    def commit(self, order: Order) -> None:
        """Let a backstop go when it is on disk."""
        assert self.guardian.entry_refusal(order, self.now) is None
        self.sent(order, self.monotonic_ns)

    def rest(self, order: Order | None = None) -> Order:
        """Have the last backstop rest at the venue."""
        order = order or self.placed()[-1]
        self.commit(order)
        self.update(order, OrderStatus.ACKNOWLEDGED, venue_order_id="v1")
        return self.order(order)

    def protected(
        self,
        action: str = "buy",
        price: str = "100",
        instrument: Instrument = BTC_PERP,
        **fields: Any,
    ) -> tuple[Position, Order]:
        """Have a position open, and its backstop rest."""
        position = self.open(action, price, instrument, **fields)
        order = self.rest()
        return self.position(position), order

    def gone(self, order: Order) -> None:
        """The venue has cancelled a backstop as it was asked to."""
        self.update(order, OrderStatus.CANCELLED)

    def booked(self) -> Decimal:
        """Base quantity of all exit fills that were saved."""
        fills = [e.fill for e in self.effects if isinstance(e, SaveFill)]
        return sum((f.qty for f in fills if str(f.client_order_id)[26] in "xb"), D(0))

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [e.data for e in self.effects if isinstance(e, SendNotice) and e.kind == kind]

    def liquidates_at(
        self, price: str | None, side: Side = Side.LONG, instrument: Instrument = BTC_PERP
    ) -> None:
        """Report an account that holds one unit and is liquidated there."""
        at = None if price is None else D(price)
        self.wait(2)
        self.account(VenuePosition(instrument.id, side, D(1), D(100), at))
