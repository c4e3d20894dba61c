"""What marks do to linear positions: funding is settled, and a lost margin liquidates.

An isolated position can lose its own margin. Cross positions share what the wallet holds besides
the isolated margins: they are lost when that and their unrealised profit and loss have fallen to
the maintenance margin of all of them.
"""

from decimal import Decimal

from engine.model.events import FundingPaid
from engine.model.instrument import InstrumentId
from engine.model.money import ONE, ZERO, exact, ratio
from engine.model.ticks import MarkTick
from engine.simulator.account import Account, Funding, LinearPosition, MarginMode
from engine.simulator.books import Books, Report, VenueRules


class MarginBooks(Books):
    """Books whose positions meet marks.

    Attributes:
        marks: the latest mark price of each instrument, the nearest double of the venue's text.
        unsaved: the record lacks something that no report was made of.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        super().__init__(rules, account, next_id)
        self.funding: dict[InstrumentId, Funding] = {}
        self.marks: dict[InstrumentId, float] = {}
        self.unsaved = False
        self._settled_ms: dict[InstrumentId, int] = {}

    def observe_mark(self, tick: MarkTick) -> bool:
        """Note when funding is due next; True when this mark may settle it or liquidate."""
        self.marks[tick.instrument] = tick.mark
        due = self.funding.get(tick.instrument)
        account = self.account
        held = tick.instrument in account.positions or (
            account.hedged and bool(account.held(tick.instrument))
        )
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

    def on_mark(self, tick: MarkTick, time_ns: int) -> list[Report]:
        """Settle funding that is due, then liquidate positions whose margin is lost."""
        reports: list[Report] = []
        mark = exact(tick.mark)
        due = self.funding.get(tick.instrument)
        held = self.account.held(tick.instrument)
        if due is not None and tick.venue_time_ms >= due.next_ms:
            del self.funding[tick.instrument]
            self._settled_ms[tick.instrument] = due.next_ms
            self._note_funding(tick, None, bool(held))
            reports += self.settle(tick.instrument, mark, exact(due.rate), time_ns)
        for position in held:
            if self._is_lost(position, mark):
                price = self._taken_over_at(position, mark)
                reports += self.liquidate(tick.instrument, time_ns, price, position.leg)
        return reports

    def settle(
        self, instrument: InstrumentId, mark: Decimal, rate: Decimal, time_ns: int
    ) -> list[Report]:
        """Settle funding on what is open of an instrument, each leg by itself.

        Longs pay shorts where the rate (a fraction) is positive.
        """
        reports: list[Report] = []
        for position in self.account.held(instrument):
            amount = position.qty * mark * rate
            self.account.add(position.instrument.quote, -amount)
            paid = FundingPaid(self.new_id(), position.instrument, amount, time_ns)
            self.book_funding(paid)
            reports += [paid, self.balances(position.instrument, time_ns)]
        return reports

    # Margins

    def liquidation_price(self, position: LinearPosition) -> Decimal | None:
        """Where the venue takes a position over, in quote asset; None if nowhere.

        Of a cross position it is where all that share the wallet would be lost if only the price
        of this instrument moved; both legs of one have the same.
        """
        maintenance = self.rules.maintenance_margin
        if not self._is_cross(position):
            return position.liquidation_price(maintenance)
        legs = self.account.held(position.instrument.id)
        value = sum((leg.value for leg in legs), ZERO)
        slope = sum((leg.qty - abs(leg.qty) * maintenance for leg in legs), ZERO)
        if not slope:
            return None
        price = ratio(value - self._backing(position), slope)
        return price if price > ZERO else None

    def unrealised(self, position: LinearPosition) -> Decimal:
        """Profit and loss of a position at the latest mark, in quote asset."""
        return position.qty * self._mark(position) - position.value

    def maintenance(self, position: LinearPosition) -> Decimal:
        """Maintenance margin of a position at the latest mark, in quote asset."""
        return abs(position.qty) * self._mark(position) * self.rules.maintenance_margin

    def _mark(self, position: LinearPosition) -> Decimal:
        """Return the latest mark; before the first one the average entry."""
        mark = self.marks.get(position.instrument.id)
        return position.entry_price if mark is None else exact(mark)

    def _is_cross(self, position: LinearPosition) -> bool:
        return self.account.margin_mode_of(position.instrument.id) is MarginMode.CROSS

    def _backing(self, position: LinearPosition) -> Decimal:
        """What the wallet holds for cross positions of an instrument, those of others deducted."""
        asset, backing = position.instrument.quote, self.account.total(position.instrument.quote)
        for other in self.account.held():
            if other.instrument.quote != asset or other.instrument.id == position.instrument.id:
                continue
            if self._is_cross(other):
                backing += self.unrealised(other) - self.maintenance(other)
            else:
                backing -= other.margin
        return backing

    def _is_lost(self, position: LinearPosition, mark: Decimal) -> bool:
        if not self._is_cross(position):
            return position.is_liquidated(mark, self.rules.maintenance_margin)
        legs = self.account.held(position.instrument.id)
        equity = sum((leg.qty * mark - leg.value for leg in legs), self._backing(position))
        needed = sum((abs(leg.qty) for leg in legs), ZERO) * mark * self.rules.maintenance_margin
        return equity <= needed

    def _taken_over_at(self, position: LinearPosition, mark: Decimal) -> Decimal | None:
        """Return the price of a liquidation: a cross position is closed at the mark."""
        if not self._is_cross(position):
            return None
        instrument = position.instrument
        rounded = instrument.floor_price if position.sign == ONE else instrument.ceil_price
        return rounded(mark)
