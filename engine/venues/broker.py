"""The broker over a venue's account: orders and readings as tasks, answers as events.

Every request is a task of its own with a deadline, so that one that hangs holds up nothing. What an
adapter raises ends here: the core learns where an order stands, and an order whose request ended
otherwise than by the venue's word is unknown and will be looked up. Nothing is sent twice, and
nothing any more once the service stops.
"""

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog
from msgspec import Struct

from engine.clock import NS_PER_SECOND
from engine.model.events import (
    AccountResumed,
    InstrumentRefreshed,
    OrderDeferred,
    OrderSent,
    OrderUpdated,
    TradingResumed,
    TradingStopped,
    VenuePosition,
)
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order, OrderStatus, Refusal
from engine.ports import BrokerEvent, BrokerSink, Clock
from engine.venues.account import ExaminedAccount, Outcome, RequestFailed, Sent, Verdict
from engine.venues.key_watch import KeyWatch, WatchTimings
from engine.venues.preparing import Preparing
from engine.venues.request_guard import Failures, Guard
from engine.venues.request_tasks import Errand, RequestTasks
from engine.venues.standing import Cause, Standing

log = structlog.get_logger(__name__)

_Placing = Coroutine[Any, Any, Sequence[BrokerEvent]]


class BrokerTimings(Struct, frozen=True):
    """Deadlines and pauses, in seconds.

    Attributes:
        order_seconds: of placing or cancelling; past it an order is unknown.
        drain_seconds: how long an orderly stop waits for orders that were sent.
    """

    open_seconds: float = 30.0
    order_seconds: float = 15.0
    prepare_seconds: float = 10.0
    look_up_seconds: float = 20.0
    read_seconds: float = 60.0
    refresh_seconds: float = 20.0
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 5.0
    drain_seconds: float = 2.0
    close_seconds: float = 1.0
    watch: WatchTimings = WatchTimings()


class VenueBroker:
    """Orders and account of one venue, behind the broker port.

    Args:
        risky_allowed: the owner wants keys that may withdraw or transfer.
        fee_rates: taker fees that sizes are computed with, as fractions.
        on_refreshed: is given the filters of an instrument that were read again.

    Attributes:
        is_read: what the account holds was told at least once.
    """

    def __init__(
        self,
        account: ExaminedAccount,
        clock: Clock,
        sink: BrokerSink,
        *,
        risky_allowed: bool = False,
        fee_rates: Mapping[Market, Decimal] | None = None,
        on_refreshed: Callable[[Instrument], None] | None = None,
        rng: random.Random | None = None,
        timings: BrokerTimings | None = None,
    ) -> None:
        self.venue = account.venue
        self._account = account
        self._clock = clock
        self._sink = sink
        self._on_refreshed = on_refreshed
        self._rng = rng or random.SystemRandom()
        self._timings = timings or BrokerTimings()
        self._standing = Standing(
            self.venue, clock, self._tell, risky_allowed=risky_allowed, fee_rates=fee_rates or {}
        )
        self._failures = Failures(self.venue, clock)
        self._watch = KeyWatch(
            account,
            self._standing,
            clock,
            functools.partial(self._guard, "examine"),
            self._timings.watch,
        )
        self._tasks = RequestTasks(self.venue)
        self._looking: set[str] = set()
        self._refreshing: set[InstrumentId] = set()
        self._reading = False
        self._to_read: dict[InstrumentId, Instrument] | None = None
        self.is_read = False
        self._opened = asyncio.Event()
        self._preparing = Preparing(account)
        self._defect: Exception | None = None
        self._defective = asyncio.Event()

    # The broker port

    def submit(self, order: Order) -> None:
        """Hand over an order at once, without waiting; before ``run`` it waits for it."""
        errand = Errand()
        begun = self._begin(order, errand) if order.purpose is Purpose.EXIT else None
        work = self._place(order, errand, begun)
        self._tasks.start(work, f"place.{order.client_order_id}", errand)

    def cancel(self, order: Order) -> None:
        """Have a resting order cancelled."""
        errand = Errand()
        self._tasks.start(self._cancel(order, errand), f"cancel.{order.client_order_id}", errand)

    def look_up(self, order: Order) -> None:
        """Ask where an order stands; while that is being asked, nothing."""
        if order.client_order_id not in self._looking:
            self._looking.add(order.client_order_id)
            self._tasks.start(self._look_up(order), f"look_up.{order.client_order_id}")

    def read_account(self, instruments: Sequence[Instrument]) -> None:
        """Read the account; asked for while it is read, it is read once more after that."""
        self._to_read = (self._to_read or {}) | {each.id: each for each in instruments}
        if not self._reading:
            self._reading = True
            self._tasks.start(self._read(), "read")

    def refresh(self, instrument: Instrument) -> None:
        """Read an instrument's filters again; while they are read, nothing."""
        if instrument.id not in self._refreshing:
            self._refreshing.add(instrument.id)
            self._tasks.start(self._refresh(instrument), f"refresh.{instrument.id}")

    def positions(self) -> Sequence[VenuePosition]:
        """The venue's positions as last read or streamed."""
        return self._account.positions()

    async def run(self) -> None:
        """Keep the account up to date until cancelled, and carry requests out.

        Raises:
            ExceptionGroup: what is told is not taken any more.
        """
        await self._tasks.run(self._keep())

    async def drain(self) -> None:
        """Wait a bounded time for answers to orders that were sent, after ``run`` ended.

        What is not answered then stays in flight, as if the process had been killed: the next start
        asks what became of it.
        """
        await self._tasks.drain(self._timings.drain_seconds)

    async def close(self) -> None:
        """Give the account's connections back; safe at any time."""
        self._tasks.stop()
        with self._guard("close"):
            async with asyncio.timeout(self._timings.close_seconds):
                await self._account.close()

    def _tell(self, event: BrokerEvent) -> None:
        try:
            self._sink(event)
        except Exception as error:
            # Wherever the adapter told it from: this has to end the process, not a request.
            self._defect = self._defect or error
            self._defective.set()
            raise

    def _is_ours(self) -> bool:
        return self._defect is not None

    def _guard(self, request: str, cause: Cause | None = None) -> Guard:
        return Guard(self.venue, request, self._standing, cause, self._failures, self._is_ours)

    # The account, kept alive

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end_by_defect())
            await self._open()
            group.create_task(self._watch.run())
            group.create_task(self._follow())

    async def _end_by_defect(self) -> None:
        await self._defective.wait()
        if self._defect is not None:
            raise self._defect

    async def _open(self) -> None:
        failures = 0
        while True:
            guard = self._guard("open", Cause.ACCOUNT)
            with guard:
                async with asyncio.timeout(self._timings.open_seconds):
                    await self._account.open()
                log.info("venue.account_open", venue=self.venue)
                self._opened.set()
                return
            failures += 1
            await self._pause(failures, guard.wait_ns)

    async def _follow(self) -> None:
        failures = 0
        while True:
            guard = self._guard("run", Cause.ACCOUNT)
            with guard:
                # In a task of its own: in Python 3.11 a group that ends by an error leaves a
                # cancellation counted in its task.
                await asyncio.create_task(self._account.run(self._hear))
            failures += 1
            await self._pause(failures, guard.wait_ns)

    def _hear(self, event: BrokerEvent) -> None:
        """Take what the account tells by itself."""
        match event:
            case TradingStopped(message=message):
                self._standing.stop(Cause.ACCOUNT, message)
            case TradingResumed():
                self._standing.clear(Cause.ACCOUNT)
            case AccountResumed():
                self._standing.clear(Cause.ACCOUNT)
                self._tell(event)
            case _:
                self._tell(event)

    async def _pause(self, failures: int, wait_ns: int) -> None:
        longest_s = min(
            self._timings.backoff_seconds * 2.0 ** min(failures - 1, 16),
            self._timings.max_backoff_seconds,
        )
        jittered_s = longest_s * (0.1 + 0.9 * self._rng.random())
        await asyncio.sleep(max(jittered_s, wait_ns / NS_PER_SECOND))

    # Orders

    def _begin(self, order: Order, errand: Errand) -> _Placing | None:
        """Send a close before anything else is done, where its account can."""
        if not self._tasks.is_running:
            return None
        return self._account.begin(order, self._noting(order, errand))

    def _noting(self, order: Order, errand: Errand) -> Sent:
        def note_sent(monotonic_ns: int) -> None:
            if not errand.is_sent:
                errand.is_sent = True
                self._tell(OrderSent(order.client_order_id, self._clock.now_ns(), monotonic_ns))

        return note_sent

    async def _place(self, order: Order, errand: Errand, begun: _Placing | None) -> None:
        not_ready = await self._not_ready(order)
        for event in not_ready or await self._send(order, errand, begun):
            self._tell(event)

    async def _send(
        self, order: Order, errand: Errand, begun: _Placing | None
    ) -> Sequence[BrokerEvent]:
        try:
            async with asyncio.timeout(self._timings.order_seconds):
                placing = begun or self._account.place(order, self._noting(order, errand))
                events = await placing
        except RequestFailed as error:
            return self._refused(order, error)
        except TimeoutError:
            log.warning("order.not_answered", client_order_id=order.client_order_id)
            return [self._ended(order, OrderStatus.UNKNOWN, "the venue did not answer in time")]
        except Exception as error:
            if self._is_ours():
                raise
            log.exception("order.request_crashed", client_order_id=order.client_order_id)
            return [self._ended(order, OrderStatus.UNKNOWN, f"{type(error).__name__}: {error}")]
        self._standing.clear(Cause.ORDER, Cause.ACCOUNT)
        return events

    async def _not_ready(self, order: Order) -> Sequence[BrokerEvent]:
        """Make ready for an entry; returns what becomes of one that cannot be sent.

        Nothing of it was sent, so it is never unknown.
        """
        if order.purpose not in (Purpose.ENTRY, Purpose.ADD):
            return ()
        try:
            await self._prepare(order.instrument)
        except RequestFailed as error:
            if error.verdict.outcome is not Outcome.UNKNOWN:
                return self._refused(order, error)
            reason = str(error)
        except TimeoutError:
            reason = "no answer in time"
        except Exception as error:
            log.exception("order.prepare_crashed", client_order_id=order.client_order_id)
            reason = f"{type(error).__name__}: {error}"
        else:
            return ()
        message = f"leverage could not be set: {reason}"
        return [self._ended(order, OrderStatus.REJECTED, message)]

    async def _prepare(self, instrument: Instrument) -> None:
        barred = self._standing.barred(instrument.id.market)
        if barred:
            raise RequestFailed(Verdict(Outcome.REJECTED), barred)
        if instrument.id.market is not Market.LINEAR:
            return
        if not self.is_read:
            message = "the account was not read yet: what else is open there is not known"
            raise RequestFailed(Verdict(Outcome.RETRY), message)
        async with asyncio.timeout(self._timings.prepare_seconds):
            await self._preparing.ready(instrument)

    def _refused(self, order: Order, error: RequestFailed) -> Sequence[BrokerEvent]:
        """Say by the venue's table of codes what became of an order."""
        verdict, message = error.verdict, str(error)
        self._failures.note(f"order.{order.purpose}", error)
        match verdict.outcome:
            case Outcome.RETRY:
                # A pause that is named would hold for the whole venue, closes too.
                return [self._deferred(order, 0, message)]
            case Outcome.WAIT:
                return [self._deferred(order, verdict.wait_ns, message)]
            case Outcome.UNKNOWN:
                return [self._ended(order, OrderStatus.UNKNOWN, message)]
            case Outcome.STOP:
                self._standing.stop(Cause.ORDER, verdict.remedy or message)
                return [self._ended(order, OrderStatus.REJECTED, message)]
            case Outcome.REJECTED:
                return [self._ended(order, OrderStatus.REJECTED, message, verdict.refusal)]

    def _ended(
        self, order: Order, status: OrderStatus, message: str, refusal: Refusal = Refusal.OTHER
    ) -> OrderUpdated:
        now_ns = self._clock.now_ns()
        return OrderUpdated(order.client_order_id, status, now_ns, message=message, refusal=refusal)

    def _deferred(self, order: Order, wait_ns: int, message: str) -> OrderDeferred:
        return OrderDeferred(order.client_order_id, self._clock.now_ns(), wait_ns, message)

    async def _cancel(self, order: Order, errand: Errand) -> None:
        errand.is_sent = True  # from here on it may be done at any moment
        with self._guard("cancel", Cause.ORDER):
            async with asyncio.timeout(self._timings.order_seconds):
                events = await self._account.cancel(order)
            for event in events:
                self._tell(event)

    # Readings: an error of one is no answer; the core asks again

    async def _look_up(self, order: Order) -> None:
        try:
            with self._guard("look_up", Cause.ACCOUNT):
                async with asyncio.timeout(self._timings.look_up_seconds):
                    event = await self._account.find(order)
                self._tell(event)
        finally:
            self._looking.discard(order.client_order_id)

    async def _read(self) -> None:
        # What an account tells that does not know its own modes yet might look empty.
        await self._opened.wait()
        while self._to_read is not None:
            instruments, self._to_read = tuple(self._to_read.values()), None
            with self._guard("read", Cause.ACCOUNT):
                async with asyncio.timeout(self._timings.read_seconds):
                    events = await self._account.read(instruments)
                for event in events:
                    self._tell(event)
                self.is_read = True
        self._reading = False

    async def _refresh(self, instrument: Instrument) -> None:
        try:
            with self._guard("refresh", Cause.ACCOUNT):
                async with asyncio.timeout(self._timings.refresh_seconds):
                    fresh = await self._account.filters(instrument)
                if self._on_refreshed is not None:
                    self._on_refreshed(fresh)
                self._tell(InstrumentRefreshed(fresh, self._clock.now_ns()))
        finally:
            self._refreshing.discard(instrument.id)
