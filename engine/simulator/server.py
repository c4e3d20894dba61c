"""The local exchange: WebSocket and REST fronts of Bybit v5 and Binance over one simulated market.

Everything listens on 127.0.0.1 only: one port for REST and control, one for each WebSocket address.
"""

import asyncio
import contextlib
import random
import socket
import string
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
import uvicorn
from msgspec import Struct
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from websockets.asyncio.server import Server, serve

from engine.clock import NS_PER_MS
from engine.model.errors import Misconfigured
from engine.model.instrument import Market
from engine.ports import Clock
from engine.serving import EmbeddedServer
from engine.simulator.control import Control
from engine.simulator.control_account import AccountControl, KeyHolder
from engine.simulator.desk import LATENCY_NS, open_desks
from engine.simulator.dialects.binance import Binance
from engine.simulator.dialects.binance_private_front import BinanceFront
from engine.simulator.dialects.binance_private_keys import Key as BinanceKey
from engine.simulator.dialects.binance_rest import BinanceRest
from engine.simulator.dialects.bybit import Bybit
from engine.simulator.dialects.bybit_private_keys import ApiKey
from engine.simulator.dialects.bybit_rest import BybitRest
from engine.simulator.dialects.calls import Calls
from engine.simulator.dialects.connections import Connections
from engine.simulator.dialects.doors import Dialect, Door, Router
from engine.simulator.dialects.faults import Faults
from engine.simulator.dialects.session import Wire
from engine.simulator.market_pace import Pace, VenueTime
from engine.simulator.market_scripted import Overrides
from engine.simulator.market_sources import SEEDED, Run, make_place, plan, start_sources
from engine.simulator.sentlog import SentLog

HOST = "127.0.0.1"
CLOSE_TIMEOUT_S = 1.0
KEY_LENGTHS = {"bybit": (18, 36), "binance": (64, 64)}

_log = structlog.get_logger()


class Timing(Struct, frozen=True):
    """Keep-alive rules of the WebSocket addresses, in seconds.

    Binance pings (spot every 20 s, cut after 60 s without a pong; USD-M 180 s and 600 s); Bybit
    does not, and cuts a connection that sent no message for 600 s.
    """

    spot_ping_s: float = 20.0
    spot_pong_s: float = 60.0
    usdm_ping_s: float = 180.0
    usdm_pong_s: float = 600.0
    bybit_idle_s: float = 600.0


class SimulatorServer:
    """The simulator as a service; an async context manager.

    Args:
        prices: ``recorded``, ``seeded``, or the path of a price script (CSV).
        speed: multiplies the time of recorded, seeded and file prices.
        recordings: directory of the recordings, for ``recorded``.
        sent_log: file that receives a line for each market frame sent.
        port: port of REST and control (the WebSockets take the three above); 0 picks free ones.
        latency_ms: from the acceptance of an order until it is matched.

    Raises:
        Misconfigured: an argument cannot be used; the message names the remedy.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        prices: str = SEEDED,
        seed: int = 0,
        speed: float = 1.0,
        recordings: Path | None = None,
        sent_log: Path | None = None,
        port: int = 0,
        timing: Timing | None = None,
        latency_ms: float = LATENCY_NS / NS_PER_MS,
    ) -> None:
        if not 0 < speed < float("inf"):
            raise Misconfigured(f"speed {speed} cannot be played; give a number above 0")
        self._clock = clock
        self._seed = seed
        self._speed = speed
        self._port = port
        self._timing = timing or Timing()
        self._plan = plan(prices, seed, recordings)
        self._place = make_place(self._plan, VenueTime(clock))
        self._wire = Wire(Faults(clock), SentLog(sent_log, clock))
        self._desks = open_desks(self._place, clock)
        for desk in self._desks.values():
            latency_ns = round(latency_ms * NS_PER_MS)
            desk.model.rules = replace(desk.model.rules, latency_ns=latency_ns)
        self.keys = make_keys(seed)
        pair = self.keys["bybit"]
        key = ApiKey(pair["key"], pair["secret"], self._place.time.now_ms())
        faults = self._wire.faults
        self._bybit = Bybit(self._place, self._desks["bybit", Market.LINEAR], key, faults)
        self._binance = self._open_binance(clock)
        self._stopping = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self.urls: dict[str, str] = {}
        self.control_url = ""
        self._connections = Connections()
        self._calls = Calls(self._wire.faults, clock, self._connections)

    def _open_binance(self, clock: Clock) -> Binance:
        pair, now_ms = self.keys["binance"], self._place.time.now_ms()
        key = BinanceKey(pair["key"], pair["secret"], now_ms)
        spot, usdm = (self._desks["binance", m] for m in (Market.SPOT, Market.LINEAR))
        return Binance(self._place, clock, spot, usdm, key, self._wire.faults)

    def _routes(self, front: BinanceFront) -> list[Route]:
        return self._calls.routes(front, front.paths())

    @property
    def dialects(self) -> list[Dialect]:
        bybit, binance = self._bybit, self._binance
        return [bybit.spot, bybit.linear, bybit.private, *binance.dialects]

    async def start(self) -> None:
        """Listen; returns once clients can connect."""
        ready = asyncio.Event()
        self._main = asyncio.create_task(self._run(ready), name="simulator")
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._main, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._main.done():
            await self._main
        _log.info("simulator.started", control=self.control_url)

    async def stop(self) -> None:
        """Close all connections and stop; raises what made the simulator end early, if anything."""
        self._stopping.set()
        await self.wait()

    async def wait(self) -> None:
        """Wait until the simulator ends."""
        if self._main is not None:
            await self._main

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _run(self, ready: asyncio.Event) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._wire.sent.flush)
            listening = stack.enter_context(_bind(self._port))
            doors = await self._open_doors(stack)
            self._name_urls(listening, doors)
            async with asyncio.TaskGroup() as tasks:
                pace = Pace(self._place.time, self._speed)
                overrides = Overrides(self._place, tasks)
                web = self._web(pace, overrides)
                serving = tasks.create_task(web.serve(sockets=[listening]))
                await web.listening.wait()
                playing = [tasks.create_task(run()) for run in self._runs(pace, overrides)]
                ready.set()
                await self._stopping.wait()
                web.should_exit = True
                overrides.stop()
                for task in playing:
                    task.cancel()
                await serving

    def _runs(self, pace: Pace, overrides: Overrides) -> list[Run]:
        return [
            *(dialect.run for dialect in self.dialects),
            *(desk.run for desk in set(self._desks.values())),
            *start_sources(self._plan, self._place, pace, overrides),
            self._wire.sent.run,
        ]

    async def _open_doors(self, stack: contextlib.AsyncExitStack) -> list[Server]:
        timing = self._timing
        names = random.Random(f"connections:{self._seed}")
        plans: list[tuple[Router, float | None, float | None, float | None]] = [
            (self._bybit.router(), None, None, timing.bybit_idle_s),
            (self._binance.spot_router(), timing.spot_ping_s, timing.spot_pong_s, None),
            (self._binance.usdm_router(), timing.usdm_ping_s, timing.usdm_pong_s, None),
        ]
        servers = []
        for number, (router, ping_s, pong_s, idle_s) in enumerate(plans, 1):
            door = Door(router, self._wire, names, idle_s)
            server = serve(
                door.serve,
                sock=_bind(self._port and self._port + number),
                process_request=door.admit,
                ping_interval=ping_s,
                ping_timeout=pong_s,
                close_timeout=CLOSE_TIMEOUT_S,
                compression=None,
                server_header=None,
            )
            servers.append(await stack.enter_async_context(server))
        return servers

    def _web(self, pace: Pace, overrides: Overrides) -> EmbeddedServer:
        bybit = self._bybit.private_rest
        binance = [route for front in self._binance.fronts for route in self._routes(front)]
        holders: dict[str, KeyHolder] = {"bybit": self._bybit.account, "binance": self._binance}
        accounts = AccountControl(self._desks, holders)
        control = Control(
            self._place,
            pace,
            overrides,
            self._wire,
            self.dialects,
            self._clock,
            self._calls.log,
            accounts,
        )
        app = Starlette(
            routes=[
                *BybitRest(self._place, self._bybit, self._wire.faults).routes(),
                *self._calls.routes(bybit, bybit.paths()),
                *binance,
                *BinanceRest(self._place, Market.SPOT, self._wire.faults).routes(),
                *BinanceRest(self._place, Market.LINEAR, self._wire.faults).routes(),
                Mount("/control", routes=control.routes()),
            ]
        )
        config = uvicorn.Config(
            app,
            http=self._connections.protocol(),
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        return EmbeddedServer(config)

    def _name_urls(self, web: socket.socket, doors: list[Server]) -> None:
        rest = f"http://{HOST}:{web.getsockname()[1]}"
        bybit, spot, usdm = (
            f"ws://{HOST}:{next(iter(door.sockets)).getsockname()[1]}" for door in doors
        )
        self.control_url = f"{rest}/control"
        self.urls = {
            "BYBIT_REST_URL": rest,
            "BYBIT_WS_PUBLIC_URL": f"{bybit}/v5/public",
            "BYBIT_WS_PRIVATE_URL": f"{bybit}/v5/private",
            "BINANCE_SPOT_REST_URL": rest,
            "BINANCE_SPOT_WS_URL": spot,
            "BINANCE_SPOT_WS_API_URL": f"{spot}/ws-api/v3",
            "BINANCE_USDM_REST_URL": rest,
            "BINANCE_USDM_WS_URL": usdm,
        }


def make_keys(seed: int) -> dict[str, dict[str, str]]:
    """Return an API key and secret per venue, of the venues' own lengths; the same for a seed."""
    draw = random.Random(f"keys:{seed}")
    letters = string.ascii_letters + string.digits
    return {
        venue: {
            "key": "".join(draw.choices(letters, k=key_length)),
            "secret": "".join(draw.choices(letters, k=secret_length)),
        }
        for venue, (key_length, secret_length) in KEY_LENGTHS.items()
    }


def _bind(port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off on accepted connections.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise Misconfigured(f"port {port} of {HOST} is not free; choose another, or 0") from error
    return listening
