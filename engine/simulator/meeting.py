"""What an order would trade at a quote: quantities, prices and fees, or why nothing."""

from decimal import Decimal

from engine.model.exits import Side
from engine.model.instrument import Market
from engine.model.money import ZERO, exact
from engine.model.order import Order, OrderSide, OrderStatus, Refusal
from engine.model.ticks import QuoteTick
from engine.simulator.account import Account, FeeAsset
from engine.simulator.books import VenueRules
from engine.simulator.conditional import ConditionalBooks
from engine.simulator.filters import (
    MAX_LEVELS,
    Offer,
    Part,
    Refused,
    check_filters,
    check_notional,
    of_value,
    take_touch,
    walk,
    within,
)
from engine.simulator.terms import Terms
from engine.simulator.venue_orders import VenueOrder

BPS = Decimal(10_000)


class MeetingBooks(ConditionalBooks):
    """Books that know what an order would trade.

    Attributes:
        slippage: how much worse each further level of the book is, as a fraction.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        super().__init__(rules, account, next_id)
        self.slippage = rules.slippage_bps / BPS

    def offer(self, order: Order, tick: QuoteTick, taken: Decimal = ZERO) -> Offer | None:
        """Return what a quote offers an order; None where it shows nothing.

        Args:
            taken: base asset that other orders took of it.
        """
        touch, shown = (
            (tick.ask, tick.ask_qty) if order.side is OrderSide.BUY else (tick.bid, tick.bid_qty)
        )
        if not (touch > 0 and shown > 0):
            return None
        size = max(order.instrument.floor_qty(exact(shown)), order.instrument.qty_step)
        return Offer(exact(touch), size, self.slippage, taken)

    def check(self, order: Order, terms: Terms, tick: QuoteTick) -> None:
        """Raise Refused where an order would be refused if it met this quote."""
        check_filters(order, terms)
        offer = self.offer(order, tick)
        if offer is not None:
            self.meet(VenueOrder(order, "", OrderStatus.ACKNOWLEDGED, terms=terms), offer)

    def meet(
        self, pending: VenueOrder, offer: Offer
    ) -> tuple[Decimal, list[Part], FeeAsset | None]:
        """Return what an order may trade now, in which parts, and what its fees are paid in.

        Raises:
            Refused: there is nothing to reduce, it is worth too little, or too little is free.
        """
        order, instrument, asked = pending.order, pending.order.instrument, pending.asked
        rests = self.rests(pending, offer)
        wanted = self._wanted(pending, offer)
        if not pending.fills:
            check_notional(order, offer.price, asked.quote_qty)
        parts = (take_touch if rests else walk)(instrument, order.side, wanted, offer)
        if pending.left_value is not None:
            parts = of_value(instrument, parts, pending.left_value)
        parts = within(parts, order.side, asked.limit_price)
        paid_in = self.pays_in(instrument, parts)
        self.check_funds(instrument, order.side, parts, paid_in, self.leg(pending))
        return wanted, parts, paid_in

    def rests(self, pending: VenueOrder, offer: Offer) -> bool:
        """Tell whether the order waits with what a quote does not show; one at a limit does not."""
        limit_price = pending.asked.limit_price
        return self.rules.rests and offer.shown is not None and limit_price is None

    def leg(self, pending: VenueOrder) -> Side | None:
        """Return the leg that an order is for; where it does not say, by its side."""
        order = pending.order
        if order.instrument.id.market is Market.SPOT:
            return None
        return pending.asked.leg or self.account.leg_of(order.side, reduces=order.reduce_only)

    def _wanted(self, pending: VenueOrder, offer: Offer) -> Decimal:
        """What an order may still trade: one that only reduces no more than the position."""
        order, leg = pending.order, self.leg(pending)
        left = order.qty - pending.filled_qty
        if pending.left_value is not None:
            # More than it pays for: how much that is, the prices of the parts tell.
            left = max(pending.left_value / offer.price * 2, (offer.shown or ZERO) * MAX_LEVELS)
        if not (order.reduce_only or leg is _closed_by(order.side)):
            return left
        wanted = min(left, self.account.reducible(order.instrument.id, order.side, leg))
        if not wanted:
            message = f"reduce_only: there is no position that a {order.side} reduces"
            raise Refused(Refusal.REDUCE_ONLY, message)
        return wanted


def _closed_by(side: OrderSide) -> Side:
    """Return the leg that a trade of ``side`` closes."""
    return Side.LONG if side is OrderSide.SELL else Side.SHORT
