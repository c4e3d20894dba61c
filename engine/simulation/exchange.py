"""One venue as it truly is: its books, its prices, and who listens to its account stream."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.model.events import AccountReported, FundingPaid, OrderFilled, OrderLookedUp
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, FillKind, Order, OrderSide
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.simulation.history import Venue
from engine.simulation.plan import EPOCH_NS, Print
from engine.simulator.account import Account
from engine.simulator.matching import Report, VenueModel, VenueOrder, VenueRules

LATENCY_NS = 30_000_000
SHOWN = 60.0
"""Value of every quote's displayed size, in quote asset: less than most orders."""

Execution = Fill | FundingPaid
Listener = Callable[[Report], None]


class Exchange:
    """A venue's model in the simulated world. It never loses anything and never errs.

    Args:
        now_ns: virtual time.
    """

    def __init__(
        self, rules: VenueRules, opening: dict[str, Decimal], now_ns: Callable[[], int]
    ) -> None:
        self.name = rules.venue
        self.model = VenueModel(rules, Account(rules.leverage), 0)
        for asset, amount in opening.items():
            self.model.account.open(asset, amount)
        self.listeners: list[Listener] = []
        self.executions: list[Execution] = []
        self.taken_ns: dict[str, int] = {}
        self.prints: dict[InstrumentId, Print] = {}
        self._now_ns = now_ns

    def time_ns(self) -> int:
        """The venue's clock, UTC."""
        return EPOCH_NS + self._now_ns()

    # Prices

    def price(self, instrument: Instrument, new: Print) -> None:
        """Trade at a new price."""
        self.prints[instrument.id] = new
        now_ns, time_ns = self._now_ns(), self.time_ns()
        trade = TradeTick(instrument.id, new.last, new.at_ms, new.at_ms, now_ns)
        self.model.observe(trade)
        size = max(float(instrument.min_qty), SHOWN / new.last)
        quote = QuoteTick(instrument.id, new.bid, new.ask, size, size, new.at_ms, new.at_ms, now_ns)
        if self.model.observe(quote):
            self.tell(self.model.on_tick(quote, time_ns))
        if instrument.id.market is Market.LINEAR:
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
        reports = self.model.submit(order, self._now_ns(), self.time_ns())
        if self.model.orders.get(order.client_order_id) is not before:
            self.taken_ns[order.client_order_id] = self._now_ns()
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
        """Trade what the owner, or the venue itself, trades past us."""
        price = Decimal(repr(self.prints[instrument.id].last))
        self.tell(self.model.trade_elsewhere(instrument, side, qty, price, self.time_ns(), kind))

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
            if isinstance(report, OrderFilled):
                self.executions.append(report.fill)
            elif isinstance(report, FundingPaid):
                self.executions.append(report)
        for listener in list(self.listeners):
            for report in reports:
                listener(report)
