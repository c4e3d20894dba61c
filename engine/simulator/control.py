"""The simulator's control side: prices, pauses, faults, and a look inside. JSON over HTTP.

A bad request is answered with RFC 9457 ``application/problem+json`` whose ``errors`` name each
field and its remedy.
"""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.clock import NS_PER_MS
from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.ports import Clock
from engine.simulator.control_account import FIELDS, AccountControl
from engine.simulator.control_request import (
    BadRequest,
    close_code,
    count,
    one_of,
    parsed_price,
    problem,
    read_body,
)
from engine.simulator.dialects.calls import CallLog, Noted
from engine.simulator.dialects.doors import Dialect
from engine.simulator.dialects.faults import AT_ONCE, LASTING, Fault, FaultKind
from engine.simulator.dialects.session import Session, Wire
from engine.simulator.market import InstrumentState, MarketPlace
from engine.simulator.market_pace import Pace
from engine.simulator.market_scripted import Overrides

MAX_PATH_PRICES = 100_000
ERROR_CODE = 1011
"""Close code of a server that fails (RFC 6455, 7.4.1)."""

_log = structlog.get_logger()


class Control:
    """Carries out control requests."""

    def __init__(
        self,
        place: MarketPlace,
        pace: Pace,
        overrides: Overrides,
        wire: Wire,
        dialects: Sequence[Dialect],
        clock: Clock,
        log: CallLog,
        accounts: AccountControl,
    ) -> None:
        self._log = log
        self._accounts = accounts
        self._place = place
        self._pace = pace
        self._overrides = overrides
        self._wire = wire
        self._dialects = dialects
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted below the control URL."""
        return [
            Route("/price", _guarded(self.price), methods=["POST"]),
            Route("/path", _guarded(self.path), methods=["POST"]),
            Route("/fault", _guarded(self.fault), methods=["POST"]),
            Route("/pause", _guarded(self.pause), methods=["POST"]),
            Route("/resume", _guarded(self.resume), methods=["POST"]),
            Route("/flush", _guarded(self.flush), methods=["POST"]),
            Route("/state", _guarded(self.state), methods=["GET"]),
            Route("/account", _guarded(self.account), methods=["GET", "POST"]),
            Route("/requests", _guarded(self.requests), methods=["GET"]),
        ]

    async def price(self, request: Request) -> dict[str, Any]:
        """Send a price at once, or (null) give the instrument back to its source."""
        body = await read_body(request, {"instrument", "price"})
        instrument = self._instrument(body)
        if "price" not in body:
            raise BadRequest("price", "give a positive decimal, or null to release the instrument")
        if body["price"] is None:
            self._overrides.release(instrument)
            return {"instrument": str(instrument), "price": None}
        traded = self._overrides.price(instrument, parsed_price("price", body["price"]))
        return {"instrument": str(instrument), "price": plain(traded)}

    async def path(self, request: Request) -> dict[str, Any]:
        """Send prices one after the other."""
        body = await read_body(request, {"instrument", "prices", "interval_ms"})
        instrument = self._instrument(body)
        given = body.get("prices")
        if not isinstance(given, list) or not 0 < len(given) <= MAX_PATH_PRICES:
            raise BadRequest("prices", f"give a list of 1..{MAX_PATH_PRICES} positive decimals")
        prices = [parsed_price(f"prices[{index}]", value) for index, value in enumerate(given)]
        interval_ms = count("interval_ms", body.get("interval_ms", 100), least=0)
        self._overrides.path(instrument, prices, interval_ms / 1000)
        return {"instrument": str(instrument), "prices": len(prices), "interval_ms": interval_ms}

    async def pause(self, request: Request) -> dict[str, Any]:
        """Hold the sources; connections live on, and scripted prices still go out."""
        self._pace.pause()
        return {"paused": True}

    async def resume(self, request: Request) -> dict[str, Any]:
        """Let the sources go on where they were held."""
        self._pace.resume()
        return {"paused": False}

    async def flush(self, request: Request) -> dict[str, Any]:
        """Write the sent log to disk."""
        self._wire.sent.flush()
        return {"frames": self._wire.sent.count}

    async def state(self, request: Request) -> dict[str, Any]:
        """Tell prices, connections, subscriptions, faults and counts."""
        sessions = self._sessions()
        return {
            "paused": self._pace.paused,
            "speed": self._pace.speed,
            "time_ms": self._place.time.now_ms(),
            "frames_sent": self._wire.sent.count,
            "prices": {str(s.listing.id): _prices(s) for s in self._place.active() if s.quote},
            "connections": [_connection(session) for session in sessions],
            "faults": [_fault(fault) for fault in self._wire.faults.active()],
        }

    async def account(self, request: Request) -> dict[str, Any]:
        """Show the books of accounts, or (POST) change them from outside."""
        if request.method == "POST":
            return self._accounts.act(await read_body(request, FIELDS))
        params = request.query_params
        return self._accounts.show(params.get("venue"), params.get("market"))

    async def requests(self, request: Request) -> dict[str, Any]:
        """Tell the signed requests that came in after number ``since``, oldest first."""
        params = request.query_params
        since = params.get("since", "0")
        if not since.isdecimal():
            raise BadRequest("since", "give the number of a request; 0 for all that are kept")
        venue = one_of("venue", params.get("venue"), ("bybit", "binance"))
        found = [n for n in self._log.since(int(since)) if venue in (None, n.venue)]
        return {"items": [_request(noted) for noted in found], "next": self._log.count}

    async def fault(self, request: Request) -> dict[str, Any]:
        """Put a fault in force, or (``clear``) end them all."""
        body = await read_body(request, _FAULT_FIELDS)
        if body.get("kind") == "clear":
            self._wire.faults.clear()
            return {"kind": "clear"}
        fault = self._read_fault(body)
        met = [s for s in self._sessions() if fault.meets(s.conn, s.venue, s.market, None)]
        if fault.kind is FaultKind.HALF_OPEN:
            fault.conns = frozenset(session.conn for session in met)
        _log.info("simulator.fault", kind=fault.kind, connections=len(met))
        if fault.kind in AT_ONCE:
            await self._strike(fault, met)
        else:
            self._wire.faults.add(fault)
        return _fault(fault) | {"connections": len(met)}

    async def _strike(self, fault: Fault, sessions: list[Session]) -> None:
        for session in sessions:
            if fault.kind is FaultKind.CLOSE:
                await session.close(fault.code or ERROR_CODE)
            else:
                symbol = fault.symbol or ""
                for _ in range(fault.left or 1):
                    session.push_garbage(InstrumentId(session.venue, session.market, symbol))

    def _read_fault(self, body: dict[str, Any]) -> Fault:
        kinds = ", ".join([*FaultKind, "clear"])
        try:
            kind = FaultKind(body.get("kind", ""))
        except ValueError:
            raise BadRequest("kind", f"give one of {kinds}") from None
        fault = Fault(kind)
        self._aim(fault, body)
        duration_ms = body.get("duration_ms")
        if duration_ms is not None:
            ms = count("duration_ms", duration_ms, least=1)
            fault.until_ns = self._clock.monotonic_ns() + ms * NS_PER_MS
        if body.get("count") is not None:
            fault.left = count("count", body["count"], least=1)
        elif fault.until_ns is None and kind not in LASTING and body.get("share") is None:
            fault.left = 1
        self._read_size(fault, body)
        return fault

    def _read_size(self, fault: Fault, body: dict[str, Any]) -> None:
        """Read how hard a fault strikes: code, delay, skew."""
        code = body.get("code")
        if code is not None:
            of_calls = fault.kind in (FaultKind.ERROR_BEFORE, FaultKind.ERROR_AFTER)
            fault.code = count("code", code, least=1) if of_calls else close_code(code)
        if body.get("share") is not None:
            fault.share = _share(body["share"])
            fault.draw = Random(f"{count('seed', body.get('seed', 0), least=0)}:{fault.kind}")
        if fault.kind in (FaultKind.DELAY, FaultKind.STALE_READS, FaultKind.LAG):
            fault.delay_ms = count("delay_ms", body.get("delay_ms", 200), least=1)
        if fault.kind is FaultKind.SKEW:
            skew_ms = body.get("skew_ms")
            if isinstance(skew_ms, bool) or not isinstance(skew_ms, int):
                raise BadRequest("skew_ms", "give a whole number of ms; negative is behind ours")
            fault.skew_ms = skew_ms

    def _aim(self, fault: Fault, body: dict[str, Any]) -> None:
        if body.get("instrument") is not None:
            instrument = self._instrument(body)
            fault.venue, fault.market = instrument.venue, instrument.market
            fault.symbol = instrument.symbol
        fault.venue = one_of("venue", body.get("venue"), ("bybit", "binance")) or fault.venue
        markets = tuple(str(market) for market in Market)
        fault.market = one_of("market", body.get("market"), markets) or fault.market
        symbol = body.get("symbol")
        if symbol is not None and symbol != "all":
            fault.symbol = str(symbol).upper()
        path = body.get("path")
        if path is not None:
            if not isinstance(path, str) or not path.startswith("/"):
                raise BadRequest("path", "give the path of a request, as /v5/order/create")
            fault.path = path
        conn = body.get("conn")
        if conn is not None:
            if conn not in {session.conn for session in self._sessions()}:
                raise BadRequest("conn", "give the conn of an open connection, see /state")
            fault.conns = frozenset({conn})

    def _instrument(self, body: dict[str, Any]) -> InstrumentId:
        try:
            instrument = InstrumentId.parse(str(body.get("instrument") or ""))
        except ValueError:
            raise BadRequest(
                "instrument", "write venue:market:symbol, as bybit:linear:BTCUSDT"
            ) from None
        if self._place.listings.get(instrument) is None:
            raise BadRequest("instrument", f"{instrument} is not in the simulator's lists")
        return instrument

    def _sessions(self) -> list[Session]:
        return [session for dialect in self._dialects for session in dialect.hub]


_FAULT_FIELDS = {
    "kind",
    "instrument",
    "venue",
    "market",
    "symbol",
    "conn",
    "duration_ms",
    "count",
    "code",
    "path",
    "delay_ms",
    "skew_ms",
    "share",
    "seed",
}

Answer = Callable[[Request], Awaitable[dict[str, Any]]]


def _guarded(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await answer(request))
        except BadRequest as error:
            return problem(error)

    return endpoint


def _share(value: object) -> float:
    """Read how likely a fault strikes."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value <= 1:
        raise BadRequest("share", "give a number above 0 and at most 1")
    return float(value)


def _prices(state: InstrumentState) -> dict[str, Any]:
    quote, mark = state.quote, state.mark
    return {
        "last": state.last,
        "bid": quote.bid if quote else None,
        "ask": quote.ask if quote else None,
        "mark": mark.mark if mark else None,
        "scripted": state.scripted,
    }


def _connection(session: Session) -> dict[str, Any]:
    return {
        "conn": session.conn,
        "venue": session.venue,
        "market": session.market,
        "route": session.route,
        "subscriptions": list(session.topics),
        "frames_sent": session.frames_sent,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "venue": fault.venue,
        "market": fault.market,
        "symbol": fault.symbol,
        "left": fault.left,
        "path": fault.path,
    }


def _request(noted: Noted) -> dict[str, Any]:
    return {
        "number": noted.number,
        "at_ns": noted.call.received_ns,
        "venue": noted.venue,
        "method": noted.call.method,
        "path": noted.call.path,
        "client_order_id": noted.client_order_id,
        "status": noted.status,
        "fault": noted.fault,
    }
