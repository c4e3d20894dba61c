"""The way of an event on a real event loop, with small adapters that come in through the ports."""

import asyncio
import threading
from collections.abc import Sequence
from decimal import Decimal

import pytest

from engine.flow import JOURNAL_LIMIT, _Step
from engine.model.effects import (
    AppendEvent,
    Record,
    SaveBalance,
    SaveFill,
    SaveOrder,
    SaveSignal,
)
from engine.model.errors import Misconfigured, Retryable
from engine.model.events import (
    BotSwitched,
    CloseRequested,
    FeedLost,
    OrderSent,
    Started,
)
from engine.model.order import Order
from engine.model.position import Position, PositionStatus
from engine.model.signal import Outcome, SignalRecord
from tests.engine.core.flow_rig import World, until, world
from tests.engine.core.rig import BTC_PERP, SECOND, T0, Rig

D = Decimal


# Order of things


async def test_an_entry_is_sent_only_after_its_commit() -> None:
    async with world() as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        w.ledger.gate = threading.Event()
        w.price(100.0)
        await asyncio.sleep(0.02)
        assert w.broker.orders == []
        w.ledger.gate.set()
        await until(lambda: len(w.broker.orders) == 1)
        assert w.broker.on_disk == [True]


async def test_a_close_is_sent_before_its_commit() -> None:
    async with world() as w:
        await w.opened()
        w.price(95.0)
        assert [order.purpose for order in w.broker.orders] == ["entry", "exit"]
        assert w.broker.on_disk == [True, False]
        await w.settled()
        assert w.ledger.records[-1].kind == "position.close_submitted"  # type: ignore[union-attr]


async def test_what_gathers_during_a_commit_goes_in_one_transaction() -> None:
    async with world() as w:
        await w.run()
        w.ledger.gate = threading.Event()
        w.ledger.inside.clear()
        first = asyncio.create_task(w.flow.record(line(0)))
        await asyncio.to_thread(w.ledger.inside.wait, 5)
        rest = [asyncio.create_task(w.flow.record(line(n))) for n in range(1, 6)]
        await asyncio.sleep(0.01)
        before = len(w.ledger.commits)
        w.ledger.gate.set()
        await asyncio.gather(first, *rest)
        assert w.ledger.commits[before:] == [[line(0)], [line(n) for n in range(1, 6)]]


def line(number: int) -> AppendEvent:
    return AppendEvent("test.line", "test", number, {})


async def test_handling_durably_returns_after_the_commit() -> None:
    async with world() as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        saved = [r for r in w.ledger.records if isinstance(r, SaveSignal)]
        assert [r.record.outcome for r in saved] == [Outcome.PENDING]
        assert w.feed.watched == [BTC_PERP.id]


async def test_an_event_without_effects_is_durable_at_once() -> None:
    async with world() as w:
        await w.run()
        commits = len(w.ledger.commits)
        await w.flow.handle_durably(BotSwitched(True, "owner", T0))
        assert len(w.ledger.commits) == commits


async def test_a_signal_settled_elsewhere_is_recorded_with_its_line() -> None:
    async with world() as w:
        await w.run()
        record = SignalRecord(w.signal().signal, Outcome.REJECTED, "why")
        await w.flow.record_signal(record, line(1))
        assert w.ledger.commits[-1] == [SaveSignal(record), line(1)]


async def test_a_command_that_fails_does_not_lose_the_records() -> None:
    async with world() as w:
        await w.opened()

        def broken(order: Order) -> None:
            raise RuntimeError("adapter")

        w.broker.submit = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="adapter"):
            w.price(95.0)
        await w.settled()
        exits = [r for r in w.ledger.records if isinstance(r, SaveOrder) and r.order.reduce_only]
        assert len(exits) == 1


async def test_an_order_that_is_not_heard_of_is_looked_up_without_a_record() -> None:
    async with world() as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        w.price(100.0)
        await until(lambda: len(w.broker.orders) == 1)
        entry = w.broker.orders[0]
        w.flow.handle(OrderSent(entry.client_order_id, T0, 0))
        await w.settled()
        commits = len(w.ledger.commits)
        w.clock.now += SECOND
        await until(lambda: w.broker.asked == [entry.client_order_id])
        assert len(w.ledger.commits) == commits


async def test_a_price_that_nothing_waits_for_is_not_recorded() -> None:
    async with world() as w:
        await w.opened()
        commits = len(w.ledger.commits)
        w.price(100.0)
        assert not w.flow._journal.steps
        assert len(w.ledger.commits) == commits


async def test_time_is_told_while_it_runs() -> None:
    async with world() as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        w.clock.now += 10 * SECOND
        await until(lambda: w.feed.watched == [])
        await w.settled()
        assert [r for r in w.ledger.records if getattr(r, "kind", "") == "signal.rejected"]


# A ledger that fails


async def test_a_failing_ledger_is_named_and_the_guard_goes_on_closing() -> None:
    async with world() as w:
        position = await w.opened()
        w.ledger.failing = True
        w.price(95.0)
        await until(lambda: bool(w.flow.problems()))
        assert w.flow.problems() == ["storage: disk full"]
        w.fill(w.broker.orders[-1], "95")
        assert w.flow.position(position.id) is None
        with pytest.raises(Retryable, match="disk full"):
            await w.flow.handle_durably(w.signal(2))
        w.ledger.failing = False
        await until(lambda: not w.flow.problems())
        fills = [r.fill.venue_trade_id for r in w.ledger.records if isinstance(r, SaveFill)]
        assert fills == [f"t{order.client_order_id}" for order in w.broker.orders]
        assert [type(r) for r in w.ledger.records].count(SaveBalance) == 1


async def test_what_waited_is_written_once_and_in_order() -> None:
    async with world() as w:
        await w.run()
        before = len(w.ledger.records)
        w.ledger.failing = True
        waiting = [asyncio.create_task(w.flow.record(line(n))) for n in range(20)]
        await until(lambda: w.ledger.tries > 3)
        w.ledger.failing = False
        await asyncio.gather(*waiting)
        assert w.ledger.records[before:] == [line(n) for n in range(20)]


async def test_a_commit_that_failed_is_tried_again_as_it_was_and_under_its_number() -> None:
    async with world() as w:
        await w.run()
        before = len(w.ledger.tried)
        w.ledger.failing = True
        first = asyncio.create_task(w.flow.record(line(1)))
        await until(lambda: len(w.ledger.tried) > before)
        second = asyncio.create_task(w.flow.record(line(2)))
        await until(lambda: len(w.ledger.tried) > before + 1)
        w.ledger.failing = False
        await asyncio.gather(first, second, return_exceptions=True)
        await until(lambda: len(w.ledger.commits) > 0)
        tries = w.ledger.tried[before:]
        numbers = {number for number, records in tries if line(1) in records}
        assert len(numbers) == 1
        assert all(records == tries[0][1] for number, records in tries if number in numbers)


async def test_an_entry_that_waited_too_long_for_storage_is_not_sent() -> None:
    async with world() as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        w.ledger.failing = True
        w.price(100.0)
        await until(lambda: bool(w.flow.problems()))
        w.clock.now += 61 * SECOND
        w.ledger.failing = False
        await until(lambda: w.flow.positions() == [])
        await w.settled()
        assert w.broker.orders == []
        last = [r.record for r in w.ledger.records if isinstance(r, SaveSignal)][-1]
        assert (last.outcome, str(last.reason).split(":")[0]) == (Outcome.REJECTED, "too_old")


async def test_a_full_journal_refuses_new_work_and_still_takes_what_happened() -> None:
    async with world() as w:
        position = await w.opened()
        w.ledger.gate = threading.Event()
        w.flow._journal.steps.extend(_Step(()) for _ in range(JOURNAL_LIMIT))
        with pytest.raises(Retryable, match="journal full"):
            await w.flow.handle_durably(w.signal(2))
        with pytest.raises(Retryable, match="journal full"):
            await w.flow.record(line(1))
        w.flow.handle(CloseRequested(position.id, "owner", T0))
        assert w.broker.orders[-1].purpose == "exit"
        w.ledger.gate.set()
        await w.settled()


async def test_a_caller_that_gives_up_waiting_takes_nothing_back() -> None:
    async with world() as w:
        await w.run()
        w.ledger.gate = threading.Event()
        caller = asyncio.create_task(w.flow.record(line(1)))
        await asyncio.sleep(0.01)
        caller.cancel()
        w.ledger.gate.set()
        await w.settled()
        assert w.ledger.records[-1] == line(1)


# Stopping


async def test_draining_commits_what_waits() -> None:
    async with world() as w:
        await w.run()
        await w.stop()
        caller = asyncio.create_task(w.flow.record(line(1)))
        await asyncio.sleep(0)
        await w.flow.drain()
        await caller
        assert w.ledger.records[-1] == line(1)


async def test_an_entry_that_is_committed_while_stopping_is_left_to_the_next_start() -> None:
    async with world() as w:
        await w.run()
        await w.flow.handle_durably(w.signal())
        await w.stop()
        w.price(100.0)
        await w.flow.drain()
        assert [r for r in w.ledger.records if isinstance(r, SaveOrder)]
        assert w.broker.orders == []


async def test_stopping_in_the_middle_of_a_commit_loses_nothing_and_writes_nothing_twice() -> None:
    async with world() as w:
        await w.run()
        before = len(w.ledger.records)
        w.ledger.gate = threading.Event()
        w.ledger.inside.clear()
        first = asyncio.create_task(w.flow.record(line(1)))
        await asyncio.to_thread(w.ledger.inside.wait, 5)
        second = asyncio.create_task(w.flow.record(line(2)))
        await asyncio.sleep(0.01)
        await w.stop()
        draining = asyncio.create_task(w.flow.drain())
        await asyncio.sleep(0.01)
        w.ledger.gate.set()
        await asyncio.gather(draining, first, second)
        assert w.ledger.records[before:] == [line(1), line(2)]


async def test_draining_into_a_failing_ledger_says_so_and_keeps_what_waits() -> None:
    async with world() as w:
        await w.run()
        w.ledger.failing = True
        caller = asyncio.create_task(w.flow.record(line(1)))
        await until(lambda: bool(w.flow.problems()))
        await w.stop()
        with pytest.raises(Retryable):
            await w.flow.drain()
        w.ledger.failing = False
        await w.flow.drain()
        await caller
        assert w.ledger.records[-1] == line(1)


async def test_a_contradiction_in_our_books_ends_the_run_visibly() -> None:
    async with world() as w:
        await w.run()

        def broken(records: Sequence[Record]) -> None:
            raise ZeroDivisionError

        w.ledger.commit = broken  # type: ignore[method-assign]
        w.flow.handle(BotSwitched(False, "owner", T0))
        assert w.running is not None
        with pytest.raises(ExceptionGroup):
            await w.running
        w.running = None
        w.flow._journal.steps.clear()


# Starting


def found(positions: tuple[Position, ...] = (), orders: tuple[Order, ...] = ()) -> Started:
    return Started(T0, accepting=False, since_ns=7, positions=positions, orders=orders)


async def test_the_flow_is_not_ready_until_the_ledger_is_read_and_its_positions_armed() -> None:
    position = Rig().open()
    async with world(found((position,))) as w:
        assert w.flow.problems() == ["starting: the ledger is being read"]
        await w.flow.start()
        assert w.flow.problems() == [f"resolving: position {position.id}"]
        assert len(w.broker.asked) == 4
        assert w.feed.watched == [BTC_PERP.id]
        assert (w.flow.accepting, w.flow.since_ns) == (False, 7)


async def test_a_position_on_a_venue_that_is_not_set_up_names_the_setting() -> None:
    position = Rig().open()
    here = World(found((position,)))
    here.flow._feeds = {}
    with pytest.raises(Misconfigured, match="add bybit to VENUES"):
        await here.flow.start()


async def test_the_views_show_the_guardians_state() -> None:
    async with world() as w:
        position = await w.opened()
        assert w.flow.position(position.id) == position
        assert (position.status, w.flow.price(BTC_PERP.id)) == (PositionStatus.OPEN, D(100))
        w.flow.handle(FeedLost((BTC_PERP.id,), "silent", T0))
        assert w.flow.problems() == ["no prices: bybit:linear:BTCUSDT"]
