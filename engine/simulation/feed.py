"""The way of prices to a process, and what goes wrong on it.

It does what the feed of a real venue does: tells a loss and a return once, answers by REST while
the stream is silent, and fetches what was missed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.events import (
    FeedLost,
    FeedResumed,
    MissedPrice,
    PricesChecked,
    PricesMissed,
)
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import exact
from engine.model.ticks import MarkTick, PriceSource, QuoteTick, Tick, TradeTick
from engine.simulation.history import Told
from engine.simulation.plan import EPOCH_NS, Fault, Print

if TYPE_CHECKING:
    from engine.simulation.process import Process

STALE_NS = 3 * NS_PER_SECOND
REST_NS = 80 * NS_PER_MS
EPOCH_MS = EPOCH_NS // NS_PER_MS


@dataclass(slots=True)
class _Stream:
    """One watched instrument: when it began, when a price came last, whether it is told lost."""

    instrument: Instrument
    since_ns: int
    heard_ns: int = 0
    is_lost: bool = False
    missed: int = 0
    """Prints that did not arrive since the last one that did."""


class SimulatedFeed:
    """``engine.ports.Feed`` of one process on one venue."""

    def __init__(self, process: "Process", venue: str) -> None:
        self.venue = venue
        self._process = process
        self._world = process.world
        self._streams: dict[InstrumentId, _Stream] = {}
        self._held_back: list[tuple[Instrument, Print]] = []

    async def run(self) -> None:
        """There is nothing to run: the world's clock does it all."""

    def watch(self, instrument: Instrument) -> None:
        """Stream an instrument's prices."""
        self._process.effect("watch")
        if instrument.id not in self._streams:
            self._streams[instrument.id] = _Stream(instrument, self._world.now_ns)
        self._process.effected("watch")

    def unwatch(self, instrument: InstrumentId) -> None:
        """Stop streaming an instrument's prices."""
        self._process.effect("unwatch")
        self._streams.pop(instrument, None)
        self._process.effected("unwatch")

    # The stream

    def on_print(self, instrument: Instrument, new: Print) -> None:
        """The market has made a price."""
        stream = self._streams.get(instrument.id)
        if stream is None:
            return
        fault = self._silencer(instrument)
        if fault is not None:
            stream.missed += 1
            if stream.missed == 1:
                self._world.faults.note(fault)
            if fault.kind == "close_1012":
                self._lose(stream, "closed: 1012")
            return
        lag = self._world.faults.active("lag", self.venue, instrument.id)
        if lag is not None:
            self._hold_back(lag, instrument, new)
            return
        self._pass_on(stream, new)

    def _silencer(self, instrument: Instrument) -> Fault | None:
        for kind in ("mute", "close_1012", "delist"):
            fault = self._world.faults.active(kind, self.venue, instrument.id)
            if fault is not None:
                return fault
        return None

    def _hold_back(self, lag: Fault, instrument: Instrument, new: Print) -> None:
        if not self._held_back:
            self._world.faults.note(lag)
            end_ns = (lag.at_ms + lag.for_ms) * NS_PER_MS
            self._world.after(end_ns - self._world.now_ns, self._let_go)
        self._held_back.append((instrument, new))

    def _let_go(self) -> None:
        held, self._held_back = self._held_back, []
        for instrument, new in held:
            stream = self._streams.get(instrument.id)
            if stream is not None:
                self._pass_on(stream, new)

    def _pass_on(self, stream: _Stream, new: Print) -> None:
        instrument = stream.instrument.id
        spike = self._world.faults.strike("spike", self.venue, instrument)
        if spike is not None:
            bad = float(stream.instrument.floor_price(exact(new.last * spike.amount)))
            self._tick(self._trade(instrument, bad, new.at_ms), is_true=False)
        self._tick(self._trade(instrument, new.last, new.at_ms))
        now_ns, venue_ms = self._process.clock.monotonic_ns(), EPOCH_MS + new.at_ms
        self._tick(QuoteTick(instrument, new.bid, new.ask, 1.0, 1.0, venue_ms, new.at_ms, now_ns))
        if instrument.market is Market.LINEAR:
            self._tick(MarkTick(instrument, new.mark, None, 0, venue_ms, now_ns))
        first = stream.heard_ns == 0
        stream.heard_ns = self._world.now_ns
        stream.missed = 0
        if first or stream.is_lost:
            stream.is_lost = False
            self._process.enter(FeedResumed((instrument,), self._process.clock.now_ns()))

    def _trade(self, instrument: InstrumentId, price: float, at_ms: int) -> TradeTick:
        now_ns = self._process.clock.monotonic_ns()
        return TradeTick(instrument, price, EPOCH_MS + at_ms, at_ms, now_ns)

    def _tick(self, tick: Tick, *, is_true: bool = True) -> None:
        world = self._world
        world.history.told.append(Told(world.now_ns, self._process.number, tick, is_true))
        self._process.tick(tick)

    def check_age(self) -> None:
        """Tell of silent streams; where the market was silent too, they are only quiet."""
        now_ns = self._world.now_ns
        for stream in list(self._streams.values()):
            silent_ns = now_ns - (stream.heard_ns or stream.since_ns)
            if silent_ns >= STALE_NS and (stream.missed or not stream.heard_ns):
                self._lose(stream, "silent" if stream.heard_ns else "no_first_tick")

    def _lose(self, stream: _Stream, cause: str) -> None:
        if not stream.is_lost:
            stream.is_lost = True
            at_ns = self._process.clock.now_ns()
            self._process.enter(FeedLost((stream.instrument.id,), cause, at_ns))

    # REST

    def check(self, instrument: Instrument) -> None:
        """Ask what an instrument costs now."""
        self._process.effect("check")
        self._world.history.calls[f"{self._process.number}.check"] += 1
        if self._world.faults.strike("outage", self.venue) is None:
            self._world.after(REST_NS, self._answer_check, instrument.id)
        self._process.effected("check")

    def _answer_check(self, instrument: InstrumentId) -> None:
        new = self._world.print_of(instrument)
        if instrument not in self._streams or new is None:
            return
        clock = self._process.clock
        mark = new.mark if instrument.market is Market.LINEAR else None
        self._process.enter(
            PricesChecked(
                instrument, clock.now_ns(), clock.monotonic_ns(), new.last, new.bid, new.ask, mark
            )
        )

    def fetch_missed(self, instrument: Instrument, source: PriceSource, since_ms: int) -> None:
        """Ask what traded since a moment."""
        self._process.effect("fetch_missed")
        self._world.history.calls[f"{self._process.number}.fetch_missed"] += 1
        if self._world.faults.strike("outage", self.venue) is None:
            since = since_ms - EPOCH_MS
            self._world.after(2 * REST_NS, self._answer_missed, instrument.id, source, since)
        self._process.effected("fetch_missed")

    def _answer_missed(self, instrument: InstrumentId, source: PriceSource, since: int) -> None:
        if instrument not in self._streams or source is PriceSource.BOOK:
            return
        prints = self._world.prints_since(instrument, since)
        prices = [(p.at_ms, p.mark if source is PriceSource.MARK else p.last) for p in prints]
        missed = tuple(
            MissedPrice(EPOCH_MS + at_ms, EPOCH_MS + at_ms, price, price) for at_ms, price in prices
        )
        at_ns = self._process.clock.now_ns()
        self._process.enter(PricesMissed(instrument, source, missed, True, at_ns))
