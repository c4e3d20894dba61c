"""One venue as it truly is: its books, its prices, and who listens to its account stream."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal

from msgspec.structs import replace

from engine.clock import NS_PER_MS
from engine.model.events import (
    AccountReported,
    FundingPaid,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
)
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, FillKind, Order, OrderSide, OrderStatus, Refusal
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.simulation.faults import Faults
from engine.simulation.history import Venue
from engine.simulation.plan import EPOCH_NS, Fault, Print
from engine.simulator.account import Account
from engine.simulator.filters import Refused
from engine.simulator.matching import Report, VenueModel, VenueOrder, VenueRules

LATENCY_NS = 30_000_000
REST_NS = 900 * NS_PER_MS
AT_ONCE_NS = 40 * NS_PER_MS
"""Where orders fill in parts, some are cancelled before they have met a quote."""

SHOWN = 60.0
"""Value of every quote's displayed size, in quote asset: less than most orders."""

Execution = Fill | FundingPaid
Listener = Callable[[Report], None]


class Exchange:
    """A venue's model in the simulated world. It never loses anything and never errs.

    Args:
        now_ns: virtual time. after: has a function called later, with its arguments.
    """

    def __init__(
        self,
        rules: VenueRules,
        opening: dict[str, Decimal],
        faults: Faults,
        now_ns: Callable[[], int],
        after: Callable[..., None],
    ) -> None:
        self.name = rules.venue
        self._faults = faults
        self._after = after
        self.model = VenueModel(rules, Account(rules.leverage), 0)
        for asset, amount in opening.items():
            self.model.account.open(asset, amount)
        self.model.refusal = self._refusal
        self.model.late_refusal = self._late_refusal
        self.listeners: list[Listener] = []
        self.executions: list[Execution] = []
        self.taken_ns: dict[str, int] = {}
        self.prints: dict[InstrumentId, Print] = {}
        self._partial: Fault | None = None
        self._now_ns = now_ns

    def time_ns(self) -> int:
        """The venue's clock, UTC."""
        return EPOCH_NS + self._now_ns()

    # What it refuses, and how it fills

    def _refusal(self, order: Order) -> tuple[Refusal, str] | None:
        if self._faults.active("delist", self.name, order.instrument.id) is not None:
            return Refusal.OTHER, "not_trading: delisted"
        return None

    def _late_refusal(self, order: Order) -> tuple[Refusal, str] | None:
        if self._faults.strike("late_rej", self.name, order.instrument.id) is not None:
            return Refusal.OTHER, "refused after it was acknowledged"
        return None

    def fill_in_parts(self, fault: Fault) -> None:
        """Let orders take no more than what a quote shows, for a while."""
        self._partial = fault
        self.model.rules = replace(self.model.rules, rests=True)
        self._after(fault.for_ms * NS_PER_MS, self.fill_whole)

    def fill_whole(self) -> None:
        """Let orders take the whole of what they ask for again."""
        self._partial = None
        self.model.rules = replace(self.model.rules, rests=False)

    def _mind_rest(self, report: Report) -> None:
        """An order is filled in part: every other one has its rest cancelled after a while."""
        if not isinstance(report, OrderUpdated) or self._partial is None:
            return
        if report.status is OrderStatus.PARTIALLY_FILLED:
            self._faults.note(self._partial)
            if int(report.venue_order_id or 0) % 2:
                self._after(REST_NS, self._cancel_rest, report.client_order_id)

    def _cancel_rest(self, client_order_id: str) -> None:
        self.tell(self.model.cancel_rest(client_order_id, self.time_ns()))

    # Prices

    def price(self, instrument: Instrument, new: Print) -> None:
        """Trade at a new price."""
        self.prints[instrument.id] = new
        if not (self.model.has_pending or instrument.id in self.model.account.positions):
            return  # nothing of ours could come of it
        now_ns, time_ns = self._now_ns(), self.time_ns()
        self.tell(self.model.on_tick(_trade(instrument.id, new, now_ns), time_ns))
        if self.model.has_pending:
            size = max(float(instrument.min_qty), SHOWN / new.last)
            quote = QuoteTick(
                instrument.id, new.bid, new.ask, size, size, new.at_ms, new.at_ms, now_ns
            )
            self.tell(self.model.on_tick(quote, time_ns))
        if self.model.account.signed_qty(instrument.id):
            mark = MarkTick(instrument.id, new.mark, None, 0, new.at_ms, now_ns)
            if self.model.observe(mark):
                self.tell(self.model.on_tick(mark, time_ns))

    def pass_time(self) -> None:
        """Match what waited too long for a quote."""
        if self.model.has_pending:
            self.tell(self.model.advance(self._now_ns(), self.time_ns()))

    # Requests

    def take(self, order: Order) -> list[Report]:
        """Take an order; returns the answer, fills excepted: those come by the account stream."""
        before = self.model.orders.get(order.client_order_id)
        if before is not None:
            self._faults.happened("id_again")
        if order.instrument.id in self.prints:
            self._observe(order.instrument.id, self.prints[order.instrument.id])
        listed = replace(order, instrument=replace(order.instrument, trading=True))
        reports = self.model.submit(listed, self._now_ns(), self.time_ns())
        taken = self.model.orders.get(order.client_order_id)
        if taken is not None and taken is not before:
            self.taken_ns[order.client_order_id] = self._now_ns()
            if self._partial is not None and int(taken.venue_order_id) % 4 == 0:
                self._after(AT_ONCE_NS, self._cancel_rest, order.client_order_id)
        return reports

    def _observe(self, instrument: InstrumentId, now: Print) -> None:
        """Have the venue know what an instrument costs now, though nothing of ours was there."""
        now_ns = self._now_ns()
        self.model.observe(_trade(instrument, now, now_ns))
        self.model.observe(MarkTick(instrument, now.mark, None, 0, now.at_ms, now_ns))

    def cancel(self, client_order_id: str) -> list[Report]:
        """Cancel an order that rests; returns the answer, and tells who listens the same."""
        reports = self.model.cancel_rest(client_order_id, self.time_ns())
        self.tell(reports)
        return reports

    def look_up(self, client_order_id: str) -> OrderLookedUp:
        """Answer what became of an order."""
        return self.model.look_up(client_order_id, self.time_ns())

    def account(self, as_of_ns: int) -> AccountReported:
        """Tell what is held now."""
        time_ns = self.time_ns()
        balances = self.model.all_balances(time_ns).balances
        positions = tuple(self.model.venue_positions())
        return AccountReported(self.name, positions, balances, time_ns, as_of_ns)

    def held(self, instrument: Instrument) -> Decimal:
        """Signed base quantity that is held of an instrument, ours and others'."""
        if instrument.id.market is Market.LINEAR:
            return self.model.account.signed_qty(instrument.id)
        return self.model.account.total(instrument.base)

    def trade_by_hand(
        self, instrument: Instrument, side: OrderSide, qty: Decimal, kind: FillKind
    ) -> None:
        """Trade what the owner, or the venue itself, trades past us; nothing where it cannot be."""
        price = Decimal(repr(self.prints[instrument.id].last))
        with suppress(Refused):
            self.tell(
                self.model.trade_elsewhere(instrument, side, qty, price, self.time_ns(), kind)
            )

    def _mind_fee(self, fill: Fill) -> None:
        instrument = fill.instrument
        if fill.fee_asset not in {instrument.base, instrument.quote}:
            self._faults.happened("fee_third")
        elif fill.fee_asset == instrument.base:
            self._faults.happened("fee_base")

    def end(self, instruments: Sequence[Instrument]) -> Venue:
        """Return the books as they are now."""
        fills = [each for each in self.executions if isinstance(each, Fill)]
        mine = [each for each in instruments if each.id.venue == self.name]
        return Venue(fills, self.orders(), {each.id: self.held(each) for each in mine})

    def orders(self) -> list[VenueOrder]:
        """Every order that was ever taken, as it stands; an id may have been taken twice."""
        return list(self.model.changed_orders.values())

    def tell(self, reports: Sequence[Report]) -> None:
        """Write executions down, and tell who listens."""
        for report in reports:
            self._mind_rest(report)
            if isinstance(report, OrderFilled):
                self.executions.append(report.fill)
                self._mind_fee(report.fill)
            elif isinstance(report, FundingPaid):
                self.executions.append(report)
        for listener in list(self.listeners):
            for report in reports:
                listener(report)


def _trade(instrument: InstrumentId, new: Print, now_ns: int) -> TradeTick:
    return TradeTick(instrument, new.last, new.at_ms, new.at_ms, now_ns)
