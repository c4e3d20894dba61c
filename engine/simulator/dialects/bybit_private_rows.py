"""Bybit's rows of orders and executions, the same on REST and on the stream.

Fields: Bybit v5 docs, order/open-order, order/execution, websocket/private/order and execution;
enumerations: enum.
"""

from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.instrument import Market
from engine.model.money import ZERO, plain
from engine.model.order import Fill, OrderSide, OrderStatus
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.bybit_private_asked import Asked

STATUSES = {
    OrderStatus.ACKNOWLEDGED: "New",
    OrderStatus.PARTIALLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.REJECTED: "Rejected",
    OrderStatus.CANCELLED: "Cancelled",
}

# Why an order ended without being filled: its status, ``cancelType`` and ``rejectReason``, by the
# simulator's cause. What the matching engine finds ends as a cancellation; only what the order
# itself is guilty of is Rejected.
ENDS = {
    "reduce_only": ("Cancelled", "CancelByReduceOnly", "EC_NoError"),
    "insufficient_balance": ("Cancelled", "CancelByCannotAffordOrderCost", "EC_NoError"),
    "no_price": ("Cancelled", "UNKNOWN", "EC_NoImmediateQtyToFill"),
    "ioc": ("Cancelled", "UNKNOWN", "EC_NoImmediateQtyToFill"),
    "cancelled": ("Cancelled", "CancelByUser", "EC_PerCancelRequest"),
    "not_trading": ("Rejected", "UNKNOWN", "EC_InvalidSymbolStatus"),
    "duplicate_id": ("Rejected", "UNKNOWN", "EC_DuplicatedClOrdID"),
}
OTHER_END = ("Rejected", "UNKNOWN", "EC_Others")
EXEC_TYPES = {"liquidation": "BustTrade", "adl": "AdlTrade"}


def side_word(side: OrderSide) -> str:
    return "Buy" if side is OrderSide.BUY else "Sell"


def millis(time_ns: int) -> str:
    return str(time_ns // NS_PER_MS)


def amount(value: Decimal | None) -> str:
    return "" if value is None else plain(value)


def order_status(order: DeskOrder) -> str:
    """Return the venue's word for where an order stands."""
    is_spot = order.order.instrument.id.market is Market.SPOT
    if order.is_resting:
        return "Untriggered"
    if order.status is OrderStatus.CANCELLED:
        if is_spot and order.filled_qty:
            return "PartiallyFilledCanceled"
        never_triggered = order.terms.trigger is not None and order.triggered_ns is None
        return "Deactivated" if never_triggered else "Cancelled"
    if order.status is OrderStatus.REJECTED:
        return ENDS.get(order.cause, OTHER_END)[0]
    return STATUSES[order.status]


def order_row(order: DeskOrder, asked: Asked) -> dict[str, Any]:
    """Return an order as ``/v5/order/realtime`` tells it."""
    instrument = order.order.instrument
    is_spot = instrument.id.market is Market.SPOT
    ended = order.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED)
    end = ENDS.get(order.cause, OTHER_END) if ended else ("", "UNKNOWN", "EC_NoError")
    qty, left = _quantities(order)
    return {
        "orderId": order.venue_order_id,
        "orderLinkId": asked.link_id,
        "blockTradeId": "",
        "symbol": instrument.id.symbol,
        "price": asked.price or "0",
        "qty": qty,
        "side": side_word(order.order.side),
        "isLeverage": "0" if is_spot else "",
        "positionIdx": asked.position_idx,
        "orderStatus": order_status(order),
        "createType": asked.create_type,
        "cancelType": end[1],
        "rejectReason": end[2],
        "avgPrice": amount(order.average_price),
        "leavesQty": left,
        "leavesValue": "0",
        "cumExecQty": plain(order.filled_qty),
        "cumExecValue": plain(order.filled_value),
        "cumExecFee": plain(sum(order.fees.values(), ZERO)),
        "cumFeeDetail": {asset: plain(fee) for asset, fee in order.fees.items()},
        "timeInForce": asked.time_in_force,
        "orderType": asked.order_type,
        "marketUnit": asked.market_unit,
        "createdTime": millis(order.created_ns),
        "updatedTime": millis(order.updated_ns),
        **_conditions(asked),
    }


def _quantities(order: DeskOrder) -> tuple[str, str]:
    """Return ``qty`` as it was asked (a quote amount stays one) and what is left to be filled."""
    quote_qty = order.terms.quote_qty
    if quote_qty is not None:
        left = ZERO if order.is_final else quote_qty - order.filled_value
        return plain(quote_qty), plain(left)
    left = ZERO if order.is_final else order.order.qty - order.filled_qty
    return plain(order.order.qty), plain(left)


def _conditions(asked: Asked) -> dict[str, Any]:
    return {
        "stopOrderType": asked.stop_order_type,
        "orderIv": "",
        "triggerPrice": asked.trigger_price,
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "",
        "ocoTriggerBy": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": asked.trigger_direction,
        "triggerBy": asked.trigger_by,
        "lastPriceOnCreated": asked.last_price,
        "reduceOnly": asked.reduce_only,
        "closeOnTrigger": asked.close_on_trigger,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "slippageTolerance": "",
        "slippageToleranceType": "UNKNOWN",
    }


def order_event(order: DeskOrder, asked: Asked) -> dict[str, Any]:
    """Return an order as the stream tells it: with category and fee asset."""
    instrument = order.order.instrument
    row = order_row(order, asked)
    row |= {"category": str(instrument.id.market), "feeCurrency": instrument.quote}
    row |= {"closedPnl": "0"}
    return row


def fill_row(
    fill: Fill, order: DeskOrder | None, asked: Asked, mark: str, rate: Decimal, closed: Decimal
) -> dict[str, Any]:
    """Return an execution as ``/v5/execution/list`` tells it.

    Args:
        order: that it is of; None for executions without one of ours.
        mark: the mark price, as written by the venue.
        rate: the fee rate, a fraction.
        closed: how much of a position it closed, base asset.
    """
    exec_type = EXEC_TYPES.get(str(fill.kind), "Trade")
    value = fill.qty * fill.price
    qty = fill.qty if order is None else order.order.qty or order.filled_qty
    left = ZERO if order is None else max(qty - order.filled_qty, ZERO)
    return {
        "symbol": fill.instrument.id.symbol,
        "orderType": asked.order_type if exec_type == "Trade" else "UNKNOWN",
        "underlyingPrice": "",
        "orderLinkId": asked.link_id,
        "side": side_word(fill.side),
        "indexPrice": "",
        "orderId": fill.venue_order_id or fill.venue_trade_id,
        "stopOrderType": asked.stop_order_type or "UNKNOWN",
        "createType": asked.create_type,
        "leavesQty": plain(left),
        "execTime": millis(fill.time_ns),
        "feeCurrency": fill.fee_asset,
        "isMaker": False,
        "execFee": plain(fill.fee),
        "feeRate": plain(rate),
        "execId": fill.venue_trade_id,
        "tradeIv": "",
        "blockTradeId": "",
        "markPrice": mark,
        "execPrice": plain(fill.price),
        "markIv": "",
        "orderQty": plain(qty),
        "orderPrice": asked.price or plain(fill.price),
        "execValue": plain(value),
        "execType": exec_type,
        "execQty": plain(fill.qty),
        "closedSize": plain(closed),
        "extraFees": "",
        "seq": int(fill.venue_trade_id),
    }


def execution_event(row: dict[str, Any], market: Market) -> dict[str, Any]:
    """Return an execution as the stream tells it."""
    return {"category": str(market), "isLeverage": "0", "execPnl": "0", **row}
