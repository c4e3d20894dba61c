"""Bybit's signed endpoints: envelope, rate limits, and which request may do what.

Source: Bybit v5 docs, "Integration Guidance" and "Rate Limit Rules": limits per account and second
with their headers; 600 requests in 5 s per address, else HTTP 403 for ten minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from engine.model.instrument import Market
from engine.simulator.dialects import bybit_private_lists as lists
from engine.simulator.dialects import bybit_private_orders as orders
from engine.simulator.dialects import bybit_private_settings as settings
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.bybit_private_account import BybitAccount
from engine.simulator.dialects.bybit_private_keys import Unauthorised
from engine.simulator.dialects.bybit_private_params import Params
from engine.simulator.dialects.calls import Call, Limits, Reply, Used
from engine.simulator.dialects.faults import Fault, FaultKind, Faults

SECOND_MS = 1000
ADDRESS_LIMIT = 600
ADDRESS_WINDOW_MS = 5000
BAN_MS = 600_000
RATE_LIMITED = 10006
MAINTENANCE = 10016

Answer = Callable[[Params], dict[str, Any]]


class Endpoint(Struct, frozen=True):
    """One signed request.

    Attributes:
        limits: requests a second per account, on linear and on spot.
        trades: it needs the right to trade.
    """

    method: str
    answer: Answer
    known: frozenset[str]
    required: tuple[str, ...]
    limits: tuple[int, int]
    trades: bool = False


class BybitPrivateRest:
    """The signed endpoints of one account."""

    venue = "bybit"

    def __init__(self, account: BybitAccount, faults: Faults) -> None:
        self._account = account
        self._faults = faults
        self._limits = Limits()
        self._banned_ms: dict[str, int] = {}
        self._endpoints = {**self._trading(), **self._reading()}

    def paths(self) -> Mapping[str, Sequence[str]]:
        """Return the methods of each path."""
        return {path: (each.method,) for path, each in self._endpoints.items()}

    def _trading(self) -> dict[str, Endpoint]:
        book, setup = self._account.orders, self._account.settings
        create = (orders.CREATE, orders.CREATE_NEEDS, (10, 20))
        cancel = (orders.CANCEL, orders.CANCEL_NEEDS, (10, 20))
        lever = (settings.LEVERAGE, tuple(sorted(settings.LEVERAGE)), (10, 10))
        mode = (settings.MODE, ("category", "mode"), (10, 10))
        margin = (settings.MARGIN, ("setMarginMode",), (5, 5))
        post = "POST"
        return {
            "/v5/order/create": Endpoint(post, book.create, *create, trades=True),
            "/v5/order/cancel": Endpoint(post, book.cancel, *cancel, trades=True),
            "/v5/position/set-leverage": Endpoint(post, setup.set_leverage, *lever, trades=True),
            "/v5/position/switch-mode": Endpoint(post, setup.switch_mode, *mode, trades=True),
            "/v5/account/set-margin-mode": Endpoint(
                post, setup.set_margin_mode, *margin, trades=True
            ),
        }

    def _reading(self) -> dict[str, Endpoint]:
        books, setup, get = self._account.lists, self._account.settings, "GET"
        category, fifty = ("category",), (50, 50)
        nothing: frozenset[str] = frozenset()
        wallet = (settings.WALLET, ("accountType",), fifty)
        fees = (settings.FEES, category, (10, 5))
        positions = (settings.POSITIONS, category, fifty)
        return {
            "/v5/order/realtime": Endpoint(get, books.realtime, lists.REALTIME, category, fifty),
            "/v5/order/history": Endpoint(get, books.history, lists.HISTORY, category, fifty),
            "/v5/execution/list": Endpoint(
                get, books.executions, lists.EXECUTIONS, category, fifty
            ),
            "/v5/position/list": Endpoint(get, setup.positions, *positions),
            "/v5/account/wallet-balance": Endpoint(get, setup.wallet, *wallet),
            "/v5/account/info": Endpoint(get, setup.info, nothing, (), fifty),
            "/v5/account/fee-rate": Endpoint(get, setup.fee_rates, *fees),
            "/v5/user/query-api": Endpoint(get, self._account.query_key, nothing, (), (10, 10)),
        }

    # Front

    def market(self, call: Call) -> Market | None:
        """Tell the category of a request."""
        named = _named(call, "category")
        return Market(named) if named in tuple(Market) else None

    def client_order_id(self, call: Call) -> str | None:
        """Tell ``orderLinkId``."""
        return _named(call, "orderLinkId")

    def answer(self, call: Call) -> Reply:
        """Carry a request out, as far as key, limits and parameters let it."""
        now_ms = self._now_ms()
        if self._is_banned(call.address, now_ms):
            return Reply({}, 403)
        endpoint = self._endpoints[call.path]
        try:
            self._account.key.check_call(call, now_ms)
        except BybitError as error:
            return self._reply(error.code, error.message, error.result)
        except Unauthorised:
            return Reply({}, 401)
        used = self._used(call, endpoint, now_ms)
        headers = _headers(used, now_ms)
        if used.is_over:
            text = "Too many visits. Exceeded the API Rate Limit."
            return self._reply(RATE_LIMITED, text, {}, headers)
        try:
            result = self._carry_out(call, endpoint)
        except BybitError as error:
            return self._reply(error.code, error.message, error.result, headers)
        return self._reply(0, "OK", result, headers)

    def refuse(self, fault: Fault) -> Reply:
        """Word what a fault says; ``code`` of a server error is a ``retCode`` with HTTP 200."""
        if fault.kind is FaultKind.BAN:
            return Reply({}, 403)
        if fault.kind is FaultKind.RATE_LIMIT:
            reset_ms = self._now_ms() + SECOND_MS
            text = "Too many visits. Exceeded the API Rate Limit."
            return self._reply(RATE_LIMITED, text, {}, _headers(Used(10, 11, reset_ms), reset_ms))
        if fault.kind is FaultKind.MAINTENANCE:
            return self._reply(MAINTENANCE, "Service is under maintenance", {})
        if fault.code is not None:
            return self._reply(fault.code, "Internal error", {})
        return Reply({}, 502)

    def _carry_out(self, call: Call, endpoint: Endpoint) -> dict[str, Any]:
        params = Params.of(call)
        params.check(endpoint.known, endpoint.required)
        stale = self._faults.hits_call(
            FaultKind.STALE_READS, self.venue, self.market(call), call.path
        )
        params.stale_ms = 0 if stale is None else stale.delay_ms
        if endpoint.trades:
            self._account.key.check_permission(self.market(call))
        return endpoint.answer(params)

    # Limits

    def _is_banned(self, address: str, now_ms: int) -> bool:
        if self._banned_ms.get(address, 0) > now_ms:
            return True
        used = self._limits.take(address, now_ms, ADDRESS_LIMIT, ADDRESS_WINDOW_MS)
        if used.is_over:
            self._banned_ms[address] = now_ms + BAN_MS
        return used.is_over

    def _used(self, call: Call, endpoint: Endpoint, now_ms: int) -> Used:
        market = self.market(call)
        limit = endpoint.limits[1 if market is Market.SPOT else 0]
        return self._limits.take(f"{call.path} {market}", now_ms, limit, SECOND_MS)

    def _reply(
        self,
        code: int,
        message: str,
        result: dict[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        body = {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": {},
            "time": self._now_ms(),
        }
        return Reply(body, headers=headers or {}, code=code or None)

    def _now_ms(self) -> int:
        return self._account.now_ms() + self._faults.skew_ms(self.venue)


def _named(call: Call, name: str) -> str | None:
    """Read one parameter of a request that is not checked yet."""
    if call.method == "GET":
        return parse_qs(call.query).get(name, [None])[0]
    try:
        body = msgspec.json.decode(call.body)
    except msgspec.DecodeError:
        return None
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else None


def _headers(used: Used, now_ms: int) -> dict[str, str]:
    """Return the headers of a limit; it is given back at once unless it is used up (docs)."""
    reset_ms = used.reset_ms if used.is_over else now_ms
    return {
        "X-Bapi-Limit": str(used.limit),
        "X-Bapi-Limit-Status": str(used.left),
        "X-Bapi-Limit-Reset-Timestamp": str(reset_ms),
    }
