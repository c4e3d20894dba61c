"""What a process was told of its orders, read from history once more."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from engine.model.events import Event, OrderDeferred, OrderFilled, OrderLookedUp, OrderUpdated
from engine.model.order import Fill, Order
from engine.simulation.checks.case import ENDED, ZERO, Case, parts_of
from engine.simulation.history import Request

MISSES = 3


class Known:
    """What a process was told of the orders of one position."""

    def __init__(self) -> None:
        self.booked: set[tuple[str, str]] = set()
        self.filled: dict[str, Decimal] = {}
        self.ended: set[str] = set()
        self.missing: set[str] = set()
        self.asked: dict[str, Order] = {}
        self.misses: dict[str, int] = {}

    def ask(self, order: Order) -> None:
        """Note a request: what was not taken before, or is absent, may be there now."""
        self.asked[order.client_order_id] = order
        self.ended.discard(order.client_order_id)
        self.missing.discard(order.client_order_id)
        self.misses[order.client_order_id] = 0

    def take(self, event: Event) -> None:
        """Take an event about an order."""
        if isinstance(event, OrderFilled):
            self._fill(event.fill)
        elif isinstance(event, OrderDeferred):
            self.ended.add(event.client_order_id)
        elif isinstance(event, OrderUpdated | OrderLookedUp):
            if isinstance(event, OrderLookedUp):
                for fill in event.fills:
                    self._fill(fill)
                self._miss(event)
            if event.status in ENDED:
                self.ended.add(event.client_order_id)

    def _miss(self, event: OrderLookedUp) -> None:
        """Three misses prove an order absent, one does where the venue's books are seen whole."""
        if not event.found:
            key = event.client_order_id
            self.misses[key] = self.misses.get(key, 0) + 1
            if event.certain or self.misses[key] >= MISSES:
                self.missing.add(key)

    def _fill(self, fill: Fill) -> None:
        key = fill.client_order_id or ""
        if (key, fill.venue_trade_id) not in self.booked:
            self.booked.add((key, fill.venue_trade_id))
            self.filled[key] = self.filled.get(key, ZERO) + fill.qty

    def in_flight(self, letter: str, *, missing: bool = False) -> list[Order]:
        """Orders of a purpose that were asked for and whose end was not told.

        Args:
            missing: also those that look-ups have missed often enough to prove them absent.
        """
        over = self.ended if missing else self.ended | self.missing
        return [
            order
            for key, order in self.asked.items()
            if (parts_of(key) or "  ")[1] == letter
            and key not in over
            and self.filled.get(key, ZERO) < order.qty
        ]


def timeline(
    case: Case, position_id: str, life: int, requests: Sequence[Request]
) -> Iterator[tuple[int, Order | Event]]:
    """Requests and what was told in one life, in order; what was told goes first."""
    told = [case.history.told[place] for place in case.told_of.get(position_id, ())]
    heard = [(each.at_ns, 0, each.event) for each in told if each.life == life]
    asked = [(each.at_ns, 1, each.order) for each in requests if each.life == life]
    for at_ns, _, item in sorted([*heard, *asked], key=lambda each: each[:2]):
        yield at_ns, item
