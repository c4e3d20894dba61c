"""Runs a paper broker and collects what it tells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from engine.model.events import (
    OrderFilled,
    OrderUpdated,
)
from engine.model.order import OrderStatus
from engine.ports import BrokerEvent
from engine.simulator.paper import PaperBroker
from tests.engine.simulator.paper_parts import (
    MS,
    D,
    ManualClock,
    quote,
    rows,
)

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
