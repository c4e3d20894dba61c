"""A running simulator and clients of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from engine.clock import SystemClock
from engine.model.instrument import InstrumentId
from engine.simulator.server import SimulatorServer

PATIENCE_S = 10.0


class FakeClock:
    """Both clocks by hand, in nanoseconds."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self.utc_ns = now_ns
        self.mono_ns = 5_000_000_000

    def now_ns(self) -> int:
        return self.utc_ns

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def advance_ms(self, ms: float) -> None:
        self.utc_ns += int(ms * 1_000_000)
        self.mono_ns += int(ms * 1_000_000)


class Rig:
    """The simulator as a test steers it."""

    def __init__(self, server: SimulatorServer, http: httpx.AsyncClient) -> None:
        self.server = server
        self.http = http

    async def ask(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(f"{self.server.control_url}/{path}", json=body or {})

    async def price(self, instrument: str, price: Any) -> dict[str, Any]:
        answer = await self.ask("price", {"instrument": instrument, "price": price})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def fault(self, kind: str, **fields: Any) -> dict[str, Any]:
        answer = await self.ask("fault", {"kind": kind, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self) -> dict[str, Any]:
        return (await self.http.get(f"{self.server.control_url}/state")).json()

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(self.server.urls["BYBIT_REST_URL"] + path, params=params)

    @contextlib.asynccontextmanager
    async def client(self, name: str, path: str = "") -> AsyncIterator["Client"]:
        """Connect to a WebSocket address by its environment name."""
        async with websockets.connect(self.server.urls[name] + path) as socket:
            yield Client(socket)

    def bybit(self, category: str = "linear") -> contextlib.AbstractAsyncContextManager["Client"]:
        return self.client("BYBIT_WS_PUBLIC_URL", f"/{category}")

    def spot(self, path: str = "/ws") -> contextlib.AbstractAsyncContextManager["Client"]:
        return self.client("BINANCE_SPOT_WS_URL", path)

    def usdm(self, path: str) -> contextlib.AbstractAsyncContextManager["Client"]:
        return self.client("BINANCE_USDM_WS_URL", path)


class Client:
    """A WebSocket client that keeps what it has received, as text."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.texts: list[str] = []

    async def send(self, message: Any) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def text(self, patience_s: float = PATIENCE_S) -> str:
        async with asyncio.timeout(patience_s):
            text = str(await self.socket.recv())
        self.texts.append(text)
        return text

    async def next(self) -> Any:
        return json.loads(await self.text())

    async def until(self, wanted: Callable[[Any], Any]) -> Any:
        """Receive until a message fits."""
        while True:
            message = await self.next()
            if wanted(message):
                return message

    async def ask(self, message: Any) -> Any:
        """Send a request and return its answer, passing over market frames."""
        await self.send(message)
        return await self.until(lambda m: "topic" not in m and "stream" not in m and "e" not in m)

    async def subscribe(self, *topics: str) -> Any:
        """Subscribe the Bybit way."""
        return await self.ask({"op": "subscribe", "args": list(topics)})

    async def silence(self, seconds: float = 0.3) -> bool:
        """Tell whether nothing arrives for a while."""
        with contextlib.suppress(TimeoutError):
            await self.text(seconds)
            return False
        return True

    async def drain(self, seconds: float) -> None:
        """Receive for a while."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds
        with contextlib.suppress(TimeoutError):
            while (left_s := end_s - loop.time()) > 0:
                await self.text(left_s)


@contextlib.asynccontextmanager
async def simulator(**options: Any) -> AsyncIterator[Rig]:
    """Run a simulator with the system's clock."""
    async with (
        SimulatorServer(SystemClock(), **options) as server,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        yield Rig(server, http)


def script(directory: Path, *rows: str, header: str = "seconds,instrument,price") -> str:
    """Write a price script; without rows one whose only instrument no test looks at."""
    path = directory / "prices.csv"
    lines = rows or ("0,binance:spot:DOGEUSDT,0.2",)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


@contextlib.asynccontextmanager
async def quiet(directory: Path, **options: Any) -> AsyncIterator[Rig]:
    """Run a simulator whose prices stand still until a test sets them."""
    async with simulator(prices=script(directory), **options) as rig:
        yield rig


def ids(text: str) -> InstrumentId:
    return InstrumentId.parse(text)


@contextlib.contextmanager
def refusal(error: type[Exception], *words: str) -> Iterator[None]:
    """Expect an error whose message holds all the words."""
    with pytest.raises(error) as caught:
        yield
    for word in words:
        assert word in str(caught.value)
