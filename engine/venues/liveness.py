"""Which instruments' prices arrive, and the events that say so: one loss, one return.

An instrument is *live* while all its connections are up, each of its periodic channels advances,
and at least one of its channels advances. Age is local monotonic time since the venue's own time or
sequence last rose; what the venue's clock says is never compared with ours.

An instrument whose channels are all silent, none of them a periodic one, may be quiet: nobody
trades. The venue is asked by REST, and as long as its last trade and its touch are those that we
know, nothing is missing (DESIGN.md 2.8).
"""

from collections.abc import Callable, Iterable, Sequence

import structlog

from engine.model.events import FeedLost, FeedResumed, PricesChecked
from engine.model.instrument import InstrumentId
from engine.model.ticks import QuoteTick, TradeTick
from engine.ports import Clock, FeedSink
from engine.venues.channel import Channel

NS_PER_SECOND = 1_000_000_000

ASKING_NS = 2 * NS_PER_SECOND
"""How long the venue has to say that a silent instrument is quiet."""

log = structlog.get_logger(__name__)


class _Entry:
    """What is known of one instrument.

    Attributes:
        awaited: groups of channels with a moment; each group owes a rise after its moment before
            the instrument counts as live. Empty while live.
        since_ns: when the instrument last began to be awaited, or to be live.
        asked_ns: when the venue was asked whether its silence is quiet; 0 when it is not asked.
        lost: FeedLost was told and FeedResumed was not.
    """

    __slots__ = ("asked_ns", "awaited", "channels", "lost", "since_ns")

    def __init__(self) -> None:
        self.asked_ns = 0
        self.channels: tuple[Channel, ...] = ()
        self.awaited: list[tuple[tuple[Channel, ...], int]] = []
        self.since_ns = 0
        self.lost = False

    def wait_for(self, channels: tuple[Channel, ...], now_ns: int) -> None:
        if not self.awaited:
            self.since_ns = now_ns
        self.awaited = [(group, at) for group, at in self.awaited if group != channels]
        self.awaited.append((channels, now_ns))

    def settle(self) -> bool:
        """Forget the groups that have risen; returns whether nothing is awaited any more."""
        self.awaited = [
            (group, at)
            for group, at in self.awaited
            if not any(channel.advanced_ns > at for channel in group)
        ]
        return not self.awaited


class Liveness:
    """The instruments of one venue. ``stale_feed_seconds`` is the age at which prices are stale.

    ``ask`` has the venue asked by REST what an instrument costs, answered by ``note_checked``;
    without it all silence is a loss.

    Attributes:
        waiting: how many instruments are not live; a session settles ticks only while it is not 0.
        asking_ns: how long after silence begins it is known at the latest whether it is quiet.
    """

    def __init__(
        self,
        clock: Clock,
        sink: FeedSink,
        stale_feed_seconds: float,
        ask: Callable[[InstrumentId], None] | None = None,
    ) -> None:
        self.waiting = 0
        self.asking_ns = 0 if ask is None else ASKING_NS + NS_PER_SECOND
        self._ask = ask
        self.stale_ns = round(stale_feed_seconds * NS_PER_SECOND)
        self._clock = clock
        self._sink = sink
        self._entries: dict[InstrumentId, _Entry] = {}

    def add(self, instrument: InstrumentId, groups: Iterable[Sequence[Channel]]) -> None:
        """Await an instrument's first fresh tick, of each connection's group of channels."""
        now_ns = self._clock.monotonic_ns()
        entry = self._entries[instrument] = _Entry()
        for group in groups:
            entry.channels += tuple(group)
            entry.wait_for(tuple(group), now_ns)
        self.waiting += 1

    def remove(self, instrument: InstrumentId) -> None:
        """Forget an instrument; nothing more is told of it."""
        entry = self._entries.pop(instrument, None)
        if entry is not None and entry.awaited:
            self.waiting -= 1

    def is_live(self, instrument: InstrumentId) -> bool:
        """Tell whether prices of an instrument arrive."""
        entry = self._entries.get(instrument)
        return entry is not None and not entry.awaited

    def age_seconds(self, instrument: InstrumentId) -> float | None:
        """Local time since any of the instrument's channels last advanced; None before that."""
        entry = self._entries.get(instrument)
        newest_ns = max((c.advanced_ns for c in entry.channels), default=0) if entry else 0
        return (self._clock.monotonic_ns() - newest_ns) / NS_PER_SECOND if newest_ns else None

    def lose(self, channels: Sequence[Channel], cause: str) -> None:
        """A connection went down: its channels owe a fresh tick each instrument again."""
        now_ns = self._clock.monotonic_ns()
        groups: dict[InstrumentId, list[Channel]] = {}
        for channel in channels:
            groups.setdefault(channel.instrument, []).append(channel)
        for instrument, group in groups.items():
            self._await(instrument, tuple(group), now_ns)
        self._tell_lost(list(groups), cause)

    def settle(self, channel: Channel) -> None:
        """After a tick: tell of the return of its instrument if that was all it owed."""
        entry = self._entries.get(channel.instrument)
        if entry is None or not entry.awaited or not entry.settle():
            return
        self.waiting -= 1
        entry.lost = False
        entry.asked_ns = 0
        entry.since_ns = self._clock.monotonic_ns()
        log.info("feed.resumed", instrument=str(channel.instrument))
        self._sink(FeedResumed((channel.instrument,), self._clock.now_ns()))

    def check(self) -> None:
        """Look for instruments gone stale since the last look; called a few times a second."""
        now_ns = self._clock.monotonic_ns()
        silent: list[InstrumentId] = []
        unheard: list[InstrumentId] = []
        for instrument, entry in self._entries.items():
            if entry.awaited:
                if not entry.lost and now_ns - entry.since_ns > self.stale_ns:
                    unheard.append(instrument)
            elif self._find_silent(instrument, entry, now_ns):
                silent.append(instrument)
        self._tell_lost(silent, "silent")
        self._tell_lost(unheard, "no_first_tick")

    def _find_silent(self, instrument: InstrumentId, entry: _Entry, now_ns: int) -> bool:
        deadline_ns = now_ns - self.stale_ns
        # A channel that has not spoken yet gets its full time from the return of the others.
        if entry.since_ns >= deadline_ns:
            return False
        late = tuple(c for c in entry.channels if c.advanced_ns < deadline_ns)
        periodic = [channel for channel in late if channel.periodic]
        if len(late) < len(entry.channels):
            entry.asked_ns = 0
        elif periodic or not self._may_be_quiet(instrument, entry, now_ns):
            self._await(instrument, late, now_ns)
        for channel in periodic:
            self._await(instrument, (channel,), now_ns)
        return bool(entry.awaited)

    def _may_be_quiet(self, instrument: InstrumentId, entry: _Entry, now_ns: int) -> bool:
        """Tell whether a silence is explained, or the venue may still explain it."""
        if max(channel.quiet_ns for channel in entry.channels) >= now_ns - self.stale_ns:
            return True
        if self._ask is None:
            return False
        if not entry.asked_ns:
            entry.asked_ns = now_ns
            self._ask(instrument)
        return now_ns - entry.asked_ns < ASKING_NS

    def note_checked(self, event: PricesChecked) -> None:
        """Take what the venue says by REST of an instrument that may be quiet."""
        entry = self._entries.get(event.instrument)
        if entry is None or entry.awaited or not entry.asked_ns:
            return
        asked_ns, entry.asked_ns = entry.asked_ns, 0
        if any(channel.advanced_ns > asked_ns for channel in entry.channels):
            return
        now_ns = self._clock.monotonic_ns()
        if _are_known(entry.channels, event):
            log.info("feed.quiet", instrument=str(event.instrument))
            for channel in entry.channels:
                channel.quiet_ns = now_ns
        else:
            self._await(event.instrument, entry.channels, now_ns)
            self._tell_lost([event.instrument], "silent")

    def _await(self, instrument: InstrumentId, group: tuple[Channel, ...], now_ns: int) -> None:
        entry = self._entries.get(instrument)
        if entry is None:
            return
        if not entry.awaited:
            self.waiting += 1
        entry.wait_for(group, now_ns)

    def _tell_lost(self, instruments: list[InstrumentId], cause: str) -> None:
        fresh = [i for i in instruments if i in self._entries and not self._entries[i].lost]
        if not fresh:
            return
        for instrument in fresh:
            self._entries[instrument].lost = True
        log.warning("feed.lost", cause=cause, instruments=[str(i) for i in fresh])
        self._sink(FeedLost(tuple(fresh), cause, self._clock.now_ns()))


def _are_known(channels: Iterable[Channel], event: PricesChecked) -> bool:
    """Tell whether the touch of an answer is ours, and its last trade, if we have seen one."""
    ticks = [channel.tick for channel in channels if channel.tick is not None]
    trades = [tick.price for tick in ticks if isinstance(tick, TradeTick)]
    quotes = [(tick.bid, tick.ask) for tick in ticks if isinstance(tick, QuoteTick)]
    return quotes == [(event.bid, event.ask)] and trades in ([], [event.last])
