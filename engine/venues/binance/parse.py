"""What Binance's signed REST answers, typed: spot and USD-M futures.

Only the fields that are read stand here. Sources: spot documentation, "Trading endpoints" and
"Account endpoints" (21 Jul 2026); USD-M documentation, "Trade" and "Account" (21 Aug 2026).
Amounts are texts on the wire and exact decimals here. The frames of user data are in
``parse_frames``.
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from engine.model.exits import Side
from engine.model.money import ZERO
from engine.model.order import OrderStatus

ORDER_STATUSES: Mapping[str, OrderStatus] = {
    "NEW": OrderStatus.ACKNOWLEDGED,
    "PENDING_NEW": OrderStatus.ACKNOWLEDGED,
    "PENDING_CANCEL": OrderStatus.ACKNOWLEDGED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "NEW_INSURANCE": OrderStatus.ACKNOWLEDGED,
    "NEW_ADL": OrderStatus.ACKNOWLEDGED,
}
"""Spot "Order status", USD-M "Order status". A market order that found no more to fill ends
``EXPIRED``: cancelled, with what it filled."""

ALGO_STATUSES: Mapping[str, OrderStatus] = {
    "NEW": OrderStatus.ACKNOWLEDGED,
    "TRIGGERING": OrderStatus.ACKNOWLEDGED,
    "TRIGGERED": OrderStatus.ACKNOWLEDGED,
    "FINISHED": OrderStatus.CANCELLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}
"""USD-M "Event: Algo Order Update". Where there is a child order, its status counts instead."""


LEGS: Mapping[str, Side] = {"LONG": Side.LONG, "SHORT": Side.SHORT}
"""``positionSide`` in hedge mode; in one-way mode it is BOTH."""


def order_status(name: str) -> OrderStatus:
    """Return where an order stands; ``unknown`` for a status that the venue may have added."""
    return ORDER_STATUSES.get(name, OrderStatus.UNKNOWN)


class ServerTime(Struct, frozen=True, rename="camel"):
    """``GET /api/v3/time``, ``/fapi/v1/time``: ms since the epoch."""

    server_time: int


class SpotFill(Struct, frozen=True, rename="camel"):
    """An execution in the full answer to a new spot order; ``trade_id`` is unique by symbol."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: int


class OrderRow(Struct, frozen=True, rename="camel"):
    """An order of either market, as answered to placing, cancelling and asking.

    Attributes:
        client_order_id: in the answer to a cancellation on spot the id of that request.
        orig_client_order_id: there, the order's own.
        executed_qty: base asset. transact_time, time, update_time: ms; 0 where not told.
    """

    symbol: str
    order_id: int
    client_order_id: str
    status: str
    side: str
    orig_qty: Decimal
    executed_qty: Decimal
    orig_client_order_id: str = ""
    transact_time: int = 0
    time: int = 0
    update_time: int = 0
    fills: tuple[SpotFill, ...] = ()

    @property
    def own_id(self) -> str:
        """The client id that the order was placed under."""
        return self.orig_client_order_id or self.client_order_id


class AlgoRow(Struct, frozen=True, rename="camel"):
    """A conditional order of USD-M, as answered to placing, cancelling and asking.

    Attributes:
        actual_order_id: of the child order, once triggered; empty before.
    """

    algo_id: int
    client_algo_id: str
    symbol: str
    side: str
    algo_status: str
    quantity: Decimal
    actual_order_id: str | int = ""
    create_time: int = 0

    @property
    def child_id(self) -> int | None:
        """The id of the order that its trigger made."""
        text = str(self.actual_order_id)
        return int(text) if text.isdecimal() and int(text) else None


class AlgoDone(Struct, frozen=True, rename="camel"):
    """The answer to a cancellation of a conditional order: its ids, elsewhere the whole order."""

    client_algo_id: str = ""


class SpotTrade(Struct, frozen=True, rename="camel"):
    """A row of ``GET /api/v3/myTrades``; ``time`` in ms."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool

    @property
    def bought(self) -> bool:
        """Whether the base asset came in."""
        return self.is_buyer

    @property
    def leg(self) -> Side | None:
        """Spot has no legs."""
        return None


class UsdmTrade(Struct, frozen=True, rename="camel"):
    """A row of ``GET /fapi/v1/userTrades``; ``time`` in ms."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    side: str
    position_side: str = "BOTH"

    @property
    def bought(self) -> bool:
        """Whether the base asset came in."""
        return self.side == "BUY"

    @property
    def leg(self) -> Side | None:
        """The leg that it changed; None in one-way mode."""
        return LEGS.get(self.position_side)


TradeRow = SpotTrade | UsdmTrade


class Rates(Struct, frozen=True, rename="camel"):
    """Commission rates as fractions of the value."""

    taker: Decimal = ZERO


class SpotBalance(Struct, frozen=True):
    """One asset of the spot wallet, in its own units."""

    asset: str
    free: Decimal
    locked: Decimal


class SpotAccount(Struct, frozen=True, rename="camel"):
    """``GET /api/v3/account``. ``can_trade`` is the account's, not the key's."""

    can_trade: bool
    balances: tuple[SpotBalance, ...]
    commission_rates: Rates = Rates()


class UsdmBalance(Struct, frozen=True, rename="camel"):
    """A row of ``GET /fapi/v3/balance``: wallet balance, and what of it is free for margin."""

    asset: str
    balance: Decimal
    available_balance: Decimal


class PositionRow(Struct, frozen=True, rename="camel"):
    """A row of ``GET /fapi/v3/positionRisk``; ``position_amt`` is negative for a short."""

    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    liquidation_price: Decimal = ZERO
    position_side: str = "BOTH"


class AccountConfig(Struct, frozen=True, rename="camel"):
    """``GET /fapi/v1/accountConfig``: ``dual_side_position`` is hedge mode."""

    dual_side_position: bool
    can_trade: bool = True


class SymbolConfig(Struct, frozen=True, rename="camel"):
    """A row of ``GET /fapi/v1/symbolConfig``; ``margin_type`` CROSSED or ISOLATED."""

    symbol: str
    leverage: int
    margin_type: str = ""


class LeverageSet(Struct, frozen=True, rename="camel"):
    """``POST /fapi/v1/leverage``."""

    symbol: str
    leverage: int


class Income(Struct, frozen=True, rename="camel"):
    """A row of ``GET /fapi/v1/income``; ``income`` is positive when received, ``time`` in ms."""

    symbol: str
    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int | str


class CommissionRate(Struct, frozen=True, rename="camel"):
    """``GET /fapi/v1/commissionRate``: fractions of the value."""

    symbol: str
    taker_commission_rate: Decimal


class ListenKey(Struct, frozen=True, rename="camel"):
    """``POST /fapi/v1/listenKey``."""

    listen_key: str


class Done(Struct, frozen=True):
    """An answer that says no more than that it was done."""

    code: int = 200


class KeyRights(Struct, frozen=True, rename="camel"):
    """``GET /sapi/v1/account/apiRestrictions``: what the key may do.

    Attributes:
        trading_authority_expiration_time: ms; the trading right of a key without addresses ends.
    """

    ip_restrict: bool = False
    enable_withdrawals: bool = False
    enable_internal_transfer: bool = False
    permits_universal_transfer: bool = False
    enable_spot_and_margin_trading: bool = False
    enable_futures: bool = False
    trading_authority_expiration_time: int | None = None


class Bar(Struct, frozen=True, array_like=True):
    """A bar of ``GET /api/v3/klines``; ``start`` in ms. More columns follow."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
