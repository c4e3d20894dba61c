"""The embedded server with real sockets on loopback."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine import connections
from engine.connections import (
    BoundedProtocol,
    Door,
    Limits,
    OncePer,
    affordable,
    bounded,
    descriptors,
    peer_of,
    raise_descriptors,
)
from engine.serving import EmbeddedServer

HEAD = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n"


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


def here(_: Request) -> Response:
    return PlainTextResponse("here")


@contextlib.asynccontextmanager
async def serving(
    protocol: type[BoundedProtocol],
) -> AsyncIterator[tuple[int, Door]]:
    app = Starlette(routes=[Route("/", here), Route("/echo", echo, methods=["POST"])])
    config = uvicorn.Config(app, http=protocol, ws="none", log_config=None, lifespan="off")
    server = EmbeddedServer(config)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        task = asyncio.create_task(server.serve(sockets=[sock]))
        async with asyncio.timeout(10):
            await server.listening.wait()
        yield sock.getsockname()[1], protocol.door
        server.should_exit = True
        async with asyncio.timeout(10):
            await task
    assert (protocol.door.inside, protocol.door.by_peer) == (0, {})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(
    port: int, sent: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came before the server closed the connection."""
    got = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1000):
                got += chunk
    return got


async def test_it_tells_when_it_listens_and_leaves_signals_to_their_owner() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving(bounded()) as (port, _):
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "here"
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_slow_heads_beyond_the_cap_are_turned_away_and_the_others_closed_in_time() -> None:
    limits = Limits(connections=16, head_within_s=0.3)
    with structlog.testing.capture_logs() as logs:
        async with serving(bounded(limits)) as (port, door), contextlib.AsyncExitStack() as stack:
            slow = [
                await stack.enter_async_context(connected(port, HEAD + b"X-Slow: 1\r\n"))
                for _ in range(60)
            ]
            assert door.inside <= 16
            assert [await closed(reader) for reader, _ in slow] == [b""] * 60
            await until(lambda: door.inside == 0)
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "here"
    [line] = [line for line in logs if line["event"] == "http.connections_refused"]
    assert line["refused"] == 1  # the others are told in a minute


async def test_headers_that_drip_do_not_prolong_the_wait() -> None:
    async with (
        serving(bounded(Limits(head_within_s=0.3))) as (port, door),
        connected(port, HEAD) as (_, writer),
    ):
        await until(lambda: door.inside == 1)
        async with asyncio.timeout(10):
            while door.inside:
                writer.write(b"X-Slow: 1\r\n")
                await asyncio.sleep(0.05)


async def test_requests_on_one_connection_and_a_slow_body_are_served() -> None:
    async with (
        serving(bounded(Limits(head_within_s=0.3))) as (port, door),
        connected(port) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(HEAD + b"\r\n")
            for part in b"body":
                await asyncio.sleep(0.15)
                writer.write(bytes([part]))
            async with asyncio.timeout(10):
                assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)  # idle between requests is uvicorn's to bound
        assert door.inside == 1
        writer.write(HEAD)  # a further head that does not end
        assert await closed(reader) == b""
        await until(lambda: door.inside == 0)


async def test_a_body_that_nobody_waits_for_does_not_hold_the_connection() -> None:
    unwanted = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\n"
    async with (
        serving(bounded(Limits(head_within_s=0.3))) as (port, door),
        connected(port, unwanted) as (reader, writer),
    ):
        async with asyncio.timeout(10):
            assert b" 405 " in await reader.readline()
            while door.inside:
                writer.write(b"x")
                await asyncio.sleep(0.05)


async def test_an_upgrade_is_answered_as_a_plain_request_without_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(bounded()) as (port, _), httpx.AsyncClient(trust_env=False) as client:
        headers = {"Connection": "upgrade", "Upgrade": "websocket"}
        assert (await client.get(f"http://127.0.0.1:{port}/", headers=headers)).text == "here"
    assert [line for line in caplog.records if "pgrade" in line.getMessage()] == []


async def test_one_address_does_not_take_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "peer_of", lambda host: f"far from {host}")
    async with (
        serving(bounded(Limits(per_address=2))) as (port, door),
        connected(port),
        connected(port),
    ):
        await until(lambda: door.inside == 2)
        async with connected(port) as (reader, _):
            assert await closed(reader) == b""
        assert door.by_peer == {"far from 127.0.0.1": 2}


async def test_refusals_are_told_once_a_period_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "TOLD_EVERY_S", 0.2)
    door = Door(Limits(connections=0))
    with structlog.testing.capture_logs() as logs:
        assert not any(door.admit("peer") for _ in range(5))
        await until(lambda: len(logs) == 2)
        await asyncio.sleep(0.5)
    assert [line["refused"] for line in logs] == [1, 4]


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        (None, None),
        ("127.0.0.2", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a name", "a name"),
    ],
)
def test_peers_are_counted_by_address(host: str | None, peer: str | None) -> None:
    assert peer_of(host) == peer


@pytest.mark.parametrize(
    ("soft", "places"), [(None, 256), (8192, 256), (512, 256), (511, 256), (256, 56), (100, 16)]
)
def test_the_cap_leaves_descriptors_to_the_others(soft: int | None, places: int) -> None:
    assert affordable(soft) == places


@pytest.mark.parametrize(
    ("soft", "hard", "becomes"),
    [(1024, 4096, (4096, 4096)), (1024, -1, (8192, -1)), (9000, 10000, None), (-1, -1, None)],
)
def test_the_limit_of_descriptors_is_raised_where_the_system_lets(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, becomes: tuple[int, int] | None
) -> None:
    done: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: done.append(both))
    raise_descriptors()
    assert done == ([] if becomes is None else [becomes])
    assert descriptors() == (None if soft == -1 else soft)


def test_a_system_without_limits_has_none_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    raise_descriptors()
    assert descriptors() is None


def test_a_repeated_message_is_let_through_once_per_period() -> None:
    now = [0.0]
    rare = OncePer("out of", 10.0, lambda: now[0])

    def passes(text: str) -> bool:
        return rare.filter(logging.LogRecord("asyncio", logging.ERROR, "", 0, text, (), None))

    assert [passes("out of order"), passes("out of order"), passes("other")] == [True, False, True]
    now[0] = 10.0
    assert passes("out of order")
