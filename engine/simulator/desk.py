"""One wallet of a simulated venue, open for requests: the venue model over the market place.

Bybit has one desk for both markets, Binance one for spot and one for USD-M. A request is taken at
once and answered with the order; what comes of it is told to the listeners afterwards, once the
caller had the chance to write its answer.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.events import Balance, FundingPaid, OrderUpdated
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ONE, ZERO
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.model.ticks import MarkTick, QuoteTick, Tick, TradeTick
from engine.ports import Clock
from engine.simulator.account import Account, MarginMode
from engine.simulator.desk_instruments import instrument_of
from engine.simulator.desk_rows import Cancelled, DeskOrder, PositionRow
from engine.simulator.filters import Refused
from engine.simulator.market import MarketPlace
from engine.simulator.market_events import MARKET_SOURCE, Mark, MarketEvent, Prints, Quote, Ticker
from engine.simulator.matching import Report, VenueModel, VenueOrder, VenueRules
from engine.simulator.terms import PLAIN, Terms

OPENING = {"USDT": Decimal(100_000), "USDC": Decimal(100_000)}
LATENCY_NS = 2 * NS_PER_MS
SLIPPAGE_BPS = ONE
ADVANCE_PERIOD_S = 0.05
REFUSED = frozenset({OrderStatus.REJECTED, OrderStatus.UNKNOWN})

# Taker fees of accounts without a discount: the venues' public fee schedules, 2026.
FEE_RATES: dict[str, dict[Market, Decimal]] = {
    "bybit": {Market.SPOT: Decimal("0.001"), Market.LINEAR: Decimal("0.00055")},
    "binance": {Market.SPOT: Decimal("0.001"), Market.LINEAR: Decimal("0.0005")},
}

Listener = Callable[[Report], None]


class Desk:
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
        self.venue = rules.venue
        self.markets = tuple(markets)
        self.place = place
        self.listeners: list[Listener] = []
        self._clock = clock
        self._account = Account(rules.leverage)
        for asset, amount in (OPENING if opening is None else opening).items():
            self._account.open(asset, amount)
        self.model = VenueModel(rules, self._account, clock.now_ns() // NS_PER_MS * 1000)
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._orders: dict[str, DeskOrder] = {}
        self._newest: dict[str, str] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        for market in self.markets:
            place.listen(self.venue, market, self._hear)

    async def run(self) -> None:
        """Let time pass for waiting orders, until cancelled."""
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
        reports = self.model.submit(order, self._clock.monotonic_ns(), self.now_ns(), terms)
        for report in reports:
            if isinstance(report, OrderUpdated) and report.status in REFUSED:
                self.model.changed_orders.clear()
                raise Refused(report.refusal, report.message or "")
        self._tell(reports)
        taken = self.model.orders[order.client_order_id]
        asyncio.get_running_loop().call_later(
            self.model.rules.latency_ns / NS_PER_SECOND, self._meet, order.instrument.id
        )
        return self._orders[taken.venue_order_id]

    def cancel(self, venue_order_id: str) -> Cancelled | None:
        """Cancel what is left of an order; None where there is no such order."""
        known = self._orders.get(venue_order_id)
        if known is None:
            return None
        reports = self.model.cancel_rest(known.order.client_order_id, self.now_ns())
        self._tell(reports)
        return Cancelled(self._orders[venue_order_id], bool(reports))

    async def settled(self, venue_order_id: str, timeout_s: float = 5.0) -> DeskOrder:
        """Wait until an order is final or rests, at most so long; returns it as it is then.

        Raises:
            KeyError: there is no such order.
        """
        end_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            known = self._orders[venue_order_id]
            left_s = end_s - asyncio.get_running_loop().time()
            if known.is_final or known.is_resting or left_s <= 0:
                return known
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(venue_order_id, []).append(changed)
            await asyncio.wait({changed}, timeout=left_s)

    # The books

    def order(self, venue_order_id: str) -> DeskOrder | None:
        """Return the order of a venue order id, or the one whose child has it."""
        return self._orders.get(venue_order_id)

    def find(self, client_order_id: str) -> DeskOrder | None:
        """Return the newest order of a client order id."""
        return self._orders.get(self._newest.get(client_order_id, ""))

    def orders(self, instrument: InstrumentId | None = None) -> list[DeskOrder]:
        """Return every order, oldest first, others' too (of an instrument, if one is given)."""
        return [
            each
            for each in self._orders.values()
            if instrument is None or each.order.instrument.id == instrument
        ]

    def open_orders(self, instrument: InstrumentId | None = None) -> list[DeskOrder]:
        """Return the orders that are not final, oldest first."""
        return [each for each in self.orders(instrument) if not each.is_final]

    def executions(self, instrument: InstrumentId | None = None) -> list[Fill]:
        """Return all executions, oldest first; their ids are rising numbers."""
        fills = self.model.fills
        return [f for f in fills if instrument is None or f.instrument.id == instrument]

    def settlements(self, instrument: InstrumentId | None = None) -> list[FundingPaid]:
        """Return all funding settlements, oldest first; their ids are rising numbers."""
        paid = self.model.settlements
        return [p for p in paid if instrument is None or p.instrument.id == instrument]

    def balances(self) -> list[Balance]:
        """Return a row per asset that was ever held."""
        return list(self.model.all_balances(self.now_ns()).balances)

    def positions(self) -> list[PositionRow]:
        """Return a row per open position, in hedge mode per leg."""
        return [
            PositionRow(
                instrument=held.instrument,
                leg=None,
                side=Side.LONG if held.qty > ZERO else Side.SHORT,
                qty=abs(held.qty),
                entry_price=held.entry_price,
                leverage=held.leverage,
                margin_mode=MarginMode.ISOLATED,
                margin=held.margin,
                liquidation_price=held.liquidation_price(self.model.rules.maintenance_margin),
                mark=None,
                unrealised=ZERO,
                maintenance=ZERO,
            )
            for held in self._account.positions.values()
        ]

    def snapshot(self) -> dict[str, Any]:
        """Return the books for the control side: orders, executions, positions, balances."""
        return {
            "orders": self.orders(),
            "executions": self.executions(),
            "settlements": self.settlements(),
            "positions": self.positions(),
            "balances": self.balances(),
            "hedged": self.hedged,
        }

    # Settings

    @property
    def hedged(self) -> bool:
        """Whether long and short of an instrument are kept apart."""
        return False

    def set_hedged(self, hedged: bool) -> None:
        """Switch between one-way and hedge mode.

        Raises:
            Refused: positions or orders are open.
        """

    def leverage(self, instrument: InstrumentId) -> Decimal:
        """Return the leverage of an instrument's positions."""
        return self._account.leverage

    def set_leverage(self, instrument: InstrumentId, leverage: Decimal) -> None:
        """Set the leverage of an instrument, also of what is open of it.

        Raises:
            Refused: too little is free for the margin of what is open.
        """

    def margin_mode(self, instrument: InstrumentId | None = None) -> MarginMode:
        """Return the account's margin mode, or an instrument's."""
        return MarginMode.ISOLATED

    def set_margin_mode(self, mode: MarginMode, instrument: InstrumentId | None = None) -> None:
        """Set the account's margin mode (Bybit), or an instrument's (Binance).

        Raises:
            Refused: positions are open that it would change.
        """

    def set_partial(self, partial: bool) -> None:
        """Let orders take no more than a quote shows and wait with the rest, or no longer."""
        self.model.rules = replace(self.model.rules, rests=partial)

    # What happens without a request of ours

    def trade_by_hand(
        self,
        instrument: Instrument,
        side: OrderSide,
        qty: Decimal,
        price: Decimal | None = None,
        leg: Side | None = None,
        client_order_id: str = "",
    ) -> Fill:
        """Trade what the owner trades past us, at the last price unless one is given.

        Raises:
            Refused: it cannot be traded; nothing was done.
        """
        at = price if price is not None else Decimal(self.place.state(instrument.id).last or 0)
        reports = self.model.trade_elsewhere(instrument, side, qty, at, self.now_ns())
        self._tell(reports)
        return self.model.fills[-1]

    def liquidate(self, instrument: InstrumentId, leg: Side | None = None) -> list[Fill]:
        """Take a whole position over, as after a lost margin."""
        before = len(self.model.fills)
        self._tell(self.model.liquidate(instrument, self.now_ns()))
        return self.model.fills[before:]

    def settle_funding(
        self, instrument: InstrumentId, rate: Decimal | None = None
    ) -> list[FundingPaid]:
        """Settle funding now, at the rate that is due or at ``rate`` (a fraction)."""
        return []

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Credit an asset, or debit it where the amount is negative."""
        self._account.add(asset, amount)
        self._tell([self.model.all_balances(self.now_ns(), [asset])])

    # Prices

    def _hear(self, event: MarketEvent) -> None:
        for tick in self._ticks(event):
            self._tell(self.model.on_tick(tick, self.now_ns()))

    def _ticks(self, event: MarketEvent) -> list[Tick]:
        now_ns, key = self._clock.monotonic_ns(), event.instrument
        if isinstance(event, Quote):
            return [_quote(event, now_ns)]
        if isinstance(event, Mark):
            rate, next_ms = float(event.funding_rate), event.next_funding_ms
            return [MarkTick(key, float(event.mark), rate, next_ms, event.sent_ms, now_ns)]
        if isinstance(event, Ticker) and "markPrice" in event.fields:
            return [MarkTick(key, float(event.fields["markPrice"]), None, 0, event.sent_ms, now_ns)]
        if isinstance(event, Prints):
            market = [each for each in event.prints if each.source == MARKET_SOURCE]
            return [TradeTick(key, float(p.price), p.time_ms, p.number, now_ns) for p in market]
        return []

    def _meet(self, instrument: InstrumentId) -> None:
        """Match what is due against the book as it is: it stands between two frames."""
        state = self.place.find(instrument)
        if state is not None and state.quote is not None:
            quote = _quote(state.quote, self._clock.monotonic_ns())
            self._tell(self.model.on_tick(quote, self.now_ns()))

    # Reports

    def _tell(self, reports: Sequence[Report]) -> None:
        for record in self.model.changed_orders.values():
            self._file(record)
        self.model.changed_orders.clear()
        if reports:
            asyncio.get_running_loop().call_soon(self._pass_on, tuple(reports))

    def _file(self, record: VenueOrder) -> None:
        key, now_ns = record.venue_order_id, self.now_ns()
        known = self._orders.get(key)
        created_ns = now_ns if known is None else known.created_ns
        self._orders[key] = DeskOrder(record, PLAIN, created_ns, now_ns)
        self._newest[record.order.client_order_id] = key
        for changed in self._waiting.pop(key, ()):
            changed.set_result(None)

    def _pass_on(self, reports: Sequence[Report]) -> None:
        for report in reports:
            for listener in list(self.listeners):
                listener(report)


def _quote(event: Quote, now_ns: int) -> QuoteTick:
    prices = (float(event.bid), float(event.ask), float(event.bid_qty), float(event.ask_qty))
    return QuoteTick(event.instrument, *prices, event.time_ms, event.update, now_ns)


def desk_rules(venue: str) -> VenueRules:
    """Return how a venue treats the orders of the simulator's account."""
    return VenueRules(
        venue=venue,
        fee_rates=FEE_RATES[venue],
        latency_ns=LATENCY_NS,
        slippage_bps=SLIPPAGE_BPS,
        leverage=Decimal(10),
        ids_unique_for_ever=venue != "binance",
        keeps_history=True,
    )


def open_desks(place: MarketPlace, clock: Clock) -> dict[tuple[str, Market], Desk]:
    """Open the venues' desks: Bybit has one wallet for both markets, Binance one for each."""
    bybit = Desk(place, clock, desk_rules("bybit"), tuple(Market))
    spot = Desk(place, clock, desk_rules("binance"), (Market.SPOT,))
    usdm = Desk(place, clock, desk_rules("binance"), (Market.LINEAR,))
    return {
        ("bybit", Market.SPOT): bybit,
        ("bybit", Market.LINEAR): bybit,
        ("binance", Market.SPOT): spot,
        ("binance", Market.LINEAR): usdm,
    }
