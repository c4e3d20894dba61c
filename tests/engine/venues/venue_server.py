"""A venue's stream on loopback, steered by the test: real sockets, scripted behaviour."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.clock import SystemClock
from engine.model.events import FeedLost, FeedResumed
from engine.model.ticks import Tick
from engine.venues.picows_transport import PicowsConnector
from engine.venues.websockets_transport import WebsocketsConnector

Library = type[WebsocketsConnector] | type[PicowsConnector]
LIBRARIES: dict[str, Library] = {
    "websockets": WebsocketsConnector,
    "picows": PicowsConnector,
}


class VenueServer:
    """Answers requests as Bybit and Binance do, unless told otherwise.

    Attributes:
        library: what the feeds of the test read it with.
        requests: every request received, with the monotonic moment (s) of its arrival.
        pings: application pings received.
        mute_acks: requests are not answered.
        refuse: topics that are refused.
        paths: the path of each connection, in order.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.connections: list[ServerConnection] = []
        self.paths: list[str] = []
        self.requests: list[tuple[float, dict[str, Any]]] = []
        self.pings = 0
        self.mute_acks = False
        self.nameless_acks = False
        self.refuse: set[str] = set()
        self.on_open: Callable[[ServerConnection], Any] | None = None
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"ws://{host}:{port}"

    @property
    def live(self) -> ServerConnection:
        return self.connections[-1]

    def topics(self) -> list[str]:
        """Every topic asked for, in order, over all connections."""
        return [
            topic
            for _, request in self.requests
            if request.get("op", request.get("method")) in ("subscribe", "SUBSCRIBE")
            for topic in request.get("args", request.get("params"))
        ]

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await self.live.send(frame if isinstance(frame, str) else frame.decode())

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self.paths.append(connection.request.path if connection.request else "")
        if self.on_open is not None:
            await self.on_open(connection)
        try:
            async for message in connection:
                await self._answer(connection, json.loads(message))
        except ConnectionClosed:
            pass

    async def _answer(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        if request.get("op") == "ping":
            self.pings += 1
            await connection.send('{"success":true,"ret_msg":"pong","op":"ping"}')
            return
        self.requests.append((asyncio.get_running_loop().time(), request))
        if not self.mute_acks:
            await connection.send(json.dumps(self._reply(request)))

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        if "op" in request:
            bad = [topic for topic in request["args"] if topic in self.refuse]
            reply = {"success": not bad, "op": request["op"], "req_id": request["req_id"]}
            reply["ret_msg"] = f"Invalid topic: {bad[0]}" if bad else ""
            if self.nameless_acks:
                reply["req_id"] = ""
            return reply
        if any(stream in self.refuse for stream in request["params"]):
            return {"code": 2, "msg": "Invalid request", "id": request["id"]}
        return {"result": None, "id": request["id"]}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["VenueServer"]:
        async with serve(self.handle, "127.0.0.1", 0, ping_interval=None) as server:
            self._server = server
            yield self


class Heard:
    """The sinks of a feed, and the wait for what a test expects of them."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.events: list[FeedLost | FeedResumed] = []
        self.order: deque[Any] = deque()
        self.clock = SystemClock()

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self.order.append(tick)

    def event(self, event: FeedLost | FeedResumed) -> None:
        self.events.append(event)
        self.order.append(event)

    @property
    def lost(self) -> list[FeedLost]:
        return [event for event in self.events if isinstance(event, FeedLost)]

    @property
    def resumed(self) -> list[FeedResumed]:
        return [event for event in self.events if isinstance(event, FeedResumed)]


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until a condition holds, at most so long."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # conditions of many kinds
            await asyncio.sleep(0.005)
