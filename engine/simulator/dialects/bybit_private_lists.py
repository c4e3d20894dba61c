"""Bybit's lists: open orders, order history, executions and funding.

Source: Bybit v5 docs, order/open-order, order/order-list, order/execution.
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.clock import NS_PER_MS
from engine.model.events import FundingPaid
from engine.model.instrument import Instrument, Market
from engine.model.money import ZERO, plain
from engine.model.order import Fill, OrderSide
from engine.simulator.desk import Desk
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.bybit_private_asked import Asked
from engine.simulator.dialects.bybit_private_orders import Orders
from engine.simulator.dialects.bybit_private_pages import Place, cut_page, listing, span_ms
from engine.simulator.dialects.bybit_private_params import Params
from engine.simulator.dialects.bybit_private_rows import EXEC_TYPES, fill_row, millis, order_row
from engine.simulator.dialects.bybit_private_wallet import mark_text

CLOSED_SHOWN = 500
"""Closed orders that the list of open ones still tells, when asked for."""

_ORDERS = ("category", "symbol", "baseCoin", "orderId", "orderLinkId", "orderFilter", "limit")
REALTIME = frozenset((*_ORDERS, "settleCoin", "openOnly", "cursor"))
HISTORY = frozenset((*_ORDERS, "settleCoin", "orderStatus", "startTime", "endTime", "cursor"))
EXECUTIONS = frozenset(
    (
        *("category", "symbol", "orderId", "orderLinkId", "baseCoin", "startTime", "endTime"),
        *("execType", "limit", "cursor"),
    )
)
EXEC_TYPE_WORDS = ("Trade", "AdlTrade", "Funding", "BustTrade")


class Settled(Struct, frozen=True):
    """A funding settlement with the position that it was settled on.

    Attributes:
        qty: signed base asset. mark: price text.
    """

    paid: FundingPaid
    qty: Decimal
    mark: str


class Lists:
    """Answers the list requests of one desk.

    Attributes:
        closed: how much of a position each execution closed, by its id.
        settled: funding, by its id.
    """

    def __init__(self, desk: Desk, orders: Orders) -> None:
        self._desk = desk
        self._orders = orders
        self.closed: dict[str, Decimal] = {}
        self.settled: dict[str, Settled] = {}

    def realtime(self, params: Params) -> dict[str, Any]:
        """Tell open orders and, of an order that is named or with ``openOnly=1``, closed ones."""
        market = params.market
        _check_scope(params, market)
        is_named = bool(params.text("orderId") or params.text("orderLinkId"))
        chosen = self._chosen(params, market)
        opened = [each for each in chosen if not each.is_final]
        if is_named or params.whole("openOnly", 0, 2) == 1:
            opened += [each for each in chosen if each.is_final][-CLOSED_SHOWN:]
        page, cursor = cut_page(opened, _place_of_order, params, 20, 50)
        return listing(str(market), [self.row(each) for each in page], cursor)

    def history(self, params: Params) -> dict[str, Any]:
        """Tell closed orders."""
        market = params.market
        start_ms, end_ms = span_ms(params, self._now_ms())
        chosen = [
            each
            for each in self._chosen(params, market)
            if each.is_final and start_ms <= each.created_ns // NS_PER_MS <= end_ms
        ]
        rows, cursor = cut_page(chosen, _place_of_order, params, 20, 50)
        wanted = params.text("orderStatus")
        found = [self.row(each) for each in rows]
        return listing(str(market), [r for r in found if wanted in ("", r["orderStatus"])], cursor)

    def row(self, order: DeskOrder) -> dict[str, Any]:
        return order_row(order, self._orders.words(order.venue_order_id))

    def _chosen(self, params: Params, market: Market) -> list[DeskOrder]:
        """Return the orders that the filters leave, oldest first."""
        order_id, link_id = params.text("orderId"), params.link_id()
        symbol, base = params.text("symbol"), params.text("baseCoin")
        settle, until_ns = params.text("settleCoin"), self._until_ns(params)
        return [
            each
            for each in self._desk.orders()
            if each.created_ns <= until_ns
            and each.order.instrument.id.market is market
            and order_id in ("", each.venue_order_id)
            and link_id in ("", self._orders.words(each.venue_order_id).link_id)
            and symbol in ("", each.order.instrument.id.symbol)
            and base in ("", each.order.instrument.base)
            and settle in ("", each.order.instrument.quote)
        ]

    # Executions

    def executions(self, params: Params) -> dict[str, Any]:
        """Tell trades, liquidations and funding, newest first."""
        market = params.market
        start_ms, end_ms = span_ms(params, self._now_ms())
        kind, until_ns = params.choice("execType", EXEC_TYPE_WORDS), self._until_ns(params)
        chosen = [
            each
            for each in self._executed(market)
            if start_ms <= each.time_ns // NS_PER_MS <= end_ms
            and each.time_ns <= until_ns
            and self._fits(each, params)
            and kind in ("", _exec_type(each))
        ]
        page, cursor = cut_page(chosen, _place_of_execution, params, 50, 100)
        return listing(str(market), [self.execution(each) for each in page], cursor)

    def _executed(self, market: Market) -> list[Fill | FundingPaid]:
        fills = [f for f in self._desk.executions() if f.instrument.id.market is market]
        paid = [p for p in self._desk.settlements() if p.instrument.id.market is market]
        return [*fills, *paid]

    def _fits(self, execution: Fill | FundingPaid, params: Params) -> bool:
        instrument: Instrument = execution.instrument
        order_id, link_id = params.text("orderId"), params.link_id()
        own_order = execution.venue_order_id if isinstance(execution, Fill) else None
        asked = self.words(execution)
        return (
            order_id in ("", own_order)
            and link_id in ("", asked.link_id)
            and params.text("symbol") in ("", instrument.id.symbol)
            and params.text("baseCoin") in ("", instrument.base)
        )

    def words(self, execution: Fill | FundingPaid) -> Asked:
        """Return the words of the order that was executed."""
        if not isinstance(execution, Fill):
            return Asked()
        return self._orders.words(execution.venue_order_id)

    def execution(self, execution: Fill | FundingPaid) -> dict[str, Any]:
        """Return the row of an execution."""
        if isinstance(execution, FundingPaid):
            return _funding_row(execution, self.settled.get(execution.venue_trade_id))
        order = self._desk.order(execution.venue_order_id or "")
        market = execution.instrument.id.market
        rate = self._desk.model.rules.fee_rates[market]
        mark = mark_text(self._desk, execution.instrument.id)
        closed = self.closed.get(execution.venue_trade_id, ZERO)
        return fill_row(execution, order, self.words(execution), mark, rate, closed)

    def _until_ns(self, params: Params) -> int:
        """Return the venue time of the newest row that a list may hold."""
        return self._desk.now_ns() - params.stale_ms * NS_PER_MS

    def _now_ms(self) -> int:
        return self._desk.place.time.now_ms()


def _check_scope(params: Params, market: Market) -> None:
    scope = ("symbol", "baseCoin", "settleCoin")
    if market is Market.LINEAR and not any(params.text(name) for name in scope):
        raise BybitError("Missing some parameters that must be filled in, please check")


def _funding_row(paid: FundingPaid, settled: Settled | None) -> dict[str, Any]:
    """Return a settlement; a long pays by a ``Sell`` (docs, order/execution)."""
    qty = ZERO if settled is None else settled.qty
    mark = "" if settled is None else settled.mark
    value = abs(qty) * Decimal(mark or 0)
    side = OrderSide.SELL if qty > ZERO else OrderSide.BUY
    fill = Fill(
        venue_trade_id=paid.venue_trade_id,
        instrument=paid.instrument,
        side=side,
        qty=abs(qty),
        price=Decimal(mark or 0),
        fee=paid.amount,
        fee_asset=paid.instrument.quote,
        time_ns=paid.time_ns,
    )
    row = fill_row(fill, None, Asked(), mark, ZERO, ZERO)
    rate = (paid.amount / value).quantize(Decimal("1E-8")) if value else ZERO
    row |= {"execType": "Funding", "orderType": "UNKNOWN", "feeRate": plain(rate)}
    return row | {"execTime": millis(paid.time_ns), "leavesQty": "0", "feeCurrency": ""}


def _exec_type(execution: Fill | FundingPaid) -> str:
    if isinstance(execution, FundingPaid):
        return "Funding"
    return EXEC_TYPES.get(str(execution.kind), "Trade")


def _place_of_execution(execution: Fill | FundingPaid) -> Place:
    return execution.time_ns // NS_PER_MS, int(execution.venue_trade_id)


def _place_of_order(order: DeskOrder) -> Place:
    return order.created_ns // NS_PER_MS, int(order.venue_order_id)
