"""One wallet of a simulated venue, open for requests: the venue model over the market place.

Bybit has one desk for both markets, Binance one for spot and one for USD-M. A request is taken at
once and answered with the order; what comes of it is told to the listeners afterwards, once the
caller had the chance to write its answer.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.events import FundingPaid, OrderUpdated
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ONE, ZERO, exact
from engine.model.order import Fill, FillKind, Order, OrderSide, OrderStatus, Refusal
from engine.ports import Clock
from engine.simulator.account import Account, MarginMode
from engine.simulator.desk_books import OTHERS, DeskBooks
from engine.simulator.desk_instruments import instrument_of
from engine.simulator.desk_rows import Cancelled, DeskOrder
from engine.simulator.desk_ticks import quote_tick, ticks_of
from engine.simulator.filters import Refused, check_filters, check_notional
from engine.simulator.market import FUNDING_RATE, MarketPlace
from engine.simulator.market_events import MarketEvent
from engine.simulator.matching import Report, VenueModel, VenueRules
from engine.simulator.terms import PLAIN, Terms

OPENING = {"USDT": Decimal(100_000), "USDC": Decimal(100_000)}
LATENCY_NS = 2 * NS_PER_MS
SLIPPAGE_BPS = ONE
LEVERAGE = Decimal(10)
ADVANCE_PERIOD_S = 0.05
TIMER_SLACK_S = 0.000_001
"""A timer that fired a hair early would find its order not due yet."""

REFUSED = frozenset({OrderStatus.REJECTED, OrderStatus.UNKNOWN})

# Taker fees of accounts without a discount: the venues' public fee schedules, 2026.
FEE_RATES: dict[str, dict[Market, Decimal]] = {
    "bybit": {Market.SPOT: Decimal("0.001"), Market.LINEAR: Decimal("0.00055")},
    "binance": {Market.SPOT: Decimal("0.001"), Market.LINEAR: Decimal("0.0005")},
}

Listener = Callable[[Report], None]


class Desk(DeskBooks):
    """One account of one venue. Not thread-safe: the market place's event loop owns it.

    Attributes:
        listeners: told every report (order updates, fills, balances, funding) in order, later
            than the call that caused it returns.
    """

    def __init__(
        self,
        place: MarketPlace,
        clock: Clock,
        rules: VenueRules,
        markets: Collection[Market],
        opening: dict[str, Decimal] | None = None,
    ) -> None:
        account = Account(rules.leverage)
        for asset, amount in (OPENING if opening is None else opening).items():
            account.open(asset, amount)
        super().__init__(VenueModel(rules, account, clock.now_ns() // NS_PER_MS * 1000), markets)
        self.place = place
        self.listeners: list[Listener] = []
        self._clock = clock
        self._account = account
        self._instruments: dict[InstrumentId, Instrument] = {}
        for market in self.markets:
            place.listen(self.venue, market, self._hear)

    async def run(self) -> None:
        """Let time pass for orders that find no quote, until cancelled."""
        while True:
            await asyncio.sleep(ADVANCE_PERIOD_S)
            self._tell(self.model.advance(self._clock.monotonic_ns(), self.now_ns()))

    def now_ns(self) -> int:
        """Venue time, UTC, nanoseconds since the epoch."""
        return self.place.time.now_ns()

    def instrument(self, instrument: InstrumentId) -> Instrument | None:
        """Return what is listed under an id, with its filters; None where nothing is."""
        known = self._instruments.get(instrument)
        if known is None:
            listing = self.place.listings.get(instrument)
            if listing is None or instrument.market not in self.markets:
                return None
            known = self._instruments[instrument] = instrument_of(listing)
        return known

    # Requests

    def submit(self, order: Order, terms: Terms = PLAIN) -> DeskOrder:
        """Take an order; it is matched after the latency, or rests until its trigger.

        Raises:
            Refused: the venue does not take it, and keeps no record of it. The first word of the
                message is the cause, one of those of ``DeskOrder.cause``.
        """
        before = self.model.orders.get(order.client_order_id)
        if not self.model.is_taken(order.client_order_id):
            self._check(order, terms)
        reports = self.model.submit(order, self._clock.monotonic_ns(), self.now_ns(), terms)
        for report in reports:
            if isinstance(report, OrderUpdated) and report.status in REFUSED:
                if report.status is OrderStatus.REJECTED:
                    self.model.forget(self.model.orders[order.client_order_id], before)
                raise Refused(report.refusal, report.message or "")
        self._tell(reports)
        return self._orders[self.model.orders[order.client_order_id].venue_order_id]

    def _check(self, order: Order, terms: Terms) -> None:
        """Raise Refused where the venue sees at once that an order cannot be made."""
        linear = order.instrument.id.market is Market.LINEAR
        if linear and (terms.leg is not None) is not self._account.hedged:
            raise Refused(Refusal.OTHER, "position_mode: the order is for the other position mode")
        check_filters(order, terms)
        if terms.trigger is not None:
            check_notional(order, terms.trigger.price, terms.quote_qty)
            return
        state = self.place.find(order.instrument.id)
        if state is not None and state.quote is not None:
            self.model.check(order, terms, quote_tick(state.quote, self._clock.monotonic_ns()))

    def cancel(self, venue_order_id: str) -> Cancelled | None:
        """Cancel what is left of an order; None where there is no such order.

        An order that ended or is about to trade is not ended by this; the answer says how it
        stands.
        """
        known = self.order(venue_order_id)
        if known is None:
            return None
        reports: list[Report] = []
        if known.is_resting or (known.fills and not known.is_final):
            reports = self.model.cancel_rest(known.order.client_order_id, self.now_ns())
            self._tell(reports)
        return Cancelled(self._orders[known.venue_order_id], bool(reports))

    async def settled(self, venue_order_id: str, timeout_s: float = 5.0) -> DeskOrder:
        """Wait until an order is final or rests, at most so long; returns it as it is then.

        Raises:
            KeyError: there is no such order.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while True:
            known = self._orders[venue_order_id]
            left_s = end_s - loop.time()
            if known.is_final or known.is_resting or left_s <= 0:
                return known
            changed: asyncio.Future[None] = loop.create_future()
            self._waiting.setdefault(venue_order_id, []).append(changed)
            await asyncio.wait({changed}, timeout=left_s)

    # Settings

    @property
    def hedged(self) -> bool:
        """Whether long and short of an instrument are kept apart."""
        return self._account.hedged

    def set_hedged(self, hedged: bool) -> None:
        """Switch between one-way and hedge mode.

        Raises:
            Refused: positions (cause ``open_positions``) or orders (``open_orders``) are open.
        """
        if hedged is not self._account.hedged:
            self._refuse_open(None)
            self._account.hedged = hedged

    def leverage(self, instrument: InstrumentId) -> Decimal:
        """Return the leverage of an instrument's positions."""
        return self._account.leverage_of(instrument)

    def set_leverage(self, instrument: InstrumentId, leverage: Decimal) -> None:
        """Set the leverage of an instrument, also of what is open of it.

        Raises:
            Refused: too little is free for the margin of what is open; nothing was done.
        """
        before = self._account.leverage_of(instrument)
        self._account.set_leverage(instrument, leverage)
        margins = {held.instrument.quote for held in self._account.held(instrument)}
        if leverage < before and any(self._account.free(asset) < ZERO for asset in margins):
            self._account.set_leverage(instrument, before)
            message = "insufficient_balance: too little is free for the margin at this leverage"
            raise Refused(Refusal.BALANCE, message)

    def margin_mode(self, instrument: InstrumentId | None = None) -> MarginMode:
        """Return the account's margin mode, or an instrument's."""
        if instrument is None:
            return self._account.margin_mode
        return self._account.margin_mode_of(instrument)

    def set_margin_mode(self, mode: MarginMode, instrument: InstrumentId | None = None) -> None:
        """Set the account's margin mode (Bybit), or an instrument's (Binance).

        Raises:
            Refused: what is open would be changed (causes ``open_positions``, ``open_orders``).
        """
        if mode is self.margin_mode(instrument):
            return
        self._refuse_open(instrument)
        if instrument is None:
            self._account.margin_mode = mode
        else:
            self._account.margin_modes[instrument] = mode

    def _refuse_open(self, instrument: InstrumentId | None) -> None:
        if self._account.held(instrument):
            raise Refused(Refusal.OTHER, "open_positions: positions are open")
        linear = [o for o in self.open_orders(instrument) if o.market is Market.LINEAR]
        if linear:
            raise Refused(Refusal.OTHER, "open_orders: orders are open")

    def set_partial(self, partial: bool) -> None:
        """Let orders take no more than a quote shows and wait with the rest, or no longer."""
        self.model.rules = replace(self.model.rules, rests=partial)

    def pay_fees_in(self, asset: str | None, rate: Decimal = ONE) -> None:
        """Take fees in a third asset (BNB) while enough of it is free; None ends it.

        Args:
            rate: one unit's worth in quote asset.
        """
        assets = None if asset is None else dict.fromkeys(self.markets, asset)
        self.model.rules = replace(self.model.rules, fee_asset=assets, fee_asset_rate=rate)

    # What happens without a request of ours

    def trade_by_hand(
        self,
        instrument: Instrument,
        side: OrderSide,
        qty: Decimal,
        price: Decimal | None = None,
        leg: Side | None = None,
        client_order_id: str = "",
        kind: FillKind = FillKind.TRADE,
    ) -> Fill:
        """Trade what the owner trades past us, at the last price unless one is given.

        Args:
            leg: in hedge mode, the position it is for; unless told, what it opens.
            kind: ``FillKind.ADL`` is what the venue trades for the owner.

        Raises:
            Refused: it cannot be traded; nothing was done.
        """
        at = price if price is not None else self._last(instrument.id)
        if instrument.id.market is Market.LINEAR and leg is None:
            leg = self._account.leg_of(side, reduces=False)
        self._tell(
            self.model.trade_elsewhere(
                instrument, side, qty, at, self.now_ns(), kind, client_order_id or None, leg
            )
        )
        return self.model.fills[-1]

    def liquidate(self, instrument: InstrumentId, leg: Side | None = None) -> list[Fill]:
        """Take positions over, as after a lost margin: a leg's, or all of an instrument."""
        before = len(self.model.fills)
        for held in self._account.held(instrument):
            if leg is None or held.leg is leg:
                self._tell(self.model.liquidate(instrument, self.now_ns(), leg=held.leg))
        return self.model.fills[before:]

    def settle_funding(
        self, instrument: InstrumentId, rate: Decimal | None = None
    ) -> list[FundingPaid]:
        """Settle funding now, at the rate that is due or at ``rate`` (a fraction).

        Raises:
            Refused: the instrument has no price yet.
        """
        before = len(self.model.settlements)
        if rate is None:
            due = self.model.funding.get(instrument)
            rate = Decimal(FUNDING_RATE) if due is None else exact(due.rate)
        known = self.model.marks.get(instrument)
        mark = self._last(instrument) if known is None else exact(known)
        self._tell(self.model.settle(instrument, mark, rate, self.now_ns()))
        return self.model.settlements[before:]

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Credit an asset, or debit it where the amount is negative."""
        openings = self._account.openings
        openings[asset] = openings.get(asset, ZERO) + amount
        self._account.add(asset, amount)
        self._tell([self.model.all_balances(self.now_ns(), [asset])])

    def _last(self, instrument: InstrumentId) -> Decimal:
        state = self.place.find(instrument)
        if state is None or state.last is None:
            raise Refused(Refusal.OTHER, f"no_price: {instrument} has not traded yet")
        return Decimal(state.last)

    # Prices

    def _hear(self, event: MarketEvent) -> None:
        for tick in ticks_of(event, self._clock.monotonic_ns()):
            self._tell(self.model.on_tick(tick, self.now_ns()))

    def _meet(self, instrument: InstrumentId) -> None:
        """Match what is due against the book as it is: it stands between two frames."""
        state = self.place.find(instrument)
        if state is not None and state.quote is not None:
            tick = quote_tick(state.quote, self._clock.monotonic_ns())
            self._tell(self.model.on_tick(tick, self.now_ns()))

    # Reports

    def _tell(self, reports: Sequence[Report]) -> None:
        changed = self.file(reports, self.now_ns())
        if not changed and not reports:
            return
        others = [each for each in changed if each.order.actor == OTHERS]
        reports = [*reports, *(_update(each) for each in others)]
        loop = asyncio.get_running_loop()
        latency_s = self.model.rules.latency_ns / NS_PER_SECOND + TIMER_SLACK_S
        for order in changed:
            if not (order.is_final or order.is_resting or order.fills):
                loop.call_later(latency_s, self._meet, order.order.instrument.id)
        loop.call_soon(self._pass_on, tuple(reports))

    def _pass_on(self, reports: Sequence[Report]) -> None:
        for report in reports:
            for listener in list(self.listeners):
                listener(report)


def _update(order: DeskOrder) -> OrderUpdated:
    """Tell of an order that the model knows nothing of: another's, or a liquidation."""
    return OrderUpdated(
        order.order.client_order_id,
        order.status,
        order.updated_ns,
        order.filled_qty,
        order.venue_order_id,
    )


def desk_rules(venue: str, latency_ns: int = LATENCY_NS) -> VenueRules:
    """Return how a venue treats the orders of the simulator's account.

    Args:
        latency_ns: from the acceptance of an order, or from its trigger, until it is matched.
    """
    return VenueRules(
        venue=venue,
        fee_rates=FEE_RATES[venue],
        latency_ns=latency_ns,
        slippage_bps=SLIPPAGE_BPS,
        leverage=LEVERAGE,
        ids_unique_for_ever=venue != "binance",
        keeps_history=True,
        child_orders=venue == "binance",
    )


def open_desks(
    place: MarketPlace, clock: Clock, latency_ns: int = LATENCY_NS
) -> dict[tuple[str, Market], Desk]:
    """Open the venues' desks: Bybit has one wallet for both markets, Binance one for each."""
    bybit = Desk(place, clock, desk_rules("bybit", latency_ns), tuple(Market))
    spot = Desk(place, clock, desk_rules("binance", latency_ns), (Market.SPOT,))
    usdm = Desk(place, clock, desk_rules("binance", latency_ns), (Market.LINEAR,))
    return {
        ("bybit", Market.SPOT): bybit,
        ("bybit", Market.LINEAR): bybit,
        ("binance", Market.SPOT): spot,
        ("binance", Market.LINEAR): usdm,
    }
