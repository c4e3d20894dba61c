"""The service with few descriptors, while strangers open connections and never finish a request."""

import contextlib
import resource
import signal
import socket
from collections.abc import Callable

import httpx
import pytest

from tests.scenarios.processes import Service

pytestmark = pytest.mark.timeout(180)

SLOW = b"POST /webhook HTTP/1.1\r\nHost: here\r\nX-Slow: 1\r\n"
SOL = "bybit:linear:SOLUSDT"


def healthy(service: Service) -> bool:
    try:
        return service.call("GET", "/health").status_code == 200
    except httpx.TransportError:
        return False  # turned away: every place is taken


def limited(service: Service, hard: int) -> Service:
    """Start the service with 256 descriptors, of which it may make ``hard``."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))\n"
    (service.folder / "sitecustomize.py").write_text(code)
    service.env["PYTHONPATH"] = str(service.folder)
    return service.start()


def granted(service: Service) -> tuple[int, int]:
    return resource.prlimit(service.running().process.pid, resource.RLIMIT_NOFILE)


def test_the_service_takes_the_descriptors_that_it_may_have(
    service: Callable[..., Service],
) -> None:
    assert granted(limited(service(), 1000)) == (1000, 1000)


def test_a_flood_of_slow_clients_takes_no_descriptor_that_guarding_needs(
    service: Callable[..., Service],
) -> None:
    running = limited(service(), 256)
    assert granted(running) == (256, 256)
    running.exchange.hold(SOL, "150")
    signal_body = {"action": "buy", "symbol": "BYBIT:SOLUSDT.P", "stop_loss_percent": "1"}
    assert running.signal(**signal_body).status_code == 202
    running.until_status("open")
    running.until_guarding()
    address = ("127.0.0.1", int(running.facts["url"].rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            stranger = stack.enter_context(socket.create_connection(address, timeout=10))
            with contextlib.suppress(ConnectionError):
                stranger.sendall(SLOW)
        running.exchange.hold(SOL, "140")
        running.until(lambda: healthy(running), "an answer")
        assert running.until_status("closed")["exit_reason"] == "stop_loss"
    logged = running.running().log.read_text()
    assert "http.connections_refused" in logged
    assert "out of system resource" not in logged
    assert "Errno 24" not in logged
    running.running().signal(signal.SIGTERM)
    assert running.running().wait() == 0
