"""An outside monitor that is told each minute, while every open position is guarded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from api import heartbeat
from api.heartbeat import Heartbeat, keep_beating, unguarded
from engine.model.events import FeedLost
from tests.api.service import BTC, Service, running

URL = "http://monitor.test/ping/a-token"
Answer = Callable[[httpx.Request], httpx.Response]


class Monitor:
    """What the monitor hears, and how it answers."""

    def __init__(self) -> None:
        self.heard: list[httpx.Request] = []
        self.answer: Answer = lambda _request: httpx.Response(200, text="OK")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request)
        return self.answer(request)


@contextlib.asynccontextmanager
async def beating(service: Service) -> AsyncIterator[tuple[Heartbeat, Monitor]]:
    monitor = Monitor()
    async with httpx.AsyncClient(transport=httpx.MockTransport(monitor)) as client:
        yield Heartbeat(URL, service.flow, client), monitor


def failing(error: Exception) -> Answer:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


async def test_while_all_is_guarded_the_monitor_hears_a_plain_get(service: Service) -> None:
    await service.opened()
    async with beating(service) as (heart, monitor):
        await heart.beat()
        await heart.beat()
    assert [(each.method, str(each.url)) for each in monitor.heard] == [("GET", URL)] * 2


async def test_while_a_position_is_blind_the_monitor_hears_nothing(service: Service) -> None:
    position_id = await service.opened()
    service.flow.handle(FeedLost((BTC,), "silence", service.clock.now_ns()))
    assert f"blind: position {position_id}" in unguarded(service.flow)
    async with beating(service) as (heart, monitor):
        with capture_logs() as lines:
            await heart.beat()
            await heart.beat()
        assert monitor.heard == []
        (line,) = [each for each in lines if each["event"] == "heartbeat.withheld"]
        assert f"no prices: {BTC}" in line["problems"]


async def test_a_service_that_does_not_guard_yet_is_not_heard(tmp_path: Path) -> None:
    async with running(tmp_path) as service, beating(service) as (heart, monitor):
        service.flow._started = False
        await heart.beat()
        assert monitor.heard == []
        service.flow._started = True
        await heart.beat()
        assert len(monitor.heard) == 1


async def test_an_entry_that_holds_nothing_yet_is_not_unguarded(service: Service) -> None:
    service.prices.pop(BTC)
    await service.signal()
    service.prices[BTC] = 100.0
    assert unguarded(service.flow) == []


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (lambda _: httpx.Response(500), "status 500"),
        (lambda _: httpx.Response(302, headers={"Location": "/"}), "status 302"),
        (failing(httpx.ConnectError(f"cannot reach {URL}")), "ConnectError"),
        (failing(httpx.InvalidURL("no address")), "InvalidURL"),
        (failing(TimeoutError()), "TimeoutError"),
    ],
)
async def test_a_call_that_fails_is_logged_once_without_the_address(
    service: Service, answer: Answer, word: str
) -> None:
    async with beating(service) as (heart, monitor):
        monitor.answer = answer
        with capture_logs() as lines:
            await heart.beat()
            await heart.beat()
        assert [each for each in lines if each["event"].startswith("heartbeat")] == [
            {"event": "heartbeat.failing", "error": word, "log_level": "warning"}
        ]
        monitor.answer = lambda _: httpx.Response(204)
        with capture_logs() as lines:
            await heart.beat()
            await heart.beat()
        assert [each["event"] for each in lines] == ["heartbeat.heard"]


async def test_a_monitor_that_hangs_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "TIMEOUT_S", 0.05)

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as client:
        with capture_logs() as lines:
            await Heartbeat(URL, service.flow, client).beat()
    assert [each["error"] for each in lines] == ["TimeoutError"]


async def test_the_address_of_the_settings_is_called_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_S", 0.01)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ping"
    async with server, running(tmp_path, heartbeat_url=url) as service:
        task = asyncio.create_task(keep_beating(service.runtime))
        async with asyncio.timeout(10):
            for _ in range(3):
                assert (await heard.get()).startswith(b"GET /ping HTTP/1.1")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_without_an_address_nobody_is_called(service: Service) -> None:
    async with asyncio.timeout(5):  # it ends by itself
        await keep_beating(service.runtime)
