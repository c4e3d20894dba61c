"""What the guardian keeps of the venues' accounts between two reports."""

from dataclasses import dataclass, field
from decimal import Decimal

from engine.model.events import VenuePosition
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill

Holding = tuple[str, str]
"""What a report has one figure of: (venue, asset) on spot, (venue, instrument) on linear."""

SETTLING_NS = 1_000_000_000
"""What was executed may be missing from an account read so shortly after, and our own note of when
that was is the clock's last event: UTC, which other events bring, may jump."""


@dataclass(slots=True)
class Accounts:
    """Reports to come, and what the past ones left open.

    Attributes:
        read_ns: per venue, elapsed time of the last request.
        unsettled: venues of which the last report did not settle everything.
        wanted: venues that are to be read though nothing is open there.
        moved_ns: local monotonic time at which an order of ours ended, or a foreign one was told.
        based: instruments of which a report told what is held besides ours.
        unsure: instruments whose foreign executions wait for a report: it cannot be told yet
            whether they took from ours.
        held_back: those executions.
        unclaimed: per instrument, what foreign executions did that is taken neither from ours nor
            from what was known to be held besides; oldest first, all of one side.
        seen: what the last report found that is not ours, where that differs from what we count
            (``others.Figures``).
        differences: how many counted reports in a row held less than our books.
        beyond_liquidation: ids of positions whose stop does not lie before their liquidation.
        rows: per venue, the linear positions of the last report.
        modes: per venue, whether its first report told hedge mode; hedged: venues whose last one
            did; mode_changed: those of which the two differ.
        legs: in hedge mode, base quantity that is held of a leg and not ours.
        glances: instruments watched for an adoption, and until when (elapsed ns).
    """

    read_ns: dict[str, int] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)
    moved_ns: dict[Holding, int] = field(default_factory=dict)
    based: set[InstrumentId] = field(default_factory=set)
    unsure: set[InstrumentId] = field(default_factory=set)
    held_back: dict[InstrumentId, list[Fill]] = field(default_factory=dict)
    unclaimed: dict[InstrumentId, list[Fill]] = field(default_factory=dict)
    seen: dict[InstrumentId, tuple[Decimal, ...]] = field(default_factory=dict)
    differences: dict[InstrumentId, int] = field(default_factory=dict)
    beyond_liquidation: set[str] = field(default_factory=set)
    rows: dict[str, tuple[VenuePosition, ...]] = field(default_factory=dict)
    modes: dict[str, bool] = field(default_factory=dict)
    hedged: set[str] = field(default_factory=set)
    mode_changed: set[str] = field(default_factory=set)
    legs: dict[tuple[InstrumentId, Side], Decimal] = field(default_factory=dict)
    glances: dict[InstrumentId, int] = field(default_factory=dict)

    def note_moved(self, instrument: Instrument, monotonic_ns: int) -> None:
        """Note that what is held may have changed."""
        for holding in holdings(instrument):
            self.moved_ns[holding] = monotonic_ns

    def has_moved(self, instrument: Instrument, since_ns: int) -> bool:
        """Tell whether an account read at ``since_ns``, monotonic, may lack an execution."""
        moved_ns = self.moved_ns.get(holdings(instrument)[0])
        return moved_ns is not None and moved_ns + SETTLING_NS >= since_ns

    def instruments(self) -> set[InstrumentId]:
        """Return the instruments that are compared with reports, or wait for one."""
        return {*self.based, *self.unsure, *self.held_back, *self.seen, *self.differences}

    def forget(self, instrument: InstrumentId) -> None:
        """Compare an instrument no longer, since nothing of ours is open there."""
        self.based.discard(instrument)
        self.unsure.discard(instrument)
        self.held_back.pop(instrument, None)
        self.seen.pop(instrument, None)
        self.differences.pop(instrument, None)


def holdings(instrument: Instrument) -> tuple[Holding, ...]:
    """Return the figures that an order changes; first the one of what its instrument holds."""
    venue = instrument.id.venue
    if instrument.id.market is Market.LINEAR:
        return ((venue, str(instrument.id)),)
    return (venue, instrument.base), (venue, instrument.quote)
