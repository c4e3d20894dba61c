"""What traded while no prices arrived, by a venue's public REST: fetched in the background.

An answer comes late and whole, or not at all: a fetch that fails is tried again, then it is a log
line and no event. Trades are exact; where the venue does not remember as many, bars of a minute
stand for the older ones, and a minute is told by its bar or by its trades, never by both.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import structlog
from msgspec import Struct

from engine.model.errors import Retryable
from engine.model.events import MissedPrice, PricesMissed
from engine.model.instrument import InstrumentId
from engine.model.ticks import PriceSource
from engine.ports import Clock
from engine.venues.prices import Written, price

MINUTE_MS = 60_000
NS_PER_MS = 1_000_000

FETCH_SECONDS = 10.0
PAUSES_SECONDS = (0.5, 1.5)
"""Pauses after the first failures: three tries within ``FETCH_SECONDS``."""

MAX_RUNNING = 2
"""A fetch may take twenty requests of up to 20 weights each, of 2,400 a minute that Binance USD-M
allows: they are made one after another, of two instruments at a time."""

MAX_WAITING = 256

log = structlog.get_logger(__name__)


class Missed(Struct, frozen=True):
    """Prices, oldest first; ``complete`` is False when they begin after what was asked for."""

    prices: tuple[MissedPrice, ...]
    complete: bool = True


class MissedSource(Protocol):
    """Asks one venue."""

    async def fetch(self, instrument: InstrumentId, source: PriceSource, since_ms: int) -> Missed:
        """Fetch what was priced since a venue time in ms.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """


def trade(written: Written, time_ms: int) -> MissedPrice:
    """Read a trade.

    Raises:
        Retryable: what is written is no price.
    """
    found = price(written)
    if found is None:
        raise Retryable(f"a trade at {written!r:.40}")
    return MissedPrice(time_ms, time_ms, found, found)


def bar(start_ms: int, high: Written, low: Written) -> MissedPrice:
    """Read a bar of one minute.

    Raises:
        Retryable: what is written is no bar.
    """
    top, bottom = price(high), price(low)
    if top is None or bottom is None or bottom > top:
        raise Retryable(f"a bar from {low!r:.40} to {high!r:.40}")
    return MissedPrice(start_ms, start_ms + MINUTE_MS, bottom, top)


def moment_ms(written: str) -> int:
    """Read a time that is written as text, in ms.

    Raises:
        Retryable: what is written is no time.
    """
    if not written.isdecimal():
        raise Retryable(f"a time of {written!r:.40}")
    return int(written)


def minute_of(time_ms: int) -> int:
    """When the minute of a time began, ms."""
    return time_ms - time_ms % MINUTE_MS


def bars_then_trades(
    bars: Sequence[MissedPrice], trades: Sequence[MissedPrice]
) -> tuple[MissedPrice, ...]:
    """Join bars with trades that begin later; both oldest first.

    The minute of the first trade is told by its bar: of its beginning there are no trades.
    """
    if not trades:
        return tuple(bars)
    cut_ms = minute_of(trades[0].from_ms) + MINUTE_MS
    older = (each for each in bars if each.from_ms < cut_ms)
    return (*older, *(each for each in trades if each.from_ms >= cut_ms))


class _Request(NamedTuple):
    instrument: InstrumentId
    source: PriceSource
    since_ms: int


class Fetches:
    """The fetches of one venue, in the order in which they were asked for."""

    def __init__(
        self,
        source: MissedSource,
        clock: Clock,
        sink: Callable[[PricesMissed], None],
        *,
        fetch_seconds: float = FETCH_SECONDS,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._source = source
        self._clock = clock
        self._sink = sink
        self._fetch_seconds = fetch_seconds
        self._pauses_seconds = pauses_seconds
        self._waiting: asyncio.Queue[_Request] = asyncio.Queue(MAX_WAITING)

    def ask(self, instrument: InstrumentId, source: PriceSource, since_ms: int) -> None:
        """Ask for what was missed; returns at once. While ``run`` does not run, it waits."""
        try:
            self._waiting.put_nowait(_Request(instrument, source, since_ms))
        except asyncio.QueueFull:
            log.warning("gap.not_asked", instrument=str(instrument), reason="too_many_waiting")

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(MAX_RUNNING):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            request = await self._waiting.get()
            missed = await self._answer(request)
            if missed is not None:
                self._tell(request, missed)

    async def _answer(self, request: _Request) -> Missed | None:
        """Ask the venue; None when there is no answer, which is logged."""
        instrument = request.instrument
        try:
            async with asyncio.timeout(self._fetch_seconds):
                return await self._try(request)
        except (Retryable, TimeoutError) as error:
            reason = str(error) or f"not done in {self._fetch_seconds:.3g} s"
            log.warning("gap.fetch_failed", instrument=str(instrument), reason=reason)
        except Exception:
            # What was missed is told later or never: it must not end the streams that guard.
            log.exception("gap.fetch_crashed", instrument=str(instrument))
        return None

    async def _try(self, request: _Request) -> Missed:
        for pause_seconds in self._pauses_seconds:
            try:
                return await self._source.fetch(*request)
            except Retryable as error:
                log.info("gap.fetch_again", instrument=str(request.instrument), reason=str(error))
            await asyncio.sleep(pause_seconds)
        return await self._source.fetch(*request)

    def _tell(self, request: _Request, missed: Missed) -> None:
        instrument, source, since_ms = request
        log.info(
            "gap.fetched",
            instrument=str(instrument),
            source=str(source),
            since_ms=since_ms,
            prices=len(missed.prices),
            complete=missed.complete,
        )
        now_ns = self._clock.now_ns()
        self._sink(PricesMissed(instrument, source, missed.prices, missed.complete, now_ns))
