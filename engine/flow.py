"""The way of an event: one writer, one journal, commands in their order.

``Flow.handle`` is the only caller of the guardian and runs on the event loop, so nobody changes the
book at the same time. Prices come in by the same call, in the order the venue sent them: no queue
stands between a frame and the book (feeds conflate only inside one frame, and keep its extremes).

Records go to the journal, a queue with one consumer that commits what has gathered in one
transaction in a worker thread. Entries wait in the same queue for their commit, and go only if they
are still wanted then. The queue is bounded by admission: when ``JOURNAL_LIMIT`` steps wait,
``handle_durably`` refuses new work with ``Retryable``; what comes by ``handle`` (fills, and closes
that cannot wait for storage) is never refused or dropped.

With a lease (``engine.lease``) orders leave only while this is the one writer. When another one
has taken over, nothing is sent any more and ``run`` raises ``Fenced``.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import structlog

from engine.commands import Commands
from engine.core.adopting import Obstacle
from engine.core.guardian import Guardian
from engine.core.stall import STALL_NS
from engine.lease import Gate, HeldLease, fenced_in
from engine.model.effects import (
    RECORD_TYPES,
    AppendEvent,
    Command,
    Effect,
    Record,
    SaveSignal,
    SubmitOrder,
)
from engine.model.errors import Misconfigured, Retryable
from engine.model.events import (
    ClockAdvanced,
    Continued,
    Event,
    ExitsAmended,
    OrderDeferred,
    OrderUpdated,
    PositionAdopted,
    Started,
)
from engine.model.exit_checks import ExitProblem
from engine.model.instrument import InstrumentId
from engine.model.order import Order, OrderStatus
from engine.model.position import Position
from engine.model.signal import SignalRecord
from engine.model.ticks import Tick
from engine.ports import Broker, Clock, Feed, Ledger

JOURNAL_LIMIT = 10_000
CLOCK_PERIOD_S = 0.1
COMMIT_RETRY_S = 1.0

Offload = Callable[..., Awaitable[Any]]
"""Runs a blocking function with its arguments where it blocks nobody, and returns its result."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Step:
    """One step's records, the entries that wait for their commit, and who waits for it."""

    records: Sequence[Record]
    entries: Sequence[Order] = ()
    done: asyncio.Future[None] | None = None


@dataclass(slots=True)
class _Journal:
    """Steps that wait; ``batch`` are those of the commit under way, ``number`` counts commits."""

    steps: deque[_Step] = field(default_factory=deque)
    batch: list[_Step] = field(default_factory=list)
    number: int = 0
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    error: str | None = None


class Flow:
    """Hands events to the guardian and its effects to the adapters.

    Args:
        offload: how blocking calls leave the event loop.
        lease: makes this the one writer; the ledger's commits are to be fenced by its epoch, since
            each counts as a renewal.
    """

    def __init__(
        self,
        guardian: Guardian,
        ledger: Ledger,
        clock: Clock,
        brokers: Mapping[str, Broker],
        feeds: Mapping[str, Feed],
        *,
        commit_retry_s: float = COMMIT_RETRY_S,
        clock_period_s: float = CLOCK_PERIOD_S,
        offload: Offload = asyncio.to_thread,
        lease: HeldLease | None = None,
    ) -> None:
        self._guardian = guardian
        self._ledger = ledger
        self._clock = clock
        self._brokers = brokers
        self._feeds = feeds
        self._commit_retry_s = commit_retry_s
        self._clock_period_s = clock_period_s
        self._offload = offload
        self._act = Commands(brokers, feeds, guardian.instruments, self._go_on).act
        self._gate = None if lease is None else Gate(lease, clock, self.handle, self._act)
        self._journal = _Journal()
        self._committing: asyncio.Task[None] | None = None
        self._entering: set[str] = set()  # entries whose commit is waited for
        self._told_ns = 0
        self._started = False
        self._stopping = False

    # Views

    @property
    def accepting(self) -> bool:
        return self._guardian.accepting

    @property
    def since_ns(self) -> int:
        return self._guardian.since_ns

    @property
    def told_ns(self) -> int:
        """When the guardian was last told the time, local monotonic; 0 never."""
        return self._told_ns

    def position(self, position_id: str) -> Position | None:
        return self._guardian.position(position_id)

    def positions(self) -> Sequence[Position]:
        return self._guardian.positions()

    def price(self, instrument: InstrumentId) -> Decimal | None:
        return self._guardian.price(instrument)

    def amendment_problems(self, event: ExitsAmended) -> Sequence[ExitProblem]:
        """Why an amendment cannot be made; empty when it can."""
        return self._guardian.amendment_problems(event)

    def adoption_obstacles(self, event: PositionAdopted) -> Sequence[Obstacle]:
        """Why an adoption cannot be made; empty when it can."""
        return self._guardian.adoption_obstacles(event)

    def tick_counts(self) -> Mapping[str, int]:
        """Return how many prices were held, and what became of them, by venue and source."""
        return self._guardian.tick_counts()

    def problems(self) -> list[str]:
        """Return why the guard is not complete; empty when it is."""
        found = [] if self._started else ["starting: the ledger is being read"]
        found += [f"no prices: {instrument}" for instrument in self._guardian.blind()]
        found += [f"resolving: position {key}" for key in self._guardian.resolving()]
        if self._journal.error:
            found.append(f"storage: {self._journal.error}")
        return found if self._gate is None else [*found, *self._gate.problems()]

    # Events

    def on_tick(self, tick: Tick) -> None:
        """Take a price. Returns before anything slow happens."""
        effects = self._guardian.handle(tick)
        if effects:
            self._carry_out(effects, None)

    def handle(self, event: Event) -> None:
        """Take any event; its records are committed later, in order.

        A pause is counted from the clock, which is told before it: after a stall it is overdue.
        """
        if isinstance(event, OrderDeferred):
            self._tell_clock()
        effects = self._guardian.handle(event)
        if effects:
            self._carry_out(effects, None)

    async def handle_durably(self, event: Event) -> None:
        """Take an event and return after the commit of its step.

        Raises:
            Retryable: the journal is full or storage refuses; nothing was done.
        """
        self._check_journal()
        await self._durably(self._guardian.handle(event))

    async def record(self, event: AppendEvent) -> None:
        """Add a line to the event log and return after its commit.

        Raises:
            Retryable: the journal is full or storage refuses.
        """
        self._check_journal()
        await self._durably((event,))

    async def record_signal(self, record: SignalRecord, event: AppendEvent) -> None:
        """Write a signal whose outcome is known without the guardian; returns after the commit.

        Raises:
            Retryable: the journal is full or storage refuses.
        """
        self._check_journal()
        await self._durably((SaveSignal(record), event))

    async def _durably(self, effects: Sequence[Effect]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._carry_out(effects, done)
        await done

    def _check_journal(self) -> None:
        if self._journal.error or len(self._journal.steps) >= JOURNAL_LIMIT:
            raise Retryable(f"storage takes nothing now: {self._journal.error or 'journal full'}")

    def _carry_out(self, effects: Sequence[Effect], done: asyncio.Future[None] | None) -> None:
        """Queue the records with what has to follow them, and send what may go at once.

        Queueing comes first, and is only memory: a command that fails must not lose the records.
        """
        records: list[Record] = []
        entries: list[Order] = []
        commands: list[Command] = []
        for effect in effects:
            if isinstance(effect, RECORD_TYPES):
                records.append(effect)
            elif isinstance(effect, SubmitOrder) and effect.after_commit:
                if effect.order.client_order_id not in self._entering:
                    self._entering.add(effect.order.client_order_id)
                    entries.append(effect.order)
            else:
                commands.append(effect)
        if records or entries or done is not None:
            self._journal.steps.append(_Step(records, entries, done))
        try:
            for command in commands if self._gate is None else self._gate.permitted(commands):
                self._act(command)
        finally:
            if self._journal.steps:  # woken last: what leaves us goes before what we write
                self._journal.filled.set()

    def _go_on(self) -> None:
        """Have the guardian go on with a price, after whatever else waits."""
        asyncio.get_running_loop().call_soon(self._continue)

    def _continue(self) -> None:
        self.handle(Continued(self._clock.now_ns()))

    def _enter(self, order: Order) -> None:
        """Send a committed entry, unless it was overtaken while it waited."""
        if self._guardian.waits(order):
            return
        at_ns = self._clock.now_ns()
        refusal = self._guardian.entry_refusal(order, at_ns)
        if self._gate is not None:
            refusal = self._gate.entry_refusal() or refusal
        if refusal is None:
            self._brokers[order.instrument.id.venue].submit(order)
        else:
            status = OrderStatus.CANCELLED
            self.handle(OrderUpdated(order.client_order_id, status, at_ns, message=refusal))

    # Running

    async def start(self) -> None:
        """Read the ledger and begin recovery. Call once, before ``run``.

        Raises:
            Retryable: the ledger could not be read.
            Misconfigured: a position is open on a venue that is not set up.
        """
        started = await self._offload(self._ledger.load, self._clock.now_ns())
        self._check_venues(started)
        self._started = True
        self._tell_clock()
        self._mind_lease()  # a taker is fenced before it takes anything up
        self.handle(started)

    def _check_venues(self, started: Started) -> None:
        for position in started.positions:
            venue = position.instrument.id.venue
            if venue not in self._brokers or venue not in self._feeds:
                raise Misconfigured(
                    f"position {position.id} is open on {venue}: add {venue} to VENUES"
                )

    async def run(self) -> None:
        """Write the journal, tell the time and keep the lease until cancelled.

        Raises:
            Fenced: another writer has taken over.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write_journal(), name="journal")
                tasks.create_task(self._tell_time(), name="clock")
                if self._gate is not None:
                    keeping = self._gate.keep(self._clock_period_s, self._offload)
                    tasks.create_task(keeping, name="lease")
        except ExceptionGroup as group:
            fenced = fenced_in(group)
            if fenced is None:
                raise
            self._journal.error = str(fenced)
            raise fenced from None
        finally:
            self._stopping = True

    async def drain(self) -> None:
        """Commit everything that waits in the journal; for an orderly stop, after ``run`` ended.

        Entries are not sent any more: the next start looks them up, and sends them while they are
        fresh.

        Raises:
            Retryable: storage refuses; what was not written still waits.
            Fenced: another writer has taken over; what was not written is lost to it.
        """
        self._stopping = True
        if self._committing is not None:
            await asyncio.wait({self._committing})
        while self._journal.steps:
            await self._commit_batch()

    def _tell_clock(self, late_ns: int = 0) -> None:
        at_ns, monotonic_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        self.handle(ClockAdvanced(at_ns, monotonic_ns, late_ns))
        self._told_ns = monotonic_ns

    def _mind_lease(self) -> None:
        if self._gate is not None:
            self._gate.mind()

    async def _tell_time(self) -> None:
        while True:
            due_ns = self._clock.monotonic_ns() + int(self._clock_period_s * 1e9)
            await asyncio.sleep(self._clock_period_s)
            late_ns = max(0, self._clock.monotonic_ns() - due_ns)
            if late_ns > STALL_NS:  # at once: the event log waits for a commit
                log.warning("loop.stalled", late_ms=late_ns // 1_000_000)
            self._mind_lease()
            self._tell_clock(late_ns)

    async def _write_journal(self) -> None:
        while True:
            await self._journal.filled.wait()
            try:
                # A cancellation must not leave a commit whose outcome nobody reads.
                self._committing = asyncio.create_task(self._commit_batch(), name="commit")
                await asyncio.shield(self._committing)
            except Retryable as error:
                self._journal.error = str(error)
                log.error("journal.commit_failed", error=str(error))
                await asyncio.sleep(self._commit_retry_s)

    async def _commit_batch(self) -> None:
        """Commit what has gathered, in one transaction, then let go what waited for it."""
        journal = self._journal
        if not journal.batch:  # else its answer was lost: it is tried again as it was
            journal.batch = list(journal.steps)
            journal.number += 1
        batch = journal.batch
        records = [record for step in batch for record in step.records]
        if records:
            commit = partial(self._offload, self._ledger.commit, records, journal.number)
            await (commit() if self._gate is None else self._gate.writing(commit))
        journal.error = None
        for _ in batch:  # before anything else happens: what is written is not written again
            journal.steps.popleft()
        journal.batch = []
        if not journal.steps:
            journal.filled.clear()
        self._mind_lease()
        for step in batch:
            if step.done is not None and not step.done.done():
                step.done.set_result(None)
            for order in () if self._stopping else step.entries:
                self._entering.discard(order.client_order_id)
                self._enter(order)
