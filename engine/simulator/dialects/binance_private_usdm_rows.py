"""Orders, executions, positions and balances of USD-M futures as Binance writes them.

Source: USD-M documentation, "Trade" and "Account" endpoints and "User Data Streams" (August 2026):
answers to placing and cancelling carry no average price and no value any more.
"""

from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.exits import Side
from engine.model.money import ZERO, plain
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.simulator.account import MarginMode
from engine.simulator.desk_rows import DeskOrder, PositionRow

ALGO_IDS_FROM = 3_000_000_000_000_000
"""Conditional orders have a space of ids of their own."""

CANCELLED_BY_US = "cancelled"
Row = dict[str, Any]


def side_of(order: Order) -> str:
    return "BUY" if order.side is OrderSide.BUY else "SELL"


def leg_of(leg: Side | None) -> str:
    return "BOTH" if leg is None else str(leg).upper()


def status_of(order: DeskOrder) -> str:
    """Return where an order stands; what found nothing more to fill has expired."""
    if order.status is OrderStatus.CANCELLED and order.cause == CANCELLED_BY_US:
        return "CANCELED"
    names = {
        OrderStatus.ACKNOWLEDGED: "NEW",
        OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
        OrderStatus.FILLED: "FILLED",
    }
    return names.get(order.status, "EXPIRED")


def algo_status_of(order: DeskOrder) -> str:
    """Return where a conditional order stands; its child has a status of its own."""
    if order.triggered_ns is not None:
        return "FINISHED" if order.is_final else "TRIGGERED"
    if not order.is_final:
        return "NEW"
    return "CANCELED" if order.cause == CANCELLED_BY_US else "EXPIRED"


def order_id(order: DeskOrder) -> int:
    """Return the id of an order, of a conditional one that of its child."""
    return int(order.child_id or order.venue_order_id)


def client_id(order: DeskOrder) -> str:
    """Return an order's client id; the child of a conditional order gets one of the venue's."""
    if order.terms.trigger is not None:
        return f"algo_child_{order_id(order)}"
    return order.order.client_order_id or f"web_{order.venue_order_id}"


def order_row(order: DeskOrder, *, placed: bool = False) -> Row:
    """Return an order as asked for, or as answered to placing and cancelling."""
    kind = "MARKET" if order.terms.limit_price is None else "LIMIT"
    row: Row = {
        "orderId": order_id(order),
        "symbol": order.order.instrument.id.symbol,
        "status": status_of(order),
        "clientOrderId": client_id(order),
        "price": plain(order.terms.limit_price or ZERO),
        "origQty": plain(order.order.qty),
        "executedQty": plain(order.filled_qty),
        "timeInForce": "GTC" if kind == "MARKET" else "IOC",
        "type": kind,
        "reduceOnly": order.order.reduce_only and order.terms.leg is None,
        "closePosition": False,
        "side": side_of(order.order),
        "positionSide": leg_of(order.terms.leg),
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "updateTime": order.updated_ns // NS_PER_MS,
    }
    if placed:
        return row | {"cumQty": plain(order.filled_qty)}
    return row | {
        "time": order.created_ns // NS_PER_MS,
        "avgPrice": plain(order.average_price or ZERO),
        "cumQuote": plain(order.filled_value),
    }


def algo_row(order: DeskOrder, working: str, *, asked: bool = False) -> Row:
    """Return a conditional order; ``asked`` tells of its child too."""
    trigger = order.terms.trigger
    row: Row = {
        "algoId": ALGO_IDS_FROM + int(order.venue_order_id),
        "clientAlgoId": order.order.client_order_id,
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": order.order.instrument.id.symbol,
        "side": side_of(order.order),
        "positionSide": leg_of(order.terms.leg),
        "timeInForce": "GTC",
        "quantity": plain(order.order.qty),
        "algoStatus": algo_status_of(order),
        "triggerPrice": plain(trigger.price if trigger is not None else ZERO),
        "price": "0.00",
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": working,
        "priceMatch": "NONE",
        "closePosition": False,
        "priceProtect": False,
        "reduceOnly": order.order.reduce_only and order.terms.leg is None,
        "createTime": order.created_ns // NS_PER_MS,
        "updateTime": order.updated_ns // NS_PER_MS,
        "triggerTime": (order.triggered_ns or 0) // NS_PER_MS,
        "goodTillDate": 0,
    }
    if not asked:
        return row | {"activatePrice": "", "callbackRate": ""}
    return row | {
        "actualOrderId": order.child_id or "",
        "actualPrice": plain(order.average_price or ZERO),
        "actualQty": plain(order.filled_qty) if order.child_id else "",
        "actualType": "MARKET" if order.child_id else "",
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
    }


def trade_row(fill: Fill, realised: Decimal) -> Row:
    """Return an execution."""
    bought = fill.side is OrderSide.BUY
    return {
        "buyer": bought,
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_asset,
        "id": int(fill.venue_trade_id),
        "maker": False,
        "orderId": int(fill.venue_order_id or 0),
        "price": plain(fill.price),
        "qty": plain(fill.qty),
        "quoteQty": plain(fill.qty * fill.price),
        "realizedPnl": plain(realised),
        "side": "BUY" if bought else "SELL",
        "positionSide": leg_of(fill.leg),
        "symbol": fill.instrument.id.symbol,
        "time": fill.time_ns // NS_PER_MS,
    }


def position_row(held: PositionRow, now_ms: int) -> Row:
    """Return a position as ``positionRisk`` (v3) tells it."""
    signed = held.qty if held.side is Side.LONG else -held.qty
    mark = held.mark or held.entry_price
    isolated = held.margin_mode is MarginMode.ISOLATED
    return {
        "symbol": held.instrument.id.symbol,
        "positionSide": leg_of(held.leg),
        "positionAmt": plain(signed),
        "entryPrice": plain(held.entry_price),
        "breakEvenPrice": plain(held.entry_price),
        "markPrice": plain(mark),
        "unRealizedProfit": plain(held.unrealised),
        "liquidationPrice": plain(held.liquidation_price or ZERO),
        "isolatedMargin": plain(held.margin + held.unrealised if isolated else ZERO),
        "notional": plain(signed * mark),
        "marginAsset": held.instrument.quote,
        "isolatedWallet": plain(held.margin if isolated else ZERO),
        "initialMargin": plain(held.margin),
        "maintMargin": plain(held.maintenance),
        "positionInitialMargin": plain(held.margin),
        "openOrderInitialMargin": "0",
        "adl": 1,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": now_ms,
    }
