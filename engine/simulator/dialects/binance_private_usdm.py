"""One USD-M account of Binance: its orders, conditional orders, lists and settings.

Source: USD-M documentation, "Trade", "Account" and "Error Code" (August 2026). Conditional types
moved to algo orders on 9 December 2025: the order endpoint answers -4120 for them.
"""

from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO
from engine.model.order import Fill, Order, OrderSide
from engine.simulator.desk import Desk
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.binance_private_params import Params, not_required, precision
from engine.simulator.dialects.binance_private_usdm_events import UsdmEvents
from engine.simulator.dialects.binance_private_usdm_rows import (
    ALGO_IDS_FROM,
    algo_row,
    order_id,
    order_row,
    trade_row,
)
from engine.simulator.dialects.binance_rest import BinanceError
from engine.simulator.filters import Refused
from engine.simulator.terms import Terms, Trigger

VENUE = "binance"
CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
MOST_ALGO_ORDERS = 200
WEEK_MS = 7 * 86_400_000

REFUSALS = {
    "duplicate_id": (-4116, "ClientOrderId is duplicated."),
    "not_trading": (-4108, "This symbol is not allowed to place order."),
    "lot_size": (-1111, "Precision is over the maximum defined for this asset."),
    "max_market_qty": (-4005, "Quantity greater than max quantity."),
    "min_notional": (
        -4164,
        "Order's notional must be no smaller than 5 (unless you choose reduce only).",
    ),
    "reduce_only": (-2022, "ReduceOnly Order is rejected."),
    "insufficient_balance": (-2019, "Margin is insufficient."),
    "trigger_passed": (-2021, "Order would immediately trigger."),
    "tick_size": (-4014, "Price not increased by tick size."),
    "position_mode": (-4061, "Order's position side does not match user's setting."),
}
Row = dict[str, Any]


def refusal(refused: Refused) -> BinanceError:
    """Return the answer to an order that the venue model refused."""
    code, text = REFUSALS.get(str(refused).partition(":")[0], (-2010, str(refused)))
    return BinanceError(code, text)


class UsdmAccount:
    """Answers what is asked of one account."""

    def __init__(self, desk: Desk) -> None:
        self.events = UsdmEvents(desk)
        self.desk = desk
        self._made = 0

    def now_ms(self) -> int:
        return self.desk.now_ns() // NS_PER_MS

    def instrument(self, params: Params) -> Instrument:
        """Return the instrument of ``symbol``; -1121 where it is not listed."""
        return self._named(params.text("symbol"))

    def _named(self, symbol: str) -> Instrument:
        found = self.desk.instrument(InstrumentId(VENUE, Market.LINEAR, symbol))
        if found is None:
            raise BinanceError(-1121, "Invalid symbol.")
        return found

    # Orders

    def place(self, params: Params) -> Awaitable[Row]:
        """Take a market order, or a limit order that is immediate-or-cancel."""
        instrument = self.instrument(params)
        kind = params.text("type")
        if kind in CONDITIONAL:
            text = "Order type not supported for this endpoint. Please use the Algo Order API"
            raise BinanceError(-4120, f"{text} endpoints instead.")
        if kind not in ("MARKET", "LIMIT"):
            raise BinanceError(-1116, "Invalid orderType.")
        limit = self._limit(params, instrument) if kind == "LIMIT" else None
        answer = params.text("newOrderRespType") or "ACK"
        if answer not in ("ACK", "RESULT"):
            raise BinanceError(-1100, "Illegal characters found in parameter 'newOrderRespType'.")
        order, leg = self._order(params, instrument, "newClientOrderId")
        taken = self._submit(order, Terms(leg=leg, limit_price=limit))
        return self._answered(taken, waits=answer == "RESULT")

    async def _answered(self, taken: DeskOrder, *, waits: bool) -> Row:
        shown = taken
        if waits:
            shown = await self.desk.settled(taken.venue_order_id)
        return order_row(shown, placed=True)

    def _limit(self, params: Params, instrument: Instrument) -> Decimal:
        params.need("timeInForce", "quantity", "price")
        if params.text("timeInForce") != "IOC":
            raise BinanceError(-1115, "Invalid timeInForce: only IOC is simulated.")
        price = params.decimal("price")
        if not price or price != instrument.floor_price(price):
            raise BinanceError(*REFUSALS["tick_size"])
        return price

    def _order(
        self, params: Params, instrument: Instrument, id_name: str
    ) -> tuple[Order, Side | None]:
        sides = {"BUY": OrderSide.BUY, "SELL": OrderSide.SELL}
        side = sides.get(params.text("side"))
        if side is None:
            raise BinanceError(-1117, "Invalid side.")
        leg = self._leg(params)
        reduces = params.flag("reduceOnly")
        if leg is not None:
            if params.has("reduceOnly"):
                raise not_required("reduceonly")
            reduces = (leg is Side.LONG) == (side is OrderSide.SELL)
        qty = self._qty(params, instrument)
        client_id = params.client_id(id_name) or self._make_id()
        order = Order(
            client_order_id=client_id,
            position_id="",
            instrument=instrument,
            side=side,
            purpose=Purpose.EXIT if reduces else Purpose.ENTRY,
            generation=0,
            qty=qty,
            reduce_only=reduces,
            created_at_ns=self.desk.now_ns(),
            actor="api",
        )
        return order, leg

    def _make_id(self) -> str:
        self._made += 1
        return f"auto{self._made}"

    def _leg(self, params: Params) -> Side | None:
        named = params.text("positionSide") or "BOTH"
        legs: dict[str, Side | None] = {"BOTH": None, "LONG": Side.LONG, "SHORT": Side.SHORT}
        if named not in legs:
            raise BinanceError(-1102, "Invalid positionSide.")
        if (legs[named] is not None) is not self.desk.hedged:
            raise BinanceError(*REFUSALS["position_mode"])
        return legs[named]

    def _qty(self, params: Params, instrument: Instrument) -> Decimal:
        params.need("quantity")
        qty = params.decimal("quantity") or ZERO
        if not qty:
            raise BinanceError(-4003, "Quantity less than or equal to zero.")
        if qty != instrument.floor_qty(qty):
            raise precision(Market.LINEAR, "quantity")
        if qty < instrument.min_qty:
            raise BinanceError(-4004, "Quantity less than min quantity.")
        return qty

    def _submit(self, order: Order, terms: Terms) -> DeskOrder:
        try:
            return self.desk.submit(order, terms)
        except Refused as refused:
            raise refusal(refused) from None

    def _shown(self, params: Params) -> list[DeskOrder]:
        """Return the orders of a symbol, or of all; conditional ones once they have a child."""
        key = self.instrument(params).id if params.text("symbol") else None
        found = self.desk.orders(key)
        return [each for each in found if each.terms.trigger is None or each.child_id is not None]

    def _find(self, params: Params) -> DeskOrder | None:
        """Return the newest order of ``orderId`` or ``origClientOrderId``."""
        self.instrument(params)
        params.need_one("orderId", "origClientOrderId")
        wanted, link = params.text("orderId"), params.text("origClientOrderId")
        for each in reversed(self._shown(params)):
            if str(order_id(each)) == wanted or (not wanted and self._link(each) == link):
                return each
        return None

    def _link(self, order: DeskOrder) -> str:
        return self.events.client_id(order)

    def _row(self, order: DeskOrder, *, placed: bool = False) -> Row:
        return order_row(order, placed=placed) | {"clientOrderId": self._link(order)}

    def query(self, params: Params) -> Row:
        """Tell one order."""
        found = self._find(params)
        if found is None:
            raise BinanceError(-2013, "Order does not exist.")
        return self._row(found)

    def cancel(self, params: Params) -> Row:
        """Cancel what is left of an order."""
        found = self._find(params)
        cancelled = None if found is None else self.desk.cancel(found.venue_order_id)
        if cancelled is None or not cancelled.done:
            raise BinanceError(-2011, "Unknown order sent.")
        return self._row(cancelled.order, placed=True)

    def open_orders(self, params: Params) -> list[Row]:
        """Tell the orders that are not final."""
        return [self._row(each) for each in self._shown(params) if not each.is_final]

    def all_orders(self, params: Params) -> list[Row]:
        """Tell orders of a symbol from an id or a time on, oldest first, at most 7 days of them."""
        first = params.whole("orderId", 0)
        start_ms, end_ms = self._week(params)
        limit = params.whole("limit", 500, 1000)
        rows = [
            self._row(each)
            for each in self._shown(params)
            if order_id(each) >= first and start_ms <= each.created_ns // NS_PER_MS <= end_ms
        ]
        return rows[:limit] if params.has("orderId") else rows[-limit:]

    def _week(self, params: Params) -> tuple[int, int]:
        start_ms, end_ms = params.span_ms()
        if params.has("startTime") and params.has("endTime") and end_ms - start_ms > WEEK_MS:
            raise BinanceError(-4166, "Search window is restricted to recent 7 days only.")
        return start_ms, end_ms

    def trades(self, params: Params) -> list[Row]:
        """Tell executions of a symbol: of an order, from an id, or of a span of time."""
        key = self.instrument(params).id
        if params.has("fromId") and (params.has("startTime") or params.has("endTime")):
            raise BinanceError(-1128, "Combination of optional parameters invalid.")
        start_ms, end_ms = self._week(params)
        first, limit = params.whole("fromId", 0), params.whole("limit", 500, 1000)
        wanted = params.text("orderId")
        found = [
            fill
            for fill in self.desk.executions(key)
            if wanted in ("", fill.venue_order_id)
            and int(fill.venue_trade_id) >= first
            and start_ms <= fill.time_ns // NS_PER_MS <= end_ms
        ]
        forward = params.has("fromId") or params.has("startTime")
        return [self._trade(fill) for fill in (found[:limit] if forward else found[-limit:])]

    def _trade(self, fill: Fill) -> Row:
        return trade_row(fill, self.events.realised.get(fill.venue_trade_id, ZERO))

    # Conditional orders

    def place_algo(self, params: Params) -> Row:
        """Take a stop or a take-profit that becomes a market order."""
        instrument = self.instrument(params)
        if params.text("algoType") != "CONDITIONAL":
            raise BinanceError(-1102, "Invalid algoType.")
        kind = params.text("type")
        if kind not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
            raise BinanceError(-1116, "Invalid orderType.")
        if params.flag("closePosition"):
            raise BinanceError(-4136, "closePosition is not simulated.")
        resting = [each for each in self.desk.open_orders() if each.is_resting]
        if len(resting) >= MOST_ALGO_ORDERS:
            raise BinanceError(-4045, "Reach max stop order limit.")
        price = params.decimal("triggerPrice")
        if not price or price != instrument.floor_price(price):
            raise BinanceError(*REFUSALS["tick_size"])
        working = params.text("workingType") or "CONTRACT_PRICE"
        if working not in ("CONTRACT_PRICE", "MARK_PRICE"):
            raise BinanceError(-1102, "Invalid workingType.")
        order, leg = self._order(params, instrument, "clientAlgoId")
        rises = (order.side is OrderSide.BUY) == (kind == "STOP_MARKET")
        trigger = Trigger(price, rises, by_mark=working == "MARK_PRICE")
        taken = self._submit(order, Terms(leg=leg, trigger=trigger))
        self.events.workings[taken.venue_order_id] = working
        return self._algo(taken)

    def _algo(self, order: DeskOrder, *, asked: bool = False) -> Row:
        working = self.events.workings.get(order.venue_order_id, "CONTRACT_PRICE")
        return algo_row(order, working, asked=asked)

    def _algos(self, params: Params) -> list[DeskOrder]:
        key = self.instrument(params).id if params.text("symbol") else None
        return [each for each in self.desk.orders(key) if each.terms.trigger is not None]

    def _find_algo(self, params: Params) -> DeskOrder | None:
        params.need_one("algoId", "clientAlgoId")
        wanted, link = params.text("algoId"), params.text("clientAlgoId")
        for each in reversed(self._algos(params)):
            own = str(ALGO_IDS_FROM + int(each.venue_order_id))
            if own == wanted or (not wanted and each.order.client_order_id == link):
                return each
        return None

    def query_algo(self, params: Params) -> Row:
        """Tell one conditional order, with its child."""
        found = self._find_algo(params)
        if found is None:
            raise BinanceError(-2013, "Order does not exist.")
        return self._algo(found, asked=True)

    def cancel_algo(self, params: Params) -> Row:
        """Cancel a conditional order that has not triggered."""
        found = self._find_algo(params)
        if found is None or not found.is_resting:
            raise BinanceError(-2011, "Unknown order sent.")
        self.desk.cancel(found.venue_order_id)
        return {
            "algoId": ALGO_IDS_FROM + int(found.venue_order_id),
            "clientAlgoId": found.order.client_order_id,
            "code": "200",
            "msg": "success",
        }

    def open_algos(self, params: Params) -> list[Row]:
        """Tell the conditional orders that rest."""
        return [self._algo(each, asked=True) for each in self._algos(params) if each.is_resting]

    def all_algos(self, params: Params) -> list[Row]:
        """Tell the conditional orders of a symbol, oldest first."""
        limit = params.whole("limit", 500, 1000)
        return [self._algo(each, asked=True) for each in self._algos(params)][-limit:]
