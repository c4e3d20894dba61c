"""How our orders are written as Bybit's requests. Pure.

Source of every field: the v5 documentation, "Place Order", "Cancel Order" and "Get Open & Closed
Orders". Quantities and prices are texts, already on their steps.
"""

from collections.abc import Mapping
from typing import Any

from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, Market
from engine.model.money import plain
from engine.model.order import Order, OrderSide
from engine.venues.bybit.parse_events import Unreadable

SIDES: Mapping[OrderSide, str] = {OrderSide.BUY: "Buy", OrderSide.SELL: "Sell"}
STOP_ORDER = "StopOrder"
"""``orderFilter`` of a conditional spot order: it locks what it sells only when it triggers."""

RISES, FALLS = 1, 2
"""``triggerDirection``."""

ONE_WAY, LONG_LEG, SHORT_LEG = 0, 1, 2
"""``positionIdx``."""


def named(instrument: Instrument) -> dict[str, Any]:
    """Name an instrument."""
    return {"category": str(instrument.id.market), "symbol": instrument.id.symbol}


def identified(order: Order) -> dict[str, Any]:
    """Name an order by our id."""
    return named(order.instrument) | {"orderLinkId": order.client_order_id}


def leg_of(order: Order) -> Side:
    """The leg of a hedged account that an order is for: a sell closes the long."""
    opens = order.purpose in (Purpose.ENTRY, Purpose.ADD)
    return Side.LONG if (order.side is OrderSide.BUY) is opens else Side.SHORT


def order_body(order: Order, *, hedged: bool) -> dict[str, Any]:
    """Write an order: a market order, or a backstop that becomes one at its trigger price.

    ``hedged``: long and short of its instrument are kept apart.

    Raises:
        Unreadable: a backstop without a trigger price.
    """
    body = identified(order) | {
        "side": SIDES[order.side],
        "orderType": "Market",
        "qty": plain(order.qty),
    }
    spot = order.instrument.id.market is Market.SPOT
    return body | (_spot(order) if spot else _linear(order, hedged))


def _spot(order: Order) -> dict[str, Any]:
    # Without the unit, the quantity of a market buy is in quote asset.
    body: dict[str, Any] = {"marketUnit": "baseCoin", "isLeverage": 0}
    if order.purpose is Purpose.BACKSTOP:
        body |= {"orderFilter": STOP_ORDER, "triggerPrice": _trigger(order)}
    return body


def _linear(order: Order, hedged: bool) -> dict[str, Any]:
    leg = LONG_LEG if leg_of(order) is Side.LONG else SHORT_LEG
    body: dict[str, Any] = {"positionIdx": leg if hedged else ONE_WAY}
    if order.reduce_only:
        body["reduceOnly"] = True
    if order.purpose is Purpose.BACKSTOP:
        body |= {
            "triggerPrice": _trigger(order),
            "triggerDirection": RISES if order.side is OrderSide.BUY else FALLS,
            "triggerBy": "MarkPrice",
            "closeOnTrigger": False,
        }
    return body


def _trigger(order: Order) -> str:
    if order.trigger_price is None:
        raise Unreadable(f"backstop {order.client_order_id} has no trigger price")
    return plain(order.trigger_price)


def cancel_body(order: Order) -> dict[str, Any]:
    """Name an order that is to be cancelled."""
    conditional = order.purpose is Purpose.BACKSTOP and order.instrument.id.market is Market.SPOT
    return identified(order) | ({"orderFilter": STOP_ORDER} if conditional else {})
