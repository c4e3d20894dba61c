"""The composition root in this process, at the exchange simulator; processes: tests/scenarios."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import Engine, select

from api import main
from api.accounts import ticks_of
from api.main import build, listen, random_id, serve, url_of
from engine.clock import SystemClock
from engine.lease import LEASE_NS
from engine.model.errors import Fenced, Held, Misconfigured, Retryable
from engine.model.events import Event, PricesChecked
from engine.model.ids import ID_LENGTH
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import TradeTick
from engine.settings import Settings
from engine.simulator.paper import PaperBroker
from engine.simulator.server import SimulatorServer
from engine.venues.feed import StreamFeed
from storage.database import open_database, read_transaction, upgrade
from storage.lease import SqlLease, holder_id
from storage.tables import LEASES
from tests.api.service import SECRET


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/tickguard.sqlite")
    upgrade(opened)
    yield opened
    opened.dispose()


@contextlib.asynccontextmanager
async def at_simulator(folder: Path, **fields: Any) -> AsyncIterator[Settings]:
    """Settings of a service whose venues are a simulator in this process."""
    async with SimulatorServer(SystemClock()) as simulator:
        places = {name.lower(): url for name, url in simulator.urls.items()}
        given = {"data_dir": folder, "api_port": 0, "webhook_secret": SECRET}
        yield Settings(**(places | given | fields))


async def started(
    settings: Settings, engine: Engine, stop: asyncio.Event
) -> tuple["asyncio.Task[None]", str]:
    """Start the service and return it with its address, once it says that it is ready."""
    told: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(settings, engine, SystemClock(), stop, told.put_nowait))
    waiting = asyncio.create_task(told.get())
    await asyncio.wait({task, waiting}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        await task
    return task, await waiting


async def test_it_serves_until_it_is_asked_to_stop(tmp_path: Path, engine: Engine) -> None:
    stop = asyncio.Event()
    async with at_simulator(tmp_path) as settings:
        task, url = await started(settings, engine, stop)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/health")).status_code == 200
            body = {"secret": SECRET, "action": "buy", "symbol": "BYBIT:BTCUSDT.P"}
            # Instrument lists are there from the first request on.
            assert (await client.post("/webhook", json=body)).status_code == 202
        stop.set()
        async with asyncio.timeout(5):
            await task
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"{url}/health")


async def test_a_stop_during_the_start_is_obeyed_and_nothing_is_announced(
    tmp_path: Path, engine: Engine
) -> None:
    stop = asyncio.Event()
    stop.set()
    async with at_simulator(tmp_path) as settings, asyncio.timeout(10):
        await serve(settings, engine, SystemClock(), stop, pytest.fail)


async def test_a_venue_that_does_not_answer_does_not_keep_the_service_from_starting(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "INSTRUMENTS_WAIT_S", 0.2)
    nowhere = {
        "bybit_rest_url": "http://127.0.0.1:1",
        "bybit_ws_public_url": "ws://127.0.0.1:1/v5/public",
    }
    stop = asyncio.Event()
    async with at_simulator(tmp_path, **nowhere) as settings:
        task, _ = await started(settings, engine, stop)
        stop.set()
        async with asyncio.timeout(10):
            await task


def fail_once_running(
    monkeypatch: pytest.MonkeyPatch, part: type[StreamFeed] | type[PaperBroker]
) -> None:
    async def crash(_: object) -> None:
        await asyncio.sleep(0.2)
        raise RuntimeError("boom")

    monkeypatch.setattr(part, "run", crash)


@pytest.mark.parametrize("part", [StreamFeed, PaperBroker])
async def test_a_part_that_fails_ends_the_service(
    tmp_path: Path,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    part: type[StreamFeed] | type[PaperBroker],
) -> None:
    fail_once_running(monkeypatch, part)
    async with at_simulator(tmp_path) as settings:
        with pytest.raises(ExceptionGroup) as failure:
            async with asyncio.timeout(20):
                await serve(settings, engine, SystemClock(), asyncio.Event(), lambda _: None)
    assert failure.group_contains(RuntimeError, match="boom")


async def test_what_cannot_be_written_after_a_failure_is_logged_beside_it(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once_running(monkeypatch, StreamFeed)

    async def refuse(_: object) -> None:
        raise Retryable("disk full")

    monkeypatch.setattr(main.Flow, "drain", refuse)
    async with at_simulator(tmp_path) as settings:
        with structlog.testing.capture_logs() as logs, pytest.raises(ExceptionGroup):
            await serve(settings, engine, SystemClock(), asyncio.Event(), lambda _: None)
    assert {"event": "service.left_unwritten", "error": "disk full", "log_level": "error"} in logs


def holder(engine: Engine) -> str:
    with read_transaction(engine) as connection:
        return str(connection.execute(select(LEASES.c.holder)).scalar_one())


def take_over(engine: Engine) -> None:
    """Become the writer as another installation would once the lease ran out."""
    lease = SqlLease(engine, settle_ns=0)
    assert lease.acquire("they", SystemClock().now_ns() + 2 * LEASE_NS, LEASE_NS).wait_ns


async def test_the_service_is_the_one_writer_until_it_stops(tmp_path: Path, engine: Engine) -> None:
    stop = asyncio.Event()
    async with at_simulator(tmp_path) as settings:
        task, _ = await started(settings, engine, stop)
        assert holder(engine) == holder_id(tmp_path)
        with pytest.raises(Held):
            SqlLease(engine, settle_ns=0).acquire("they", SystemClock().now_ns(), LEASE_NS)
        stop.set()
        async with asyncio.timeout(10):
            await task
    assert holder(engine) == ""


async def test_a_service_does_not_start_while_another_writes(
    tmp_path: Path, engine: Engine
) -> None:
    SqlLease(engine, settle_ns=0).acquire("they", SystemClock().now_ns(), LEASE_NS)
    async with at_simulator(tmp_path) as settings:
        with pytest.raises(Held, match="DATABASE_URL is in use by another Tickguard"):
            await serve(settings, engine, SystemClock(), asyncio.Event(), pytest.fail)
    assert holder(engine) == "they"


async def test_a_service_that_was_taken_over_from_ends_and_leaves_the_lease_alone(
    tmp_path: Path, engine: Engine
) -> None:
    async with at_simulator(tmp_path) as settings:
        with structlog.testing.capture_logs() as logs:
            task, url = await started(settings, engine, asyncio.Event())
            take_over(engine)
            body = {"secret": SECRET, "action": "buy", "symbol": "BYBIT:BTCUSDT.P"}
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                with contextlib.suppress(httpx.TransportError):
                    assert (await client.post("/webhook", json=body)).status_code == 503
            with pytest.raises(Fenced, match="taken over this database"):
                async with asyncio.timeout(10):
                    await task
    assert "service.fenced" in [line["event"] for line in logs]
    assert holder(engine) == "they"


async def test_a_lease_that_cannot_be_given_back_runs_out(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Retryable("disk full")

    monkeypatch.setattr(SqlLease, "release", refuse)
    stop = asyncio.Event()
    stop.set()
    async with at_simulator(tmp_path) as settings, asyncio.timeout(10):
        with structlog.testing.capture_logs() as logs:
            await serve(settings, engine, SystemClock(), stop, pytest.fail)
    line = {"event": "lease.not_released", "error": "disk full", "log_level": "warning"}
    assert line in logs
    assert holder(engine) == holder_id(tmp_path)


async def test_the_guard_sees_a_price_before_the_account(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def note(name: str) -> Callable[[object, object], None]:
        return lambda _self, _tick: seen.append(name)

    monkeypatch.setattr(main.Flow, "on_tick", note("guard"))
    monkeypatch.setattr(PaperBroker, "on_tick", note("account"))
    async with at_simulator(tmp_path) as settings, build(settings, engine, SystemClock()) as parts:
        assert parts.brokers.keys() == parts.feeds.keys() == {"bybit", "binance"}
        instrument = InstrumentId("bybit", Market.SPOT, "BTCUSDT")
        tick = TradeTick(instrument, 1.0, 0, 0, 0)
        ticks_of(parts.flow, parts.brokers["bybit"])(tick)
    assert seen == ["guard", "account"]


@pytest.mark.parametrize("venue", ["bybit", "binance"])
async def test_a_price_that_the_guard_doubts_is_checked_at_the_venue(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, venue: str
) -> None:
    told: asyncio.Queue[PricesChecked] = asyncio.Queue()

    def note(_: object, event: Event) -> None:
        if isinstance(event, PricesChecked):
            told.put_nowait(event)

    monkeypatch.setattr(main.Flow, "handle", note)
    async with at_simulator(tmp_path) as settings, build(settings, engine, SystemClock()) as parts:
        await parts.catalog.refresh()
        instrument = parts.catalog.lookup(venue, Market.LINEAR, "BTCUSDT")
        assert instrument is not None
        feed = parts.feeds[venue]
        feed.watch(instrument)
        running = asyncio.create_task(feed.run())
        feed.check(instrument)
        async with asyncio.timeout(10):
            event = await told.get()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert event.instrument == instrument.id
    assert None not in (event.last, event.bid, event.ask)


async def test_what_the_feeds_dropped_is_counted_by_venue_and_reason(
    tmp_path: Path, engine: Engine
) -> None:
    async with at_simulator(tmp_path) as settings, build(settings, engine, SystemClock()) as parts:
        assert parts.runtime.dropped() == {}
        bybit, binance = (parts.feeds[venue] for venue in ("bybit", "binance"))
        bybit._feed.counters.update({"dropped.older": 2, "dropped.not_a_price": 1})  # type: ignore[attr-defined]
        binance._feed.counters.update({"dropped.older": 3, "unknown.stream": 4})  # type: ignore[attr-defined]
        assert parts.runtime.dropped() == {
            "bybit.dropped.older": 2,
            "bybit.dropped.not_a_price": 1,
            "binance.dropped.older": 3,
        }


def test_a_taken_port_is_named_even_before_its_holder_listens() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert url_of(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(Misconfigured, match=f"API_PORT={port} cannot be listened on"):
            listen("127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port)):
            pass  # who comes early waits


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"API_HOST=192\.0\.2\.1"):
        listen("192.0.2.1", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_is_bracketed() -> None:
    try:
        sock = listen("::1", 0)
    except Misconfigured:
        pytest.skip("no IPv6 loopback here")
    with sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_random_ids_differ() -> None:
    ids = {random_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(each) for each in ids} == {ID_LENGTH}
