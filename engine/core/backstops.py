"""What is remembered of the backstops: stop orders of ours that rest at the venues."""

from dataclasses import dataclass, field
from decimal import Decimal

from engine.model.exits import Side
from engine.model.ids import ID_LENGTH
from engine.model.instrument import InstrumentId
from engine.model.order import Fill, Order


@dataclass(slots=True)
class Backstops:
    """Apart from the orders: those are in flight, a backstop rests until the price reaches it.

    Times are elapsed nanoseconds. Keys are position ids.

    Attributes:
        live: backstops that are not final, at most one a position.
        cancelling: positions whose backstop is to be taken down; the cancellation was asked for.
        looks: positions to be looked at when the step ends.
        later: positions to be looked at, and when.
        held_ns: since when something of a position is known to be held.
        sent_ns: when the last backstop was let go.
        refusals, retry_ns: how often in a row the venue took none, and until when none is placed.
        told: what the owner was told of a position that is without one.
        liquidations: where the venue liquidates, as last reported.
        surplus: what an exit and a triggered backstop sold together beyond their position.
    """

    live: dict[str, Order] = field(default_factory=dict)
    cancelling: set[str] = field(default_factory=set)
    looks: dict[str, None] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    held_ns: dict[str, int] = field(default_factory=dict)
    sent_ns: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    retry_ns: dict[str, int] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    liquidations: dict[tuple[InstrumentId, Side], Decimal] = field(default_factory=dict)
    surplus: list[Fill] = field(default_factory=list)

    def find(self, client_order_id: str) -> Order | None:
        """Return a backstop that is not final."""
        order = self.live.get(client_order_id[:ID_LENGTH])
        return order if order is not None and order.client_order_id == client_order_id else None

    def let_go(self, order: Order) -> None:
        """An order came to its end: a backstop is gone, one to be placed may have waited for it."""
        if order.position_id in self.later:
            self.looks[order.position_id] = None
        if self.find(order.client_order_id) is not None:
            del self.live[order.position_id]
            self.cancelling.discard(order.position_id)

    def is_executing(self, position_id: str) -> bool:
        """Tell whether a backstop was triggered and is not done yet."""
        order = self.live.get(position_id)
        return order is not None and order.filled_qty > 0

    def forget(self, position_id: str) -> None:
        """A position came to its end; its backstop did before."""
        for times in (self.later, self.held_ns, self.sent_ns, self.refusals, self.retry_ns):
            times.pop(position_id, None)
        self.told.pop(position_id, None)
