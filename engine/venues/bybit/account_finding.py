"""What a look-up at Bybit found, from the three lists that were asked. Pure."""

from collections.abc import Sequence

from engine.model.events import OrderLookedUp
from engine.model.money import ZERO
from engine.model.order import Fill, Order, OrderStatus
from engine.venues.bybit.parse import ExecutionRow, OrderRow
from engine.venues.bybit.parse_events import base_qty, number, status_of, why


def looked_up(
    order: Order,
    rows: Sequence[OrderRow],
    executions: Sequence[ExecutionRow],
    fills: Sequence[Fill],
    at_ns: int,
) -> OrderLookedUp:
    """Put together what open orders or history (``rows``) and executions say of an order.

    An order that ended, of whose fills the venue lists fewer than it counts, is not told as ended.
    """
    if rows:
        return _from_row(order, rows[0], fills, at_ns)
    if executions:
        # The lists of orders are behind: all that is known is that it was taken.
        first = executions[0]
        return OrderLookedUp(
            order.client_order_id,
            at_ns,
            found=True,
            qty=number(first.order_qty) or None,
            fills=tuple(fills),
            venue_order_id=first.order_id or None,
        )
    return OrderLookedUp(order.client_order_id, at_ns, found=False)


def _from_row(order: Order, row: OrderRow, fills: Sequence[Fill], at_ns: int) -> OrderLookedUp:
    status = status_of(row)
    listed = sum((fill.qty for fill in fills), ZERO)
    if status in (OrderStatus.CANCELLED, OrderStatus.REJECTED) and listed < number(
        row.cum_exec_qty
    ):
        status = OrderStatus.PARTIALLY_FILLED
    return OrderLookedUp(
        order.client_order_id,
        at_ns,
        found=True,
        status=status,
        qty=base_qty(row),
        fills=tuple(fills),
        venue_order_id=row.order_id or None,
        message=why(row),
    )
