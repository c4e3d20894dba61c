"""A flow among small adapters that come in through the ports."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

from engine.core.guardian import Guardian
from engine.flow import Flow
from engine.model.effects import Record, SaveOrder
from engine.model.errors import Retryable
from engine.model.events import (
    Balance,
    BalancesReported,
    OrderFilled,
    OrderUpdated,
    SignalReceived,
    Started,
    VenuePosition,
)
from engine.model.instrument import Instrument, InstrumentId
from engine.model.order import Fill, Order, OrderStatus
from engine.model.position import Position
from engine.model.signal import Action, Signal
from engine.model.ticks import PriceSource, TradeTick
from tests.engine.core.rig import BTC_PERP, T0, config, position_id

D = Decimal


class Ledger:
    """Remembers commits; can be told to fail, and to wait inside one."""

    def __init__(self, started: Started | None = None) -> None:
        self.commits: list[list[Record]] = []
        self.failing = False
        self.tries = 0
        self.tried: list[tuple[int, list[Record]]] = []
        self.gate: threading.Event | None = None
        self.inside = threading.Event()
        self.started = started or Started(T0, accepting=True)

    def commit(self, records: Sequence[Record], number: int = 0) -> None:
        self.tries += 1
        self.tried.append((number, list(records)))
        self.inside.set()
        if self.gate is not None:
            assert self.gate.wait(5)
        if self.failing:
            raise Retryable("disk full")
        self.commits.append(list(records))

    def load(self, at_ns: int) -> Started:
        return self.started

    @property
    def records(self) -> list[Record]:
        return [record for commit in self.commits for record in commit]


class Broker:
    """Remembers what was asked of it, and how much was on disk then."""

    venue = "bybit"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.orders: list[Order] = []
        self.on_disk: list[bool] = []
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.reads = 0
        self.refreshed: list[InstrumentId] = []

    def submit(self, order: Order) -> None:
        stored = [r.order.client_order_id for r in self.ledger.records if isinstance(r, SaveOrder)]
        self.on_disk.append(order.client_order_id in stored)
        self.orders.append(order)

    def look_up(self, order: Order) -> None:
        self.asked.append(order.client_order_id)

    def cancel(self, order: Order) -> None:
        self.cancelled.append(order.client_order_id)

    def read_account(self, instruments: Sequence[Instrument]) -> None:
        self.reads += 1

    def refresh(self, instrument: Instrument) -> None:
        self.refreshed.append(instrument.id)

    def positions(self) -> Sequence[VenuePosition]:
        return ()

    async def run(self) -> None:
        await asyncio.Event().wait()


class Feed:
    """Remembers what is watched."""

    venue = "bybit"

    def __init__(self) -> None:
        self.watched: list[InstrumentId] = []
        self.checked: list[InstrumentId] = []
        self.missed: list[tuple[InstrumentId, PriceSource, int]] = []

    def watch(self, instrument: Instrument) -> None:
        self.watched.append(instrument.id)

    def check(self, instrument: Instrument) -> None:
        self.checked.append(instrument.id)

    def fetch_missed(self, instrument: Instrument, source: PriceSource, since_ms: int) -> None:
        self.missed.append((instrument.id, source, since_ms))

    def unwatch(self, instrument: InstrumentId) -> None:
        self.watched.remove(instrument)

    async def run(self) -> None:
        await asyncio.Event().wait()


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now


class World:
    """A flow with its surroundings; ``changes`` are of the guardian's settings."""

    def __init__(self, started: Started | None = None, **changes: Any) -> None:
        self.ledger = Ledger(started)
        self.broker = Broker(self.ledger)
        self.feed = Feed()
        self.clock = Clock()
        self.guardian = Guardian(config(**changes))
        self.flow = Flow(
            self.guardian,
            self.ledger,
            self.clock,
            {"bybit": self.broker},
            {"bybit": self.feed},
            commit_retry_s=0.01,
            clock_period_s=0.005,
        )
        self.running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await self.flow.start()
        self.running = asyncio.create_task(self.flow.run())
        balance = Balance("bybit", "USDT", D(10000), D(10000), D(0))
        self.flow.handle(BalancesReported((balance,), T0))
        await self.settled()

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running

    async def settled(self) -> None:
        await until(lambda: not self.flow._journal.steps)

    # What happens

    def price(self, price: float) -> None:
        self.flow.on_tick(TradeTick(BTC_PERP.id, price, 0, 0, 1))

    def signal(self, number: int = 1, action: str = "buy") -> SignalReceived:
        signal = Signal(f"s{number}", self.clock.now_ns(), "webhook", Action(action), BTC_PERP)
        return SignalReceived(signal, position_id(number), self.clock.now_ns())

    def fill(self, order: Order, price: str) -> None:
        fill = Fill(
            venue_trade_id=f"t{order.client_order_id}",
            instrument=order.instrument,
            side=order.side,
            qty=order.qty,
            price=D(price),
            fee=D(0),
            fee_asset="USDT",
            time_ns=self.clock.now_ns(),
            client_order_id=order.client_order_id,
        )
        self.flow.handle(OrderFilled(fill, self.clock.now_ns()))
        done = OrderUpdated(order.client_order_id, OrderStatus.FILLED, self.clock.now_ns())
        self.flow.handle(done)

    async def opened(self) -> Position:
        """Run, and have a long of one unit at 100."""
        await self.run()
        await self.flow.handle_durably(self.signal())
        self.price(100.0)
        await until(lambda: len(self.broker.orders) == 1)
        self.fill(self.broker.orders[0], "100")
        await self.settled()
        return self.flow.positions()[0]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the conditions are other threads' and tasks'
            await asyncio.sleep(0.001)


@asynccontextmanager
async def world(started: Started | None = None, **changes: Any) -> AsyncIterator[World]:
    """A world that leaves no task behind."""
    before = asyncio.all_tasks()
    here = World(started, **changes)
    try:
        yield here
    finally:
        await here.stop()
        with suppress(Retryable):
            await here.flow.drain()
    assert asyncio.all_tasks() == before
