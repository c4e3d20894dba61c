"""The composition root: builds the service from settings and runs it in one process.

The parts form a structure of tasks: the server stops first, then the feeds, the accounts and last
the journal, so that whatever was begun is written. A part that fails ends the process with an
error: a guard that is half alive must not look alive.
"""

import asyncio
import contextlib
import functools
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
import structlog
import uvicorn
from sqlalchemy import Engine

from api.accounts import Account, build_accounts, is_known, priced, ticks_of
from api.app import build_app
from api.heartbeat import keep_beating
from api.runtime import Runtime
from api.systemd import Manager
from api.wiring import feed_connector, guard_config, venue_urls
from engine.connections import bounded
from engine.core.guardian import Guardian
from engine.flow import Flow
from engine.lease import SETTLE_NS, HeldLease, fenced_in, take
from engine.model.errors import Fenced, Misconfigured, Retryable
from engine.model.ids import ID_BYTES, encode_id
from engine.model.instrument import Market
from engine.ports import Broker, Clock, Feed
from engine.serving import LISTEN_BACKLOG, EmbeddedServer
from engine.settings import Settings
from engine.venues.catalog import Catalog
from engine.venues.feed import StreamFeed
from engine.venues.instrument_cache import InstrumentCache
from engine.venues.registry import build_feed, build_instruments, public_rest
from storage.database import sqlite_file
from storage.lease import Fence, SqlLease, holder_id
from storage.ledger import SqlLedger

INSTRUMENTS_WAIT_S = 10.0
REST_TIMEOUT_S = 20.0

# An orderly stop takes less than 5 s. Requests are answered within 1 s, so that much is theirs; a
# feed's connection that does not answer any more is given up after 3 s (``LinkTimings``).
ANSWERS_S = 1
SERVER_STOP_S = ANSWERS_S + 0.5

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Parts:
    """What runs, by its place in the order of stopping."""

    flow: Flow
    brokers: dict[str, Account]
    feeds: dict[str, Feed]
    catalog: Catalog
    runtime: Runtime


def random_id() -> str:
    """Return a fresh random id, 26 characters of base32."""
    return encode_id(secrets.token_bytes(ID_BYTES))


def dropped_ticks(streams: Sequence[StreamFeed]) -> Mapping[str, int]:
    """Return how many ticks the feeds did not pass on, by venue and reason."""
    return {
        f"{feed.venue}.{name}": count
        for feed in streams
        for name, count in feed.counters.items()
        if name.startswith("dropped.")
    }


@contextlib.asynccontextmanager
async def build(
    settings: Settings, engine: Engine, clock: Clock, lease: HeldLease | None = None
) -> AsyncIterator[Parts]:
    """Wire the service, as the one writer if it has the lease; nothing runs yet."""
    brokers: dict[str, Broker] = {}
    feeds: dict[str, Feed] = {}
    streams: list[StreamFeed] = []
    guardian = Guardian(guard_config(settings))
    fence = None if lease is None else Fence(lease.epoch, lease.lease_ns, clock)
    flow = Flow(guardian, SqlLedger(engine, fence), clock, brokers, feeds, lease=lease)
    async with httpx.AsyncClient(timeout=REST_TIMEOUT_S) as client:
        sources = [
            build_instruments(venue, venue_urls(settings, venue), client)
            for venue in settings.venues
        ]
        catalog = Catalog(sources, random.SystemRandom(), cache=_cache(settings))
        await asyncio.to_thread(catalog.restore)
        async with contextlib.AsyncExitStack() as closing:
            accounts = build_accounts(settings, clock, flow, catalog, closing)
            brokers.update(accounts)
            for venue, account in accounts.items():
                feed = build_feed(
                    venue,
                    venue_urls(settings, venue),
                    clock,
                    ticks_of(flow, account),
                    flow.handle,
                    settings.stale_feed_seconds,
                    client=client,
                    connector=feed_connector(settings, clock),
                )
                streams.append(feed)
                feeds[venue] = priced(account, feed, settings)
            dropped = functools.partial(dropped_ticks, streams)
            runtime = Runtime(settings, flow, engine, catalog, clock, random_id, dropped)
            yield Parts(flow, accounts, feeds, catalog, runtime)


def _cache(settings: Settings) -> InstrumentCache:
    origins = {venue: public_rest(venue_urls(settings, venue)) for venue in settings.venues}
    return InstrumentCache(settings.data_dir / "instruments", origins)


def listen(host: str, port: int) -> socket.socket:
    """Take the API's address; port 0 takes a free one. Who connects early is answered later.

    Raises:
        Misconfigured: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where the protocol is named; with it a reply may wait 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(LISTEN_BACKLOG)  # two may bind one port, one may listen
    except OSError as error:
        sock.close()
        raise Misconfigured(
            f"API_HOST={host} API_PORT={port} cannot be listened on ({error.strerror}):"
            " another program may hold it; choose another port"
        ) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Return the base address of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    settings: Settings,
    engine: Engine,
    clock: Clock,
    stop: asyncio.Event,
    ready: Callable[[str], None],
) -> None:
    """Run the service until ``stop`` is set; ``ready`` is called once with the base address.

    Call it under the lock on ``DATA_DIR`` only.

    Raises:
        Misconfigured: the API's address cannot be had.
        Held: another process is the one writer of the database.
        Fenced: another process has become it.
        ExceptionGroup: a part failed.
    """
    with contextlib.closing(listen(settings.api_host, settings.api_port)) as sock:
        lease = await asyncio.to_thread(take_lease, settings, engine, clock)
        async with build(settings, engine, clock, lease) as parts:
            await parts.flow.start()
            try:
                await _run(parts, sock, stop, ready)
            except ExceptionGroup as failed:
                await _end_failed(parts, fenced_in(failed))
                raise
            await _drain(parts)
        await _release(lease)
    log.info("service.stopped")


def take_lease(settings: Settings, engine: Engine, clock: Clock) -> HeldLease:
    """Become the one writer of the database.

    Raises:
        Held: another process is.
        Retryable: the database did not answer.
    """
    settle_ns = guard_config(settings).recv_window_ns + SETTLE_NS
    holder, locked = holder_id(settings.data_dir), sqlite_file(engine) is not None
    return take(SqlLease(engine, settle_ns), holder, clock, expires=not locked)


async def _release(lease: HeldLease) -> None:
    try:
        await asyncio.to_thread(lease.release)
    except Retryable as error:  # it runs out by itself
        log.warning("lease.not_released", error=str(error))


async def _end_failed(parts: Parts, fenced: Fenced | None) -> None:
    """Write what the other parts had begun; the loser of the lease has nothing to write."""
    if fenced is not None:
        log.error("service.fenced", error=str(fenced))
        raise fenced
    try:
        await _drain(parts)
    except Retryable as error:
        log.error("service.left_unwritten", error=str(error))


def _server(parts: Parts) -> EmbeddedServer:
    config = uvicorn.Config(
        build_app(parts.runtime),
        http=bounded(),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=ANSWERS_S,
    )
    return EmbeddedServer(config)


async def _run(
    parts: Parts, sock: socket.socket, stop: asyncio.Event, ready: Callable[[str], None]
) -> None:
    server, manager, clock = _server(parts), Manager(os.environ), parts.runtime.clock
    async with asyncio.TaskGroup() as tasks:
        journal = tasks.create_task(parts.flow.run(), name="flow")
        accounts = [
            tasks.create_task(broker.run(), name=f"broker.{venue}")
            for venue, broker in parts.brokers.items()
        ]
        outside = [
            tasks.create_task(feed.run(), name=f"feed.{venue}")
            for venue, feed in parts.feeds.items()
        ]
        outside.append(tasks.create_task(parts.catalog.run(), name="instruments"))
        outside.append(tasks.create_task(keep_beating(parts.runtime), name="heartbeat"))
        watching = manager.watch(lambda: parts.flow.told_ns, clock.monotonic_ns)
        outside.append(tasks.create_task(watching, name="watchdog"))
        serving = tasks.create_task(server.serve(sockets=[sock]), name="http")
        await server.listening.wait()
        await _until_known(parts, stop)
        if not stop.is_set():
            ready(url_of(sock))
            manager.tell("READY=1")
            log.info("service.ready", url=url_of(sock))
        await stop.wait()
        log.info("service.stopping")
        manager.tell("STOPPING=1")
        server.should_exit = True
        await asyncio.wait({serving}, timeout=SERVER_STOP_S)
        await _end([serving, *outside])
        await _end(accounts)
        await _end([journal])


async def _drain(parts: Parts) -> None:
    """Tell and write what the accounts and the journal still hold, after their tasks ended."""
    ends = (broker.drain() for broker in parts.brokers.values())
    failed = await asyncio.gather(*ends, return_exceptions=True)
    await parts.flow.drain()
    for error in failed:
        if error is not None:
            raise error


async def _until_known(parts: Parts, stop: asyncio.Event) -> None:
    """Wait a while for lists and balances: signals need them, open positions do not."""
    pairs = [(venue, market) for venue in parts.feeds for market in Market]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(INSTRUMENTS_WAIT_S):
            while not stop.is_set():
                listed = all(parts.catalog.available(venue, market) for venue, market in pairs)
                if listed and all(is_known(account) for account in parts.brokers.values()):
                    return
                await asyncio.sleep(0.02)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
