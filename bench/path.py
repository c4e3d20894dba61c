"""The product's whole path for benches: real feed, flow, guardian, ledger and paper account."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from api.wiring import guard_config, venue_rules
from engine.clock import SystemClock
from engine.core.guardian import Guardian
from engine.flow import Flow
from engine.model.effects import SavePosition
from engine.model.events import VenuePosition
from engine.model.exits import AtPrice, Disarmed, Exits, Side
from engine.model.ids import encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.ticks import PriceSource, Tick
from engine.ports import Broker, Feed
from engine.settings import Settings
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import PaperStore
from engine.venues.registry import BybitUrls, build_feed
from storage.database import open_database, upgrade
from storage.ledger import SqlLedger

INSTRUMENT = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.10"),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
)


class Watching:
    """A broker that tells when an order is handed over, and passes it on."""

    def __init__(self, inner: Broker, handed: Callable[[Order], None]) -> None:
        self.venue = inner.venue
        self._inner = inner
        self._handed = handed

    def submit(self, order: Order) -> None:
        self._handed(order)
        self._inner.submit(order)

    def look_up(self, order: Order) -> None:
        self._inner.look_up(order)

    def positions(self) -> Sequence[VenuePosition]:
        return self._inner.positions()

    async def run(self) -> None:
        await self._inner.run()


def position(number: int, take_profit: Decimal) -> Position:
    """An open long of 0.001 BTC at 65,000 with a take-profit at ``take_profit``."""
    return Position(
        id=encode_id(number.to_bytes(16, "big")),
        instrument=INSTRUMENT,
        side=Side.LONG,
        exits=Exits(AtPrice(take_profit), Disarmed()),
        trigger=PriceSource.LAST,
        created_at_ns=number,
        status=PositionStatus.OPEN,
        guard=GuardStatus.ARMED,
        qty=Decimal("0.001"),
        entry_value=Decimal(65),
        take_profit=take_profit,
        stop_loss=Decimal(40_000) - number,
        entry_time_ns=1,
    )


@contextlib.asynccontextmanager
async def guarding(
    url: str,
    positions: Sequence[Position],
    handed: Callable[[Order], None],
    seen: Callable[[Tick], None] | None = None,
) -> AsyncIterator[Flow]:
    """Run everything but the HTTP server.

    ``handed`` hears of every order given to the broker, ``seen`` of every tick after it was judged.
    """
    settings, clock = Settings(), SystemClock()
    with TemporaryDirectory(prefix="tickguard-bench-") as folder, contextlib.ExitStack() as stack:
        engine = open_database(f"sqlite:///{folder}/ledger.sqlite")
        stack.callback(engine.dispose)
        upgrade(engine)
        ledger = SqlLedger(engine)
        ledger.commit([SavePosition(each) for each in positions])
        brokers: dict[str, Broker] = {}
        feeds: dict[str, Feed] = {}
        flow = Flow(Guardian(guard_config(settings)), ledger, clock, brokers, feeds)
        store = PaperStore(Path(folder) / "paper.sqlite", "bybit")
        stack.callback(store.close)
        opening = {"USDT": Decimal(10_000_000)}
        paper = PaperBroker(store, venue_rules(settings, "bybit"), opening, clock, flow.handle)
        brokers["bybit"] = Watching(paper, handed)

        def see(tick: Tick) -> None:
            flow.on_tick(tick)
            paper.on_tick(tick)

        def see_and_tell(tick: Tick) -> None:
            see(tick)
            if seen is not None:
                seen(tick)

        urls = BybitUrls(rest="http://127.0.0.1:9", ws_public=url, ws_private="ws://127.0.0.1:9")
        feeds["bybit"] = build_feed(
            "bybit", urls, clock, see_and_tell if seen else see, flow.handle, 3600.0
        )
        await flow.start()
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(part.run()) for part in (flow, brokers["bybit"], feeds["bybit"])
            ]
            yield flow
            for task in running:
                task.cancel()
