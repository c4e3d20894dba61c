"""Plays recorded tracks into the market, over and over.

Frames go out as recorded but for ids and times. Times are moved to now (relative distances divided
by ``speed``), ids go on rising from loop to loop. The step between a recording's last and first
price is sent as it is: it belongs to playing in a loop.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.simulator.market import InstrumentState, MarketPlace, unpin
from engine.simulator.market_events import MarketEvent, Origin, Ticker
from engine.simulator.market_pace import Pace
from engine.simulator.market_sequences import Sequences
from engine.simulator.recordings import Channel, Cue, Track

BREATH = 50
"""Cues played in a row, when behind, before other tasks get a turn."""


class Stamp(Struct):
    """Where a player stands: what recorded ids and times become."""

    instrument: InstrumentId
    sequences: Sequences
    pace: Pace
    track_start_ms: int
    loop: int = 0
    loop_start_s: float = 0.0
    now_ms: int = 0

    def ms(self, channel: str, recorded_ms: int) -> int:
        """Return the venue time that stands for a recorded one; it never falls in a channel."""
        source_s = self.loop_start_s + (recorded_ms - self.track_start_ms) / 1000
        return self.sequences.rising_ms(channel, self.pace.venue_ms(source_s))


Reader = Callable[[Cue, Stamp], MarketEvent]


class Player:
    """Plays one instrument's track; while a script owns the price, it goes on unheard."""

    def __init__(self, market: MarketPlace, pace: Pace, track: Track, read: Reader) -> None:
        self._market = market
        self._pace = pace
        self._track = track
        self._read = read
        self._state = market.state(track.instrument)
        self._state.tickers_recorded = track.has(Channel.TICKER)
        self._state.marks_recorded = track.has(Channel.MARK)
        self._newest: dict[Channel, Cue] = {}
        self._ticker: dict[str, str] = {}
        self._stamp = Stamp(track.instrument, self._state.sequences, pace, track.start_ms)

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            await self._play_once()
            self._stamp.loop += 1
            self._stamp.loop_start_s += self._track.period_s
            self._state.sequences.cut()

    def release(self, state: InstrumentState) -> None:
        """Be heard again: first what became of the ticker, the touch and the mark meanwhile."""
        ids = state.sequences
        ids.cut()
        unpin(state)
        if self._ticker:
            now_ms = ids.rising_ms("tickers", self._market.time.now_ms())
            fields, seq = dict(self._ticker), ids.shared.fresh()
            self._market.publish(
                Ticker(state.listing.id, Origin.RECORDED, fields, True, seq, now_ms)
            )
        for channel in (Channel.QUOTE, Channel.MARK):
            cue = self._newest.get(channel)
            if cue is not None:
                self._market.publish(self._read(cue, self._stamp))

    async def _play_once(self) -> None:
        stamp = self._stamp
        for number, cue in enumerate(self._track.cues):
            due_s = stamp.loop_start_s + cue.at_s
            if due_s > self._pace.elapsed_s():
                await self._pace.until(due_s)
            elif number % BREATH == 0:
                await asyncio.sleep(0)
            stamp.now_ms = self._pace.venue_ms(due_s)
            self._play(cue)

    def _play(self, cue: Cue) -> None:
        self._newest[cue.channel] = cue
        silent = self._state.scripted
        if silent and cue.channel is not Channel.TICKER:
            return
        event = self._read(cue, self._stamp)
        if isinstance(event, Ticker):
            self._ticker |= event.fields
        if not silent:
            self._market.publish(event)
