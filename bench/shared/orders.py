"""Frame on the wire to order request received: the service beside bare scripts, price by price.

Simulator, service and the scripts are processes of their own. Scripted prices step through four
instruments in turn, two of them the service's and two the scripts': each price closes one part of a
position, so that both sides meet the same machine. The simulator notes when a frame was written and
when a request came in; all processes of one machine share its monotonic clock.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from msgspec import Struct

from api.demo.stage import clean_environment
from bench.shared.report import BenchFailed

VENUES = ("bybit", "binance")
OURS, BARE = "SOLUSDT", "ETHUSDT"
SECRET = "a-secret-of-the-bench-0123456789"
START = {OURS: 15_000, BARE: 250_000}
"""First price of each symbol, in hundredths."""

AWAY = 100
"""How far the first closing price is from that of the entries: beyond spread and slippage."""

TRADES = ("publicTrade", "aggTrade")
PATIENCE_S = 60.0
SETTLE_S = 3.0
Json = dict[str, Any]


class Sizes(Struct, frozen=True):
    """How much is measured: so many closes on each of two venues, and as many by the scripts.

    A venue takes ten orders of one kind a second, both sides together.
    """

    closes: int = 250
    rounds: int = 5
    step_s: float = 0.085


Found = dict[tuple[str, str], list[float]]
"""Microseconds from frame to request, in their order, by venue and side (``ours``, ``bare``)."""


def measure_orders(sizes: Sizes) -> Found:
    """Measure all closes of both sides on both venues in one run."""
    with TemporaryDirectory(prefix="tickguard-bench-") as folder, ExitStack() as stack:
        scene = stack.enter_context(_scene(Path(folder), sizes))
        scene.open_positions()
        stack.enter_context(scene.bare_scripts())
        scene.step_prices()
        return scene.found()


class _Scene:
    """The running processes, and what is asked of them."""

    def __init__(self, folder: Path, sizes: Sizes, simulator: Json, url: str, key: str) -> None:
        self._folder = folder
        self._sizes = sizes
        self._facts = simulator
        self._url = url
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=10.0
        )
        self._ids: dict[str, tuple[str, str]] = {}

    def close(self) -> None:
        self._client.close()

    def _control(self, path: str, **body: Any) -> None:
        answer = self._client.post(f"{self._facts['control']}/{path}", json=body)
        if answer.is_error:
            raise BenchFailed(f"the simulator refused {path} {body}: {answer.text}")

    def prices_of(self, symbol: str) -> list[str]:
        """The prices that close something, in their order, as the venues write them."""
        first = START[symbol]
        return [_text(first + AWAY + step) for step in range(self._sizes.closes)]

    def open_positions(self) -> None:
        """Open as many positions as there are closes, each with a price of its own.

        From then on nothing moves a price but the steps: a price that wandered past several would
        close by one frame what is counted from another.
        """
        self._control("pause")
        for venue in VENUES:
            for symbol in (OURS, BARE):
                self._control(
                    "price", instrument=f"{venue}:linear:{symbol}", price=_text(START[symbol])
                )
            qty = str(self._sizes.closes)
            self._control(
                "account", venue=venue, market="linear", action="trade", symbol=BARE, side="buy",
                qty=qty,
            )  # fmt: skip
        for price in self.prices_of(OURS):
            for venue in VENUES:
                body = {"secret": SECRET, "action": "buy", "venue": venue, "market": "linear"}
                body |= {"symbol": OURS, "qty": "0.1", "take_profit": price, "strategy": price}
                answer = self._client.post(f"{self._url}/webhook", json=body)
                if answer.status_code != httpx.codes.ACCEPTED:
                    raise BenchFailed(f"a signal was answered {answer.text}")
            time.sleep(0.12)
            self._repeat()
        self._until_open(len(VENUES) * self._sizes.closes)

    def _settle(self) -> None:
        """Let everything come to rest, with prices that are never old."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            self._repeat()
            time.sleep(0.5)

    def _repeat(self) -> None:
        for venue in VENUES:
            self._control("price", instrument=f"{venue}:linear:{OURS}", price=_text(START[OURS]))

    def _until_open(self, wanted: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            open_now = [p for p in self._positions() if p["guard"] == "armed" and p["qty"] != "0"]
            if len(open_now) == wanted:
                break
            if time.monotonic() > deadline:
                raise BenchFailed(f"{len(open_now)} of {wanted} positions are open")
            self._repeat()
            time.sleep(0.5)
        self._ids = {p["id"]: (p["venue"], _text(_hundredths(p["take_profit"]))) for p in open_now}

    def _positions(self) -> Iterator[Json]:
        cursor = ""
        while True:
            path = f"/positions?status=open&limit=1000{cursor}"
            answer = self._client.get(self._url + path).raise_for_status().json()
            yield from answer["items"]
            if answer["next_cursor"] is None:
                return
            cursor = f"&cursor={answer['next_cursor']}"

    @contextmanager
    def bare_scripts(self) -> Iterator[None]:
        """Run the scripts that ours is compared with."""
        with ExitStack() as stack:
            for venue in VENUES:
                facts = json.dumps(self._bare_facts(venue))
                command = [sys.executable, "-m", "bench.shared.bare_order", facts]
                script = stack.enter_context(subprocess.Popen(command, cwd=Path.cwd()))
                stack.callback(script.kill)
            self._settle()
            yield

    def _bare_facts(self, venue: str) -> Json:
        urls, keys = self._facts["urls"], self._facts["keys"][venue]
        facts = {"venue": venue, "symbol": BARE, "prices": self.prices_of(BARE), **keys}
        if venue == "bybit":
            return facts | {"rest": urls["BYBIT_REST_URL"], "ws": urls["BYBIT_WS_PUBLIC_URL"]}
        return facts | {
            "rest": urls["BINANCE_USDM_REST_URL"],
            "spot_rest": urls["BINANCE_SPOT_REST_URL"],
            "ws": urls["BINANCE_USDM_WS_URL"],
        }

    def step_prices(self) -> None:
        """Send the prices, side by side and venue by venue in turn."""
        pairs = zip(self.prices_of(OURS), self.prices_of(BARE), strict=True)
        due = time.monotonic()
        for number, (ours, bare) in enumerate(pairs):
            sides = [(OURS, ours), (BARE, bare)]
            for symbol, price in sides if number % 2 else reversed(sides):
                for venue in VENUES:
                    due += self._sizes.step_s
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._control("price", instrument=f"{venue}:linear:{symbol}", price=price)
        time.sleep(SETTLE_S)

    def found(self) -> Found:
        """Match frames with requests, each by its price."""
        self._control("flush")
        sent = _sent(self._folder / "sent.jsonl")
        found: Found = {(venue, side): [] for venue in VENUES for side in ("ours", "bare")}
        for venue in VENUES:
            for request in self._requests(venue):
                side, price = self._of(request["client_order_id"] or "")
                symbol = OURS if side == "ours" else BARE
                at_ns = sent.get((venue, symbol, price))
                if at_ns is not None:
                    found[venue, side].append((request["at_ns"] - at_ns) / 1000)
        for (venue, side), taken in found.items():
            if len(taken) != self._sizes.closes:
                what = f"{len(taken)} closes on {venue} ({side})"
                raise BenchFailed(f"{what} were counted instead of {self._sizes.closes}")
        return found

    def _of(self, client_order_id: str) -> tuple[str, str]:
        if client_order_id.startswith("bare"):
            return "bare", _text(int(client_order_id.removeprefix("bare")))
        position_id, purpose = client_order_id[:26], client_order_id[26:27]
        if purpose != "x":
            return "", ""
        return "ours", self._ids.get(position_id, ("", ""))[1]

    def _requests(self, venue: str) -> Iterator[Json]:
        """The first request of each order."""
        answer = self._client.get(
            f"{self._facts['control']}/requests", params={"venue": venue, "since": "0"}
        )
        seen: set[str] = set()
        for request in answer.raise_for_status().json()["items"]:
            key = request["client_order_id"]
            if request["method"] == "POST" and key is not None and key not in seen:
                seen.add(key)
                yield request


def _text(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _hundredths(price: str) -> int:
    return round(float(price) * 100)


def _sent(path: Path) -> dict[tuple[str, str, str], int]:
    """When the first trade frame of each price was written: monotonic ns, by venue and symbol."""
    sent: dict[tuple[str, str, str], int] = {}
    with path.open() as lines:
        for line in lines:
            row = json.loads(line)
            if not row["channel"].startswith(TRADES):
                continue
            frame = json.loads(row["frame"])
            frame = frame.get("data", frame)
            trade = frame[-1] if isinstance(frame, list) else frame
            key = (row["venue"], row["symbol"], _text(_hundredths(trade["p"])))
            sent.setdefault(key, row["at_ns"])
    return sent


@contextmanager
def _scene(folder: Path, sizes: Sizes) -> Iterator[_Scene]:
    arguments = ["simulator", "--prices", "seeded", "--sent-log", str(folder / "sent.jsonl")]
    with ExitStack() as stack:
        simulator = stack.enter_context(_tickguard(arguments, folder, {}))
        environment = _environment(folder, simulator, sizes)
        naming = ["keys", "create", "--name", "bench", "--scope", "admin"]
        made = stack.enter_context(_tickguard(naming, folder, environment))
        service = stack.enter_context(_tickguard(["run"], folder, environment))
        scene = _Scene(folder, sizes, simulator, service["url"], made["key"])
        stack.callback(scene.close)
        yield scene


def _environment(folder: Path, simulator: Json, sizes: Sizes) -> dict[str, str]:
    keys = {
        f"{venue.upper()}_API_{part.upper()}": value
        for venue, pair in simulator["keys"].items()
        for part, value in pair.items()
    }
    return {
        **simulator["urls"],
        **keys,
        "TRADING_MODE": "testnet",
        "DATA_DIR": str(folder / "data"),
        "API_PORT": "0",
        "WEBHOOK_SECRET": SECRET,
        "MAX_OPEN_POSITIONS": str(3 * sizes.closes),
        "BACKSTOP": "off",  # at most ten of them rest on one symbol
        "ENABLE_TELEGRAM_NOTIFICATIONS": "False",
    }


@contextmanager
def _tickguard(
    arguments: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[Json]:
    """Run a command that announces itself by one JSON line."""
    command = [sys.executable, "-m", "api", *arguments, "--json"]
    with (folder / "bench.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            words = (folder / "bench.log").read_text()[-2000:]
            raise BenchFailed(f"tickguard {arguments[0]} did not get ready:\n{words}")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
