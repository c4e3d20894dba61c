import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

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
    quote,
    rows,
    rules,
    trade,
)

ROOT = Path(__file__).parents[3]
OPENING = {"USDT": D(10_000)}


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, at most 10 s."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for is a row or an event of another task
            await asyncio.sleep(0.001)


class Guard:
    """Collects what a broker tells, and checks that a fill is on record before it is told.

    ``react`` is called with each event, as the flow would be.
    """

    def __init__(self, path: Path) -> None:
        self.told: list[BrokerEvent] = []
        self.path = path
        self.react: Callable[[BrokerEvent], None] = lambda event: None

    def __call__(self, event: BrokerEvent) -> None:
        if isinstance(event, OrderFilled):
            fill = event.fill
            query = "SELECT count(*) FROM fills WHERE venue = ? AND venue_trade_id = ?"
            key = fill.instrument.id.venue, fill.venue_trade_id
            assert rows(self.path, query, *key) == [(1,)], "a fill was told before it was written"
        self.told.append(event)
        self.react(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    async def wait_for(self, kind: type[Any], count: int = 1) -> list[Any]:
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    async def end_of(self, key: str) -> OrderUpdated:
        """Wait until the order is told final."""

        def ends() -> list[OrderUpdated]:
            told = [event for event in self.of(OrderUpdated) if event.client_order_id == key]
            return [event for event in told if event.status is not OrderStatus.ACKNOWLEDGED]

        await until(lambda: bool(ends()))
        return ends()[0]


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


@contextlib.asynccontextmanager
async def running(broker: PaperBroker) -> AsyncIterator[None]:
    """Run a broker, stop it as the service does, and see that no task of it is left."""
    task = asyncio.create_task(broker.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await broker.drain()
        names = [left.get_name() for left in asyncio.all_tasks()]
        assert not [name for name in names if name.startswith(f"paper.{broker.venue}")]


def fill(broker: PaperBroker, clock: ManualClock, price: float = 100.0, **where: Any) -> None:
    """Let what is due meet a quote."""
    clock.at_ns += 100 * MS
    broker.on_tick(quote(price, price, clock.at_ns, **where))


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


# SIGKILL


def run_until_killed(path: Path, life_s: float) -> list[list[str]]:
    """Let a child trade; kill it ``life_s`` after its first fill. Returns the fills it was told."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.simulator.paper_child", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    told = child.stdout.readline()
    time.sleep(life_s)
    os.kill(child.pid, signal.SIGKILL)
    told += child.communicate()[0]
    assert child.returncode == -signal.SIGKILL
    # A line that was cut off by the kill has no line end.
    return [line.split() for line in told[: told.rindex("\n")].splitlines()]


def check(path: Path, told: list[list[str]]) -> None:
    """Every fill told is on record as told, and the fills on record explain the balances."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    fills = {row[0]: row for row in rows(path, FILLS)}
    for trade_id, *amounts in told:
        assert [Decimal(text) for text in fills[trade_id][4:7]] == [D(text) for text in amounts]
    base, money = D(0), D(10_000)
    for _, market, side, fee_asset, qty, price, fee in fills.values():
        sign = 1 if side == "buy" else -1
        money -= sign * D(qty) * D(price)
        if market == "spot":
            base += sign * D(qty)
        if fee_asset == "BTC":
            base -= D(fee)
        else:
            money -= D(fee)
    money += sum((D(value) for (value,) in rows(path, "SELECT value FROM positions")), D(0))
    money -= sum((D(paid) for (paid,) in rows(path, "SELECT amount FROM funding")), D(0))
    wallet = {asset: D(total) for asset, total in rows(path, "SELECT asset, total FROM wallets")}
    assert wallet.get("BTC", D(0)) == base
    assert wallet["USDT"] == money
    held = sum(
        (
            D(q) * (1 if s == "buy" else -1)
            for _, m, s, _, q, _, _ in fills.values()
            if m == "linear"
        ),
        D(0),
    )
    assert held == sum((D(qty) for (qty,) in rows(path, "SELECT qty FROM positions")), D(0))


FILLS = "SELECT venue_trade_id, market, side, fee_asset, qty, price, fee FROM fills"


def kill_and_check(path: Path, lives_s: list[float]) -> None:
    told: list[list[str]] = []
    for life_s in lives_s:
        told += run_until_killed(path, life_s)
        check(path, told)
    ids = [int(line[0]) for line in told]
    assert ids == sorted(set(ids))
    assert len(ids) > 20 * len(lives_s), "the account hardly traded: nothing is proved"


def test_five_sigkills_lose_no_fill_that_was_told(path: Path):
    kill_and_check(path, [0.0, 0.01, 0.05, 0.1, 0.3])


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_fifty_sigkills_lose_no_fill_that_was_told(path: Path):
    dice = random.Random(50)
    kill_and_check(path, [dice.uniform(0, 0.8) for _ in range(50)])
