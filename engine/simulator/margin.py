"""What marks do to linear positions: funding is settled, and a lost margin liquidates."""

from decimal import Decimal

from engine.model.events import FundingPaid
from engine.model.instrument import InstrumentId
from engine.model.money import exact
from engine.model.ticks import MarkTick
from engine.simulator.account import Account, Funding, LinearPosition
from engine.simulator.books import Books, Report, VenueRules


class MarginBooks(Books):
    """Books whose positions meet marks.

    ``unsaved`` tells that the record lacks something that no report was made of.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        super().__init__(rules, account, next_id)
        self.funding: dict[InstrumentId, Funding] = {}
        self.unsaved = False
        self._settled_ms: dict[InstrumentId, int] = {}

    def observe_mark(self, tick: MarkTick) -> bool:
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

    def on_mark(self, tick: MarkTick, time_ns: int) -> list[Report]:
        """Settle funding that is due, then liquidate a position whose margin is lost."""
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
            reports += self.liquidate(tick.instrument, time_ns)
        return reports

    def _settle_funding(
        self, position: LinearPosition, mark: Decimal, due: Funding, time_ns: int
    ) -> list[Report]:
        """Longs pay shorts where the rate is positive."""
        amount = position.qty * mark * exact(due.rate)
        instrument = position.instrument
        self.account.add(instrument.quote, -amount)
        paid = FundingPaid(self.new_id(), instrument, amount, time_ns)
        self.book_funding(paid)
        return [paid, self.balances(instrument, time_ns)]
