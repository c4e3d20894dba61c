"""What a venue does to market orders: accept, match against prices, fill, reject, settle.

Pure: prices and times come in, reports go out. ``now_ns`` is local monotonic time, ``time_ns``
UTC; both are given by the caller. An order meets the first quote received at or after its
acceptance plus the latency: up to the displayed size at the touch, the rest one ``slippage_bps``
worse for each further displayed size; what one order takes of a quote, the next one finds gone.
Without a quote for a second it meets the last trade, ``slippage_bps`` worse; without any price for
ten seconds it is rejected. A market order is immediate-or-cancel: what is left where the book ends
(``filters.MAX_LEVELS``) is cancelled.
"""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine.model.errors import Rejected
from engine.model.events import (
    Balance,
    BalancesReported,
    FundingPaid,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ONE, ZERO, exact, plain
from engine.model.order import Fill, FillKind, Order, OrderSide, OrderStatus
from engine.model.ticks import MarkTick, QuoteTick, Tick, TradeTick
from engine.simulator.account import Account, Funding, LinearPosition
from engine.simulator.filters import Offer, Part, check_filters, check_notional, walk, worse

QUOTE_WAIT_NS = 1_000_000_000
PRICE_WAIT_NS = 10_000_000_000
BPS = Decimal(10_000)
IOC_REST = "ioc: the rest was cancelled, a market order is immediate-or-cancel"
REDUCED = "reduce_only: the rest was cancelled, the position is flat"

Report = OrderUpdated | OrderFilled | BalancesReported | FundingPaid


class VenueRules(Struct, frozen=True):
    """How a venue treats us.

    Attributes:
        fee_rates: taker fee per market, as a fraction.
        ids_unique_for_ever: False where a client order id may be used again once the order under it
            is final (Binance).
    """

    venue: str
    fee_rates: dict[Market, Decimal]
    latency_ns: int
    slippage_bps: Decimal
    leverage: Decimal = ONE
    maintenance_margin: Decimal = Decimal("0.005")
    ids_unique_for_ever: bool = True


class VenueOrder(Struct, frozen=True):
    """An order as the venue keeps it. ``due_ns`` is when it may be matched, monotonic."""

    order: Order
    venue_order_id: str
    status: OrderStatus
    filled_qty: Decimal = ZERO
    due_ns: int = 0
    message: str | None = None
    fills: tuple[Fill, ...] = ()


class VenueModel:
    """One venue's account and its orders.

    ``unsaved`` tells that the record lacks something that no report was made of.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        self.rules = rules
        self._slippage = rules.slippage_bps / BPS
        self.account = account
        self.next_id = next_id
        self.orders: dict[str, VenueOrder] = {}
        self.funding: dict[InstrumentId, Funding] = {}
        self.changed_orders: dict[str, VenueOrder] = {}
        self.new_fills: list[Fill] = []
        self.new_funding: list[FundingPaid] = []
        self.unsaved = False
        self._settled_ms: dict[InstrumentId, int] = {}
        self._pending: dict[str, VenueOrder] = {}
        self._last: dict[InstrumentId, float] = {}

    # Requests

    def submit(self, order: Order, now_ns: int, time_ns: int) -> list[Report]:
        """Take an order; it is matched later."""
        key = order.client_order_id
        known = self.orders.get(key)
        if known is not None and (self.rules.ids_unique_for_ever or key in self._pending):
            return [self._duplicate(known, time_ns)]
        taken = VenueOrder(order, self._new_id(), OrderStatus.ACKNOWLEDGED)
        taken = replace(taken, due_ns=now_ns + self.rules.latency_ns)
        try:
            check_filters(order)
        except Rejected as refusal:
            return [self._finish(taken, OrderStatus.REJECTED, time_ns, str(refusal))]
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

    def look_up(self, client_order_id: str, time_ns: int) -> OrderLookedUp:
        """Answer what became of an order; the books know every order for ever."""
        known = self.orders.get(client_order_id)
        if known is None:
            return OrderLookedUp(client_order_id, time_ns, found=False)
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
            if known.status is OrderStatus.ACKNOWLEDGED:
                self._pending[key] = self.orders[key] = replace(known, due_ns=now_ns)

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    # Prices

    def observe(self, tick: Tick) -> bool:
        """Take note of a price; False when it causes nothing, so that ``on_tick`` can be left out.

        Called for every price of the process: what causes nothing must cost next to nothing.
        """
        if isinstance(tick, QuoteTick):
            return bool(self._pending)
        if isinstance(tick, TradeTick):
            self._last[tick.instrument] = tick.price
            return False
        return self._observe_mark(tick)

    def on_tick(self, tick: Tick, time_ns: int) -> list[Report]:
        """Take a price; returns what it caused."""
        if not self.observe(tick):
            return []
        if isinstance(tick, QuoteTick):
            return self._on_quote(tick, time_ns)
        return self._on_mark(tick, time_ns) if isinstance(tick, MarkTick) else []

    def advance(self, now_ns: int, time_ns: int) -> list[Report]:
        """Match orders that waited too long for a quote at the last trade, or reject them."""
        reports: list[Report] = []
        for pending in list(self._pending.values()):
            waited_ns = now_ns - pending.due_ns
            instrument = pending.order.instrument
            last = self._last.get(instrument.id)
            if waited_ns >= QUOTE_WAIT_NS and last is not None:
                offer = Offer(worse(instrument, pending.order.side, exact(last), self._slippage))
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
            touch, shown = (
                (tick.ask, tick.ask_qty) if side is OrderSide.BUY else (tick.bid, tick.bid_qty)
            )
            if touch > 0 and shown > 0:  # else nothing is offered: the order waits on
                size = max(order.instrument.floor_qty(exact(shown)), order.instrument.qty_step)
                offer = Offer(exact(touch), size, self._slippage, taken[side])
                reports += self._match(pending, offer, time_ns)
                taken[side] += self.orders[order.client_order_id].filled_qty
        return reports

    # Matching

    def _match(self, pending: VenueOrder, offer: Offer, time_ns: int) -> list[Report]:
        order, instrument = pending.order, pending.order.instrument
        try:
            wanted = self._wanted(order)
            check_notional(order, offer.price)
            parts = walk(instrument, order.side, wanted, offer)
            self._check_funds(order, parts)
        except Rejected as refusal:
            return [self._finish(pending, OrderStatus.REJECTED, time_ns, str(refusal))]
        for price, qty in parts:
            pending = self._fill(pending, qty, price, time_ns)
        reports: list[Report] = [OrderFilled(fill, time_ns) for fill in pending.fills]
        reports.append(self.balances(instrument, time_ns))
        status, message = OrderStatus.FILLED, None
        if pending.filled_qty < order.qty:
            status = OrderStatus.CANCELLED
            message = REDUCED if pending.filled_qty == wanted else IOC_REST
        reports.append(self._finish(pending, status, time_ns, message))
        return reports

    def _wanted(self, order: Order) -> Decimal:
        """What an order may trade: a reduce-only one no more than the position."""
        if not order.reduce_only:
            return order.qty
        wanted = min(order.qty, self.account.reducible(order.instrument.id, order.side))
        if not wanted:
            raise Rejected(f"reduce_only: there is no position that a {order.side} reduces")
        return wanted

    def _check_funds(self, order: Order, parts: list[Part]) -> None:
        instrument, account = order.instrument, self.account
        rate = self.rules.fee_rates[instrument.id.market]
        missing = account.missing(instrument, order.side, parts, rate)
        if missing is not None:
            asset, needed = missing
            raise Rejected(
                f"insufficient_balance: needs {plain(needed)} {asset},"
                f" {plain(account.free(asset))} is free"
            )

    def _fill(self, pending: VenueOrder, qty: Decimal, price: Decimal, time_ns: int) -> VenueOrder:
        order, instrument = pending.order, pending.order.instrument
        rate = self.rules.fee_rates[instrument.id.market]
        fee, fee_asset = self.account.trade(instrument, order.side, qty, price, rate)
        fill = Fill(
            venue_trade_id=self._new_id(),
            instrument=instrument,
            side=order.side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=fee_asset,
            time_ns=time_ns,
            client_order_id=order.client_order_id,
            venue_order_id=pending.venue_order_id,
        )
        self.new_fills.append(fill)
        return replace(pending, filled_qty=pending.filled_qty + qty, fills=(*pending.fills, fill))

    # Margin

    def _observe_mark(self, tick: MarkTick) -> bool:
        """Note when funding is due next; True when this mark may settle it or liquidate."""
        due = self.funding.get(tick.instrument)
        held = tick.instrument in self.account.positions
        settles = due is not None and tick.venue_time_ms >= due.next_ms
        if not settles and (
            due is None or tick.next_funding_ms != due.next_ms or tick.funding_rate != due.rate
        ):
            self._note_funding(tick, due, held)
        return held or settles

    def _note_funding(self, tick: MarkTick, due: Funding | None, held: bool) -> None:
        next_ms = tick.next_funding_ms
        settled_ms = self._settled_ms.get(tick.instrument, 0)
        if tick.funding_rate is None or next_ms <= max(tick.venue_time_ms, settled_ms):
            return
        self.funding[tick.instrument] = Funding(next_ms, tick.funding_rate)
        if held and (due is None or due.next_ms != next_ms):
            self.unsaved = True  # a settlement that falls into a downtime is still owed

    def _on_mark(self, tick: MarkTick, time_ns: int) -> list[Report]:
        reports: list[Report] = []
        mark = exact(tick.mark)
        due = self.funding.get(tick.instrument)
        position = self.account.positions.get(tick.instrument)
        if due is not None and tick.venue_time_ms >= due.next_ms:
            del self.funding[tick.instrument]
            self._settled_ms[tick.instrument] = due.next_ms
            self._note_funding(tick, None, position is not None)
            if position is not None:
                reports += self._settle_funding(position, mark, due, time_ns)
        if position is not None and position.is_liquidated(mark, self.rules.maintenance_margin):
            reports += self._liquidate(position, time_ns)
        return reports

    def _settle_funding(
        self, position: LinearPosition, mark: Decimal, due: Funding, time_ns: int
    ) -> list[Report]:
        """Longs pay shorts where the rate is positive."""
        amount = position.qty * mark * exact(due.rate)
        instrument = position.instrument
        self.account.add(instrument.quote, -amount)
        paid = FundingPaid(self._new_id(), instrument, amount, time_ns)
        self.new_funding.append(paid)
        return [paid, self.balances(instrument, time_ns)]

    def _liquidate(self, position: LinearPosition, time_ns: int) -> list[Report]:
        """Close at the last tick before bankruptcy; what is left of the margin is the fee."""
        instrument = position.instrument
        side, qty, price, fee = self.account.liquidate(position)
        fill = Fill(
            venue_trade_id=self._new_id(),
            instrument=instrument,
            side=side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=instrument.quote,
            time_ns=time_ns,
            kind=FillKind.LIQUIDATION,
        )
        self.new_fills.append(fill)
        return [OrderFilled(fill, time_ns), self.balances(instrument, time_ns)]

    # Reports

    def balances(self, instrument: Instrument, time_ns: int) -> BalancesReported:
        """Balances of the two assets of an instrument."""
        assets = {instrument.quote}
        if instrument.id.market is Market.SPOT:
            assets.add(instrument.base)
        return self.all_balances(time_ns, sorted(assets))

    def all_balances(self, time_ns: int, assets: list[str] | None = None) -> BalancesReported:
        """Balances of ``assets``, or of every asset there is."""
        account, venue = self.account, self.rules.venue
        names = sorted(account.wallet) if assets is None else assets
        rows = (
            Balance(venue, name, account.total(name), account.free(name), account.locked(name))
            for name in names
        )
        return BalancesReported(tuple(rows), time_ns)

    def venue_positions(self) -> list[VenuePosition]:
        """The netted linear positions."""
        maintenance = self.rules.maintenance_margin
        return [
            VenuePosition(
                key,
                Side.LONG if position.qty > ZERO else Side.SHORT,
                abs(position.qty),
                position.entry_price,
                position.liquidation_price(maintenance),
            )
            for key, position in self.account.positions.items()
        ]

    def _finish(
        self, order: VenueOrder, status: OrderStatus, time_ns: int, message: str | None
    ) -> OrderUpdated:
        done = replace(order, status=status, message=message)
        self._pending.pop(order.order.client_order_id, None)
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
        )

    def _keep(self, order: VenueOrder) -> None:
        self.orders[order.order.client_order_id] = order
        self.changed_orders[order.venue_order_id] = order

    def _new_id(self) -> str:
        self.next_id += 1
        return str(self.next_id)
