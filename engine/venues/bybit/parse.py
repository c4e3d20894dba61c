"""Bybit's account as it is written: the answers and private topics that are read here.

Source of every field: the v5 documentation of the endpoint or topic that a type names. Numbers are
texts there, and ``""`` where there is none. Fields that are not read are left out.
"""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct, field

Shape = TypeVar("Shape")
Row = TypeVar("Row")


class Answer(Struct, Generic[Shape], rename="camel"):
    """The envelope of every answer; ``time`` in ms, the venue's."""

    ret_code: int
    result: Shape
    ret_msg: str = ""
    time: int = 0


class Rows(Struct, Generic[Row], rename="camel"):
    """A page; ``next_page_cursor`` is empty on the last one, and goes back as it came."""

    rows: list[Row] = field(name="list")
    next_page_cursor: str | None = ""
    category: str = ""


class Nothing(Struct):
    """A result of which nothing is read."""


class ServerTime(Struct, rename="camel"):
    """``GET /v5/market/time``: nanoseconds since the epoch."""

    time_nano: str


class OrderIds(Struct, rename="camel"):
    """``POST /v5/order/create``, ``/v5/order/cancel``: taken, and perhaps refused later."""

    order_id: str
    order_link_id: str


class OrderRow(Struct, rename="camel"):
    """``GET /v5/order/realtime``, ``/v5/order/history`` and topic ``order``.

    ``qty`` and ``cum_exec_qty`` are base asset, but ``qty`` is quote asset where ``market_unit`` is
    ``quoteCoin``. ``category`` is told by the topic only.
    """

    symbol: str
    order_id: str
    order_link_id: str
    side: str
    qty: str
    order_status: str
    cum_exec_qty: str
    reject_reason: str = ""
    cancel_type: str = ""
    market_unit: str = ""
    category: str = ""


class ExecutionRow(Struct, rename="camel"):
    """``GET /v5/execution/list`` and topic ``execution``; ``exec_time`` in ms.

    ``fee_currency`` is empty on linear, whose fees are paid in the settling asset. A positive
    ``exec_fee`` was paid, also where ``exec_type`` is ``Funding``. ``closed_size`` is what of it
    closed a position, linear only. ``category`` is told by the topic only.
    """

    symbol: str
    order_id: str
    order_link_id: str
    side: str
    exec_id: str
    exec_price: str
    exec_qty: str
    exec_fee: str
    exec_type: str
    exec_time: str
    order_qty: str = ""
    fee_currency: str = ""
    closed_size: str = ""
    seq: int = 0
    category: str = ""


class PositionRow(Struct, rename="camel"):
    """``GET /v5/position/list`` (``avgPrice``) and topic ``position`` (``entryPrice``).

    ``side`` is ``""`` and ``size`` 0 where nothing is open. ``position_idx``: 0 in one-way mode,
    1 long, 2 short in hedge mode. ``trade_mode`` is of classic accounts.
    """

    symbol: str
    side: str
    size: str
    position_idx: int
    leverage: str = ""
    avg_price: str | None = None
    entry_price: str | None = None
    liq_price: str | None = None
    category: str = ""


class CoinRow(Struct, rename="camel"):
    """One asset of a wallet. ``locked`` is held by spot orders, the margins by linear."""

    coin: str
    wallet_balance: str
    locked: str = ""
    order_margin: str = field(name="totalOrderIM", default="")
    position_margin: str = field(name="totalPositionIM", default="")


class WalletRow(Struct, rename="camel"):
    """``GET /v5/account/wallet-balance`` and topic ``wallet``."""

    coin: list[CoinRow]
    account_type: str = ""


class AccountInfo(Struct, rename="camel"):
    """``GET /v5/account/info``: ``margin_mode`` is ``ISOLATED_MARGIN``, ``REGULAR_MARGIN`` (cross)
    or ``PORTFOLIO_MARGIN``; ``unified_margin_status`` 1 is a classic account."""

    margin_mode: str
    unified_margin_status: int


class MarginModeSet(Struct):
    """``POST /v5/account/set-margin-mode``: why it was refused, if it was."""

    reasons: list[dict[str, str]] = field(default_factory=list)


class KeyInfo(Struct, rename="camel"):
    """``GET /v5/user/query-api``. ``ips`` is ``["*"]`` where the key is not bound; ``expired_at``
    is ISO 8601, in 1970 or empty where the key does not expire."""

    read_only: int
    permissions: dict[str, list[str]]
    ips: list[str]
    expired_at: str = ""


class FeeRow(Struct, rename="camel"):
    """``GET /v5/account/fee-rate``: fractions of the order's value."""

    symbol: str
    taker_fee_rate: str


class BarRow(Struct, array_like=True):
    """``GET /v5/market/kline``: prices of a minute; more columns follow."""

    start: str
    open: str
    high: str
    low: str
    close: str


class Frame(Struct, rename="camel"):
    """Any private frame: a topic's, or an answer to what we sent.

    The venue writes refusals of a log-in as ``retCode``, ``retMsg``, others as ``ret_msg``.
    """

    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    op: str = ""
    success: bool | None = None
    ret_code: int = 0
    ret_msg: str = field(name="ret_msg", default="")
    message: str = field(name="retMsg", default="")


TOPICS: dict[str, Any] = {
    "order": list[OrderRow],
    "execution": list[ExecutionRow],
    "position": list[PositionRow],
    "wallet": list[WalletRow],
}
"""The private topics that are subscribed, with the type of their ``data``."""

SHAPES: dict[str, Any] = {
    "GET /v5/market/time": Answer[ServerTime],
    "GET /v5/market/kline": Answer[Rows[BarRow]],
    "GET /v5/market/instruments-info": Answer[Rows[dict[str, Any]]],
    "POST /v5/order/create": Answer[OrderIds],
    "POST /v5/order/cancel": Answer[OrderIds],
    "GET /v5/order/realtime": Answer[Rows[OrderRow]],
    "GET /v5/order/history": Answer[Rows[OrderRow]],
    "GET /v5/execution/list": Answer[Rows[ExecutionRow]],
    "GET /v5/position/list": Answer[Rows[PositionRow]],
    "POST /v5/position/set-leverage": Answer[Nothing],
    "GET /v5/account/wallet-balance": Answer[Rows[WalletRow]],
    "GET /v5/account/info": Answer[AccountInfo],
    "POST /v5/account/set-margin-mode": Answer[MarginModeSet],
    "GET /v5/account/fee-rate": Answer[Rows[FeeRow]],
    "GET /v5/user/query-api": Answer[KeyInfo],
}
"""The endpoints that are asked, with the type of their answers."""
