"""Orders, executions and balances of the spot market as Binance writes them.

Source: spot documentation, "Trading endpoints", "Account endpoints" and "User Data Stream".
"""

from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.events import Balance
from engine.model.money import ZERO, plain
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.binance_private_usdm_rows import CANCELLED_BY_US

Row = dict[str, Any]


def side_of(order: Order) -> str:
    return "BUY" if order.side is OrderSide.BUY else "SELL"


def status_of(order: DeskOrder) -> str:
    """Return where an order stands; what found nothing more to fill has expired."""
    if order.status is OrderStatus.CANCELLED:
        return "CANCELED" if order.cause == CANCELLED_BY_US else "EXPIRED"
    names = {
        OrderStatus.ACKNOWLEDGED: "NEW",
        OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
        OrderStatus.FILLED: "FILLED",
    }
    return names.get(order.status, "EXPIRED")


def type_of(order: DeskOrder) -> str:
    if order.terms.trigger is not None:
        return "STOP_LOSS"
    return "MARKET" if order.terms.limit_price is None else "LIMIT"


def client_id(order: DeskOrder) -> str:
    return order.order.client_order_id or f"web_{order.venue_order_id}"


def original_qty(order: DeskOrder) -> Decimal:
    """Return the quantity asked for; of an order by quote amount what it bought."""
    return order.order.qty or order.filled_qty


def _order(order: DeskOrder) -> Row:
    kind = type_of(order)
    return {
        "symbol": order.order.instrument.id.symbol,
        "orderId": int(order.venue_order_id),
        "orderListId": -1,
        "clientOrderId": client_id(order),
        "price": plain(order.terms.limit_price or ZERO),
        "origQty": plain(original_qty(order)),
        "executedQty": plain(order.filled_qty),
        "origQuoteOrderQty": plain(order.terms.quote_qty or ZERO),
        "cummulativeQuoteQty": plain(order.filled_value),
        "status": status_of(order),
        "timeInForce": "IOC" if kind == "LIMIT" else "GTC",
        "type": kind,
        "side": side_of(order.order),
        "selfTradePreventionMode": "NONE",
    }


def order_row(order: DeskOrder) -> Row:
    """Return an order as asked for."""
    trigger = order.terms.trigger
    created_ms = order.created_ns // NS_PER_MS
    return _order(order) | {
        "stopPrice": plain(trigger.price if trigger is not None else ZERO),
        "icebergQty": "0",
        "time": created_ms,
        "updateTime": order.updated_ns // NS_PER_MS,
        "isWorking": not order.is_resting,
        "workingTime": -1 if order.is_resting else created_ms,
    }


def placed_row(order: DeskOrder, kind: str) -> Row:
    """Return the answer to a new order: ``kind`` is ACK, RESULT or FULL."""
    row = _order(order) | {"transactTime": order.updated_ns // NS_PER_MS}
    if kind == "ACK":
        names = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
        return {name: row[name] for name in names}
    row["workingTime"] = -1 if order.is_resting else order.created_ns // NS_PER_MS
    if kind == "FULL":
        row["fills"] = [_part(fill) for fill in order.fills]
    return row


def _part(fill: Fill) -> Row:
    return {
        "price": plain(fill.price),
        "qty": plain(fill.qty),
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_asset,
        "tradeId": int(fill.venue_trade_id),
    }


def cancelled_row(order: DeskOrder, cancel_id: str) -> Row:
    """Return the answer to a cancellation: its own id in the place of the order's."""
    own = {"origClientOrderId": client_id(order), "clientOrderId": cancel_id}
    return _order(order) | own | {"transactTime": order.updated_ns // NS_PER_MS}


def trade_row(fill: Fill) -> Row:
    """Return an execution."""
    return {
        "symbol": fill.instrument.id.symbol,
        "id": int(fill.venue_trade_id),
        "orderId": int(fill.venue_order_id or 0),
        "orderListId": -1,
        "price": plain(fill.price),
        "qty": plain(fill.qty),
        "quoteQty": plain(fill.qty * fill.price),
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ns // NS_PER_MS,
        "isBuyer": fill.side is OrderSide.BUY,
        "isMaker": False,
        "isBestMatch": True,
    }


def balance_row(balance: Balance) -> Row:
    return {
        "asset": balance.asset,
        "free": plain(balance.free),
        "locked": plain(balance.locked),
    }


def report_row(order: DeskOrder, execution: str, status: str, now_ms: int) -> Row:
    """Return an ``executionReport`` without an execution."""
    trigger = order.terms.trigger
    kind = type_of(order)
    created_ms = order.created_ns // NS_PER_MS
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": order.order.instrument.id.symbol,
        "c": client_id(order),
        "S": side_of(order.order),
        "o": kind,
        "f": "IOC" if kind == "LIMIT" else "GTC",
        "q": plain(original_qty(order)),
        "p": plain(order.terms.limit_price or ZERO),
        "P": plain(trigger.price if trigger is not None else ZERO),
        "F": "0",
        "g": -1,
        "C": "",
        "x": execution,
        "X": status,
        "r": "NONE",
        "i": int(order.venue_order_id),
        "l": "0",
        "z": plain(order.filled_qty),
        "L": "0",
        "n": "0",
        "N": None,
        "T": order.updated_ns // NS_PER_MS,
        "t": -1,
        "I": int(order.venue_order_id),
        "w": not order.is_resting,
        "m": False,
        "M": False,
        "O": created_ms,
        "Z": plain(order.filled_value),
        "Y": "0",
        "Q": plain(order.terms.quote_qty or ZERO),
        "W": created_ms,
        "V": "NONE",
    }
