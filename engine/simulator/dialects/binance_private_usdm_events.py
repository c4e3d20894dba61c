"""What USD-M tells of an account on its user data stream.

Source: USD-M documentation, "User Data Streams": ORDER_TRADE_UPDATE, ACCOUNT_UPDATE, ALGO_UPDATE.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.events import BalancesReported, FundingPaid, OrderFilled, OrderUpdated
from engine.model.exits import Side
from engine.model.instrument import InstrumentId
from engine.model.money import ZERO, plain, ratio
from engine.model.order import Fill, FillKind, OrderSide, OrderStatus
from engine.simulator.account import MarginMode
from engine.simulator.books import Report
from engine.simulator.desk import Desk
from engine.simulator.desk_rows import DeskOrder, PositionRow
from engine.simulator.dialects.binance_private_usdm_rows import (
    ALGO_IDS_FROM,
    algo_status_of,
    client_id,
    leg_of,
    order_id,
    side_of,
    status_of,
)

Row = dict[str, Any]
Teller = Callable[[Row], None]
Leg = tuple[InstrumentId, Side | None]

FORCED = {FillKind.LIQUIDATION: "autoclose-", FillKind.ADL: "adl_autoclose"}


class UsdmEvents:
    """Turns a desk's reports into events.

    Attributes:
        realised: profit of each execution before fees, by its id.
        workings: what conditional orders are compared with, by venue order id.
        tellers: told every event, in order.
    """

    def __init__(self, desk: Desk) -> None:
        self.realised: dict[str, Decimal] = {}
        self.workings: dict[str, str] = {}
        self.tellers: list[Teller] = []
        self._desk = desk
        self._filled: dict[str, tuple[Decimal, Decimal]] = {}
        self._held: dict[Leg, tuple[Decimal, Decimal]] = {}
        self._touched: dict[InstrumentId, None] = {}
        desk.listeners.append(self._hear)

    def client_id(self, order: DeskOrder) -> str:
        """Return an order's client id; the venue names those that it makes itself."""
        kind = order.fills[0].kind if order.fills else FillKind.TRADE
        prefix = FORCED.get(kind)
        return client_id(order) if prefix is None else f"{prefix}{order.venue_order_id}"

    def _hear(self, report: Report) -> None:
        if isinstance(report, OrderUpdated):
            self._on_update(report)
        elif isinstance(report, OrderFilled):
            self._on_fill(report.fill)
        elif isinstance(report, FundingPaid):
            self._touched[report.instrument.id] = None
        elif isinstance(report, BalancesReported):
            self._on_balances(report)

    def _tell(self, kind: str, body: Row) -> None:
        now_ms = self._desk.now_ns() // NS_PER_MS
        for teller in self.tellers:
            teller({"e": kind, "T": now_ms, "E": now_ms, **body})

    # Orders

    def _on_update(self, update: OrderUpdated) -> None:
        order = self._desk.order(update.venue_order_id or "")
        if order is None:
            return
        if order.terms.trigger is not None:
            self._tell("ALGO_UPDATE", {"o": self._algo(order, update.status)})
            if order.child_id is None:
                return
        if update.status is OrderStatus.FILLED or update.status is OrderStatus.PARTIALLY_FILLED:
            return  # told with the execution
        if update.status is OrderStatus.ACKNOWLEDGED:
            self._tell("ORDER_TRADE_UPDATE", {"o": self._order(order, "NEW", "NEW")})
        else:
            ended = status_of(order)
            self._tell("ORDER_TRADE_UPDATE", {"o": self._order(order, ended, ended)})

    def _on_fill(self, fill: Fill) -> None:
        self._touched[fill.instrument.id] = None
        self.realised[fill.venue_trade_id] = self._realise(fill)
        order = self._desk.order(fill.venue_order_id or "")
        if order is None:
            return
        qty, value = self._filled.get(order.venue_order_id, (ZERO, ZERO))
        filled = qty + fill.qty, value + fill.qty * fill.price
        self._filled[order.venue_order_id] = filled
        status = "FILLED" if filled[0] >= order.order.qty else "PARTIALLY_FILLED"
        row = self._order(order, "TRADE", status) | {
            "l": plain(fill.qty),
            "L": plain(fill.price),
            "N": fill.fee_asset,
            "n": plain(fill.fee),
            "t": int(fill.venue_trade_id),
            "T": fill.time_ns // NS_PER_MS,
            "rp": plain(self.realised[fill.venue_trade_id]),
        }
        self._tell("ORDER_TRADE_UPDATE", {"o": row})

    def _realise(self, fill: Fill) -> Decimal:
        """Net an execution into its position; returns what that realised."""
        key = (fill.instrument.id, fill.leg)
        qty, value = self._held.get(key, (ZERO, ZERO))
        signed = fill.qty if fill.side is OrderSide.BUY else -fill.qty
        closed = min(abs(qty), fill.qty) if qty * signed < ZERO else ZERO
        closed = closed.copy_sign(qty)
        cost = ratio(value * closed, qty) if closed else ZERO
        after = qty + signed
        self._held[key] = (after, value - cost + (signed + closed) * fill.price)
        return closed * fill.price - cost

    def _order(self, order: DeskOrder, execution: str, status: str) -> Row:
        qty, value = self._filled.get(order.venue_order_id, (ZERO, ZERO))
        kind = "MARKET" if order.terms.limit_price is None else "LIMIT"
        return {
            "s": order.order.instrument.id.symbol,
            "c": self.client_id(order),
            "S": side_of(order.order),
            "o": kind,
            "f": "GTC" if kind == "MARKET" else "IOC",
            "q": plain(order.order.qty),
            "p": plain(order.terms.limit_price or ZERO),
            "ap": plain(ratio(value, qty) if qty else ZERO),
            "sp": "0",
            "x": execution,
            "X": status,
            "i": order_id(order),
            "l": "0",
            "z": plain(qty),
            "L": "0",
            "N": order.order.instrument.quote,
            "n": "0",
            "T": order.updated_ns // NS_PER_MS,
            "t": 0,
            "b": "0",
            "a": "0",
            "m": False,
            "R": order.order.reduce_only and order.terms.leg is None,
            "wt": "CONTRACT_PRICE",
            "ot": kind,
            "ps": leg_of(order.terms.leg),
            "cp": False,
            "pP": False,
            "si": 0,
            "ss": 0,
            "rp": "0",
            "V": "NONE",
        }

    def _algo(self, order: DeskOrder, status: OrderStatus) -> Row:
        trigger = order.terms.trigger
        shown = algo_status_of(order)
        if status is OrderStatus.ACKNOWLEDGED and order.child_id is not None:
            shown = "TRIGGERED"
        return {
            "caid": order.order.client_order_id,
            "aid": ALGO_IDS_FROM + int(order.venue_order_id),
            "at": "CONDITIONAL",
            "o": "STOP_MARKET",
            "s": order.order.instrument.id.symbol,
            "S": side_of(order.order),
            "ps": leg_of(order.terms.leg),
            "f": "GTC",
            "q": plain(order.order.qty),
            "X": shown,
            "ai": order.child_id or "",
            "ap": plain(order.average_price or ZERO),
            "aq": plain(order.filled_qty),
            "act": "MARKET" if order.child_id else "0",
            "tp": plain(trigger.price if trigger is not None else ZERO),
            "p": "0",
            "V": "EXPIRE_MAKER",
            "wt": self.workings.get(order.venue_order_id, "CONTRACT_PRICE"),
            "pm": "NONE",
            "cp": False,
            "pP": False,
            "R": order.order.reduce_only and order.terms.leg is None,
            "tt": (order.triggered_ns or 0) // NS_PER_MS,
            "gtd": 0,
            "rm": "",
        }

    # Balances and positions

    def _on_balances(self, report: BalancesReported) -> None:
        touched, self._touched = list(self._touched), {}
        rows = [row for key in touched for row in self._positions(key)]
        balances = [
            {"a": each.asset, "wb": plain(each.total), "cw": plain(each.free), "bc": "0"}
            for each in report.balances
        ]
        reason = "ORDER" if touched else "DEPOSIT"
        self._tell("ACCOUNT_UPDATE", {"a": {"m": reason, "B": balances, "P": rows}})

    def _positions(self, instrument: InstrumentId) -> list[Row]:
        held = {
            each.leg: each for each in self._desk.positions() if each.instrument.id == instrument
        }
        legs: list[Side | None] = [Side.LONG, Side.SHORT] if self._desk.hedged else [None]
        return [self._position(instrument, leg, held.get(leg)) for leg in legs]

    def _position(self, key: InstrumentId, leg: Side | None, held: PositionRow | None) -> Row:
        if held is None:
            signed, entry, profit, margin = ZERO, ZERO, ZERO, ZERO
            mode = self._desk.margin_mode(key)
        else:
            signed = held.qty if held.side is Side.LONG else -held.qty
            entry, profit, margin, mode = (
                held.entry_price, held.unrealised, held.margin, held.margin_mode
            )  # fmt: skip
        isolated = mode is MarginMode.ISOLATED
        return {
            "s": key.symbol,
            "pa": plain(signed),
            "ep": plain(entry),
            "bep": plain(entry),
            "cr": "0",
            "up": plain(profit),
            "mt": "isolated" if isolated else "cross",
            "iw": plain(margin if isolated else ZERO),
            "ps": leg_of(leg),
        }
