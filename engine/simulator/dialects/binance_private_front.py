"""Binance's signed endpoints of one market: who may ask, at what weight, and how refusals look.

Sources: the general information of spot and USD-M: security types, ``X-MBX-APIKEY``, weights and
order counts with their headers, HTTP 4xx with ``{"code","msg"}``, 5xx where the outcome is unknown.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.model.instrument import Market
from engine.simulator.dialects.binance_private_keys import (
    Key,
    check_time,
    not_permitted,
    split_signature,
)
from engine.simulator.dialects.binance_private_limits import Limits
from engine.simulator.dialects.binance_private_params import Allowed, Denied, Params, split_fields
from engine.simulator.dialects.binance_rest import BinanceError
from engine.simulator.dialects.calls import Call, Reply
from engine.simulator.dialects.faults import Fault, FaultKind, Faults
from engine.simulator.market_pace import VenueTime

CLIENT_IDS = ("newClientOrderId", "origClientOrderId", "clientAlgoId")
ALWAYS = ("timestamp", "recvWindow")
RETRY_AFTER_S = 1
BAN_S = 120

Answer = Callable[[Params], Any]


class Endpoint(Struct, frozen=True):
    """One request.

    Attributes:
        answer: returns the body of the answer, or has it awaited.
        signed: False where the key alone is enough (listen keys).
        trades: it needs the right to trade the market.
        places: it counts as a new order.
    """

    answer: Answer
    allowed: Allowed = Allowed()
    weight: int = 1
    signed: bool = True
    trades: bool = False
    places: bool = False


class BinanceFront:
    """The private endpoints of one market.

    Args:
        endpoints: by path and method.
    """

    venue = "binance"

    def __init__(
        self,
        market: Market,
        key: Key,
        limits: Limits,
        faults: Faults,
        time: VenueTime,
        endpoints: Mapping[tuple[str, str], Endpoint],
    ) -> None:
        self._market = market
        self._key = key
        self._limits = limits
        self._faults = faults
        self._time = time
        self._endpoints = endpoints

    def paths(self) -> Mapping[str, Sequence[str]]:
        """Return the methods of each path."""
        methods: dict[str, list[str]] = {}
        for path, method in self._endpoints:
            methods.setdefault(path, []).append(method)
        return methods

    # Front

    def market(self, call: Call) -> Market | None:
        """Tell the market."""
        return self._market

    def client_order_id(self, call: Call) -> str | None:
        """Tell the client's own id that a request names."""
        fields = dict(split_fields(call.query, call.body.decode("latin-1")))
        return next((fields[name] for name in CLIENT_IDS if name in fields), None)

    async def answer(self, call: Call) -> Reply:
        """Carry a request out, as far as key, limits and parameters let it."""
        endpoint = self._endpoints.get((call.path, call.method))
        if endpoint is None:  # Starlette adds HEAD to GET
            return Reply({}, 405)
        headers: dict[str, str] = {}
        try:
            self._limits.spend(endpoint.weight)
            params = self._checked(call, endpoint)
            if endpoint.places:
                self._limits.count_order()
            told = endpoint.answer(params)
            body = await told if isinstance(told, Awaitable) else told
        except Denied as denied:
            return self._refusal(denied, denied.status, denied.headers)
        except BinanceError as error:
            return self._refusal(error, 400, headers)
        if endpoint.places:
            headers |= self._limits.order_headers()
        return Reply(body, headers=headers | self._limits.headers())

    def _checked(self, call: Call, endpoint: Endpoint) -> Params:
        self._key.check_key(call.headers.get("x-mbx-apikey", ""))
        body = call.body.decode("latin-1")
        fields = split_fields(call.query, body)
        if endpoint.signed:
            self._key.check_signature(*split_signature(call.query, body))
            fields = [(name, value) for name, value in fields if name != "signature"]
        params = Params(self._market, fields)
        if endpoint.signed:
            check_time(params, self.now_ms())
        known = Allowed(endpoint.allowed.needs, (*endpoint.allowed.takes, *ALWAYS))
        known.check(params)
        may = self._key.may_trade if endpoint.trades else self._key.may_read
        if not may(self._market):
            raise not_permitted()
        return params

    def _refusal(self, error: BinanceError, status: int, headers: Mapping[str, str]) -> Reply:
        body = {"code": error.code, "msg": error.message}
        return Reply(body, status, {**headers, **self._limits.headers()}, code=error.code)

    def refuse(self, fault: Fault) -> Reply:
        """Word what a fault says; the ``code`` of a server error, 1007 for -1007, is HTTP 400."""
        if fault.kind is FaultKind.BAN:
            until_ms = self.now_ms() + BAN_S * 1000
            text = f"Way too much request weight used; IP banned until {until_ms}."
            return Reply({"code": -1003, "msg": text}, 418, {"Retry-After": str(BAN_S)}, -1003)
        if fault.kind is FaultKind.RATE_LIMIT:
            text = "Too many requests; current limit is 6000 request weight per 1 MINUTE."
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            return Reply({"code": -1003, "msg": text}, 429, headers, -1003)
        if fault.kind is FaultKind.MAINTENANCE:
            text = "This service is no longer available."
            return Reply({"code": -1016, "msg": text}, 400, code=-1016)
        if fault.code is not None:
            code = -abs(fault.code)
            return Reply({"code": code, "msg": "An error."}, 400, code=code)
        return Reply({"code": -1000, "msg": "An unknown error occurred."}, 502, code=-1000)

    def now_ms(self) -> int:
        """Return the time that this venue's clock shows."""
        return self._time.now_ms() + self._faults.skew_ms(self.venue)
