"""Binance's REST on loopback, scripted by the test: real sockets, and signatures checked anew."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order, OrderSide
from engine.venues.urls import BinanceUrls

KEY, SECRET = "k" * 64, "s" * 64
POSITION = "abcdefghijklmnopqrstuvwxyz"

SPOT = Instrument(
    InstrumentId("binance", Market.SPOT, "BTCUSDT"),
    "BTC",
    "USDT",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.00001"),
    min_qty=Decimal("0.00001"),
    min_notional=Decimal(5),
)
LINEAR = Instrument(
    InstrumentId("binance", Market.LINEAR, "BTCUSDT"),
    "BTC",
    "USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(100),
)


def order(instrument=SPOT, purpose=Purpose.ENTRY, side=OrderSide.BUY, qty="0.01", **rest):
    """An order of ours, generation 1."""
    return Order(
        client_order_id=client_order_id(POSITION, purpose, 1),
        position_id=POSITION,
        instrument=instrument,
        side=side,
        purpose=purpose,
        generation=1,
        qty=Decimal(qty),
        reduce_only=purpose in {Purpose.EXIT, Purpose.BACKSTOP},
        created_at_ns=time.time_ns(),
        actor="guard",
        **rest,
    )


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    params: dict[str, str]
    names: list[str]


@dataclass
class Venue:
    """Answers each method and path as scripted, -1121 where nothing is.

    Attributes:
        asked: every request, in order, requests for the time left out.
        offset_ms: of its clock.
        streams: the open streams, spot and usdm. opened: which were opened, with their query.
        calls: what was sent on them.
        answers: by ``get /api/v3/order``; a list is answered one after the other, the last one on.
    """

    url: str = ""
    offset_ms: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    streams: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    opened: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    time_answer: Any = None
    times_asked: int = 0

    def answer(self, name: str, *bodies: Any) -> None:
        """Script answers: a JSON body, a (status, body[, headers]), a function of parameters,
        ``CUT`` or ``HANG``."""
        self.answers[name] = list(bodies)

    def of(self, name: str) -> list[dict[str, str]]:
        """The parameters of every request of a method and path."""
        return [each.params for each in self.asked if f"{each.method} {each.path}" == name]

    @property
    def urls(self) -> BinanceUrls:
        ws = self.url.replace("http", "ws")
        return BinanceUrls(
            spot_rest=self.url,
            spot_ws=ws,
            spot_ws_api=f"{ws}/ws-api/v3",
            usdm_rest=self.url,
            usdm_ws=ws,
        )

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """A user data stream: subscriptions are answered, frames of the test are passed on."""
        name = "spot" if "ws-api" in request.path else "usdm"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.streams[name] = socket
        self.opened.append((name, dict(request.query)))
        async for message in socket:
            call = json.loads(message.data)
            self.calls.append(call)
            await socket.send_json({"id": call["id"], "status": 200, "result": {}})
        return socket

    async def _endpoint(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") == "websocket":
            return await self._stream(request)
        raw = request.url.raw_query_string + (await request.text())
        fields = parse_qsl(raw, keep_blank_values=True)
        method, path = request.method.lower(), request.path
        if path.endswith("/time"):
            self.times_asked += 1
            return self._respond(self.time_answer or {"serverTime": self.now_ms()})
        refusal = self._check(raw, dict(fields), request)
        self.asked.append(Asked(method, path, dict(fields), [name for name, _ in fields]))
        if refusal:
            return self._respond((400, refusal))
        script = self.answers.get(f"{method} {path}", [(400, error(-1121, "Invalid symbol."))])
        body = script.pop(0) if len(script) > 1 else script[0]
        if callable(body):
            body = body(dict(fields))
        if body == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if body == HANG:
            await asyncio.sleep(30)
        return self._respond(body)

    def _check(self, raw: str, params: dict[str, str], request: web.Request) -> Any:
        """Judge key, signature and time as the venue does."""
        if request.headers.get("X-MBX-APIKEY") != KEY:
            return error(-2014, "API-key format invalid.")
        if "signature" not in params:
            return None
        payload, _, signature = raw.rpartition("&signature=")
        if hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest() != signature:
            return error(-1022, "Signature for this request is not valid.")
        sent_ms, now_ms = int(params["timestamp"]), self.now_ms()
        if sent_ms >= now_ms + 1000 or now_ms - sent_ms > int(params["recvWindow"]):
            return error(-1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    def _respond(self, body: Any) -> web.Response:
        status, content, headers = 200, body, {}
        if isinstance(body, tuple):
            status, content, *more = body
            headers = more[0] if more else {}
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(
            body=raw,
            status=status,
            content_type="application/json",
            headers={**self.headers, **headers},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Venue"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._endpoint)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


def error(code: int, text: str) -> dict[str, Any]:
    """An error's body."""
    return {"code": code, "msg": text}


CUT = "cut"
"""Close the connection instead of answering."""

HANG = "hang"
"""Answer after 30 s."""
