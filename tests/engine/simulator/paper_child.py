"""A paper account that trades as fast as it is answered, and prints each fill that it is told of.

Run as a process that is going to be killed: ``python -m tests.engine.simulator.paper_child FILE``.
"""

import asyncio
import random
import sys
from itertools import count
from pathlib import Path

from engine.clock import SystemClock
from engine.model.events import OrderFilled, OrderUpdated
from engine.model.order import FINAL
from engine.ports import BrokerEvent
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import PaperStore
from tests.engine.simulator.paper_parts import BUY, PERP, SELL, SPOT, D, mark, order, quote, rules


class Trader:
    """Keeps a few orders in flight; ``told`` of their end, it sends others."""

    def __init__(self, path: Path) -> None:
        self._dice = random.Random()
        self._clock = SystemClock()
        self._names = (f"{self._clock.now_ns()}n{number}" for number in count())
        store = PaperStore(path, "bybit")
        its = rules(latency_ns=0, leverage=D(3))
        self.account = PaperBroker(store, its, {"USDT": D(10_000)}, self._clock, self.told)

    def told(self, event: BrokerEvent) -> None:
        if isinstance(event, OrderFilled):
            fill = event.fill
            print(fill.venue_trade_id, fill.qty, fill.price, fill.fee, flush=True)  # noqa: T201
        elif isinstance(event, OrderUpdated) and event.status in FINAL:
            self.send()

    def send(self) -> None:
        side = self._dice.choice((BUY, SELL))
        instrument = self._dice.choice((SPOT, PERP))
        qty = D(self._dice.randint(50, 400)) / 1000
        self.account.submit(order(next(self._names), side, qty, instrument=instrument))

    async def trade(self) -> None:
        for _ in range(5):
            self.send()
        while True:
            bid = self._dice.randint(9_000, 11_000) / 100
            at_ns = self._clock.monotonic_ns()
            for instrument in (SPOT, PERP):
                self.account.on_tick(quote(bid, bid + 0.5, at_ns, instrument, 0.2))
            now_ms = self._clock.now_ns() // 1_000_000
            self.account.on_tick(mark(bid, now_ms, now_ms + 20, 0.0001))
            await asyncio.sleep(0.001)


async def main(path: Path) -> None:
    trader = Trader(path)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(trader.account.run())
        tasks.create_task(trader.trade())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
