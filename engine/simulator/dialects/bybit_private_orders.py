"""Bybit's orders: what create and cancel requests must say, and how they are refused.

Source: Bybit v5 docs, order/create-order, order/cancel-order, "Error Codes". Market orders,
immediate-or-cancel limit orders and conditional market orders are simulated; other words of the
documentation are refused with 10001 and a text that says so.
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO
from engine.model.order import FillKind, Order, OrderSide, OrderStatus
from engine.simulator.desk import Desk
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.bybit_private_asked import Asked
from engine.simulator.dialects.bybit_private_params import Params
from engine.simulator.dialects.bybit_private_refusals import refusal
from engine.simulator.dialects.bybit_private_wallet import LEGS, mark_text
from engine.simulator.filters import Refused
from engine.simulator.terms import Terms, Trigger

STOPS_A_SYMBOL = {Market.LINEAR: 10, Market.SPOT: 30}
"""Resting conditional orders (docs, order/create-order)."""

CREATE = frozenset(
    (
        *("category", "symbol", "isLeverage", "side", "orderType", "qty", "marketUnit", "price"),
        *("triggerDirection", "orderFilter", "triggerPrice", "triggerBy", "timeInForce"),
        *("positionIdx", "orderLinkId", "reduceOnly", "closeOnTrigger", "smpType"),
    )
)
CREATE_NEEDS = ("category", "symbol", "side", "orderType", "qty")
CANCEL = frozenset(("category", "symbol", "orderId", "orderLinkId", "orderFilter"))
CANCEL_NEEDS = ("category", "symbol")
RISES, FALLS = 1, 2
CREATORS = {
    FillKind.LIQUIDATION: "CreateByTakeOver_PassThrough",
    FillKind.ADL: "CreateByAdl_PassThrough",
}


class Wanted(Struct, frozen=True):
    """A create request that has been read: what the venue model takes, and the words."""

    order: Order
    terms: Terms
    asked: Asked


class Orders:
    """Takes and cancels orders on one desk.

    Attributes:
        asked: the words of every order's request, by venue order id.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.asked: dict[str, Asked] = {}
        self._count = 0

    def words(self, venue_order_id: str | None) -> Asked:
        """Return what an order was asked with, or what the venue tells of one of others."""
        asked = self.asked.get(venue_order_id or "")
        if asked is not None:
            return asked
        order = self.desk.order(venue_order_id or "")
        return Asked() if order is None else _words_of_others(order)

    def named(self, params: Params) -> Instrument:
        """Return the instrument of ``symbol``, which must be listed."""
        instrument_id = params.instrument_id()
        found = None if instrument_id is None else self.desk.instrument(instrument_id)
        if found is None:
            raise BybitError("params error: Symbol Invalid")
        return found

    # Create

    def create(self, params: Params) -> dict[str, Any]:
        """Take an order; the answer says no more than that it was taken."""
        instrument = self.named(params)
        wanted = self._read(params, instrument)
        if wanted.asked.stop:
            self._check_room(instrument.id)
        try:
            taken = self.desk.submit(wanted.order, wanted.terms)
        except Refused as refused:
            raise refusal(refused, instrument, wanted.terms.trigger) from None
        self.asked[taken.venue_order_id] = wanted.asked
        return {"orderId": taken.venue_order_id, "orderLinkId": wanted.asked.link_id}

    def _read(self, params: Params, instrument: Instrument) -> Wanted:
        market = instrument.id.market
        side = OrderSide.BUY if _word(params, "side", "Buy", "Sell") == "Buy" else OrderSide.SELL
        is_limit = _word(params, "orderType", "Market", "Limit") == "Limit"
        position_idx, leg = self._leg(params, market)
        closes = leg is not None and (leg is Side.LONG) == (side is OrderSide.SELL)
        reduce_only = params.flag("reduceOnly")
        if market is Market.SPOT and (reduce_only or params.flag("closeOnTrigger")):
            raise BybitError("params error: reduceOnly is not for spot")
        if params.whole("isLeverage", 0, 1):
            raise BybitError("params error: isLeverage 1 is not simulated")
        if leg is not None and reduce_only and not closes:
            raise BybitError("reduce-only rule not satisfied", 110017)
        trigger, asked = self._condition(params, instrument, side)
        price = self._limit_price(params, instrument, is_limit)
        qty, quote_qty = self._amount(params, instrument, side, leg)
        asked = Asked(
            link_id=params.link_id(),
            order_type="Limit" if is_limit else "Market",
            time_in_force="IOC",
            price=params.text("price") if is_limit else "",
            market_unit=self._unit(params, market, side),
            position_idx=position_idx,
            reduce_only=reduce_only,
            close_on_trigger=params.flag("closeOnTrigger"),
            stop=asked.stop,
            trigger_price=asked.trigger_price,
            trigger_by=asked.trigger_by,
            trigger_direction=asked.trigger_direction,
            last_price=self._last(instrument.id),
        )
        terms = Terms(quote_qty=quote_qty, leg=leg, trigger=trigger, limit_price=price)
        order = self._order(instrument, side, qty, reduce_only or closes, asked.link_id)
        return Wanted(order, terms, asked)

    def _order(
        self, instrument: Instrument, side: OrderSide, qty: Decimal, reduces: bool, link_id: str
    ) -> Order:
        self._count += 1
        return Order(
            client_order_id=link_id or f"~{self._count}",
            position_id="",
            instrument=instrument,
            side=side,
            purpose=Purpose.EXIT if reduces else Purpose.ENTRY,
            generation=0,
            qty=qty,
            reduce_only=reduces,
            created_at_ns=self.desk.now_ns(),
            actor="",
        )

    def _leg(self, params: Params, market: Market) -> tuple[int, Side | None]:
        """Return ``positionIdx`` and its leg; it has to fit the account's position mode."""
        index = params.whole("positionIdx", 0, 2)
        if market is Market.SPOT:
            return 0, None
        if self.desk.hedged != (index > 0):
            raise BybitError("position idx not match position mode")
        return index, None if index == 0 else Side.LONG if index == 1 else Side.SHORT

    def _condition(
        self, params: Params, instrument: Instrument, side: OrderSide
    ) -> tuple[Trigger | None, Asked]:
        """Read what makes an order conditional.

        Linear tells the direction; on spot it follows from where the trigger price lies.
        """
        is_spot = instrument.id.market is Market.SPOT
        price = params.decimal("triggerPrice")
        kind = params.choice("orderFilter", ("Order", "StopOrder", "tpslOrder"), "Order")
        if price is None:
            if is_spot and kind != "Order":
                raise BybitError("params error: triggerPrice is missing or empty")
            return None, Asked()
        if is_spot and kind == "Order":
            raise BybitError("params error: orderFilter invalid")
        if not price or price != instrument.floor_price(price):
            code = 170134 if is_spot else 10001
            raise BybitError("Order price has too many decimals.", code)
        by = params.choice("triggerBy", ("LastPrice", "MarkPrice", "IndexPrice"), "LastPrice")
        if by == "IndexPrice" or (is_spot and by != "LastPrice"):
            raise BybitError(f"params error: triggerBy {by} is not simulated")
        direction = params.whole("triggerDirection", 0, 2)
        if is_spot:
            direction = RISES if price > Decimal(self._last(instrument.id) or 0) else FALLS
        elif not direction:
            raise BybitError("params error: triggerDirection is missing or empty")
        words = Asked(
            stop=kind if is_spot else "Stop",
            trigger_price=params.text("triggerPrice"),
            trigger_by="" if is_spot else by,
            trigger_direction=0 if is_spot else direction,
        )
        locks = kind == "tpslOrder"
        return Trigger(price, direction == RISES, by == "MarkPrice", locks), words

    def _check_room(self, instrument: InstrumentId) -> None:
        resting = [each for each in self.desk.open_orders(instrument) if each.is_resting]
        if len(resting) >= STOPS_A_SYMBOL[instrument.market]:
            if instrument.market is Market.SPOT:
                text = "Cannot exceed maximum of 500 conditional, TP/SL and active orders."
                raise BybitError(text, 170810)
            text = "The number of stop orders exceeds the maximum allowable limit"
            raise BybitError(text, 110009)

    def _limit_price(
        self, params: Params, instrument: Instrument, is_limit: bool
    ) -> Decimal | None:
        """Return the price of a limit order, which must be immediate-or-cancel."""
        tif = params.choice("timeInForce", ("GTC", "IOC", "FOK", "PostOnly"), "GTC")
        if not is_limit:
            return None
        price = params.decimal("price")
        if not price:
            raise BybitError("params error: price is missing or empty")
        if tif != "IOC":
            raise BybitError(f"params error: a limit order with {tif} is not simulated")
        if price != instrument.floor_price(price):
            code = 170134 if instrument.id.market is Market.SPOT else 10001
            raise BybitError("Order price has too many decimals.", code)
        return price

    def _unit(self, params: Params, market: Market, side: OrderSide) -> str:
        """Return the unit of ``qty``: on spot a market buy is in quote asset by default."""
        if market is Market.LINEAR:
            return ""
        is_market = params.text("orderType") == "Market"
        default = "quoteCoin" if side is OrderSide.BUY and is_market else "baseCoin"
        return params.choice("marketUnit", ("baseCoin", "quoteCoin"), default)

    def _amount(
        self, params: Params, instrument: Instrument, side: OrderSide, leg: Side | None
    ) -> tuple[Decimal, Decimal | None]:
        """Return the quantity and, of a spot market order in quote asset, the amount."""
        qty = params.decimal("qty")
        if instrument.id.market is Market.LINEAR:
            return self._contracts(params, instrument, side, leg, qty or ZERO), None
        if not qty:
            raise BybitError("Order quantity has to be greater than zero.", 170136)
        if self._unit(params, Market.SPOT, side) == "quoteCoin":
            step = Decimal(self._lots(instrument)["quotePrecision"])
            if qty % step:
                raise BybitError("Market order amount decimal too long.", 170148)
            return ZERO, qty
        if qty != instrument.floor_qty(qty):
            raise BybitError("Order quantity has too many decimals.", 170137)
        if qty < instrument.min_qty:
            raise BybitError("Order quantity exceeded lower limit.", 170136)
        if instrument.max_market_qty is not None and qty > instrument.max_market_qty:
            raise BybitError("Order quantity exceeded upper limit.", 170135)
        return qty, None

    def _contracts(
        self,
        params: Params,
        instrument: Instrument,
        side: OrderSide,
        leg: Side | None,
        qty: Decimal,
    ) -> Decimal:
        """Return the quantity of a linear order; ``0`` may close the whole position."""
        closes_all = params.flag("reduceOnly") and params.flag("closeOnTrigger")
        if not qty and closes_all:
            held = self._reducible(instrument.id, side, leg)
            if not held:
                text = "current position is zero, cannot fix reduce-only order qty"
                raise BybitError(text, 110017)
            return min(held, instrument.max_market_qty or held)
        if not qty or qty != instrument.floor_qty(qty):
            raise BybitError("Qty invalid")
        if qty < instrument.min_qty:
            raise BybitError("The number of contracts exceeds minimum limit allowed")
        if instrument.max_market_qty is not None and qty > instrument.max_market_qty:
            raise BybitError("The number of contracts exceeds maximum limit allowed: too large")
        return qty

    def _reducible(self, instrument: InstrumentId, side: OrderSide, leg: Side | None) -> Decimal:
        closed = Side.LONG if side is OrderSide.SELL else Side.SHORT
        rows = self.desk.positions()
        mine = [r for r in rows if r.instrument.id == instrument and r.leg is leg]
        return sum((row.qty for row in mine if row.side is closed), ZERO)

    def _lots(self, instrument: Instrument) -> dict[str, Any]:
        listing = self.desk.place.state(instrument.id).listing
        lots: dict[str, Any] = listing.info["lotSizeFilter"]
        return lots

    def _last(self, instrument: InstrumentId) -> str:
        last = self.desk.place.state(instrument).last
        return last or mark_text(self.desk, instrument)

    # Cancel

    def cancel(self, params: Params) -> dict[str, Any]:
        """Cancel an order; what it filled before stays filled."""
        instrument = self.named(params)
        found = self.find(params, instrument.id.market)
        if found is None or found.order.instrument.id != instrument.id:
            raise _gone(instrument.id.market, None)
        asked = self.words(found.venue_order_id)
        kind = params.choice("orderFilter", ("Order", "StopOrder", "tpslOrder"), "Order")
        if instrument.id.market is Market.SPOT and found.is_resting and kind != asked.stop:
            raise _gone(Market.SPOT, None)
        if found.is_final:
            raise _gone(instrument.id.market, found.status)
        self.desk.cancel(found.venue_order_id)
        return {"orderId": found.venue_order_id, "orderLinkId": asked.link_id}

    def find(self, params: Params, market: Market) -> DeskOrder | None:
        """Return the order of ``orderId`` or ``orderLinkId``; one of them must be given."""
        order_id, link_id = params.text("orderId"), params.link_id()
        if not order_id and not link_id:
            raise BybitError("params error: orderId or orderLinkId is required")
        found = self.desk.order(order_id) if order_id else self.desk.find(link_id)
        if found is None or found.order.instrument.id.market is not market:
            return None
        return found


def _words_of_others(order: DeskOrder) -> Asked:
    kind = order.fills[0].kind if order.fills else FillKind.TRADE
    return Asked(
        link_id=order.order.client_order_id,
        position_idx=LEGS[order.terms.leg],
        reduce_only=order.order.reduce_only,
        created_by=CREATORS.get(kind, "CreateByUser"),
    )


def _word(params: Params, name: str, *words: str) -> str:
    value = params.text(name)
    if value not in words:
        raise BybitError(f"params error: {name} invalid")
    return value


def _gone(market: Market, status: OrderStatus | None) -> BybitError:
    """Return the refusal to cancel what is not there, or is done."""
    if market is Market.LINEAR:
        return BybitError("order not exists or too late to cancel", 110001)
    if status is OrderStatus.FILLED:
        return BybitError("Order has been filled.", 170139)
    if status is OrderStatus.CANCELLED:
        return BybitError("Order has been cancelled.", 170142)
    return BybitError("Order does not exist.", 170213)
