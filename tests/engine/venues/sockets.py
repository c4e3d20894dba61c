"""Connections of either library to a server that plays a script, over real sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.utils import accept_key

from engine.clock import SystemClock
from engine.venues.transport import DEFAULT_LIMITS, Connector, Limits, Transport, TransportError
from tests.engine.venues.venue_server import Library

CERTIFICATE = Path(__file__).parent / "loopback.pem"
"""Of 127.0.0.1, signed by itself, with its key; trusted by nobody but these tests."""

Script = Callable[[ServerConnection], Awaitable[None]]


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


def certified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def connector_of(library: Library, limits: Limits = DEFAULT_LIMITS) -> Connector:
    return library(SystemClock().monotonic_ns, limits, trusting)


@asynccontextmanager
async def playing(script: Script, *, tls: bool = False, **options: Any) -> AsyncIterator[str]:
    """A server that plays ``script`` to each connection, then waits to be left; yields its URL."""

    async def answer(socket: ServerConnection) -> None:
        await script(socket)
        await socket.wait_closed()

    options = {"compression": None, "ping_interval": None, "close_timeout": 0.2} | options
    async with serve(answer, "127.0.0.1", 0, ssl=certified() if tls else None, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/v5/public"


@asynccontextmanager
async def connected(
    library: Library, script: Script, limits: Limits = DEFAULT_LIMITS, **options: Any
) -> AsyncIterator[Transport]:
    """A connection to a server that plays ``script`` to it."""
    async with playing(script, **options) as url:
        connection = await connector_of(library, limits).connect(url)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def by_hand(
    heads: list[bytes], frames: bytes = b""
) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """A server that answers the handshake, and sends ``frames`` with the answer, when told to.

    Yields its URL, the event that tells it, and the one that it sets when it is left.
    """
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        left = asyncio.create_task(reader.read(125))  # the end, or a close frame
        told = asyncio.create_task(go_on.wait())
        await asyncio.wait({left, told}, return_when=asyncio.FIRST_COMPLETED)
        key = heads[-1].lower().split(b"sec-websocket-key: ")[1]
        key = heads[-1][-len(key) :].split(b"\r\n")[0]
        with contextlib.suppress(ConnectionError):
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n" + frames
            )
            await left
        told.cancel()
        writer.close()
        ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", go_on, ended
        go_on.set()
        if heads:
            async with asyncio.timeout(5):
                await ended.wait()


async def silent(socket: ServerConnection) -> None:
    """A script of a venue that sends nothing."""
    del socket


async def take(connection: Transport, count: int) -> list[bytes]:
    """The next ``count`` messages."""
    taken: list[bytes] = []
    while len(taken) < count:
        await connection.wait()
        while connection.frames:
            taken.append(connection.frames.popleft()[0])
    return taken


async def end_of(library: Library, connection: Transport) -> TransportError:
    """How a connection ends on which nothing more arrives."""
    connector = connector_of(library)
    try:
        async with asyncio.timeout(5):
            await connection.wait()
    except connector.errors as error:
        return connector.explain(error)
    raise AssertionError(f"{connection.frames} arrived")
