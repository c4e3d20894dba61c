"""Senders of signals and the owner: what they do, and the answers they get."""

import asyncio
from typing import TYPE_CHECKING

from engine.clock import NS_PER_MS
from engine.inbox import AnsweredLate, IdReused
from engine.model.errors import Retryable
from engine.model.events import BotSwitched, CloseRequested, Event, ExitsAmended
from engine.model.instrument import InstrumentId
from engine.model.position import PositionStatus
from engine.model.signal import Signal
from engine.simulation.history import Acted, Delivery
from engine.simulation.plan import EPOCH_NS, ActKind, OwnerAct, PlannedSignal
from engine.simulation.process import Killed, Process

if TYPE_CHECKING:
    from engine.simulation.world import World

SOURCE = "webhook"
OWNER = "owner"
LATE_MS = 20_000


class People:
    """Everybody outside who wants something of the service."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self._delivered: set[int] = set()
        self._sent_ms: dict[InstrumentId, int] = {}

    def _begin(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Signals

    def deliver(self, planned: PlannedSignal) -> None:
        """Deliver a signal to whoever is there."""
        process = self._world.process
        life = None if process is None else process.number
        delivery = Delivery(self._world.now_ns, life, planned)
        self._world.history.deliveries.append(delivery)
        self._note(planned)
        if process is not None:
            self._begin(self._deliver(process, delivery))

    def _note(self, planned: PlannedSignal) -> None:
        """Write down what goes wrong with deliveries."""
        faults, now_ms = self._world.faults, self._world.now_ns // NS_PER_MS
        if planned.number in self._delivered:
            faults.happened("dup_post")
        self._delivered.add(planned.number)
        if planned.sent_ms is None:
            return
        if now_ms - planned.sent_ms >= LATE_MS:
            faults.happened("late_post")
        latest_ms = self._sent_ms.get(planned.instrument.id, planned.sent_ms)
        if planned.sent_ms < latest_ms:
            faults.happened("swap")
        self._sent_ms[planned.instrument.id] = max(latest_ms, planned.sent_ms)

    async def _deliver(self, process: Process, delivery: Delivery) -> None:
        await process.awake()
        try:
            signal = self._signal(process, delivery.signal)
            receipt = await process.inbox.deliver(signal)
        except Killed:
            return
        except IdReused:
            status, signal_id = 409, None
        except (AnsweredLate, Retryable):
            status, signal_id = 503, None
        except Exception as error:  # noqa: BLE001 - the sender sees a 500, which is never right
            process.fail(error)
            return
        else:
            status, signal_id = 200 if receipt.is_duplicate else 202, receipt.signal_id
        if process.is_alive:
            delivery.answered_ns = self._world.now_ns
            delivery.status, delivery.signal_id = status, signal_id

    def _signal(self, process: Process, planned: PlannedSignal) -> Signal:
        sent_ms = planned.sent_ms
        return Signal(
            id=process.random_id(),
            received_at_ns=process.clock.now_ns(),
            source=SOURCE,
            action=planned.action,
            instrument=planned.instrument,
            external_id=f"signal-{planned.number}" if planned.has_id else None,
            sent_at_ns=None if sent_ms is None else EPOCH_NS + sent_ms * NS_PER_MS,
            size=planned.size,
            exits=planned.exits,
            strategy=planned.strategy,
            raw=f'{{"number":{planned.number}}}',
        )

    # The owner

    def act(self, act: OwnerAct) -> None:
        """Let the owner do something."""
        process = self._world.process
        if process is None:
            return
        event = self._event(process, act)
        times = 2 if act.kind is ActKind.CLOSE_TWICE else 1
        for _ in range(times if event is not None else 0):
            self._begin(self._act(process, act, event))

    def close_all(self, process: Process) -> None:
        """Let the owner close every position there is."""
        for nth in range(len(process.flow.positions())):
            act = OwnerAct(self._world.now_ns // NS_PER_MS, ActKind.CLOSE, nth)
            self._begin(self._act(process, act, self._event(process, act)))

    async def _act(self, process: Process, act: OwnerAct, event: Event | None) -> None:
        await process.awake()
        done = False
        try:
            if event is not None and self._is_possible(process, event):
                await process.flow.handle_durably(event)
                done = process.is_alive
            else:
                event = None
        except Killed:
            return
        except Retryable:
            event = None
        except Exception as error:  # noqa: BLE001 - the owner sees a 500, which is never right
            process.fail(error)
            return
        position_id = getattr(event, "position_id", None)
        now_ns = self._world.now_ns
        self._world.history.acts.append(
            Acted(now_ns, process.number, act, position_id, event, done)
        )

    def _is_possible(self, process: Process, event: Event) -> bool:
        """Tell whether the API would take it: a set that holds, for a position that is open."""
        if not isinstance(event, ExitsAmended):
            return True
        position = process.flow.position(event.position_id)
        is_open = position is not None and position.status is PositionStatus.OPEN
        return is_open and not process.flow.amendment_problems(event)

    def _event(self, process: Process, act: OwnerAct) -> Event | None:
        at_ns = process.clock.now_ns()
        if act.kind in {ActKind.STOP_BOT, ActKind.START_BOT}:
            return BotSwitched(act.kind is ActKind.START_BOT, OWNER, at_ns)
        positions = process.flow.positions()
        if not positions:
            return None
        key = positions[act.nth % len(positions)].id
        if act.kind is ActKind.AMEND:
            return ExitsAmended(key, act.changes, OWNER, at_ns)
        return CloseRequested(key, OWNER, at_ns, act.fraction)
