"""A venue's account whose answers a test scripts, and a broker over it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from engine.clock import SystemClock
from engine.model.events import AccountReported, OrderLookedUp, OrderUpdated, VenuePosition
from engine.model.instrument import Instrument, Market
from engine.model.order import Order, OrderStatus
from engine.ports import BrokerEvent
from engine.venues.account import AccountFacts, Outcome, RequestFailed, Sent, Verdict
from engine.venues.broker import BrokerTimings, VenueBroker
from engine.venues.key_watch import WatchTimings

GOOD_KEY = AccountFacts(
    offset_ms=0.0,
    round_trip_ms=1.0,
    may_trade=tuple(Market),
    may_withdraw=False,
    may_transfer=False,
    bound_to_ip=True,
)
QUICK = BrokerTimings(
    open_seconds=0.2,
    order_seconds=0.2,
    prepare_seconds=0.2,
    look_up_seconds=0.2,
    read_seconds=0.2,
    refresh_seconds=0.2,
    backoff_seconds=0.01,
    max_backoff_seconds=0.02,
    drain_seconds=0.2,
    close_seconds=0.1,
    watch=WatchTimings(
        answer_seconds=0.2, examine_seconds=5.0, retry_seconds=0.02, max_retry_seconds=0.05
    ),
)
HANG = "hang"
Script = list[Any]
"""What each request of a kind does, in turn: raises an error, hangs, waits for an event, or
returns a value; the last one for ever."""


def failed(outcome: Outcome, message: str = "no", **fields: Any) -> RequestFailed:
    return RequestFailed(Verdict(outcome, **fields), message, "4711")


class ScriptedAccount:
    """``ExaminedAccount`` of a test.

    Attributes:
        calls: (request, what it was about), in order.
        scripts: by request; without one it succeeds.
    """

    venue = "bybit"

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.scripts: dict[str, Script] = {}
        self.held: list[VenuePosition] = []
        self.sink: Callable[[BrokerEvent], None] | None = None
        self.before_sending: Callable[[], Awaitable[None]] | None = None
        self.silent_sending = False
        self.closed = 0

    def made(self, request: str) -> list[Any]:
        return [about for made, about in self.calls if made == request]

    async def _play(self, request: str, about: Any, usual: Any) -> Any:
        self.calls.append((request, about))
        script = self.scripts.get(request, [])
        step = usual if not script else script.pop(0) if len(script) > 1 else script[0]
        if step == HANG:
            await asyncio.Event().wait()
        if isinstance(step, asyncio.Event):
            await step.wait()
            return usual
        if isinstance(step, Exception):
            raise step
        return step

    async def open(self) -> None:
        await self._play("open", None, None)

    async def close(self) -> None:
        self.closed += 1
        await self._play("close", None, None)

    async def prepare(self, instrument: Instrument, *, is_alone: bool) -> None:
        await self._play("prepare", (instrument.id, is_alone), None)

    def begin(self, order: Order, sent: Sent) -> None:
        """Nothing is sent within a call."""

    async def place(self, order: Order, sent: Sent) -> Sequence[BrokerEvent]:
        if self.before_sending is not None:
            await self.before_sending()
        if not self.silent_sending:
            sent(77)
        key = order.client_order_id
        done = [OrderUpdated(key, OrderStatus.ACKNOWLEDGED, 1)]
        events: Sequence[BrokerEvent] = await self._play("place", key, done)
        return events

    async def cancel(self, order: Order) -> Sequence[BrokerEvent]:
        key = order.client_order_id
        done = [OrderUpdated(key, OrderStatus.CANCELLED, 1)]
        events: Sequence[BrokerEvent] = await self._play("cancel", key, done)
        return events

    async def find(self, order: Order) -> BrokerEvent:
        key = order.client_order_id
        event: BrokerEvent = await self._play("find", key, OrderLookedUp(key, 1, found=False))
        return event

    async def read(self, instruments: Sequence[Instrument]) -> Sequence[BrokerEvent]:
        symbols = tuple(each.id.symbol for each in instruments)
        events: Sequence[BrokerEvent] = await self._play("read", symbols, [report()])
        return events

    async def filters(self, instrument: Instrument) -> Instrument:
        fresh: Instrument = await self._play("filters", instrument.id, instrument)
        return fresh

    async def examine(self) -> AccountFacts:
        facts: AccountFacts = await self._play("examine", None, GOOD_KEY)
        return facts

    def positions(self) -> Sequence[VenuePosition]:
        return self.held

    async def run(self, sink: Callable[[BrokerEvent], None]) -> None:
        self.sink = sink
        await self._play("run", None, None)
        await asyncio.Event().wait()


def report() -> AccountReported:
    return AccountReported("bybit", (), (), 1, 1)


class Told(list[BrokerEvent]):
    """What the broker told; ``refuse`` makes the core fail."""

    refuse: Exception | None = None

    def __call__(self, event: BrokerEvent) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


def broker(account: ScriptedAccount, told: Told, **options: Any) -> VenueBroker:
    given = {"timings": QUICK} | options
    return VenueBroker(account, SystemClock(), told, **given)


@contextlib.asynccontextmanager
async def running(made: VenueBroker) -> AsyncIterator["asyncio.Task[None]"]:
    """The broker at work, and ended as ``api.main`` ends it."""
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.drain()
        await made.close()
