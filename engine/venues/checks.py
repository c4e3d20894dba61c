"""Checks of prices by REST: asked in the background, bounded, and answered by events.

The guard asks when it does not believe a price of the stream, and decides after 2 s: an answer that
would come later is not waited for. A check that cannot be made or had is a log line and no event.

Where many instruments of a market are asked about at once, as in an outage, they share one request
for all symbols (DESIGN.md 2.8).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from engine.model.errors import Retryable
from engine.model.events import PricesChecked
from engine.model.instrument import InstrumentId, Market
from engine.ports import Clock
from engine.venues.prices import NO_PRICES, NS_PER_SECOND, Prices, PriceSource

CHECK_SECONDS = 1.5
MAX_RUNNING = 8
MAX_WAITING = 32

MAX_A_MINUTE = 200
"""A check of its own weighs at most 4 on Binance USD-M, which allows 2,400 a minute: a third."""

MANY = 3
"""So many instruments of a market in ``CROWD_NS`` are asked about one by one, more together."""

CROWD_NS = 1_500_000_000
TOGETHER_SECONDS = 0.8
"""Time between two requests for all symbols: of 17 on USD-M, at most 1,275 a minute."""

NS_PER_MINUTE = 60 * NS_PER_SECOND

log = structlog.get_logger(__name__)


class _Check(NamedTuple):
    instrument: InstrumentId
    asked_ns: int


class _Crowd:
    """Instruments of a market that share the next request for all symbols."""

    def __init__(self) -> None:
        self._wanted: list[InstrumentId] = []
        self._some = asyncio.Event()

    def ask(self, instrument: InstrumentId) -> None:
        self._wanted.append(instrument)
        self._some.set()

    async def take(self) -> list[InstrumentId]:
        """Wait for some and take all that are there."""
        await self._some.wait()
        self._some.clear()
        wanted, self._wanted = self._wanted, []
        return wanted


class Checks:
    """The checks of one venue. At most one an instrument is under way."""

    def __init__(
        self,
        source: PriceSource,
        clock: Clock,
        sink: Callable[[PricesChecked], None],
        *,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._source = source
        self._clock = clock
        self._sink = sink
        self._check_seconds = check_seconds
        self._waiting: asyncio.Queue[_Check] = asyncio.Queue(MAX_WAITING)
        self._under_way: set[InstrumentId] = set()
        self._asked_ns: deque[int] = deque(maxlen=MAX_A_MINUTE)
        self._recent: dict[Market, dict[InstrumentId, int]] = {market: {} for market in Market}
        self._crowds: dict[Market, _Crowd] = {market: _Crowd() for market in Market}

    def ask(self, instrument: InstrumentId) -> None:
        """Ask what an instrument costs; returns at once. While ``run`` does not run, it waits."""
        if instrument in self._under_way:
            return
        now_ns = self._clock.monotonic_ns()
        if self._is_crowded(instrument, now_ns):
            self._under_way.add(instrument)
            self._crowds[instrument.market].ask(instrument)
            return
        refusal = self._refusal(now_ns)
        if refusal:
            log.warning("prices.not_asked", instrument=str(instrument), reason=refusal)
            return
        self._asked_ns.append(now_ns)
        self._under_way.add(instrument)
        self._waiting.put_nowait(_Check(instrument, now_ns))

    def _is_crowded(self, instrument: InstrumentId, now_ns: int) -> bool:
        recent = self._recent[instrument.market]
        recent.pop(instrument, None)
        recent[instrument] = now_ns
        while recent[oldest := next(iter(recent))] <= now_ns - CROWD_NS:
            del recent[oldest]
        return len(recent) > MANY

    def _refusal(self, now_ns: int) -> str:
        if self._waiting.full():
            return "too_many_waiting"
        asked = self._asked_ns
        if len(asked) == MAX_A_MINUTE and now_ns - asked[0] < NS_PER_MINUTE:
            return "too_many_a_minute"
        return ""

    async def run(self) -> None:
        """Make the checks until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(MAX_RUNNING):
                group.create_task(self._work())
            for market, crowd in self._crowds.items():
                group.create_task(self._work_together(market, crowd))

    async def _work_together(self, market: Market, crowd: "_Crowd") -> None:
        while True:
            wanted = await crowd.take()
            try:
                found = await self._answer_all(market)
            finally:
                self._under_way.difference_update(wanted)
            for instrument in wanted:
                prices = found.get(instrument.symbol, NO_PRICES)
                if prices != NO_PRICES:
                    self._tell(instrument, prices)
            await asyncio.sleep(TOGETHER_SECONDS)

    async def _answer_all(self, market: Market) -> Mapping[str, Prices]:
        """Ask the venue of all symbols; nothing when there is no answer, which is logged."""
        try:
            return await self._source.ask_all(market, self._check_seconds)
        except Retryable as error:
            log.warning("prices.check_failed", market=str(market), reason=str(error))
        except Exception:
            log.exception("prices.check_crashed", market=str(market))
        return {}

    async def _work(self) -> None:
        while True:
            check = await self._waiting.get()
            try:
                prices = await self._answer(check)
            finally:
                self._under_way.discard(check.instrument)
            if prices is not None:
                self._tell(check.instrument, prices)

    async def _answer(self, check: _Check) -> Prices | None:
        """Ask the venue; None when there is no answer, which is logged."""
        waited_s = (self._clock.monotonic_ns() - check.asked_ns) / NS_PER_SECOND
        instrument, left_s = check.instrument, self._check_seconds - waited_s
        try:
            if left_s <= 0.0:
                raise Retryable(f"{instrument}: waited {waited_s:.3g} s for its turn")
            prices = await self._source.ask(instrument, left_s)
            if prices == NO_PRICES:
                raise Retryable(f"{instrument}: the answer holds no price")
        except Retryable as error:
            log.warning("prices.check_failed", instrument=str(instrument), reason=str(error))
            return None
        except Exception:
            # A check is only evidence: what fails in it must not end the streams that guard.
            log.exception("prices.check_crashed", instrument=str(instrument))
            return None
        return prices

    def _tell(self, instrument: InstrumentId, prices: Prices) -> None:
        log.info(
            "prices.checked",
            instrument=str(instrument),
            last=prices.last,
            bid=prices.bid,
            ask=prices.ask,
            mark=prices.mark,
        )
        self._sink(
            PricesChecked(
                instrument,
                self._clock.now_ns(),
                self._clock.monotonic_ns(),
                prices.last,
                prices.bid,
                prices.ask,
                prices.mark,
            )
        )
