"""One spot account of Binance: its orders, lists and what is told of it.

Source: spot documentation, "Trading endpoints", "Account endpoints", "User Data Stream" and errors:
a client order id is unique among open orders only, so a resend after a fill executes again.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.events import BalancesReported, OrderFilled, OrderUpdated
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO, plain
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.simulator.books import Report
from engine.simulator.desk import Desk
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.binance_private_params import Params, not_required, precision
from engine.simulator.dialects.binance_private_spot_rows import (
    balance_row,
    cancelled_row,
    client_id,
    order_row,
    placed_row,
    report_row,
    status_of,
    trade_row,
)
from engine.simulator.dialects.binance_rest import BinanceError
from engine.simulator.filters import Refused
from engine.simulator.terms import Terms, Trigger

DAY_MS = 86_400_000
ANSWERS = ("ACK", "RESULT", "FULL")
KINDS = ("MARKET", "LIMIT", "STOP_LOSS")

REFUSALS = {
    "duplicate_id": (-2010, "Duplicate order sent."),
    "not_trading": (-2010, "Market is closed."),
    "lot_size": (-1013, "Filter failure: LOT_SIZE"),
    "max_market_qty": (-1013, "Filter failure: MARKET_LOT_SIZE"),
    "min_notional": (-1013, "Filter failure: NOTIONAL"),
    "tick_size": (-1013, "Filter failure: PRICE_FILTER"),
    "insufficient_balance": (-2010, "Account has insufficient balance for requested action."),
    "trigger_passed": (-2010, "Stop price would trigger immediately."),
}
Row = dict[str, Any]
Teller = Callable[[Row], None]


def refusal(refused: Refused) -> BinanceError:
    """Return the answer to an order that the venue model refused."""
    code, text = REFUSALS.get(str(refused).partition(":")[0], (-2010, str(refused)))
    return BinanceError(code, text)


class SpotAccount:
    """Answers what is asked of one account, and tells what happens to it.

    Attributes:
        tellers: told every event, in order.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.tellers: list[Teller] = []
        self._made = 0
        self._filled: dict[str, tuple[Decimal, Decimal]] = {}
        desk.listeners.append(self._hear)

    def now_ms(self) -> int:
        return self.desk.now_ns() // NS_PER_MS

    def _instrument(self, params: Params) -> Instrument:
        key = InstrumentId("binance", Market.SPOT, params.text("symbol"))
        found = self.desk.instrument(key)
        if found is None:
            raise BinanceError(-1121, "Invalid symbol.")
        return found

    # Orders

    def place(self, params: Params) -> Awaitable[Row]:
        """Take a market order, a stop, or a limit order that is immediate-or-cancel."""
        instrument, kind = self._instrument(params), params.text("type")
        if kind not in KINDS:
            raise BinanceError(-1116, "Invalid orderType.")
        answer = params.text("newOrderRespType") or ("ACK" if kind == "STOP_LOSS" else "FULL")
        if answer not in ANSWERS:
            raise BinanceError(-1100, "Illegal characters found in parameter 'newOrderRespType'.")
        sides = {"BUY": OrderSide.BUY, "SELL": OrderSide.SELL}
        side = sides.get(params.text("side"))
        if side is None:
            raise BinanceError(-1117, "Invalid side.")
        terms = self._terms(params, instrument, kind, side)
        qty = ZERO if terms.quote_qty is not None else self._qty(params, instrument)
        try:
            taken = self.desk.submit(self._order(params, instrument, side, qty), terms)
        except Refused as refused:
            raise refusal(refused) from None
        return self._answered(taken, answer)

    async def _answered(self, taken: DeskOrder, answer: str) -> Row:
        shown = taken
        if answer != "ACK":
            shown = await self.desk.settled(taken.venue_order_id)
        return placed_row(shown, answer)

    def _order(
        self, params: Params, instrument: Instrument, side: OrderSide, qty: Decimal
    ) -> Order:
        link = params.client_id("newClientOrderId")
        if not link:
            self._made += 1
            link = f"auto{self._made}"
        return Order(
            client_order_id=link,
            position_id="",
            instrument=instrument,
            side=side,
            purpose=Purpose.ENTRY,
            generation=0,
            qty=qty,
            reduce_only=False,
            created_at_ns=self.desk.now_ns(),
            actor="api",
        )

    def _terms(self, params: Params, instrument: Instrument, kind: str, side: OrderSide) -> Terms:
        if kind == "MARKET":
            params.forbid(("price", "timeInForce", "stopPrice"))
            if not params.has("quoteOrderQty"):
                return Terms()
            if params.has("quantity"):
                raise not_required("quantity")
            amount = params.decimal("quoteOrderQty")
            if not amount:
                raise BinanceError(-1013, "Filter failure: NOTIONAL")
            return Terms(quote_qty=amount)
        params.forbid(("quoteOrderQty",))
        if kind == "STOP_LOSS":
            params.forbid(("price", "timeInForce"))
            params.need("stopPrice")
            rises = side is OrderSide.BUY
            return Terms(
                trigger=Trigger(self._price(params, instrument, "stopPrice"), rises, False)
            )
        params.forbid(("stopPrice",))
        params.need("timeInForce", "price")
        if params.text("timeInForce") != "IOC":
            raise BinanceError(-1115, "Invalid timeInForce: only IOC is simulated.")
        return Terms(limit_price=self._price(params, instrument, "price"))

    def _price(self, params: Params, instrument: Instrument, name: str) -> Decimal:
        price = params.decimal(name)
        if not price or price != instrument.floor_price(price):
            raise BinanceError(*REFUSALS["tick_size"])
        return price

    def _qty(self, params: Params, instrument: Instrument) -> Decimal:
        params.need("quantity")
        qty = params.decimal("quantity") or ZERO
        if -int(qty.normalize().as_tuple().exponent) > 8:
            raise precision(Market.SPOT, "quantity")
        if not qty or qty != instrument.floor_qty(qty) or qty < instrument.min_qty:
            raise BinanceError(*REFUSALS["lot_size"])
        return qty

    def _find(self, params: Params) -> DeskOrder | None:
        """Return the newest order of ``orderId`` or ``origClientOrderId``."""
        key = self._instrument(params).id
        params.need_one("origClientOrderId", "orderId")
        wanted, link = params.text("orderId"), params.text("origClientOrderId")
        for each in reversed(self.desk.orders(key)):
            if each.venue_order_id == wanted or (not wanted and client_id(each) == link):
                return each
        return None

    def query(self, params: Params) -> Row:
        """Tell one order; of several under one client id the newest."""
        found = self._find(params)
        if found is None:
            raise BinanceError(-2013, "Order does not exist.")
        return order_row(found)

    def cancel(self, params: Params) -> Row:
        """Cancel what is left of an order."""
        found = self._find(params)
        cancelled = None if found is None else self.desk.cancel(found.venue_order_id)
        if cancelled is None or not cancelled.done:
            raise BinanceError(-2011, "Unknown order sent.")
        self._made += 1
        link = params.client_id("newClientOrderId") or f"cancel{self._made}"
        return cancelled_row(cancelled.order, link)

    def open_orders(self, params: Params) -> list[Row]:
        """Tell the orders that are not final."""
        key = self._instrument(params).id if params.text("symbol") else None
        return [order_row(each) for each in self.desk.open_orders(key)]

    def all_orders(self, params: Params) -> list[Row]:
        """Tell orders of a symbol from an id or a time on, oldest first."""
        key = self._instrument(params).id
        start_ms, end_ms = self._day(params)
        first, limit = params.whole("orderId", 0), params.whole("limit", 500, 1000)
        rows = [
            order_row(each)
            for each in self.desk.orders(key)
            if int(each.venue_order_id) >= first
            and start_ms <= each.created_ns // NS_PER_MS <= end_ms
        ]
        return rows[:limit] if params.has("orderId") else rows[-limit:]

    def _day(self, params: Params) -> tuple[int, int]:
        start_ms, end_ms = params.span_ms()
        if params.has("startTime") and params.has("endTime") and end_ms - start_ms > DAY_MS:
            raise BinanceError(-1127, "More than 24 hours between startTime and endTime.")
        return start_ms, end_ms

    def trades(self, params: Params) -> list[Row]:
        """Tell executions of a symbol: of an order, from an id, or of a span of time."""
        key = self._instrument(params).id
        if params.has("fromId") and (params.has("startTime") or params.has("endTime")):
            raise BinanceError(-1128, "Combination of optional parameters invalid.")
        start_ms, end_ms = self._day(params)
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
        return [trade_row(fill) for fill in (found[:limit] if forward else found[-limit:])]

    # Account

    def account(self, params: Params) -> Row:
        """Tell balances and fees."""
        rows = [balance_row(each) for each in self.desk.balances()]
        if params.flag("omitZeroBalances"):
            rows = [row for row in rows if Decimal(row["free"]) or Decimal(row["locked"])]
        rate = self.desk.model.rules.fee_rates[Market.SPOT]
        points = int(rate * 10_000)
        return {
            "makerCommission": points,
            "takerCommission": points,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": self._rates(),
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.now_ms(),
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
            "uid": 354937868,
        }

    def _rates(self) -> Row:
        rate = plain(self.desk.model.rules.fee_rates[Market.SPOT])
        return {"maker": rate, "taker": rate, "buyer": "0", "seller": "0"}

    def commission(self, params: Params) -> Row:
        """Tell the fees of a symbol."""
        asset = (self.desk.model.rules.fee_asset or {}).get(Market.SPOT)
        return {
            "symbol": self._instrument(params).id.symbol,
            "standardCommission": self._rates(),
            "taxCommission": {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"},
            "discount": {
                "enabledForAccount": asset is not None,
                "enabledForSymbol": asset is not None,
                "discountAsset": asset or "BNB",
                "discount": "1",
            },
        }

    # Events

    def _tell(self, event: Row) -> None:
        for teller in self.tellers:
            teller(event)

    def _hear(self, report: Report) -> None:
        if isinstance(report, OrderUpdated):
            self._on_update(report)
        elif isinstance(report, OrderFilled):
            self._on_fill(report.fill)
        elif isinstance(report, BalancesReported):
            now_ms = self.now_ms()
            rows = [
                {"a": each.asset, "f": plain(each.free), "l": plain(each.locked)}
                for each in report.balances
            ]
            self._tell({"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": rows})

    def _on_update(self, update: OrderUpdated) -> None:
        order = self.desk.order(update.venue_order_id or "")
        if order is None or update.status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED):
            return  # told with the execution
        happened = "NEW" if update.status is OrderStatus.ACKNOWLEDGED else status_of(order)
        row = report_row(order, happened, happened, self.now_ms())
        if happened == "NEW":
            row |= {"z": "0", "Z": "0"}
        self._tell(row)

    def _on_fill(self, fill: Fill) -> None:
        order = self.desk.order(fill.venue_order_id or "")
        if order is None:
            return
        qty, value = self._filled.get(order.venue_order_id, (ZERO, ZERO))
        qty, value = qty + fill.qty, value + fill.qty * fill.price
        self._filled[order.venue_order_id] = qty, value
        whole = order.order.qty or (order.filled_qty if order.is_final else ZERO)
        status = "FILLED" if whole and qty >= whole else "PARTIALLY_FILLED"
        amounts = {"l": plain(fill.qty), "L": plain(fill.price), "n": plain(fill.fee)}
        sums = {"z": plain(qty), "Z": plain(value), "Y": plain(fill.qty * fill.price)}
        once = {"N": fill.fee_asset, "t": int(fill.venue_trade_id)}
        time_ms = {"T": fill.time_ns // NS_PER_MS}
        row = report_row(order, "TRADE", status, self.now_ms())
        self._tell(row | amounts | sums | once | time_ms)
