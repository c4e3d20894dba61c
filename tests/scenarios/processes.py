"""The real commands as processes: started, spoken to, and ended whatever happens."""

import contextlib
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from api.demo.stage import clean_environment
from engine.clock import SystemClock
from storage.database import open_database, upgrade
from storage.keys import ApiKeys
from storage.tables import Scope

PATIENCE_S = 30.0
POLL_S = 0.05
SECRET = "a-secret-of-the-scenarios-0123456789"
T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "it", within_s: float = PATIENCE_S) -> T:
    """The first true answer of a condition that is asked again and again."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(POLL_S)


class Command:
    """``tickguard ARGUMENTS`` as a child process."""

    def __init__(self, *arguments: str, cwd: Path, env: dict[str, str] | None = None) -> None:
        self.log = cwd / f"{arguments[0]}.log"
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", *arguments],
                cwd=cwd,
                env=clean_environment() | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.lines: list[str] = []
        self._arrived: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._arrived.put(line)
        self._arrived.put("")

    def announced(self) -> Any:
        """The JSON object that the command prints once it is ready."""
        line = self._arrived.get(timeout=PATIENCE_S)
        assert line, f"it ended with {self.process.wait()}: {self.log.read_text()[-3000:]}"
        return json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within_s: float = PATIENCE_S) -> int:
        code = self.process.wait(timeout=within_s)
        self._reader.join(timeout=PATIENCE_S)
        return code

    def end(self) -> None:
        """End it for certain, however it fares; by SIGTERM first, which keeps its coverage."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(timeout=PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def command(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[Command]:
    started = Command(*arguments, cwd=cwd, env=env)
    try:
        yield started
    finally:
        started.end()


class Exchange:
    """A running simulator. What is held is sent again while anybody waits."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.urls: dict[str, str] = facts["urls"]
        self._client = httpx.Client(base_url=facts["control"], trust_env=False, timeout=10)
        self.held: dict[str, str] = {}

    def post(self, path: str, **body: Any) -> Any:
        answer = self._client.post(f"/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def hold(self, instrument: str, price: str) -> None:
        self.held[instrument] = price
        self.repeat()

    def repeat(self) -> None:
        for instrument, price in self.held.items():
            self.post("price", instrument=instrument, price=price)

    def accounts(self) -> list[dict[str, Any]]:
        """The venues' own books, a wallet each."""
        answer = self._client.get("/account")
        assert answer.status_code == 200, answer.text
        accounts: list[dict[str, Any]] = answer.json()["accounts"]
        return accounts

    def close(self) -> None:
        self._client.close()


class Service:
    """A ``tickguard run`` on a folder of its own, as its owner sees it."""

    def __init__(self, exchange: Exchange, folder: Path, **settings: str) -> None:
        self.exchange = exchange
        self.folder = folder
        self.env = exchange.urls | {"API_PORT": "0", "WEBHOOK_SECRET": SECRET} | settings
        self.command: Command | None = None
        self.facts: dict[str, Any] = {}
        self.key = ""

    @property
    def ledger(self) -> Path:
        return self.folder / "data" / "tickguard.sqlite"

    @property
    def account(self) -> Path:
        return self.folder / "data" / "paper.sqlite"

    def start(self) -> "Service":
        if not self.key:
            self.key = make_key(self.ledger)
        self.command = Command("run", "--json", cwd=self.folder, env=self.env)
        self.facts = self.command.announced()
        return self

    def running(self) -> Command:
        assert self.command is not None
        return self.command

    def kill(self) -> None:
        self.running().signal(signal.SIGKILL)
        assert self.running().wait() == -signal.SIGKILL
        self.running().end()

    def stop(self, within_s: float = 5.0) -> None:
        """An orderly stop, as the contract has it."""
        begun = time.monotonic()
        self.running().signal(signal.SIGTERM)
        code = self.running().wait()
        took_s = time.monotonic() - begun
        self.running().end()
        assert code == 0, self.running().log.read_text()[-3000:]
        assert took_s < within_s

    def end(self) -> None:
        if self.command is not None:
            self.command.end()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        url = self.facts["url"] + path
        with httpx.Client(trust_env=False, timeout=10) as client:
            return client.request(method, url, headers=headers, **options)

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def signal(self, **body: Any) -> httpx.Response:
        return self.call("POST", "/webhook", json={"secret": SECRET} | body)

    def positions(self, status: str = "all") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/positions?status={status}")["items"]
        return items

    def until(self, condition: Callable[[], T], what: str, within_s: float = PATIENCE_S) -> T:
        """Wait for a condition while the market goes on at the prices that are held."""

        def look() -> T:
            self.exchange.repeat()
            return condition()

        return until(look, what, within_s)

    def until_status(self, status: str) -> dict[str, Any]:
        """The only position, once it has a status."""

        def look() -> dict[str, Any] | None:
            positions = self.positions()
            assert len(positions) < 2
            return next((each for each in positions if each["status"] == status), None)

        found = self.until(look, f"a position that is {status}")
        assert found is not None
        return found

    def until_guarding(self) -> None:
        """Wait until the service says that it guards and shows no position unarmed."""

        def look() -> bool:
            armed = all(each["guard"] == "armed" for each in self.positions("active"))
            return armed and self.call("GET", "/ready").status_code == 200

        self.until(look, "guarding")

    def rows(self, path: Path, query: str) -> list[tuple[Any, ...]]:
        """Rows of one of the databases, read beside whoever writes it."""
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


def make_key(ledger: Path) -> str:
    """Make a database with an admin key in it, sooner than a process would."""
    engine = open_database(f"sqlite:///{ledger}")
    try:
        upgrade(engine)
        return ApiKeys(engine, SystemClock()).create("test", Scope.ADMIN).key
    finally:
        engine.dispose()


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split() for line in listing.splitlines())
    return [int(child) for child, parent, state in rows if int(parent) == pid and state[0] != "Z"]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
        return bool(state.strip()) and not state.startswith("Z")
    return False
