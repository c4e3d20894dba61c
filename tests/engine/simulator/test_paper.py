import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from engine.model.errors import Retryable
from engine.model.events import (
    BalancesReported,
    FundingPaid,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
)
from engine.model.order import OrderStatus
from engine.ports import Broker, BrokerEvent
from engine.simulator import paper
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import Changes, PaperStore
from tests.engine.simulator.paper_parts import (
    BUY,
    MS,
    NOON_MS,
    PERP,
    SECOND,
    SELL,
    SPOT,
    D,
    ManualClock,
    mark,
    order,
    rows,
    rules,
    trade,
)
from tests.engine.simulator.paper_rig import OPENING, Guard, fill, running, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper.sqlite"


@pytest.fixture
def guard(path: Path) -> Guard:
    return Guard(path)


@pytest.fixture
def store(path: Path) -> Iterator[PaperStore]:
    store = PaperStore(path, "bybit", busy_timeout_s=0.02)
    yield store
    store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(store: PaperStore, clock: ManualClock, guard: Guard) -> PaperBroker:
    return PaperBroker(store, rules(), OPENING, clock, guard)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "WRITE_RETRY_S", 0.01)
    monkeypatch.setattr(paper, "ADVANCE_PERIOD_S", 0.005)


async def test_balances_come_first(broker: PaperBroker, guard: Guard, clock: ManualClock):
    async with running(broker):
        await guard.wait_for(BalancesReported)
    assert [type(event) for event in guard.told] == [BalancesReported]
    (usdt,) = guard.told[0].balances
    assert (usdt.venue, usdt.asset, usdt.total, usdt.free) == ("bybit", "USDT", 10_000, 10_000)


async def test_an_order_is_sent_taken_filled_and_told_in_that_order(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    async with running(broker):
        broker.submit(order("a", BUY, "1"))
        sent_ns = clock.at_ns
        fill(broker, clock)
        await guard.end_of("a")
    assert [type(event) for event in guard.told if not isinstance(event, BalancesReported)] == [
        OrderSent,
        OrderUpdated,
        OrderFilled,
        OrderUpdated,
    ]
    (sent,) = guard.of(OrderSent)
    assert (sent.client_order_id, sent.sent_ns) == ("a", sent_ns)
    assert guard.of(OrderUpdated)[-1].status is OrderStatus.FILLED


async def test_it_is_a_broker(broker: PaperBroker):
    port: Broker = broker
    assert port.venue == "bybit"


async def test_a_look_up_is_answered_after_what_happened_before_it(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    async with running(broker):
        broker.look_up(order("a", BUY, "1"))
        broker.submit(order("a", BUY, "1"))
        broker.look_up(order("a", BUY, "1"))
        fill(broker, clock)
        broker.look_up(order("a", BUY, "1"))
        answers = await guard.wait_for(OrderLookedUp, 3)
    assert [answer.found for answer in answers] == [False, True, True]
    assert [answer.status for answer in answers] == [
        None,
        OrderStatus.ACKNOWLEDGED,
        OrderStatus.FILLED,
    ]
    (filled,) = guard.of(OrderFilled)
    assert answers[2].fills == (filled.fill,)
    assert guard.told.index(filled) < guard.told.index(answers[2])


async def test_a_repetition_is_answered_and_its_look_up_tells_the_first(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    async with running(broker):
        broker.submit(order("a", BUY, "1"))
        broker.submit(order("a", BUY, "1"))
        refusal = await guard.end_of("a")
        broker.look_up(order("a", BUY, "1"))
        (found,) = await guard.wait_for(OrderLookedUp)
    assert refusal.status is OrderStatus.UNKNOWN
    assert (found.status, found.qty) == (OrderStatus.ACKNOWLEDGED, 1)


async def test_a_close_sent_while_a_fill_is_told_is_answered_too(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    def close(event: BrokerEvent) -> None:
        if isinstance(event, OrderFilled) and event.fill.side is BUY:
            broker.submit(order("x", SELL, "0.999"))

    guard.react = close
    async with running(broker):
        broker.submit(order("a", BUY, "1"))
        fill(broker, clock)
        await guard.end_of("a")
        fill(broker, clock)
        assert (await guard.end_of("x")).status is OrderStatus.FILLED


async def test_time_alone_fills_at_the_last_trade_or_rejects(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    async with running(broker):
        broker.on_tick(trade(100.0))
        broker.submit(order("a", BUY, "1"))
        broker.submit(order("b", BUY, "1", instrument=PERP))
        await asyncio.sleep(0.02)
        assert guard.of(OrderFilled) == []
        clock.at_ns += 1_100 * MS
        assert (await guard.end_of("a")).status is OrderStatus.FILLED
        clock.at_ns += 9 * SECOND
        assert (await guard.end_of("b")).message.startswith("no_price")


async def test_positions_are_those_of_what_was_told(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    async with running(broker):
        broker.submit(order("a", BUY, "1", instrument=PERP))
        fill(broker, clock, instrument=PERP)
        assert broker.positions() == []
        await guard.end_of("a")
        assert [position.qty for position in broker.positions()] == [1]


async def test_funding_is_told_and_its_date_is_on_record_before_it_is_due(
    broker: PaperBroker, guard: Guard, clock: ManualClock, path: Path
):
    async with running(broker):
        broker.submit(order("a", BUY, "1", instrument=PERP))
        fill(broker, clock, instrument=PERP)
        await guard.end_of("a")
        broker.on_tick(mark(100.0, NOON_MS, NOON_MS + 9, 0.0001))
        await until(lambda: bool(rows(path, "SELECT * FROM funding_due")))
        broker.on_tick(mark(100.0, NOON_MS + 9, NOON_MS + 9, 0.0001))
        (paid,) = await guard.wait_for(FundingPaid)
    assert paid.amount == D("0.01")


async def test_a_new_process_goes_on_where_the_last_one_was(
    broker: PaperBroker, guard: Guard, clock: ManualClock, path: Path
):
    async with running(broker):
        broker.submit(order("a", BUY, "1", instrument=PERP))
        fill(broker, clock, instrument=PERP)
        await guard.end_of("a")
        broker.submit(order("b", BUY, "1"))
        await guard.wait_for(OrderSent, 2)
    store, later, heard = PaperStore(path, "bybit"), ManualClock(), Guard(path)
    again = PaperBroker(store, rules(), OPENING, later, heard)
    assert again.positions() == broker.positions()
    async with running(again):
        again.look_up(order("a", BUY, "1"))
        fill(again, later)
        assert (await heard.end_of("b")).status is OrderStatus.FILLED
    (found,) = heard.of(OrderLookedUp)
    assert [found.fills[0]] == [event.fill for event in guard.of(OrderFilled)]
    ids = [
        int(event.fill.venue_trade_id) for event in (*guard.of(OrderFilled), *heard.of(OrderFilled))
    ]
    assert ids == sorted(set(ids))
    store.close()


async def test_ids_rise_over_a_lost_record(tmp_path: Path, clock: ManualClock):
    last = 0
    for number in range(2):
        path = tmp_path / f"{number}.sqlite"
        store, guard = PaperStore(path, "bybit"), Guard(path)
        broker = PaperBroker(store, rules(), OPENING, clock, guard)
        async with running(broker):
            broker.submit(order("a", BUY, "1"))
            fill(broker, clock)
            await guard.end_of("a")
        assert int(guard.of(OrderUpdated)[0].venue_order_id) > last
        last = int(guard.of(OrderFilled)[-1].fill.venue_trade_id)
        store.close()


async def test_two_venues_share_one_record(tmp_path: Path, clock: ManualClock):
    path = tmp_path / "paper.sqlite"
    stores = [PaperStore(path, venue) for venue in ("bybit", "binance")]
    guards = [Guard(path), Guard(path)]
    brokers = [
        PaperBroker(store, rules(venue=venue), OPENING, clock, guard)
        for store, venue, guard in zip(stores, ("bybit", "binance"), guards, strict=True)
    ]
    spots = [replace(SPOT, id=replace(SPOT.id, venue=venue)) for venue in ("bybit", "binance")]
    async with running(brokers[0]), running(brokers[1]):
        for number in range(20):
            for broker, spot in zip(brokers, spots, strict=True):
                broker.submit(order(str(number), BUY, "0.1", instrument=spot))
                fill(broker, clock, instrument=spot)
            await asyncio.sleep(0.001)
        for guard in guards:
            await guard.end_of("19")
    counts = rows(path, "SELECT venue, count(*) FROM fills GROUP BY venue ORDER BY venue")
    assert counts == [("binance", 20), ("bybit", 20)]
    for store in stores:
        store.close()


# A record that refuses


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the record as another program would."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_what_cannot_be_written_is_told_later_and_whole(
    broker: PaperBroker, guard: Guard, clock: ManualClock, path: Path
):
    with capture_logs() as logs:
        async with running(broker):
            await guard.wait_for(BalancesReported)
            with locked(path):
                broker.submit(order("a", BUY, "1"))
                fill(broker, clock)
                await asyncio.sleep(0.2)
                assert guard.of(OrderSent) == []
            await guard.end_of("a")
    assert len(guard.of(OrderFilled)) == 1
    assert [line["event"] for line in logs] == ["paper.write_failed", "paper.write_resumed"]


async def test_a_stop_while_the_record_refuses_gives_up_and_tells_nothing(
    broker: PaperBroker, guard: Guard, clock: ManualClock, path: Path
):
    with locked(path), capture_logs() as logs:
        async with running(broker):
            broker.submit(order("a", BUY, "1"))
            await asyncio.sleep(0.05)
    assert guard.told == []
    assert [line["event"] for line in logs] == ["paper.write_failed", "paper.left_unwritten"]
    assert rows(path, "SELECT * FROM orders") == []


async def test_a_stop_in_the_middle_of_a_batch_tells_it_whole(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    async with running(broker):
        await guard.wait_for(BalancesReported)
        broker.submit(order("a", BUY, "1"))
        fill(broker, clock)
        await asyncio.sleep(0)
    assert len(guard.of(OrderFilled)) == 1
    assert guard.of(OrderUpdated)[-1].status is OrderStatus.FILLED


async def test_a_drain_answers_what_its_own_answers_cause(
    broker: PaperBroker, guard: Guard, clock: ManualClock
):
    def close(event: BrokerEvent) -> None:
        if isinstance(event, OrderFilled):
            broker.submit(order("x", SELL, "0.5"))

    guard.react = close
    async with running(broker):
        broker.submit(order("a", BUY, "1"))
        fill(broker, clock)
    assert [event.client_order_id for event in guard.of(OrderSent)] == ["a", "x"]


class FailingStore(PaperStore):
    """Fails with ``error`` from the second batch on."""

    error: Exception = RuntimeError("broken")
    batches = 0

    def write(self, changes: Changes) -> None:
        self.batches += 1
        if self.batches > 1:
            raise self.error
        super().write(changes)


async def test_a_mistake_of_ours_ends_the_account_and_nothing_unwritten_is_told(
    path: Path, guard: Guard, clock: ManualClock
):
    store = FailingStore(path, "bybit")
    broker = PaperBroker(store, rules(), OPENING, clock, guard)
    task = asyncio.create_task(broker.run())
    await guard.wait_for(BalancesReported)
    broker.submit(order("a", BUY, "1"))
    with pytest.raises(ExceptionGroup) as caught:
        await task
    assert caught.group_contains(RuntimeError, match="broken")
    with pytest.raises(RuntimeError, match="broken"):
        await broker.drain()
    assert guard.of(OrderSent) == []
    store.close()


async def test_a_refusal_while_draining_is_the_end_of_it(
    path: Path, guard: Guard, clock: ManualClock
):
    store = FailingStore(path, "bybit")
    store.error = Retryable("disk full")
    broker = PaperBroker(store, rules(), OPENING, clock, guard)
    async with running(broker):
        await guard.wait_for(BalancesReported)
        broker.submit(order("a", BUY, "1"))
    assert guard.of(OrderSent) == []
    store.close()


async def test_a_quote_asset_is_credited_once_when_it_is_first_needed(
    broker: PaperBroker, guard: Guard, path: Path
):
    async with running(broker):
        await guard.wait_for(BalancesReported)
        for _ in range(2):
            broker.credit("EUR", D(500))
        await until(lambda: len(guard.of(BalancesReported)) > 1)
    assert len(guard.of(BalancesReported)) == 2
    (told,) = guard.of(BalancesReported)[1].balances
    assert (told.asset, told.total, told.free) == ("EUR", D(500), D(500))
    assert rows(path, "SELECT total FROM wallets WHERE asset = 'EUR'") == [("500",)]
