"""Signed REST requests of the simulator: how they come in, what goes wrong with them, who asks.

What both venues share. A ``Front`` is a venue's side: it answers a request, and words the refusals
that a fault asks for. ``Calls`` makes Starlette routes of it.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.model.instrument import Market
from engine.ports import Clock
from engine.simulator.dialects.connections import Connections
from engine.simulator.dialects.faults import Fault, FaultKind, Faults

NOTED_CALLS = 50_000
CUT = 0
NOT_TAKEN = (
    FaultKind.BAN,
    FaultKind.RATE_LIMIT,
    FaultKind.MAINTENANCE,
    FaultKind.ERROR_BEFORE,
)


class Call(Struct, frozen=True):
    """A request as it came over the wire.

    Attributes:
        query: the part of the URL behind the ``?``, verbatim.
        headers: names in lower case.
        address: of the client, without a port.
        received_ns: local monotonic time, which all processes of a Linux machine share.
    """

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]
    address: str
    received_ns: int


class Reply(Struct, frozen=True):
    """An answer; ``body`` becomes JSON. ``code`` is the venue's own, where it has one."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}
    code: int | None = None


class Front(Protocol):
    """One venue's signed endpoints."""

    venue: str

    def market(self, call: Call) -> Market | None:
        """Tell the market that a request is about; None where it names none."""

    def client_order_id(self, call: Call) -> str | None:
        """Tell the client's own id of the order that a request is about, where it names one."""

    def answer(self, call: Call) -> Reply | Awaitable[Reply]:
        """Carry a request out, or have its end awaited; a refusal is an answer too."""

    def refuse(self, fault: Fault) -> Reply:
        """Word what a fault says: a ban, a rate limit, maintenance, or a server error."""


class Window(Struct):
    """What was used of a limit since ``start_ms``."""

    start_ms: int
    used: int = 0


class Used(Struct, frozen=True):
    """How much of a limit is used up, this request included, and when it is given back.

    ``is_over`` means that the request is one too many; it counts nevertheless.
    """

    limit: int
    used: int
    reset_ms: int

    @property
    def is_over(self) -> bool:
        return self.used > self.limit

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)


class Limits:
    """Rate limits in fixed windows, each under a name."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def take(self, name: str, now_ms: int, limit: int, window_ms: int, weight: int = 1) -> Used:
        """Count a request of a weight."""
        start_ms = now_ms - now_ms % window_ms
        window = self._windows.get(name)
        if window is None or window.start_ms != start_ms:
            window = self._windows[name] = Window(start_ms)
        window.used += weight
        return Used(limit, window.used, start_ms + window_ms)


class Noted(Struct):
    """A request, and how it was answered.

    Attributes:
        status: what the answer says, None while there is none; ``CUT`` for a connection that was
            cut instead.
        fault: that struck it.
    """

    number: int
    venue: str
    call: Call
    client_order_id: str | None
    status: int | None = None
    fault: FaultKind | None = None


class CallLog:
    """The last signed requests."""

    def __init__(self) -> None:
        self.count = 0
        self._noted: deque[Noted] = deque(maxlen=NOTED_CALLS)

    def add(self, venue: str, call: Call, client_order_id: str | None) -> Noted:
        """Note a request that has come in."""
        self.count += 1
        noted = Noted(self.count, venue, call, client_order_id)
        self._noted.append(noted)
        return noted

    def since(self, number: int) -> list[Noted]:
        """Return those that came after a number, oldest first."""
        skipped = max(0, len(self._noted) - (self.count - number))
        return list(itertools.islice(self._noted, skipped, None))


class Calls:
    """Makes routes of fronts, with faults."""

    def __init__(self, faults: Faults, clock: Clock, connections: Connections) -> None:
        self.log = CallLog()
        self._faults = faults
        self._clock = clock
        self._connections = connections

    def routes(self, front: Front, paths: Mapping[str, Sequence[str]]) -> list[Route]:
        """Return the routes of a front.

        Args:
            paths: the methods of each path.
        """
        return [
            Route(path, self._endpoint(front), methods=list(methods))
            for path, methods in paths.items()
        ]

    def _endpoint(self, front: Front) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            received_ns = self._clock.monotonic_ns()
            call = await _read(request, received_ns)
            noted = self.log.add(front.venue, call, front.client_order_id(call))
            reply, noted.fault = await self._carry_out(front, call)
            if noted.fault is FaultKind.DROP_REPLY:
                noted.status = CUT
                self._connections.cut(request.scope)
                return Response()
            noted.status = reply.status if reply.code is None else reply.code
            data = msgspec.json.encode(reply.body)
            headers = dict(reply.headers)
            return Response(data, reply.status, headers, media_type="application/json")

        return endpoint

    async def _carry_out(self, front: Front, call: Call) -> tuple[Reply, FaultKind | None]:
        """Answer a request, or say what a fault says; also tells which fault struck."""
        if not self._faults:
            return await _told(front.answer(call)), None
        where = (front.venue, front.market(call), call.path)
        late = self._faults.hits_call(FaultKind.DELAY, *where)
        if late is not None:
            await asyncio.sleep(late.delay_ms / 1000)
        for kind in NOT_TAKEN:
            fault = self._faults.hits_call(kind, *where)
            if fault is not None:
                return front.refuse(fault), kind
        reply = await _told(front.answer(call))
        fault = self._faults.hits_call(FaultKind.ERROR_AFTER, *where)
        if fault is not None:
            return front.refuse(fault), fault.kind
        fault = self._faults.hits_call(FaultKind.DROP_REPLY, *where)
        if fault is not None:
            return reply, fault.kind
        return reply, None if late is None else late.kind


async def _told(answer: Reply | Awaitable[Reply]) -> Reply:
    return answer if isinstance(answer, Reply) else await answer


async def _read(request: Request, received_ns: int) -> Call:
    client = request.client
    return Call(
        method=request.method,
        path=request.url.path,
        query=request.scope["query_string"].decode("latin-1"),
        body=await request.body(),
        headers={name.lower(): value for name, value in request.headers.items()},
        address=client.host if client is not None else "",
        received_ns=received_ns,
    )
