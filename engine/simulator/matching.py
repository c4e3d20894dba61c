"""What a venue does to orders: accept, trigger, match against prices, fill, reject, settle.

Pure: prices and times come in, reports go out. ``now_ns`` is local monotonic time, ``time_ns``
UTC; both are given by the caller. An order meets the first quote received at or after its
acceptance plus the latency: up to the displayed size at the touch, the rest one ``slippage_bps``
worse for each further displayed size; what one order takes of a quote, the next one finds gone.
Without a quote for a second it meets the last trade, ``slippage_bps`` worse; without any price for
ten seconds it is rejected. A market order is immediate-or-cancel: what is left where the book ends
(``filters.MAX_LEVELS``) is cancelled, unless ``VenueRules.rests``. A conditional order rests until
the mark or the last trade reaches its trigger, and then is a market order like others.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec import UNSET
from msgspec.structs import replace

from engine.model.events import OrderFilled, OrderLookedUp, OrderUpdated
from engine.model.instrument import Market
from engine.model.money import ZERO, exact
from engine.model.order import FINAL, Fill, Order, OrderSide, OrderStatus, Refusal
from engine.model.ticks import MarkTick, QuoteTick, Tick, TradeTick
from engine.simulator.account import Account, FeeAsset
from engine.simulator.books import Report, VenueRules
from engine.simulator.filters import (
    Offer,
    Part,
    Refused,
    check_filters,
    worse,
)
from engine.simulator.meeting import MeetingBooks
from engine.simulator.terms import PLAIN, Terms, backstop_trigger
from engine.simulator.venue_orders import VenueOrder

__all__ = ["Report", "VenueModel", "VenueOrder", "VenueRules"]

QUOTE_WAIT_NS = 1_000_000_000
PRICE_WAIT_NS = 10_000_000_000
IOC_REST = "ioc: the rest was cancelled, a market order is immediate-or-cancel"
REDUCED = "reduce_only: the rest was cancelled, the position is flat"
CANCELLED = "cancelled: the rest was cancelled on request"

RefusalHook = Callable[[Order], tuple[Refusal, str] | None]
"""Tells whether and why a venue refuses an order: the class of its error code, and its message."""


class VenueModel(MeetingBooks):
    """One venue's account and its orders.

    Attributes:
        refusal, late_refusal: what the venue refuses besides, when an order arrives and when it
            meets a price.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        super().__init__(rules, account, next_id)
        self.orders: dict[str, VenueOrder] = {}
        self.changed_orders: dict[str, VenueOrder] = {}
        self.refusal: RefusalHook = _nothing
        self.late_refusal: RefusalHook = _nothing
        self._pending: dict[str, VenueOrder] = {}

    # Requests

    def submit(self, order: Order, now_ns: int, time_ns: int, terms: Terms = PLAIN) -> list[Report]:
        """Take an order; it is matched later, a conditional one once its price has come.

        A backstop without a trigger of its own takes its ``trigger_price``.
        """
        key = order.client_order_id
        if self.is_taken(key):
            return [self._duplicate(self.orders[key], time_ns)]
        if terms.trigger is None and (trigger := backstop_trigger(order)) is not None:
            terms = replace(terms, trigger=trigger)
        taken = VenueOrder(order, self.new_id(), OrderStatus.ACKNOWLEDGED)
        due_ns = now_ns + self.rules.latency_ns
        taken = replace(taken, due_ns=due_ns, terms=UNSET if terms == PLAIN else terms)
        try:
            _ask(self.refusal, order)
            check_filters(order, terms)
            if terms.trigger is not None:
                self.rest_until(taken, terms.trigger)
        except Refused as refused:
            return [self._refuse(taken, refused, time_ns)]
        if terms.trigger is None:
            self._pending[key] = taken
        self._keep(taken)
        return [self._update(taken, time_ns)]

    def _duplicate(self, first: VenueOrder, time_ns: int) -> OrderUpdated:
        """Refuse a repetition: the first order under its id stands.

        A venue's error code says no more than that, so the order is reported unknown: its sender
        looks it up, at once if he lacks fills of it.
        """
        key, message = first.order.client_order_id, "duplicate_id: an order under this id exists"
        filled = first.filled_qty
        return OrderUpdated(key, OrderStatus.UNKNOWN, time_ns, filled, message=message)

    def is_taken(self, client_order_id: str) -> bool:
        """Tell whether an order under this id stands in the way of another."""
        if self.rules.ids_unique_for_ever:
            return client_order_id in self.orders
        resting = self.resting.get(client_order_id)
        return client_order_id in self._pending or resting is not None

    def forget(self, refused: VenueOrder, before: VenueOrder | None) -> None:
        """Strike an order that was refused on arrival off the record; its id is free again.

        Args:
            before: the order that had its client order id before.
        """
        del self.changed_orders[refused.venue_order_id]
        del self.orders[refused.order.client_order_id]
        if before is not None:
            self.orders[before.order.client_order_id] = before

    def look_up(self, client_order_id: str, time_ns: int) -> OrderLookedUp:
        """Answer what became of an order; the books know every order for ever."""
        known = self.orders.get(client_order_id)
        if known is None:
            return OrderLookedUp(client_order_id, time_ns, found=False, certain=True)
        return OrderLookedUp(
            client_order_id,
            time_ns,
            found=True,
            status=known.status,
            qty=known.order.qty,
            fills=known.fills,
            venue_order_id=known.venue_order_id,
            message=known.message,
        )

    def restore(self, orders: list[VenueOrder], now_ns: int) -> None:
        """Take up the orders of an earlier run; accepted ones may be matched from now on."""
        for known in orders:
            key = known.order.client_order_id
            self.orders[key] = known
            if known.is_resting:
                self.resting.add(known)
            elif known.status not in FINAL:
                self._pending[key] = self.orders[key] = replace(known, due_ns=now_ns)

    def cancel_rest(self, client_order_id: str, time_ns: int) -> list[Report]:
        """Cancel what is left of an order; nothing happens where nothing is left.

        Neither does it where a conditional order has triggered and is about to trade.
        """
        pending = self._pending.get(client_order_id) or self.resting.get(client_order_id)
        if pending is None or (pending.is_triggered and not pending.fills):
            return []
        return [self._finish(pending, OrderStatus.CANCELLED, time_ns, CANCELLED)]

    @property
    def has_pending(self) -> bool:
        """Whether an order waits for a price, or a conditional one for its trigger."""
        return bool(self._pending) or bool(self.resting)

    # Prices

    def observe(self, tick: Tick) -> bool:
        """Take note of a price; False when it causes nothing, so that ``on_tick`` can be left out.

        Called for every price of the process: what causes nothing must cost next to nothing.
        """
        if isinstance(tick, QuoteTick):
            return bool(self._pending)
        if isinstance(tick, TradeTick):
            self.last[tick.instrument] = tick.price
            return self.triggers(tick)
        return self.observe_mark(tick) or self.triggers(tick)

    def on_tick(self, tick: Tick, time_ns: int) -> list[Report]:
        """Take a price; returns what it caused."""
        if not self.observe(tick):
            return []
        if isinstance(tick, QuoteTick):
            return self._on_quote(tick, time_ns)
        reports = [self._trigger(each, tick.received_ns, time_ns) for each in self.met(tick)]
        return [*reports, *self.on_mark(tick, time_ns)] if isinstance(tick, MarkTick) else reports

    def _trigger(self, resting: VenueOrder, now_ns: int, time_ns: int) -> Report:
        """Make a conditional order a market order; it is told once more as acknowledged."""
        order = resting.order
        self.resting.remove(order)
        child = self.rules.child_orders and order.instrument.id.market is Market.LINEAR
        triggered = replace(
            resting,
            due_ns=now_ns + self.rules.latency_ns,
            triggered_ns=time_ns,
            child_id=self.new_id() if child else UNSET,
        )
        self._pending[order.client_order_id] = triggered
        self._keep(triggered)
        return self._update(triggered, time_ns)

    def advance(self, now_ns: int, time_ns: int) -> list[Report]:
        """Match orders that waited too long for a quote at the last trade, or reject them.

        The rest of an order that has met a quote waits for the next one.
        """
        reports: list[Report] = []
        for pending in [each for each in self._pending.values() if not each.filled_qty]:
            waited_ns = now_ns - pending.due_ns
            instrument = pending.order.instrument
            last = self.last.get(instrument.id)
            if waited_ns >= QUOTE_WAIT_NS and last is not None:
                offer = Offer(worse(instrument, pending.order.side, exact(last), self.slippage))
                reports += self._match(pending, offer, time_ns)
            elif waited_ns >= PRICE_WAIT_NS:
                message = f"no_price: no price of {instrument.id} within 10 s"
                reports.append(self._finish(pending, OrderStatus.REJECTED, time_ns, message))
        return reports

    def _on_quote(self, tick: QuoteTick, time_ns: int) -> list[Report]:
        reports: list[Report] = []
        taken = dict.fromkeys(OrderSide, ZERO)
        for pending in list(self._pending.values()):
            order, side = pending.order, pending.order.side
            if order.instrument.id != tick.instrument or tick.received_ns < pending.due_ns:
                continue
            offer = self.offer(order, tick, taken[side])
            if offer is not None:  # else nothing is offered: the order waits on
                reports += self._match(pending, offer, time_ns)
                taken[side] += self.orders[order.client_order_id].filled_qty - pending.filled_qty
        return reports

    # Matching

    def _match(self, pending: VenueOrder, offer: Offer, time_ns: int) -> list[Report]:
        order, instrument = pending.order, pending.order.instrument
        self.account.reserved.pop(pending.venue_order_id, None)
        rests = self.rests(pending, offer)
        try:
            _ask(self.late_refusal, order)
            wanted, parts, paid_in = self.meet(pending, offer)
        except Refused as refused:
            return [self._refuse(pending, refused, time_ns)]
        if rests and not parts and not _is_spent(pending, offer.price):
            return []
        fills = [self._fill(pending, part, time_ns, paid_in) for part in parts]
        filled_qty = sum((fill.qty for fill in fills), pending.filled_qty)
        left = order.qty - pending.filled_qty
        is_reduced = filled_qty - pending.filled_qty == wanted < left
        pending = replace(pending, filled_qty=filled_qty, fills=(*pending.fills, *fills))
        reports: list[Report] = [OrderFilled(fill, time_ns) for fill in fills]
        reports.append(self.balances(instrument, time_ns))
        if filled_qty == order.qty or _is_spent(pending, offer.price):
            reports.append(self._finish(pending, OrderStatus.FILLED, time_ns, None))
        elif is_reduced or not rests:
            message = REDUCED if is_reduced else IOC_REST
            reports.append(self._finish(pending, OrderStatus.CANCELLED, time_ns, message))
        else:
            reports.append(self._rest(pending, time_ns))
        return reports

    def _fill(
        self, pending: VenueOrder, part: Part, time_ns: int, paid_in: FeeAsset | None
    ) -> Fill:
        order, instrument, (price, qty) = pending.order, pending.order.instrument, part
        rate = self.rules.fee_rates[instrument.id.market]
        leg, child_id = self.leg(pending), pending.child_id
        fee, fee_asset = self.account.trade(instrument, order.side, qty, price, rate, paid_in, leg)
        fill = Fill(
            venue_trade_id=self.new_id(),
            instrument=instrument,
            side=order.side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=fee_asset,
            time_ns=time_ns,
            client_order_id=order.client_order_id,
            venue_order_id=pending.venue_order_id if child_id is UNSET else child_id,
            fee_rate=paid_in.rate if paid_in else None,
            leg=leg,
        )
        self.book_fill(fill)
        return fill

    # Reports

    def _refuse(self, order: VenueOrder, refused: Refused, time_ns: int) -> OrderUpdated:
        """Reject an order, or cancel its rest where something of it was filled.

        A triggered one whose position is gone is cancelled too: it was in order when it was placed.
        """
        is_late = order.is_triggered and refused.refusal is Refusal.REDUCE_ONLY
        cancels = bool(order.fills) or is_late
        status = OrderStatus.CANCELLED if cancels else OrderStatus.REJECTED
        order = replace(order, refusal=refused.refusal)
        return self._finish(order, status, time_ns, str(refused))

    def _rest(self, order: VenueOrder, time_ns: int) -> OrderUpdated:
        """Let an order wait with what is left of it."""
        resting = replace(order, status=OrderStatus.PARTIALLY_FILLED)
        self._pending[order.order.client_order_id] = resting
        self._keep(resting)
        return self._update(resting, time_ns)

    def _finish(
        self, order: VenueOrder, status: OrderStatus, time_ns: int, message: str | None
    ) -> OrderUpdated:
        done = replace(order, status=status, message=message)
        if order.asked.quote_qty is not None:
            done = replace(done, order=replace(order.order, qty=order.filled_qty))
        self.account.reserved.pop(order.venue_order_id, None)
        self._pending.pop(order.order.client_order_id, None)
        self.resting.remove(order.order)
        self._keep(done)
        return self._update(done, time_ns)

    def _update(self, order: VenueOrder, time_ns: int) -> OrderUpdated:
        return OrderUpdated(
            order.order.client_order_id,
            order.status,
            time_ns,
            filled_qty=order.filled_qty,
            venue_order_id=order.venue_order_id,
            message=order.message,
            refusal=order.refusal,
        )

    def _keep(self, order: VenueOrder) -> None:
        self.orders[order.order.client_order_id] = order
        self.changed_orders[order.venue_order_id] = order


def _is_spent(order: VenueOrder, price: Decimal) -> bool:
    """Tell whether what is left of a quote amount is too little for another step."""
    left, step = order.left_value, order.order.instrument.qty_step
    price = max((price, *(fill.price for fill in order.fills[-1:])))
    return left is not None and bool(order.fills) and left < price * step


def _nothing(_: Order) -> None:
    """Refuse no order."""


def _ask(hook: RefusalHook, order: Order) -> None:
    """Raise Refused where a hook refuses an order."""
    answer = hook(order)
    if answer is not None:
        raise Refused(*answer)
