"""Conditional orders: they rest, their asset locked on spot, until the price reaches them."""

from engine.model.instrument import InstrumentId, Market
from engine.model.money import exact, plain
from engine.model.order import Order, OrderSide, Refusal
from engine.model.ticks import MarkTick, TradeTick
from engine.simulator.account import Account
from engine.simulator.books import VenueRules
from engine.simulator.filters import Refused
from engine.simulator.margin import MarginBooks
from engine.simulator.terms import Trigger
from engine.simulator.venue_orders import VenueOrder


class Resting:
    """The conditional orders of an account that have not triggered, by instrument."""

    def __init__(self) -> None:
        self._orders: dict[InstrumentId, dict[str, VenueOrder]] = {}

    def __bool__(self) -> bool:
        return bool(self._orders)

    def add(self, order: VenueOrder) -> None:
        """Let an order wait for its trigger."""
        of_instrument = self._orders.setdefault(order.order.instrument.id, {})
        of_instrument[order.order.client_order_id] = order

    def get(self, client_order_id: str) -> VenueOrder | None:
        """Return the order that rests under a client order id."""
        for of_instrument in self._orders.values():
            if client_order_id in of_instrument:
                return of_instrument[client_order_id]
        return None

    def remove(self, order: Order) -> None:
        """Forget an order; nothing happens where it does not rest."""
        of_instrument = self._orders.get(order.instrument.id, {})
        of_instrument.pop(order.client_order_id, None)
        if not of_instrument:
            self._orders.pop(order.instrument.id, None)

    def met(self, instrument: InstrumentId, price: float, *, by_mark: bool) -> list[VenueOrder]:
        """Return the orders that a price triggers, oldest first."""
        waiting = self._orders.get(instrument)
        if waiting is None:
            return []
        at = exact(price)
        return [
            each
            for each in waiting.values()
            if (trigger := each.asked.trigger) is not None
            and trigger.by_mark is by_mark
            and trigger.is_met(at)
        ]


class ConditionalBooks(MarginBooks):
    """Books that keep conditional orders.

    Attributes:
        last: the price of each instrument's last trade, the nearest double of the venue's text.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        super().__init__(rules, account, next_id)
        self.resting = Resting()
        self.last: dict[InstrumentId, float] = {}

    def rest_until(self, order: VenueOrder, trigger: Trigger) -> None:
        """Raise Refused where the price is there already, or what is to be locked is not free."""
        instrument = order.order.instrument
        price = (self.marks if trigger.by_mark else self.last).get(instrument.id)
        if price is not None and trigger.is_met(exact(price)):
            message = f"trigger_passed: {plain(exact(price))} is beyond {plain(trigger.price)}"
            raise Refused(Refusal.OTHER, message)
        self._lock(order, trigger)
        self.resting.add(order)

    def _lock(self, order: VenueOrder, trigger: Trigger) -> None:
        instrument, qty = order.order.instrument, order.order.qty
        if instrument.id.market is not Market.SPOT or not trigger.locks:
            return
        if order.order.side is OrderSide.SELL:
            self.reserve(order.venue_order_id, instrument.base, qty)
        else:
            worth = order.asked.quote_qty or qty * trigger.price
            self.reserve(order.venue_order_id, instrument.quote, worth)

    def triggers(self, tick: TradeTick | MarkTick) -> bool:
        """Tell whether a price triggers an order. Called for every price: it costs nothing."""
        return bool(self.resting) and bool(self.met(tick))

    def met(self, tick: TradeTick | MarkTick) -> list[VenueOrder]:
        """Return the orders that a price triggers, oldest first."""
        by_mark = isinstance(tick, MarkTick)
        price = tick.mark if isinstance(tick, MarkTick) else tick.price
        return self.resting.met(tick.instrument, price, by_mark=by_mark)
