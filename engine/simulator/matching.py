"""What a venue does to market orders: accept, match against prices, fill, reject, settle.

Pure: prices and times come in, reports go out. ``now_ns`` is local monotonic time, ``time_ns``
UTC; both are given by the caller. An order meets the first quote received at or after its
acceptance plus the latency: up to the displayed size at the touch, the rest one ``slippage_bps``
worse for each further displayed size. Without a quote for a second it meets the last trade,
``slippage_bps`` worse; without any price for ten seconds it is rejected. A market order is
immediate-or-cancel: what is left after ``MAX_LEVELS`` displayed sizes is cancelled.
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
from engine.simulator.account import Account, LinearPosition
from engine.simulator.filters import check_filters, worse

MAX_LEVELS = 100
QUOTE_WAIT_NS = 1_000_000_000
PRICE_WAIT_NS = 10_000_000_000
BPS = Decimal(10_000)
IOC_REST = "ioc: the rest was cancelled, a market order is immediate-or-cancel"

Level = tuple[Decimal, Decimal | None]
"""A price and the size shown there; None is no limit of size."""

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


class Funding(Struct, frozen=True):
    """The next settlement of an instrument: venue time in ms, and the rate as a fraction."""

    next_ms: int
    rate: Decimal


class VenueModel:
    """One venue's account and its orders."""

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        self.rules = rules
        self.account = account
        self.next_id = next_id
        self.orders: dict[str, VenueOrder] = {}
        self.funding: dict[InstrumentId, Funding] = {}
        self.changed_orders: dict[str, VenueOrder] = {}
        self.new_fills: list[Fill] = []
        self.new_funding: list[FundingPaid] = []
        self._pending: dict[str, VenueOrder] = {}
        self._last: dict[InstrumentId, float] = {}

    # Requests

    def submit(self, order: Order, now_ns: int, time_ns: int) -> list[Report]:
        """Take an order; it is matched later."""
        key = order.client_order_id
        known = self.orders.get(key)
        if known is not None and (self.rules.ids_unique_for_ever or key in self._pending):
            return []  # the first order under this id stands; the repetition is refused
        taken = VenueOrder(order, self._new_id(), OrderStatus.ACKNOWLEDGED)
        taken = replace(taken, due_ns=now_ns + self.rules.latency_ns)
        try:
            check_filters(order)
        except Rejected as refusal:
            return [self._finish(taken, OrderStatus.REJECTED, time_ns, str(refusal))]
        self._pending[key] = taken
        self._keep(taken)
        return [self._update(taken, time_ns)]

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
            self.orders[known.order.client_order_id] = known
            if known.status is OrderStatus.ACKNOWLEDGED:
                self._pending[known.order.client_order_id] = replace(known, due_ns=now_ns)

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    # Prices

    def on_tick(self, tick: Tick, time_ns: int) -> list[Report]:
        """Take a price; returns what it caused."""
        if isinstance(tick, TradeTick):
            self._last[tick.instrument] = tick.price
            return []
        if isinstance(tick, QuoteTick):
            return self._on_quote(tick, time_ns) if self._pending else []
        return self._on_mark(tick, time_ns)

    def advance(self, now_ns: int, time_ns: int) -> list[Report]:
        """Match orders that waited too long for a quote at the last trade, or reject them."""
        reports: list[Report] = []
        for pending in list(self._pending.values()):
            waited_ns = now_ns - pending.due_ns
            instrument = pending.order.instrument
            last = self._last.get(instrument.id)
            if waited_ns >= QUOTE_WAIT_NS and last is not None:
                levels = [(worse(instrument, pending.order.side, exact(last), self._slip(1)), None)]
                reports += self._match(pending, levels, time_ns)
            elif waited_ns >= PRICE_WAIT_NS:
                message = f"no_price: no price of {instrument.id} within 10 s"
                reports.append(self._finish(pending, OrderStatus.REJECTED, time_ns, message))
        return reports

    def _on_quote(self, tick: QuoteTick, time_ns: int) -> list[Report]:
        reports: list[Report] = []
        for pending in list(self._pending.values()):
            order = pending.order
            if order.instrument.id == tick.instrument and tick.received_ns >= pending.due_ns:
                levels = self._levels(order, tick)
                if levels:
                    reports += self._match(pending, levels, time_ns)
        return reports

    def _levels(self, order: Order, tick: QuoteTick) -> list[Level]:
        """Prices and sizes an order meets, the displayed one first."""
        buys = order.side is OrderSide.BUY
        touch, shown = (tick.ask, tick.ask_qty) if buys else (tick.bid, tick.bid_qty)
        if shown <= 0 or touch <= 0:
            return []
        price, instrument = exact(touch), order.instrument
        size = max(instrument.floor_qty(exact(shown)), instrument.qty_step)
        if self.rules.slippage_bps == ZERO:
            return [(price, None)]
        prices = (
            worse(instrument, order.side, price, self._slip(level)) for level in range(MAX_LEVELS)
        )
        return [(level_price, size) for level_price in prices if level_price > ZERO]

    def _slip(self, level: int) -> Decimal:
        return self.rules.slippage_bps * level / BPS

    # Matching

    def _match(self, pending: VenueOrder, levels: list[Level], time_ns: int) -> list[Report]:
        order = pending.order
        wanted = order.qty
        if order.reduce_only:
            wanted = min(wanted, self._reducible(order))
        try:
            if wanted <= ZERO:
                raise Rejected("reduce_only: nothing to reduce, the position is flat")
            self._check_funds(order, wanted, levels[0][0])
        except Rejected as refusal:
            return [self._finish(pending, OrderStatus.REJECTED, time_ns, str(refusal))]
        reports: list[Report] = []
        for price, size in levels:
            qty = wanted if size is None else min(wanted, size)
            pending = self._fill(pending, qty, price, time_ns)
            reports.append(OrderFilled(pending.fills[-1], time_ns))
            wanted -= qty
            if wanted <= ZERO:
                break
        filled = pending.filled_qty == order.qty
        status = OrderStatus.FILLED if filled else OrderStatus.CANCELLED
        message = (
            None if filled else "the rest was cancelled: a market order is immediate-or-cancel"
        )
        reports.append(self.balances(order.instrument, time_ns))
        reports.append(self._finish(pending, status, time_ns, message))
        return reports

    def _reducible(self, order: Order) -> Decimal:
        signed = self.account.signed_qty(order.instrument.id)
        reduces = (signed > ZERO) == (order.side is OrderSide.SELL)
        return abs(signed) if reduces else ZERO

    def _check_funds(self, order: Order, qty: Decimal, price: Decimal) -> None:
        instrument, account = order.instrument, self.account
        if instrument.id.market is Market.LINEAR:
            rate = self.rules.fee_rates[Market.LINEAR]
            needed = ZERO if order.reduce_only else qty * price * (ONE / account.leverage + rate)
            asset = instrument.quote
        elif order.side is OrderSide.BUY:
            needed, asset = qty * price, instrument.quote
        else:
            needed, asset = qty, instrument.base
        if needed > account.free(asset):
            raise Rejected(
                f"insufficient_balance: needs {plain(needed)} {asset},"
                f" {plain(account.free(asset))} is free"
            )

    def _fill(self, pending: VenueOrder, qty: Decimal, price: Decimal, time_ns: int) -> VenueOrder:
        order = pending.order
        fill = self._execute(order.instrument, order.side, qty, price, time_ns)
        fill = replace(
            fill,
            client_order_id=order.client_order_id,
            venue_order_id=pending.venue_order_id,
        )
        self.new_fills.append(fill)
        return replace(pending, filled_qty=pending.filled_qty + qty, fills=(*pending.fills, fill))

    def _execute(
        self, instrument: Instrument, side: OrderSide, qty: Decimal, price: Decimal, time_ns: int
    ) -> Fill:
        """Trade on the account at the taker fee, paid in base on spot buys, else in quote."""
        rate = self.rules.fee_rates[instrument.id.market]
        in_base = instrument.id.market is Market.SPOT and side is OrderSide.BUY
        fee = qty * rate if in_base else qty * price * rate
        if instrument.id.market is Market.SPOT:
            self.account.trade_spot(instrument, side, qty, price, fee)
        else:
            self.account.trade_linear(instrument, side, qty, price, fee)
        return Fill(
            venue_trade_id=self._new_id(),
            instrument=instrument,
            side=side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=instrument.base if in_base else instrument.quote,
            time_ns=time_ns,
        )

    # Margin

    def _on_mark(self, tick: MarkTick, time_ns: int) -> list[Report]:
        position = self.account.positions.get(tick.instrument)
        reports = self._settle_funding(tick, position, time_ns)
        rules = self.rules
        if position is not None and position.is_liquidated(
            exact(tick.mark), rules.leverage, rules.maintenance_margin
        ):
            reports += self._liquidate(position, time_ns)
        return reports

    def _settle_funding(
        self, tick: MarkTick, position: LinearPosition | None, time_ns: int
    ) -> list[Report]:
        due = self.funding.get(tick.instrument)
        reports: list[Report] = []
        if due is not None and tick.venue_time_ms >= due.next_ms:
            del self.funding[tick.instrument]
            if position is not None:
                amount = position.qty * exact(tick.mark) * due.rate
                instrument = position.instrument
                self.account.add(instrument.quote, -amount)
                paid = FundingPaid(self._new_id(), instrument, amount, time_ns)
                self.new_funding.append(paid)
                reports = [paid, self.balances(instrument, time_ns)]
        if tick.next_funding_ms > tick.venue_time_ms and tick.funding_rate is not None:
            rate = exact(tick.funding_rate)
            self.funding[tick.instrument] = Funding(tick.next_funding_ms, rate)
        return reports

    def _liquidate(self, position: LinearPosition, time_ns: int) -> list[Report]:
        """Close at the bankruptcy price: the position's margin is lost whole, no fee is left."""
        instrument, qty = position.instrument, abs(position.qty)
        side = OrderSide.SELL if position.qty > ZERO else OrderSide.BUY
        price = position.bankruptcy_price(self.account.leverage)
        self.account.trade_linear(instrument, side, qty, price, ZERO)
        fill = Fill(
            venue_trade_id=self._new_id(),
            instrument=instrument,
            side=side,
            qty=qty,
            price=price,
            fee=ZERO,
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
        rules = self.rules
        return [
            VenuePosition(
                key,
                Side.LONG if position.qty > ZERO else Side.SHORT,
                abs(position.qty),
                position.entry_price,
                position.liquidation_price(rules.leverage, rules.maintenance_margin),
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
