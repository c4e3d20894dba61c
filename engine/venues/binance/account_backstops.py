"""Conditional orders of USD-M, which live in a space of ids of their own (since 9 December 2025).

Source: USD-M documentation, "New Algo Order" and what belongs to it. Once triggered, one has a
child among the normal orders, by ``actualOrderId``: its executions are told under our client id.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from engine.model.events import OrderLookedUp, OrderUpdated
from engine.model.money import ZERO, plain
from engine.model.order import FINAL, Fill, Order, OrderStatus
from engine.ports import BrokerEvent, Clock
from engine.venues.account import Outcome, RequestFailed, Sent, Urgency
from engine.venues.binance.account_orders import Orders
from engine.venues.binance.account_owners import MOST_ROWS, is_ours
from engine.venues.binance.codes import NO_SUCH_ORDER, NOT_SENT
from engine.venues.binance.parse import ALGO_STATUSES, AlgoDone, AlgoRow, order_status

PATH = "/fapi/v1/algoOrder"


class Backstops:
    """Places, cancels and looks up conditional orders, and knows their children."""

    def __init__(self, orders: Orders, clock: Clock) -> None:
        self._orders = orders
        self._rest = orders.rest
        self._clock = clock
        self._live: dict[str, set[str]] = {}

    def may_have_child(self, symbol: str) -> bool:
        """Tell whether an order of somebody's may be the child of a conditional one of ours."""
        return bool(self._live.get(symbol))

    def note(self, row: AlgoRow) -> None:
        """Keep where a conditional order stands, and whose its child is."""
        self.note_state(row.symbol, row.client_algo_id, row.algo_status, row.child_id)

    def note_state(self, symbol: str, name: str, status: str, child_id: int | None) -> None:
        """The same, in parts."""
        if child_id is not None:
            self._orders.owners.put(symbol, child_id, name)
        live = self._live.setdefault(symbol, set())
        is_over = ALGO_STATUSES.get(status) in FINAL
        if is_ours(name) and not is_over and child_id is None:
            live.add(name)
        else:
            live.discard(name)

    async def place(
        self, order: Order, terms: Mapping[str, str], sent: Sent
    ) -> Sequence[BrokerEvent]:
        """Send a conditional order, once."""
        symbol, name = order.instrument.id.symbol, order.client_order_id
        params = {
            **terms,
            "algoType": "CONDITIONAL",
            "type": "STOP_MARKET",
            "triggerPrice": plain(order.trigger_price or ZERO),
            "workingType": "MARK_PRICE",
            "clientAlgoId": name,
        }
        # Before its answer is here it may have been triggered.
        self._live.setdefault(symbol, set()).add(name)
        try:
            row = await self._rest.send("post", PATH, params, AlgoRow, Urgency.CLOSE, sent=sent)
        except RequestFailed as error:
            if error.verdict.outcome is not Outcome.UNKNOWN:
                self._live[symbol].discard(name)
            raise
        self.note(row)
        status = ALGO_STATUSES.get(row.algo_status, OrderStatus.UNKNOWN)
        now_ns = self._clock.now_ns()
        return (OrderUpdated(name, status, now_ns, ZERO, venue_order_id=str(row.algo_id)),)

    async def cancel(self, order: Order, urgency: Urgency) -> Sequence[BrokerEvent]:
        """Cancel a conditional order; one that is not open any more is looked up.

        Raises:
            RequestFailed: not answered.
        """
        name = order.client_order_id
        try:
            await self._rest.send("delete", PATH, {"clientAlgoId": name}, AlgoDone, urgency)
        except RequestFailed as error:
            if error.code in NO_SUCH_ORDER:
                return self._orders.told_of(await self.find(order))
            raise
        self.note_state(order.instrument.id.symbol, name, "CANCELED", None)
        return (OrderUpdated(name, OrderStatus.CANCELLED, self._clock.now_ns(), ZERO),)

    async def find(self, order: Order) -> OrderLookedUp:
        """Look a conditional order up, with its child; see ``Orders.find``.

        Raises:
            RequestFailed: one of the questions was not answered.
        """
        at_ns, name = self._clock.now_ns(), order.client_order_id
        rows = await self._under(order.instrument.id.symbol, name)
        if not rows:
            return OrderLookedUp(name, at_ns, found=False)
        statuses, fills = list[OrderStatus](), list[Fill]()
        for row in rows:
            status, filled = await self._outcome(order, row)
            statuses.append(status)
            fills += filled
        return OrderLookedUp(
            name,
            at_ns,
            found=True,
            status=_together(statuses, fills),
            qty=sum((row.quantity for row in rows), Decimal(0)),
            fills=tuple(fills),
            venue_order_id=str(rows[-1].algo_id),
            message=f"{len(rows)} orders under one id" if len(rows) > 1 else None,
        )

    async def _outcome(self, order: Order, row: AlgoRow) -> tuple[OrderStatus, list[Fill]]:
        """Where one stands, and what its child filled."""
        if row.child_id is None:
            return ALGO_STATUSES.get(row.algo_status, OrderStatus.UNKNOWN), []
        child = await self._orders.one(row.symbol, row.child_id)
        if child is None:
            text = f"its child order {row.child_id} is not in the order history yet"
            raise RequestFailed(NOT_SENT, f"{row.symbol} {order.client_order_id}: {text}")
        fills = await self._orders.trades.of_order(
            order.instrument, child, order.client_order_id, Urgency.LOOK_UP
        )
        return order_status(child.status), fills

    async def _under(self, symbol: str, name: str) -> list[AlgoRow]:
        """Return every conditional order under a client id, oldest first."""
        single = await self._one(name)
        found = {single.algo_id: single} if single is not None else {}
        await self.learn_resting(symbol, found)
        await self.learn(symbol, found)
        mine = [row for row in found.values() if row.client_algo_id == name]
        for row in mine:
            self.note(row)
        return sorted(mine, key=lambda row: row.algo_id)

    async def _one(self, name: str) -> AlgoRow | None:
        """Return the conditional order under a client id; None where there is none."""
        params = {"clientAlgoId": name}
        try:
            return await self._rest.get(PATH, params, AlgoRow, Urgency.LOOK_UP)
        except RequestFailed as error:
            if error.code in NO_SUCH_ORDER:
                return None
            raise

    async def learn_all_resting(self) -> None:
        """Read the open conditional orders of all symbols."""
        await self._learn("/fapi/v1/openAlgoOrders", {}, None)

    async def learn_resting(self, symbol: str, found: dict[int, AlgoRow] | None = None) -> None:
        """Read the open conditional orders of a symbol (adding them to ``found``)."""
        await self._learn("/fapi/v1/openAlgoOrders", {"symbol": symbol}, found)

    async def learn(self, symbol: str, found: dict[int, AlgoRow] | None = None) -> None:
        """Read the latest conditional orders of a symbol, whatever became of them."""
        params = {"symbol": symbol, "limit": str(MOST_ROWS)}
        await self._learn("/fapi/v1/allAlgoOrders", params, found)

    async def _learn(
        self, path: str, params: Mapping[str, str], found: dict[int, AlgoRow] | None
    ) -> None:
        rows = await self._rest.get(path, params, list[AlgoRow], Urgency.LOOK_UP)
        for row in rows:
            self.note(row)
        if found is not None:
            found |= {row.algo_id: row for row in rows if row.algo_id not in found}

    async def learn_children(self, symbol: str, order_ids: Collection[int]) -> None:
        """Find out which of these orders are children of conditional ones.

        Those at rest are asked for one by one too: the list may lag behind a trigger.
        """
        names = [self._orders.owners.get(symbol, each) for each in order_ids]
        if all(is_ours(name or "") for name in names):
            return
        await self.learn(symbol)
        for name in sorted(self._live.get(symbol, ())):
            row = await self._one(name)
            if row is not None:
                self.note(row)


def _together(statuses: Sequence[OrderStatus], fills: Sequence[Fill]) -> OrderStatus:
    """Return where all orders under one id stand together."""
    live = [status for status in statuses if status not in FINAL]
    if live:
        return OrderStatus.PARTIALLY_FILLED if fills else live[0]
    return statuses[0] if len(set(statuses)) == 1 else OrderStatus.CANCELLED
