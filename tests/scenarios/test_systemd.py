"""The service under a manager that it tells how it fares, and that starts it again."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.processes import PATIENCE_S, Service

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "tickguard.service"
SOL = "bybit:linear:SOLUSDT"
Make = Callable[..., Service]


class Manager:
    """What systemd is to a service: it hears its states, and starts it again when it ends."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.states: list[str] = []
        self.starts = 0

    def hear(self, state: str) -> None:
        """Wait for a state; those before it are kept."""
        while state not in self.states:
            self.states.append(self._sock.recv(1024).decode())

    def hears_nothing_for(self, seconds: float) -> bool:
        self._sock.settimeout(seconds)
        try:
            self._sock.recv(1024)
        except TimeoutError:
            return True
        finally:
            self._sock.settimeout(PATIENCE_S)
        return False

    def drain(self) -> None:
        """Forget what was told until now."""
        self._sock.setblocking(False)
        try:
            while True:
                self._sock.recv(1024)
        except BlockingIOError:
            self._sock.settimeout(PATIENCE_S)
        self.states.clear()

    def start(self, service: Service) -> None:
        service.start()
        self.starts += 1
        self.hear("READY=1")

    def restart_when_it_ends(self, service: Service) -> None:
        """``Restart=always``: whatever ended it, it is started again."""
        service.running().wait()
        service.running().end()
        self.drain()
        self.start(service)


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Manager, str]]:
    address = str(tmp_path_factory.mktemp("n") / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(PATIENCE_S)
        yield Manager(sock), address


def test_the_manager_hears_when_it_is_ready_alive_hung_and_stopping(
    service: Make, manager: tuple[Manager, str]
) -> None:
    ears, address = manager
    running = service(NOTIFY_SOCKET=address, WATCHDOG_USEC="600000")
    ears.start(running)
    ears.hear("WATCHDOG=1")
    running.running().signal(signal.SIGSTOP)
    ears.drain()
    assert ears.hears_nothing_for(1.0)
    running.running().signal(signal.SIGCONT)
    ears.hear("WATCHDOG=1")
    running.stop()
    ears.hear("STOPPING=1")


def test_killed_it_is_started_again_and_guards_what_was_open(
    service: Make, manager: tuple[Manager, str]
) -> None:
    ears, address = manager
    running = service(NOTIFY_SOCKET=address, WATCHDOG_USEC="600000")
    ears.start(running)
    running.exchange.hold(SOL, "150")
    running.signal(action="buy", symbol="BYBIT:SOLUSDT.P", stop_loss_percent="1")
    position_id = running.until_status("open")["id"]
    running.until_guarding()
    running.running().signal(signal.SIGKILL)
    ears.restart_when_it_ends(running)
    running.until_guarding()
    ears.hear("WATCHDOG=1")
    running.exchange.hold(SOL, "148")
    assert running.until_status("closed")["id"] == position_id
    assert ears.starts == 2
    running.stop()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_as_systemd_wants_it(tmp_path: Path) -> None:
    """Only the program's place is another one: where it would be installed there is none here."""
    program = shutil.which("true")
    lines = [
        f"ExecStart={program}" if line.startswith("ExecStart=") else line
        for line in UNIT.read_text().splitlines()
    ]
    copy = tmp_path / UNIT.name
    copy.write_text("\n".join(lines) + "\n")
    command = ["systemd-analyze", "verify", str(copy)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "WatchdogSec=30",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "LimitCORE=0",
    ],
)
def test_the_unit_says_what_the_guard_relies_on(line: str) -> None:
    assert line in UNIT.read_text().splitlines()


def test_the_unit_starts_the_command_that_there_is() -> None:
    (start,) = [each for each in UNIT.read_text().splitlines() if each.startswith("ExecStart=")]
    assert start.endswith("/.venv/bin/tickguard run")
