"""A flow that is the one writer: when it renews, what it withholds, and how it ends."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import pytest
import structlog

from engine.core.guardian import Guardian
from engine.flow import Flow
from engine.lease import LEASE_NS, Gate, take
from engine.model.effects import (
    AppendEvent,
    Command,
    LookUpOrder,
    Record,
    SaveSignal,
    SendNotice,
    SubmitOrder,
    Unwatch,
)
from engine.model.errors import Fenced, Retryable
from engine.model.events import CloseRequested, LeaseChanged, OrderLookedUp, Started
from engine.model.signal import Outcome
from tests.engine.core.flow_rig import World, until, world
from tests.engine.core.rig import SECOND, T0, Rig, config
from tests.engine.lease_rig import SETTLE_NS, MemoryLease, TwoClocks

D = Decimal
LEASE_S = LEASE_NS / SECOND
WAIT_S = (LEASE_NS + SETTLE_NS) / SECOND


class Leased:
    """A world whose flow holds a lease; ``time`` and ``lease`` are the test's to move."""

    def __init__(self, here: World, former: str) -> None:
        self.world = here
        self.time = TwoClocks()
        self.lease = MemoryLease()
        self.lease.holder = former
        self.held = take(self.lease, "us", self.time)
        here.guardian = Guardian(config())
        adapters = ({"bybit": here.broker}, {"bybit": here.feed})
        here.clock = self.time  # type: ignore[assignment]
        here.flow = Flow(
            here.guardian,
            here.ledger,
            self.time,
            *adapters,
            commit_retry_s=0.01,
            clock_period_s=0.005,
            lease=self.held,
        )
        self.flow, self.broker, self.ledger = here.flow, here.broker, here.ledger

    def told(self) -> list[str]:
        """What the owner was told of the lease; stays in the journal while storage refuses."""
        steps = [record for step in self.flow._journal.steps for record in step.records]
        records: list[Record] = [*self.ledger.records, *steps]
        notices = [record.kind for record in records if isinstance(record, SendNotice)]
        return [kind for kind in notices if kind in ("guard.fenced", "guard.unfenced")]

    def cut_off(self) -> None:
        """Let neither renewals nor commits through."""
        self.ledger.failing = self.lease.failing = True

    def exits(self) -> list[str]:
        return [o.client_order_id for o in self.broker.orders if o.purpose == "exit"]

    def absent(self, key: str) -> None:
        self.flow.handle(OrderLookedUp(key, self.time.utc_ns, found=False, certain=True))


@asynccontextmanager
async def leased(started: Started | None = None, former: str = "") -> AsyncIterator[Leased]:
    async with world(started) as here:
        yield Leased(here, former)
        here.ledger.failing = False


async def turns() -> None:
    """Let the flow's own tasks look at the clock a few times."""
    await asyncio.sleep(0.03)


async def passes(w: Leased, seconds: float) -> None:
    """Let time pass without a stall."""
    while seconds > 0:
        w.time.pass_s(min(seconds, 1))
        seconds -= 1
        await turns()


# Renewing


async def test_the_lease_is_renewed_after_a_third_of_it() -> None:
    async with leased() as w:
        await w.world.run()
        await passes(w, 4.9)
        assert w.lease.renewals == []
        await passes(w, 0.2)
        assert w.lease.renewals == [w.time.utc_ns]
        await passes(w, 4.9)
        assert w.lease.tries == 1
        await passes(w, 0.2)
        assert w.lease.tries == 2
        assert w.told() == []


async def test_a_commit_is_a_renewal() -> None:
    async with leased() as w:
        await w.world.run()
        await passes(w, 4.9)
        await w.flow.record(AppendEvent("test.line", "test", T0, {}))
        await passes(w, 4.9)
        assert w.lease.tries == 0
        await passes(w, 0.2)
        assert w.lease.tries == 1


async def test_a_renewal_that_fails_is_tried_again_and_the_lease_held_again() -> None:
    async with leased() as w:
        await w.world.run()
        w.cut_off()
        with structlog.testing.capture_logs() as logs:
            w.time.pass_s(5)
            await until(lambda: w.lease.tries == 1)
            w.time.pass_s(10)
            await until(lambda: w.told() == ["guard.fenced"])
            assert [p for p in w.flow.problems() if p.startswith("lease: not renewed in time")]
            w.ledger.failing = w.lease.failing = False
            w.time.pass_s(1)
            await until(lambda: w.told() == ["guard.fenced", "guard.unfenced"])
            await until(lambda: w.flow.problems() == [])
        assert {"event": "lease.renewal_failed", "error": "no answer", "log_level": "error"} in logs


@pytest.mark.parametrize("hours", [-6, 6])
async def test_a_utc_that_jumps_by_hours_stops_no_close_and_renews_nothing(hours: int) -> None:
    async with leased() as w:
        await w.world.opened()
        w.time.set_utc_by_s(hours * 3600)
        w.world.price(95.0)
        assert len(w.exits()) == 1
        await turns()
        await w.world.settled()
        assert (w.told(), w.lease.tries) == ([], 0)
        w.time.pass_s(6)
        await until(lambda: w.lease.renewals == [w.time.utc_ns])


# Past the lease


async def test_a_stalled_process_that_wakes_with_a_price_looks_up_its_close_before_it_sends() -> (
    None
):
    async with leased() as w:
        await w.world.opened()
        w.time.pass_s(LEASE_S)
        w.world.price(95.0)
        assert w.exits() == []
        assert w.told() == ["guard.fenced"]
        [asked] = w.broker.asked
        w.absent(asked)
        assert w.exits() == [asked]


async def test_a_close_decided_in_time_is_not_withheld() -> None:
    async with leased() as w:
        await w.world.opened()
        w.time.pass_s(LEASE_S - 0.1)
        w.world.price(95.0)
        assert (len(w.exits()), w.broker.asked, w.told()) == (1, [], [])


async def test_past_the_lease_closes_that_the_guardian_looked_up_are_sent() -> None:
    async with leased() as w:
        position = await w.world.opened()
        w.cut_off()
        w.time.pass_s(LEASE_S)
        await until(lambda: w.told() == ["guard.fenced"])
        w.flow.handle(CloseRequested(position.id, "owner", w.time.utc_ns))
        for asked in list(w.broker.asked):
            w.absent(asked)
        assert len(w.exits()) == 1


async def test_an_entry_whose_commit_outlasted_the_lease_is_not_sent() -> None:
    async with leased() as w:
        await w.world.run()
        await w.flow.handle_durably(w.world.signal())
        w.ledger.gate = threading.Event()
        w.ledger.inside.clear()
        w.lease.failing = True
        w.world.price(100.0)
        await asyncio.to_thread(w.ledger.inside.wait, 5)
        w.time.pass_s(LEASE_S)
        w.ledger.gate.set()
        await until(lambda: w.flow.positions() == [])
        await w.world.settled()
        assert w.broker.orders == []
        last = [r.record for r in w.ledger.records if isinstance(r, SaveSignal)][-1]
        assert (last.outcome, str(last.reason).split(":")[0]) == (Outcome.REJECTED, "fenced")


# Another writer


async def ended(w: Leased) -> Fenced:
    running, w.world.running = w.world.running, None
    assert running is not None
    with pytest.raises(Fenced) as failure:
        await asyncio.wait_for(running, 5)
    return failure.value


async def test_who_lost_the_lease_ends_and_sends_nothing_more() -> None:
    async with leased() as w:
        await w.world.opened()
        w.lease.epoch += 1
        w.time.pass_s(5)
        assert "taken over" in str(await ended(w))
        w.world.price(95.0)
        assert (w.exits(), w.broker.asked) == ([], [])
        with pytest.raises(Retryable, match="taken over"):
            await w.flow.handle_durably(w.world.signal(2))
        assert w.flow.problems()[0] == "storage: another one has taken over"


async def test_a_commit_that_another_writer_forestalled_ends_the_flow_too() -> None:
    async with leased() as w:
        await w.world.opened()

        def fenced(_: object, _number: int) -> None:
            raise Fenced("another one has taken over")

        w.ledger.commit = fenced  # type: ignore[method-assign, assignment]
        w.world.price(95.0)  # sent before its commit, in good faith
        assert len(w.exits()) == 1
        await ended(w)
        assert w.held.is_lost()
        with pytest.raises(Fenced):
            await w.flow.drain()
        w.flow._journal.steps.clear()


# Taking over


async def test_a_taker_neither_asks_nor_sends_before_its_wait_is_over() -> None:
    position = Rig().open()
    async with leased(Started(T0, True, positions=(position,)), former="they") as w:
        await w.world.run()
        assert w.told() == ["guard.fenced"]
        assert [p for p in w.flow.problems() if p.startswith("lease: taken over from another")]
        w.world.price(95.0)
        w.time.pass_s(WAIT_S - 1)
        await turns()  # the commit of what the price began renews the lease
        assert (w.broker.asked, w.broker.orders) == ([], [])
        w.time.pass_s(1)
        await until(lambda: len(set(w.broker.asked)) == 4)
        assert w.told() == ["guard.fenced", "guard.unfenced"]
        assert w.broker.orders == []
        for asked in sorted(set(w.broker.asked)):
            w.absent(asked)
        await until(lambda: len(w.exits()) == 1)


async def test_a_taker_is_fenced_before_it_takes_up_anything() -> None:
    async with leased(Started(T0, True, positions=(Rig().open(),)), former="they") as w:
        await w.flow.start()
        records = [record for step in w.flow._journal.steps for record in step.records]
        kinds = [record.kind for record in records if isinstance(record, AppendEvent)]
        assert kinds[:2] == ["guard.fenced", "service.started"]


async def test_a_takers_entry_is_refused_while_it_waits() -> None:
    async with leased(former="they") as w:
        await w.world.run()
        with suppress(Retryable):
            await w.flow.handle_durably(w.world.signal())
        w.world.price(100.0)
        await w.world.settled()
        await until(lambda: w.flow.positions() == [])
        assert w.broker.orders == []


async def test_a_taker_that_cannot_renew_asks_all_the_same_when_its_wait_is_over() -> None:
    position = Rig().open()
    async with leased(Started(T0, True, positions=(position,)), former="they") as w:
        await w.world.run()
        w.cut_off()
        w.time.pass_s(WAIT_S)
        await until(lambda: len(set(w.broker.asked)) == 4)
        assert w.told() == ["guard.fenced"]


def test_whatever_close_a_taker_is_to_send_in_its_wait_is_looked_up_after_it() -> None:
    """The guardian sends none by itself then; the gate does not rely on that."""
    time, lease = TwoClocks(), MemoryLease()
    lease.holder = "they"
    told: list[LeaseChanged] = []
    acted: list[Command] = []
    gate = Gate(take(lease, "us", time), time, told.append, acted.append)
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    [close] = rig.exits()
    sends, asks = SubmitOrder(close, after_commit=False), LookUpOrder(close)
    unwatch = Unwatch(close.instrument.id)
    gate.mind()
    assert gate.permitted([sends, unwatch]) == [unwatch]
    assert told == [
        LeaseChanged(False, time.utc_ns),
        LeaseChanged(False, time.utc_ns, (close.client_order_id,)),
    ]
    assert gate.permitted([asks, asks]) == []
    time.pass_s(WAIT_S)
    gate.mind()
    assert acted == [asks]
    assert gate.permitted([sends]) == [sends]  # past the lease, and looked up


# A loop that stands still


async def test_a_loop_that_stands_still_is_logged_at_once_and_recorded() -> None:
    async with leased() as w:
        await w.world.run()
        with structlog.testing.capture_logs() as logs:
            w.time.pass_s(6)
            await until(lambda: "loop.stalled" in [line["event"] for line in logs])
        await w.world.settled()
        [line] = [line for line in logs if line["event"] == "loop.stalled"]
        assert 5900 < line["late_ms"] <= 6000
        await until(lambda: "guard.stalled" in [getattr(r, "kind", "") for r in w.ledger.records])
        kinds = [getattr(record, "kind", "") for record in w.ledger.records]
        assert kinds.count("loop.stalled") == 1
