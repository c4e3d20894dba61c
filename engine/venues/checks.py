"""Checks of prices by REST: asked in the background, bounded, and answered by events.

The guard asks when it does not believe a price of the stream, and decides after 2 s: an answer that
would come later is not waited for. A check that cannot be made or had is a log line and no event.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import structlog

from engine.model.errors import Retryable
from engine.model.events import PricesChecked
from engine.model.instrument import InstrumentId
from engine.ports import Clock
from engine.venues.prices import NO_PRICES, NS_PER_SECOND, Prices, PriceSource

CHECK_SECONDS = 1.5
MAX_RUNNING = 8
MAX_WAITING = 32

MAX_A_MINUTE = 200
"""A check weighs at most 4 on Binance USD-M, which allows 2,400 a minute: at most a third of it."""

NS_PER_MINUTE = 60 * NS_PER_SECOND

log = structlog.get_logger(__name__)


class _Check(NamedTuple):
    instrument: InstrumentId
    asked_ns: int


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

    def ask(self, instrument: InstrumentId) -> None:
        """Ask what an instrument costs; returns at once. While ``run`` does not run, it waits."""
        if instrument in self._under_way:
            return
        now_ns = self._clock.monotonic_ns()
        refusal = self._refusal(now_ns)
        if refusal:
            log.warning("prices.not_asked", instrument=str(instrument), reason=refusal)
            return
        self._asked_ns.append(now_ns)
        self._under_way.add(instrument)
        self._waiting.put_nowait(_Check(instrument, now_ns))

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
