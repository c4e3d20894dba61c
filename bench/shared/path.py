"""The product's whole path for benches: real feed, flow, guardian, ledger and paper account."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from api.accounts import guard_then_account
from api.wiring import PAPER_QUOTES, feed_connector, guard_config, venue_rules
from engine.clock import SystemClock
from engine.core.guardian import Guardian
from engine.flow import Flow
from engine.model.effects import AppendEvent, SavePosition
from engine.model.events import VenuePosition
from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, Side
from engine.model.ids import encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.ticks import PriceSource
from engine.ports import Broker, Feed, TickSink
from engine.settings import FeedTransport, Settings
from engine.simulator.account import LinearPosition
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import PaperStore, take_changes
from engine.venues.registry import BybitUrls, build_feed
from storage.database import open_database, upgrade
from storage.ledger import SqlLedger

VENUE = "bybit"
QTY = Decimal("0.001")
ENTRY_PRICE = Decimal(65_000)
OPENING = Decimal(10_000_000)
STALE_S = 3600.0
"""The sending process pauses and sends trades only; what that means for liveness is no subject."""

INSTRUMENT = Instrument(
    id=InstrumentId(VENUE, Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.10"),
    qty_step=Decimal("0.001"),
    min_qty=QTY,
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

    def cancel(self, order: Order) -> None:
        self._inner.cancel(order)

    def read_account(self, instruments: Sequence[Instrument]) -> None:
        self._inner.read_account(instruments)

    def refresh(self, instrument: Instrument) -> None:
        self._inner.refresh(instrument)

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
        qty=QTY,
        entry_value=QTY * ENTRY_PRICE,
        take_profit=take_profit,
        stop_loss=Decimal(40_000) - number,
        entry_time_ns=1,
    )


@dataclass(slots=True)
class WholePath:
    """What runs, but for the HTTP server."""

    flow: Flow
    account: PaperBroker
    broker: Broker
    feed: Feed

    async def end(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        """Stop in the service's order: what was begun is written before the records close."""
        for name, drain in (
            ("feed", None),
            ("broker", self.account.drain),
            ("flow", self.flow.drain),
        ):
            tasks[name].cancel()
            await asyncio.wait({tasks[name]})
            if drain is not None:
                await drain()


@contextlib.asynccontextmanager
async def guarding(
    url: str,
    positions: Sequence[Position],
    handed: Callable[[Order], None],
    wrap: Callable[[TickSink], TickSink] = lambda sink: sink,
    transport: FeedTransport = FeedTransport.WEBSOCKETS,
) -> AsyncIterator[Flow]:
    """Guard ``positions``, which the paper account holds too, on the prices of ``url``.

    ``handed`` hears of every order given to the broker; ``wrap`` may stand before the tick sink;
    ``transport`` is the library that reads the socket.

    Raises:
        ExceptionGroup: a part failed; whoever waits inside is cancelled at once.
    """
    settings, clock = Settings(feed_transport=transport, venues=(VENUE,)), SystemClock()
    brokers: dict[str, Broker] = {}
    feeds: dict[str, Feed] = {}
    with TemporaryDirectory(prefix="tickguard-bench-") as folder, contextlib.ExitStack() as stack:
        engine = open_database(f"sqlite:///{folder}/ledger.sqlite")
        stack.callback(engine.dispose)
        upgrade(engine)
        ledger = SqlLedger(engine)
        ledger.commit([SavePosition(each) for each in positions])
        flow = Flow(Guardian(guard_config(settings)), ledger, clock, brokers, feeds)
        store = PaperStore(Path(folder) / "paper.sqlite", VENUE)
        stack.callback(store.close)
        account = _account(store, settings, clock, flow, len(positions))
        urls = BybitUrls(rest="http://127.0.0.1:9", ws_public=url, ws_private="ws://127.0.0.1:9")
        sink = wrap(guard_then_account(flow, account))
        connector = feed_connector(settings, clock)
        feeds[VENUE] = build_feed(
            VENUE, urls, clock, sink, flow.handle, STALE_S, connector=connector
        )
        brokers[VENUE] = Watching(account, handed)
        path = WholePath(flow, account, brokers[VENUE], feeds[VENUE])
        await flow.start()
        async with asyncio.TaskGroup() as group:
            tasks = {
                "flow": group.create_task(flow.run()),
                "broker": group.create_task(path.broker.run()),
            }
            await _settled(flow, clock)
            tasks["feed"] = group.create_task(path.feed.run())
            yield flow
            await path.end(tasks)


async def _settled(flow: Flow, clock: SystemClock) -> None:
    """Wait until recovery has armed every position and is on disk: it is not what is measured."""
    while any(problem.startswith("resolving") for problem in flow.problems()):
        await asyncio.sleep(0.01)
    await flow.record(AppendEvent("bench.begun", "bench", clock.now_ns(), {}))


def _account(
    store: PaperStore, settings: Settings, clock: SystemClock, flow: Flow, count: int
) -> PaperBroker:
    """A paper account that holds ``count`` positions, as after a restart of the service."""
    rules, now_ns = venue_rules(settings, VENUE), clock.monotonic_ns()
    opening = dict.fromkeys(PAPER_QUOTES, OPENING)
    model = store.load(rules, opening, 1, now_ns)
    qty = count * QTY
    held = LinearPosition(INSTRUMENT, rules.leverage, qty, qty * ENTRY_PRICE)
    model.account.positions[INSTRUMENT.id] = held
    store.write(take_changes(model))
    return PaperBroker(store, rules, opening, clock, flow.handle)
