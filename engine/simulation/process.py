"""One life of the service: the real guardian, flow and inbox between the world's ways.

A process may be killed before or after any of its effects. From then on nothing of it reaches the
world: whatever it still tries is refused, and its memory is gone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.clock import NS_PER_MS
from engine.core.guardian import Guardian
from engine.core.state import GuardConfig
from engine.flow import Flow
from engine.inbox import Inbox
from engine.lease import SETTLE_NS, HeldLease, fenced_in, take
from engine.model.effects import NOTHING, Effects, Record
from engine.model.errors import Fenced, Held, Retryable
from engine.model.events import ClockAdvanced, Event, Started
from engine.model.ids import ID_BYTES, encode_id
from engine.model.ticks import Tick
from engine.ports import Ledger
from engine.simulation.broker import SimulatedBroker
from engine.simulation.feed import SimulatedFeed
from engine.simulation.history import Commit, Life, Told
from engine.simulation.plan import EPOCH_NS, Crash

if TYPE_CHECKING:
    from engine.simulation.world import World

CLOCK_PERIOD_S = 0.5
LEASE_NS = 4_000_000_000
MONOTONIC_NS = 3_600_000_000_000
"""Monotonic time at virtual time 0: the host has been up for an hour."""

TICKS = frozenset({"TradeTick", "QuoteTick", "MarkTick"})


class Killed(BaseException):
    """The process is dead: not an ``Exception``, so that nothing in it goes on."""


class HostClock:
    """The clocks of the host, in virtual time; UTC may be set wrong."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def now_ns(self) -> int:
        """UTC as the host believes it."""
        return EPOCH_NS + self._world.now_ns + self._world.utc_error_ns

    def monotonic_ns(self) -> int:
        """Local monotonic time."""
        return MONOTONIC_NS + self._world.now_ns


class Watched(Guardian):
    """The guardian, with somebody who writes down what it is told and what it answers."""

    def __init__(self, config: GuardConfig, process: "Process") -> None:
        super().__init__(config)
        self._process = process

    def handle(self, event: Event) -> Effects:
        """Hand an event to the guardian, unless the process does not run."""
        if self._process.must_not_run(event):
            return NOTHING
        effects = super().handle(event)
        self._process.note(event, effects)
        return effects


class WatchedLedger:
    """The journal on its way to storage, with the faults of storage."""

    def __init__(self, process: "Process", ledger: Ledger) -> None:
        self._process = process
        self._world = process.world
        self._ledger = ledger
        self._written = 0

    def load(self, at_ns: int) -> Started:
        """Read what recovery needs."""
        return self._ledger.load(at_ns)

    def commit(self, records: Sequence[Record], number: int = 0) -> None:
        """Write records, or fail as storage does.

        Raises:
            Retryable: refused, or written and not told so.
        """
        faults = self._world.faults
        for kind in ("enospc", "busy"):
            if faults.strike(kind) is not None:
                raise Retryable(f"storage refuses: {kind}")
        self._ledger.commit(records, number)
        if number != self._written:
            self._written = number
            self._world.history.commits.append(
                Commit(self._world.now_ns, self._process.number, records)
            )
        if faults.strike("lost_commit") is not None:
            raise Retryable("storage did not answer: the outcome is unknown")


class Process:
    """A running service. ``number`` counts lives; ``crash`` is how it is to die."""

    flow: Flow
    inbox: Inbox

    def __init__(self, world: "World", number: int, crash: Crash | None, host: str) -> None:
        self.world = world
        self.host = host
        self.is_up = False
        self.number = number
        self.clock = HostClock(world)
        self.crash = crash
        self.is_alive = True
        self.life = Life(number, world.now_ns, host=host)
        world.history.lives.append(self.life)
        self._effects = 0
        self._backlog: list[tuple[Callable[[Any], None], Any]] = []
        self._stalled_until_ns = 0
        self._random = world.plan.generator(f"ids/{number}")
        self._storage = world.plan.generator(f"storage/{number}")
        self.guardian = Watched(world.config, self)
        self.brokers = {name: SimulatedBroker(self, each) for name, each in world.venues.items()}
        self.feeds = {name: SimulatedFeed(self, name) for name in world.venues}
        self._task: asyncio.Task[None] | None = None

    def random_id(self) -> str:
        """A fresh id, from the seed."""
        return encode_id(self._random.randbytes(ID_BYTES))

    # Running

    def start(self) -> None:
        """Come up."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"life {self.number}")
        self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        try:
            held = await self.offload(self._take_lease)
        except Held as error:
            self.life.refused = str(error)
            self._end()
            return
        self._build(held)
        await self.flow.start()
        for broker in self.brokers.values():
            broker.begin()
        await self.flow.run()

    def _take_lease(self) -> HeldLease:
        lease = self.world.books.lease(self.world.config.recv_window_ns + SETTLE_NS)
        return take(lease, self.host, self.clock, LEASE_NS)

    def _build(self, held: HeldLease) -> None:
        world = self.world
        self.life.epoch = held.epoch
        ledger = world.books.ledger(held.epoch, held.lease_ns, self.clock)
        self.flow = Flow(
            self.guardian,
            WatchedLedger(self, ledger),
            self.clock,
            self.brokers,
            self.feeds,
            clock_period_s=CLOCK_PERIOD_S,
            offload=self.offload,
            lease=held,
        )
        self.inbox = Inbox(self.flow, world.books.signals(), self.random_id, self.offload)
        self.is_up = True

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if self.is_alive:
            self.fail(error or RuntimeError("the service ended by itself"))

    async def stop(self) -> None:
        """End in order: what waits is written."""
        self.is_alive = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.is_alive = True
        if self.is_up:
            await self.flow.drain()
        self._end()

    def die(self, point: str) -> None:
        """Be killed, at a point that is written down."""
        if not self.is_alive:
            return
        self.life.killed = True
        self.world.history.crash_points[point] += 1
        self.world.say(f"life {self.number} is killed: {point}")
        self._end()

    def fail(self, error: BaseException) -> None:
        """The service ended by an error of its own; that is never right."""
        if isinstance(error, Killed) or not self.is_alive:
            return
        if isinstance(error, Fenced) or _is_fenced(error):
            self.life.refused = "another writer has taken over"
            self.world.say(f"life {self.number} has lost its lease and ends")
            self._end()
            return
        self.world.history.errors.append((self.world.now_ns, self.number, _plain(error)))
        self._end()

    def _end(self) -> None:
        self.is_alive = False
        self.life.ended_ns = self.world.now_ns
        self.world.history.edges.update(self.guardian.edges())
        for broker in self.brokers.values():
            broker.end()
        if self._task is not None:
            self._task.cancel()
        self.world.on_ended(self)

    # Effects, and being killed at them

    def effect(self, name: str) -> None:
        """An effect is about to happen.

        Raises:
            Killed: it does not, since the process dies before it, or is dead.
        """
        if not self.is_alive:
            raise Killed
        self._effects += 1
        if self._is_last(after=False):
            self.die(f"before {name}")
            raise Killed

    def effected(self, name: str) -> None:
        """An effect has happened.

        Raises:
            Killed: it was the last one.
        """
        if self._is_last(after=True):
            self.die(f"after {name}")
            raise Killed

    def _is_last(self, *, after: bool) -> bool:
        crash = self.crash
        return crash is not None and crash.call == self._effects and crash.after is after

    async def offload(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something that blocks, in virtual time: it takes a while, then it has happened."""
        name = getattr(function, "__name__", "storage")
        self.effect(name)
        slow = self.world.faults.strike("slow_disk")
        delay_ns = self._storage.randint(1, 8) * NS_PER_MS
        if slow is not None:
            delay_ns += round(slow.amount * NS_PER_MS)
        await asyncio.sleep(delay_ns / 1e9)
        await self.awake()
        if not self.is_alive:
            raise Killed
        result = function(*arguments)
        self.effected(name)
        return result

    # What reaches it

    @property
    def is_stalled(self) -> bool:
        """Whether nothing in it runs just now."""
        return self.world.now_ns < self._stalled_until_ns

    def stall(self, for_ns: int) -> None:
        """Run nothing for a while; what arrives meanwhile is taken at once afterwards."""
        self._stalled_until_ns = self.world.now_ns + for_ns
        self.world.after(for_ns, self._wake)

    async def awake(self) -> None:
        """Wait until it runs."""
        if self.is_stalled:
            await asyncio.sleep((self._stalled_until_ns - self.world.now_ns) / 1e9)

    def _wake(self) -> None:
        waiting, self._backlog = self._backlog, []
        for function, argument in waiting:
            self._guarded(function, argument)

    def enter(self, event: Event) -> None:
        """Something from outside reaches the service."""
        if self.is_up:
            self._reach(self.flow.handle, event)

    def tick(self, tick: Tick) -> None:
        """A price reaches the service."""
        if self.is_up:
            self._reach(self.flow.on_tick, tick)

    def soon(self, event: Event) -> None:
        """Hand in an event when the present step is over."""
        self.world.after(0, self.enter, event)

    def _reach(self, function: Callable[[Any], None], argument: Any) -> None:
        if not self.is_alive:
            return
        if self.is_stalled:
            self._backlog.append((function, argument))
        else:
            self._guarded(function, argument)

    def _guarded(self, function: Callable[[Any], None], argument: Any) -> None:
        if not self.is_alive:
            return
        try:
            function(argument)
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it ended the service
            self.fail(error)

    def must_not_run(self, event: Event) -> bool:
        """Tell whether an event comes to a process that does not run.

        Raises:
            Killed: the process is dead.
        """
        if not self.is_alive:
            raise Killed
        return self.is_stalled and type(event) is ClockAdvanced

    def note(self, event: Event, effects: Effects) -> None:
        """Write down what the guardian was told and what it answered."""
        world = self.world
        world.history.events += 1
        is_tick = type(event).__name__ in TICKS
        if not is_tick and type(event) is not ClockAdvanced:
            world.history.told.append(Told(world.now_ns, self.number, event, True))
        if effects or not is_tick:
            world.trace(self.number, event, effects)


def _is_fenced(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup) and fenced_in(error) is not None


def _plain(error: BaseException) -> str:
    """The innermost errors of a group, in words."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_plain(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"
