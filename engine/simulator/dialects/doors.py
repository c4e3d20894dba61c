"""The WebSocket doors of the simulator: which paths exist, and the life of a connection."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import structlog
from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.model.instrument import Market
from engine.simulator.dialects.faults import FaultKind
from engine.simulator.dialects.session import Hub, Session, Wire

TOO_MANY_MESSAGES = 1008
IDLE = 1001

_log = structlog.get_logger()


class Dialect(Protocol):
    """One market of one venue, as its stream speaks."""

    venue: str
    market: Market
    hub: Hub

    def on_open(self, session: Session, streams: Sequence[str]) -> None:
        """Take in a new connection, subscribed to the streams of its URL."""

    def on_message(self, session: Session, text: str | bytes) -> bool:
        """Answer a message; False cuts the client off."""

    def on_close(self, session: Session) -> None:
        """Forget a connection that ended."""

    async def run(self) -> None:
        """Send what goes by time, until cancelled."""


class Visit(Struct, frozen=True):
    """What a path asks for. ``streams`` are subscribed at once."""

    dialect: Dialect
    route: str = ""
    combined: bool = False
    streams: tuple[str, ...] = ()


Router = Callable[[str], Visit | None]


class Door:
    """Lets clients of one venue address in, and holds their connections."""

    def __init__(
        self, router: Router, wire: Wire, names: random.Random, idle_s: float | None
    ) -> None:
        self._router = router
        self._wire = wire
        self._names = names
        self._idle_s = idle_s

    def admit(self, socket: ServerConnection, request: Request) -> Response | None:
        """Turn away unknown paths (404), and everyone while a ``refuse`` fault lasts (503)."""
        visit = self._router(request.path)
        if visit is None:
            return socket.respond(HTTPStatus.NOT_FOUND, "no such stream path\n")
        dialect = visit.dialect
        faults = self._wire.faults
        if faults and faults.strikes(FaultKind.REFUSE, "", dialect.venue, dialect.market):
            body = b"refused by a fault\n"
            headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
            return Response(503, "Service Unavailable", headers, body)
        return None

    async def serve(self, socket: ServerConnection) -> None:
        """Hold one connection until it ends."""
        request = socket.request
        visit = self._router(request.path) if request is not None else None
        if visit is None:
            return
        session = self._open(visit, socket)
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._listen(visit.dialect, session, socket)
        finally:
            visit.dialect.on_close(session)
            _log.info("simulator.connection_closed", conn=session.conn)

    def _open(self, visit: Visit, socket: ServerConnection) -> Session:
        dialect = visit.dialect
        conn = self._name()
        session = Session(conn, dialect.venue, dialect.market, socket, self._wire, visit.route)
        session.combined = visit.combined
        dialect.on_open(session, visit.streams)
        _log.info(
            "simulator.connection_opened", conn=conn, venue=dialect.venue, market=dialect.market
        )
        return session

    async def _listen(self, dialect: Dialect, session: Session, socket: ServerConnection) -> None:
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await socket.recv()
            except TimeoutError:
                await socket.close(IDLE, "idle")
                return
            if not dialect.on_message(session, message):
                await socket.close(TOO_MANY_MESSAGES, "Too many requests")
                return

    def _name(self) -> str:
        letters = "abcdefghijklmnopqrstuv0123456789"
        draw = self._names
        return "".join(draw.choices(letters, k=20)) + "-" + "".join(draw.choices(letters, k=5))


def bybit_router(spot: Dialect, linear: Dialect, private: Dialect) -> Router:
    """Serve ``/v5/public/{spot,linear}`` and ``/v5/private``."""
    visits = {
        "/v5/public/spot": Visit(spot),
        "/v5/public/linear": Visit(linear),
        "/v5/private": Visit(private, "private"),
    }
    return lambda path: visits.get(urlsplit(path).path.rstrip("/"))


def binance_router(
    dialect: Dialect,
    routes: tuple[str, ...],
    *,
    user: Dialect | None = None,
    api: Dialect | None = None,
) -> Router:
    """Serve ``/ws`` and ``/stream`` at the top and below each route.

    Args:
        user: serves ``/private/ws?listenKey=``. api: serves ``/ws-api/v3``.
    """

    def find(path: str) -> Visit | None:
        parts = urlsplit(path)
        steps = [step for step in parts.path.split("/") if step]
        if api is not None and steps == ["ws-api", "v3"]:
            return Visit(api)
        if user is not None and steps[:2] == ["private", "ws"]:
            named = parse_qs(parts.query).get("listenKey", steps[2:3])
            return Visit(user, "private", streams=tuple(named))
        route = steps.pop(0) if steps and steps[0] in routes else ""
        if steps[:1] == ["ws"]:
            return Visit(dialect, route, combined=False, streams=tuple(steps[1:]))
        if steps == ["stream"]:
            names = parse_qs(parts.query).get("streams", [""])[0]
            streams = tuple(name for name in names.split("/") if name)
            return Visit(dialect, route, combined=True, streams=streams)
        return None

    return find
