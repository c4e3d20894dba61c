"""A venue's live prices: one or two sessions a market behind the port ``Feed``."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.model.events import PricesChecked, PricesMissed
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.ticks import PriceSource as PriceKind
from engine.ports import Clock, FeedSink, TickSink
from engine.venues.channel import Channel, Counters
from engine.venues.checks import Checks
from engine.venues.dialect import Dialect
from engine.venues.liveness import Liveness
from engine.venues.missed import Fetches, MissedSource
from engine.venues.prices import PriceSource
from engine.venues.stream import Session, Timings
from engine.venues.transport import Connector

LOOKS_PER_DEADLINE = 8


class Endpoint(NamedTuple):
    """One kind of connection and the address it is opened at."""

    dialect: Dialect
    url: str


class StreamFeed:
    """Implements ``engine.ports.Feed`` over the sessions of a venue.

    Without ``prices`` and ``missed`` it streams only: ``check`` and ``fetch_missed`` do nothing.

    Attributes:
        counters: frames and ticks dropped, by reason and kind; only ever grows.
    """

    def __init__(
        self,
        venue: str,
        endpoints: Mapping[Market, Sequence[Endpoint]],
        connector: Connector,
        clock: Clock,
        tick_sink: TickSink,
        feed_sink: FeedSink,
        stale_feed_seconds: float,
        *,
        rng: random.Random,
        timings: Timings | None = None,
        prices: PriceSource | None = None,
        missed: MissedSource | None = None,
    ) -> None:
        self.venue = venue
        self.counters = Counters()
        self._tick_sink = tick_sink
        self._feed_sink = feed_sink
        self._checks = Checks(prices, clock, self._tell_checked) if prices is not None else None
        self._fetches = Fetches(missed, clock, self._tell_missed) if missed is not None else None
        ask = self._checks.ask if self._checks is not None else None
        self._liveness = Liveness(clock, feed_sink, stale_feed_seconds, ask)
        self._look_seconds = min(stale_feed_seconds / LOOKS_PER_DEADLINE, 0.5)
        self._watched: dict[InstrumentId, list[Mapping[str, Channel]]] = {}
        self._sessions: dict[Market, list[Session]] = {
            market: [
                Session(
                    dialect,
                    url,
                    connector,
                    clock,
                    self._liveness,
                    self.counters,
                    rng,
                    timings or Timings(),
                )
                for dialect, url in kinds
            ]
            for market, kinds in endpoints.items()
        }

    def watch(self, instrument: Instrument) -> None:
        """Stream an instrument's prices from now on; returns at once, repeated calls are free."""
        if instrument.id in self._watched:
            return
        sessions = self._sessions[instrument.id.market]
        channels = [
            session.dialect.channels(instrument.id, self._tick_sink, self.counters)
            for session in sessions
        ]
        self._watched[instrument.id] = channels
        self._liveness.add(instrument.id, [list(each.values()) for each in channels])
        for session, each in zip(sessions, channels, strict=True):
            session.watch(each)

    def unwatch(self, instrument: InstrumentId) -> None:
        """Stop streaming an instrument's prices; returns at once."""
        channels = self._watched.pop(instrument, None)
        if channels is None:
            return
        self._liveness.remove(instrument)
        for session, each in zip(self._sessions[instrument.market], channels, strict=True):
            session.unwatch(each)

    def check(self, instrument: Instrument) -> None:
        """Ask by REST what a watched instrument costs now; returns at once.

        Answered by ``PricesChecked`` within ``CHECK_SECONDS`` while ``run`` runs; when the venue
        does not answer, by a log line.
        """
        if self._checks is not None and instrument.id in self._watched:
            self._checks.ask(instrument.id)

    def fetch_missed(self, instrument: Instrument, source: PriceKind, since_ms: int) -> None:
        """Ask by REST what a watched instrument was priced at since a venue time in ms.

        Returns at once. Answered by ``PricesMissed`` while ``run`` runs; when the venue does not
        answer, by a log line.
        """
        if self._fetches is not None and instrument.id in self._watched:
            self._fetches.ask(instrument.id, source, since_ms)

    def _tell_missed(self, event: PricesMissed) -> None:
        if event.instrument in self._watched:  # it may have been given up meanwhile
            self._feed_sink(event)

    def _tell_checked(self, event: PricesChecked) -> None:
        if event.instrument in self._watched:  # it may have been given up meanwhile
            self._liveness.note_checked(event)
            self._feed_sink(event)

    def is_live(self, instrument: InstrumentId) -> bool:
        """Tell whether an instrument's prices arrive (False while unwatched, awaited or stale)."""
        return self._liveness.is_live(instrument)

    def age_seconds(self, instrument: InstrumentId) -> float | None:
        """Local time since an instrument's venue time or sequence last rose; None before that."""
        return self._liveness.age_seconds(instrument)

    async def run(self) -> None:
        """Keep the streams alive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for sessions in self._sessions.values():
                for session in sessions:
                    group.create_task(session.run())
            group.create_task(self._watch_liveness())
            if self._checks is not None:
                group.create_task(self._checks.run())
            if self._fetches is not None:
                group.create_task(self._fetches.run())

    async def _watch_liveness(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            self._liveness.check()
