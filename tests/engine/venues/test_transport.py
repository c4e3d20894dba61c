"""Connections over real sockets: whole messages, honest stamps, bounded queues, known ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from engine.clock import SystemClock
from engine.venues import transport
from engine.venues.transport import (
    StampedConnection,
    Transport,
    TransportError,
    WebsocketsConnector,
)

Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[Transport]:
    """A connection to a server that plays ``script`` to it, then waits to be left."""

    async def answer(socket: ServerConnection) -> None:
        await script(socket)
        await socket.wait_closed()

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        connector = WebsocketsConnector(SystemClock().monotonic_ns)
        connection = await connector.connect(f"ws://127.0.0.1:{port}")
        try:
            yield connection
        finally:
            await connection.close()


async def take(connection: Transport, count: int) -> list[bytes]:
    """The next ``count`` messages."""
    taken: list[bytes] = []
    while len(taken) < count:
        await connection.wait()
        while connection.frames:
            taken.append(connection.frames.popleft()[0])
    return taken


async def test_messages_come_whole_and_in_order_whatever_their_fragments() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send("one")
        await socket.send(["t", "", "wo"])
        await socket.send(["", "", ""])
        await socket.ping()
        await socket.send(b"\x00three")

    async with connected(script) as connection:
        assert await take(connection, 4) == [b"one", b"two", b"", b"\x00three"]


async def test_a_stamp_is_taken_when_the_bytes_that_complete_a_message_arrive() -> None:
    clock = SystemClock()
    half_sent_ns: list[int] = []
    go_on = asyncio.Event()

    async def halves() -> AsyncIterator[str]:
        yield "first half, "
        half_sent_ns.append(clock.monotonic_ns())
        await go_on.wait()
        yield "second half"

    async def script(socket: ServerConnection) -> None:
        await socket.send("before")
        await socket.send(halves())

    async with connected(script) as connection:
        await take(connection, 1)
        await asyncio.sleep(0.05)
        before_ns = clock.monotonic_ns()
        go_on.set()
        await connection.wait()
        message, stamp_ns = connection.frames.popleft()
    assert message == b"first half, second half"
    assert half_sent_ns[0] < before_ns <= stamp_ns <= clock.monotonic_ns()


async def test_the_messages_before_the_end_are_read_before_it_is_told() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send("last words")
        await socket.close(1012, "restart")

    connector = WebsocketsConnector(SystemClock().monotonic_ns)
    async with connected(script) as connection:
        await cast(StampedConnection, connection).wait_closed()
        assert await take(connection, 1) == [b"last words"]
        with pytest.raises(connector.errors) as raised:
            await connection.wait()
    end = connector.explain(raised.value)
    assert (end.code, str(end)) == (1012, "restart")


async def test_a_waiting_reader_learns_of_the_end() -> None:
    async def script(socket: ServerConnection) -> None:
        await asyncio.sleep(0.02)
        socket.transport.abort()

    connector = WebsocketsConnector(SystemClock().monotonic_ns)
    async with connected(script) as connection:
        with pytest.raises(connector.errors) as raised:
            await connection.wait()
    assert connector.explain(raised.value).code == 1006


async def test_a_cancelled_wait_loses_nothing() -> None:
    go_on = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        await go_on.wait()
        await socket.send("late")

    async with connected(script) as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.wait(), 0.01)
        go_on.set()
        assert await take(connection, 1) == [b"late"]


async def test_a_reader_that_lags_stops_the_socket_and_then_gets_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "MAX_QUEUED_FRAMES", 8)
    monkeypatch.setattr(transport, "READ_CHUNK_BYTES", 1024)
    sent = [str(number) * 100 for number in range(300)]

    async def script(socket: ServerConnection) -> None:
        for message in sent:
            await socket.send(message)

    async with connected(script) as connection:
        await asyncio.sleep(0.2)
        waiting = len(connection.frames)
        assert 8 < waiting <= 8 + 1024 // 100 + 1
        assert await take(connection, len(sent)) == [message.encode() for message in sent]


async def test_what_is_no_websocket_is_no_connection() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TransportError):
            await WebsocketsConnector(SystemClock().monotonic_ns).connect(f"ws://127.0.0.1:{port}")
