"""How each library reaches a venue: handshakes, addresses, TLS, proxies."""

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection

from engine.clock import SystemClock
from engine.venues.transport import DEFAULT_LIMITS, Limits, TransportError, tls_context
from tests.engine.venues.sockets import (
    by_hand,
    connected,
    connector_of,
    end_of,
    playing,
    silent,
    take,
)
from tests.engine.venues.venue_server import Library, until


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"\x00 nonsense\r\n\r\n"],
    ids=["nothing", "not_found", "nonsense"],
)
async def test_what_is_no_websocket_is_no_connection(library: Library, answer: bytes) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TransportError):
            await connector_of(library).connect(f"ws://127.0.0.1:{port}")
    with pytest.raises(TransportError):
        await connector_of(library).connect(f"ws://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "ws://127.0.0.1:99999"])
async def test_what_is_no_address_is_no_connection(library: Library, url: str) -> None:
    with pytest.raises(TransportError):
        await connector_of(library).connect(url)


async def test_a_handshake_that_takes_too_long_leaves_no_connection(library: Library) -> None:
    heads: list[bytes] = []
    async with by_hand(heads) as (url, _, ended):
        with pytest.raises(TransportError):
            await connector_of(library, Limits(connect_seconds=0.1)).connect(url)
        async with asyncio.timeout(5):
            await ended.wait()
    assert heads


async def test_a_handshake_given_up_leaves_no_connection_though_it_is_answered(
    library: Library,
) -> None:
    heads: list[bytes] = []
    async with by_hand(heads) as (url, go_on, ended):
        connecting = asyncio.create_task(connector_of(library).connect(url))
        await until(lambda: heads)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        go_on.set()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_messages_that_come_with_the_handshake_are_kept(library: Library) -> None:
    clock = SystemClock()
    async with by_hand([], b"\x81\x01a\x81\x01b") as (url, go_on, _):
        go_on.set()
        before_ns = clock.monotonic_ns()
        connection = await connector_of(library, Limits(close_seconds=0.1)).connect(url)
        await connection.wait()
        assert [message for message, _ in connection.frames] == [b"a", b"b"]
        assert all(
            before_ns < stamp_ns <= clock.monotonic_ns() for _, stamp_ns in connection.frames
        )
        await connection.close()


async def test_a_venue_is_reached_by_tls_if_its_certificate_is_trusted(library: Library) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(await socket.recv())
        await socket.close(1012, "restart")

    async with connected(library, script, tls=True) as connection:
        await connection.send("through TLS")
        assert await take(connection, 1) == [b"through TLS"]
        assert (await end_of(library, connection)).code == 1012
    async with playing(silent, tls=True) as url:
        with pytest.raises(TransportError, match="certificate verify failed"):
            await library(SystemClock().monotonic_ns, DEFAULT_LIMITS).connect(url)


def test_all_connections_share_one_tls_context() -> None:
    assert tls_context() is tls_context()


async def test_the_environment_s_proxy_is_used(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1])
        host, port = asked[-1].decode().split(":")
        venue_reader, venue_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, venue_writer), copy(venue_reader, writer))

    async def script(socket: ServerConnection) -> None:
        await socket.send("by a proxy")

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with proxy, playing(script) as url:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        connection = await connector_of(library).connect(url)
        assert await take(connection, 1) == [b"by a proxy"]
        await connection.close()
    assert [f"ws://{each.decode()}/v5/public" for each in asked] == [url]
