"""What systemd is told, over a real datagram socket."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api.systemd import TOLD_WITHIN_NS, Manager
from tests.api.service import Service


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An address to tell, and the socket that hears it."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.setblocking(False)
        yield address, sock


def heard(sock: socket.socket) -> list[str]:
    told = []
    while True:
        try:
            told.append(sock.recv(1024).decode())
        except BlockingIOError:
            return told


def test_a_state_is_one_datagram(place: tuple[str, socket.socket]) -> None:
    manager = Manager({"NOTIFY_SOCKET": place[0]})
    manager.tell("READY=1")
    manager.tell("STOPPING=1")
    assert heard(place[1]) == ["READY=1", "STOPPING=1"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")
def test_an_abstract_address_begins_with_an_at() -> None:
    name = f"tickguard-{id(object())}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(f"\0{name}")
        except OSError:
            pytest.skip("needs Linux: no abstract addresses here")
        Manager({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1")
        assert sock.recv(64) == b"READY=1"


def test_without_a_manager_nobody_is_told() -> None:
    with capture_logs() as lines:
        Manager({}).tell("READY=1")
    assert lines == []


def test_a_manager_that_cannot_be_told_is_logged_once(tmp_path: Path) -> None:
    manager = Manager({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    with capture_logs() as lines:
        manager.tell("READY=1")
        manager.tell("WATCHDOG=1")
    assert [(each["event"], each["state"]) for each in lines] == [("systemd.not_told", "READY=1")]


def test_a_manager_that_does_not_read_holds_up_nothing(place: tuple[str, socket.socket]) -> None:
    manager = Manager({"NOTIFY_SOCKET": place[0]})
    with capture_logs() as lines:
        for _ in range(2000):
            manager.tell("WATCHDOG=1")
    assert len(lines) == 1


@pytest.mark.parametrize(("text", "seconds"), [("30000000", 30), ("", 0), ("soon", 0)])
def test_the_watchdog_is_asked_for_in_microseconds(text: str, seconds: float) -> None:
    assert Manager({"WATCHDOG_USEC": text}).watchdog_s == seconds


@pytest.mark.parametrize("environ", [{"WATCHDOG_USEC": "1000"}, {"NOTIFY_SOCKET": "/nowhere"}])
async def test_without_an_address_or_a_watchdog_there_is_nothing_to_watch(
    environ: dict[str, str],
) -> None:
    async with asyncio.timeout(5):
        await Manager(environ).watch(lambda: 0, lambda: 0)


async def watched(place: tuple[str, socket.socket], age_ns: int) -> list[str]:
    """What is heard in a while when the guardian was told the time so long ago."""
    manager = Manager({"NOTIFY_SOCKET": place[0], "WATCHDOG_USEC": "30000"})
    task = asyncio.create_task(manager.watch(lambda: 1000, lambda: 1000 + age_ns))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return heard(place[1])


async def test_life_is_told_thrice_as_often_as_asked(place: tuple[str, socket.socket]) -> None:
    told = await watched(place, TOLD_WITHIN_NS)
    assert set(told) == {"WATCHDOG=1"}
    assert len(told) >= 6


async def test_a_guardian_that_is_not_told_the_time_is_not_alive(
    place: tuple[str, socket.socket],
) -> None:
    assert await watched(place, TOLD_WITHIN_NS + 1) == []


async def test_the_flow_tells_when_the_guardian_was_told_the_time(service: Service) -> None:
    before = service.clock.monotonic_ns()
    await service.until(lambda: service.flow.told_ns >= before)
    assert service.flow.told_ns <= service.clock.monotonic_ns()
