"""The real service behind the HTTP layer, without a network: flow, ledger, catalog, paper account.

Only what lies outside of the process is replaced, through its port: the instrument lists and the
prices. A broker in between notes every order that leaves.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine
from starlette.applications import Starlette

from api.app import build_app
from api.main import random_id
from api.runtime import Runtime
from api.wiring import guard_config, venue_rules
from engine.core.guardian import Guardian
from engine.flow import Flow
from engine.model.effects import Record
from engine.model.errors import Retryable
from engine.model.events import Started
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order
from engine.model.ticks import QuoteTick, TradeTick
from engine.ports import Broker, Feed
from engine.settings import Settings
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import PaperStore
from engine.venues.catalog import Catalog
from storage.database import open_database, upgrade
from storage.keys import ApiKeys
from storage.ledger import SqlLedger
from storage.queries import LoggedEvent, Queries
from storage.tables import Scope
from tests.api.clocks import ShiftedClock

SECRET = "correct horse battery staple"
BTC = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
BTC_SPOT = InstrumentId("bybit", Market.SPOT, "BTCUSDT")
ETH = InstrumentId("bybit", Market.LINEAR, "ETHUSDT")
BINANCE_BTC = InstrumentId("binance", Market.LINEAR, "BTCUSDT")


def instrument(name: InstrumentId) -> Instrument:
    return Instrument(
        id=name,
        base=name.symbol.removesuffix("USDT"),
        quote="USDT",
        tick_size=Decimal("0.1"),
        qty_step=Decimal("0.001"),
        min_qty=Decimal("0.001"),
        min_notional=Decimal(5),
    )


class Lists:
    """``engine.ports.Instruments``: a venue whose lists are the test's."""

    def __init__(self, venue: str, names: Sequence[InstrumentId]) -> None:
        self.venue = venue
        self._names = names
        self.answers = True

    async def load(self, market: Market) -> Sequence[Instrument]:
        if not self.answers:
            raise Retryable("the venue is down")
        return [instrument(n) for n in self._names if n.market is market and n.venue == self.venue]


class Prices:
    """``engine.ports.Feed``: whoever is watched gets the last price that the test set."""

    def __init__(self, venue: str, service: "Service") -> None:
        self.venue = venue
        self._service = service

    def watch(self, instrument: Instrument) -> None:
        if instrument.id in self._service.prices:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._service.tell_price, instrument.id)

    def check(self, instrument: Instrument) -> None:
        self.watch(instrument)

    def unwatch(self, instrument: InstrumentId) -> None:
        pass

    async def run(self) -> None:
        pass


class Journal:
    """``engine.ports.Ledger``: the real one, which a test may slow down or break."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self.gate: Callable[[], None] = lambda: None

    def commit(self, records: Sequence[Record], number: int = 0) -> None:
        self.gate()
        self._ledger.commit(records, number)

    def load(self, at_ns: int) -> Started:
        return self._ledger.load(at_ns)


class Watcher:
    """``engine.ports.Broker``: the paper account, noting what is submitted, in a lively market."""

    def __init__(self, broker: PaperBroker, service: "Service") -> None:
        self.venue = broker.venue
        self._broker = broker
        self._service = service
        self.look_up = broker.look_up
        self.cancel = broker.cancel
        self.read_account = broker.read_account
        self.refresh = broker.refresh
        self.positions = broker.positions
        self.run = broker.run

    def submit(self, order: Order) -> None:
        self._service.orders.append(order)
        self._broker.submit(order)
        # The account fills at the next quote, which a real market has within moments.
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, self._service.tell_price, order.instrument.id)


@dataclass
class Service:
    """A running service and what a test may do to it."""

    runtime: Runtime
    app: Starlette
    journal: Journal
    clock: ShiftedClock
    lists: list[Lists]
    accounts: list[PaperBroker] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    prices: dict[InstrumentId, float] = field(default_factory=dict)
    address: str = "127.0.0.1"

    @property
    def flow(self) -> Flow:
        return self.runtime.flow

    @property
    def queries(self) -> Queries:
        return Queries(self.runtime.engine)

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # A crash must come as a 500, as from a real server, and not as an exception.
        transport = httpx.ASGITransport(
            self.app, raise_app_exceptions=False, client=(self.address, 5)
        )
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8080", headers=headers
        )

    def key(self, scope: Scope = Scope.TRADE) -> str:
        # With the patience of the command line: the service's own is short here, for its tests.
        engine = open_database(str(self.runtime.engine.url))
        try:
            return ApiKeys(engine, self.clock).create("test", scope).key
        finally:
            engine.dispose()

    def set_price(self, name: InstrumentId, price: float) -> None:
        self.prices[name] = price
        self.tell_price(name)

    def tell_price(self, name: InstrumentId) -> None:
        """Send a trade at the price, and a quote of ample size with the ask there."""
        price, now_ns = self.prices[name], self.clock.monotonic_ns()
        for tick in (
            TradeTick(name, price, 0, 0, now_ns),
            QuoteTick(name, price - 0.1, price, 1e6, 1e6, 0, 0, now_ns),
        ):
            self.flow.on_tick(tick)
            for account in self.accounts:
                account.on_tick(tick)

    async def call(
        self, method: str, path: str, key: str | None = None, **options: Any
    ) -> httpx.Response:
        async with self.client(key) as client:
            return await client.request(method, path, **options)

    async def signal(self, **fields: Any) -> httpx.Response:
        """Send a signal with the right secret."""
        body = {"secret": SECRET, "action": "buy", "symbol": "BTCUSDT.P"} | fields
        return await self.call("POST", "/webhook", json=body)

    async def post(
        self, raw: bytes | str, path: str = "/webhook", **options: Any
    ) -> httpx.Response:
        return await self.call("POST", path, content=raw, **options)

    def events(self, kind: str) -> list[LoggedEvent]:
        return [event for event in self.queries.events(limit=1000) if event.kind == kind]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - the service has no event for each state
                await asyncio.sleep(0.005)

    async def opened(self, name: InstrumentId = BTC, **fields: Any) -> str:
        """Open a position on an instrument and return its id."""
        known = {position.id for position in self.flow.positions()}
        place = {"venue": name.venue, "market": str(name.market), "symbol": name.symbol}
        answer = await self.signal(**(place | fields))
        assert answer.status_code == 202, answer.text
        await self.until(lambda: self._open(name) - known)
        return (self._open(name) - known).pop()

    def _open(self, name: InstrumentId) -> set[str]:
        return {
            position.id
            for position in self.flow.positions()
            if position.status == "open" and position.instrument.id == name
        }


def build(engine: Engine, directory: Path, settings: Settings) -> Service:
    """Wire a service as ``api.main`` does, with the test's lists and prices."""
    clock = ShiftedClock()
    brokers: dict[str, Broker] = {}
    feeds: dict[str, Feed] = {}
    journal = Journal(SqlLedger(engine))
    flow = Flow(Guardian(guard_config(settings)), journal, clock, brokers, feeds)
    lists = [Lists(venue, (BTC, BTC_SPOT, ETH, BINANCE_BTC)) for venue in settings.venues]
    catalog = Catalog(lists, random.Random(1))
    runtime = Runtime(settings, flow, engine, catalog, clock, random_id)
    service = Service(runtime, build_app(runtime), journal, clock, lists)
    service.prices.update({BTC: 100.0, BTC_SPOT: 100.0, ETH: 10.0, BINANCE_BTC: 100.0})
    for venue in settings.venues:
        store = PaperStore(directory / f"{venue}.sqlite", venue)
        opening = {"USDT": settings.paper_balance}
        account = PaperBroker(store, venue_rules(settings, venue), opening, clock, flow.handle)
        service.accounts.append(account)
        brokers[venue] = Watcher(account, service)
        feeds[venue] = Prices(venue, service)
    return service


@contextlib.asynccontextmanager
async def running(
    directory: Path, *, listed: bool = True, **settings: Any
) -> AsyncIterator[Service]:
    """Run a service whose database and accounts lie in ``directory``."""
    engine = open_database(f"sqlite:///{directory}/tickguard.sqlite", busy_timeout_ms=200)
    upgrade(engine)
    given = {"webhook_secret": SECRET, "paper_latency_ms": 0, "data_dir": directory} | settings
    service = build(engine, directory, Settings(**given))
    if listed:
        with contextlib.suppress(Retryable):  # Binance lists no spot here
            await service.runtime.catalog.refresh()
    await service.flow.start()
    tasks = [asyncio.create_task(service.flow.run())]
    tasks += [asyncio.create_task(account.run()) for account in service.accounts]
    try:
        await service.until(lambda: len(service.queries.balances()) >= len(service.accounts))
        yield service
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        service.journal.gate = lambda: None
        for account in service.accounts:
            await account.drain()
        await service.flow.drain()
        for account in service.accounts:
            account._store.close()
        engine.dispose()
