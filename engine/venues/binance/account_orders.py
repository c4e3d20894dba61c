"""One market's orders: looked up, cancelled, and who placed those that the trades name."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from decimal import Decimal

from engine.model.events import OrderFilled, OrderLookedUp, OrderUpdated
from engine.model.instrument import Instrument
from engine.model.money import ZERO
from engine.model.order import FINAL, Fill, Order, OrderStatus
from engine.ports import BrokerEvent, Clock
from engine.venues.account import RequestFailed, Urgency
from engine.venues.binance.account_owners import MOST_ROWS, OrderBook, Owners
from engine.venues.binance.account_trades import OVERLAP_MS, Trades, total
from engine.venues.binance.client import MarketRest
from engine.venues.binance.codes import NO_SUCH_ORDER, NOT_SENT
from engine.venues.binance.parse import OrderRow, TradeRow, order_status

LONGEST_BACK_MS = 24 * 3_600_000

Learnt = Callable[[str, Collection[int]], Awaitable[None]]
"""Told a symbol and the order ids that were just learnt of."""


class Orders:
    """Implements looking up and cancelling for the normal orders of either market."""

    def __init__(
        self, rest: MarketRest, book: OrderBook, owners: Owners, trades: Trades, clock: Clock
    ) -> None:
        self.rest = rest
        self.owners = owners
        self.trades = trades
        self._book = book
        self._clock = clock

    async def one(self, symbol: str, order_id: int) -> OrderRow | None:
        """Return an order by the venue's id; None where there is none."""
        return await self._book.one(symbol, "orderId", str(order_id))

    async def find(self, order: Order) -> OrderLookedUp:
        """Look an order up: all that stands under its id.

        Binance takes an id again once its order is done, so a second one would show here; the
        quantity is then the sum of both, which is no order of ours.

        Raises:
            RequestFailed: one of the questions was not answered, so nothing is known.
        """
        at_ns, symbol = self._clock.now_ns(), order.instrument.id.symbol
        rows = await self._under(symbol, order.client_order_id)
        if not rows:
            await self._check_absent(order)
            return OrderLookedUp(order.client_order_id, at_ns, found=False)
        fills: list[Fill] = []
        for row in rows:
            fills += await self.trades.of_order(
                order.instrument, row, order.client_order_id, Urgency.LOOK_UP
            )
        return OrderLookedUp(
            order.client_order_id,
            at_ns,
            found=True,
            status=status_of(rows),
            qty=sum((row.orig_qty for row in rows), ZERO),
            fills=tuple(fills),
            venue_order_id=str(rows[-1].order_id),
            message=f"{len(rows)} orders under one id" if len(rows) > 1 else None,
        )

    async def _under(self, symbol: str, name: str) -> list[OrderRow]:
        """Return every order under a client id, oldest first."""
        found: dict[int, OrderRow] = {}
        single = await self._book.one(symbol, "origClientOrderId", name)
        if single is None:
            found |= {row.order_id: row for row in await self._book.resting(symbol)}
        found |= {row.order_id: row for row in await self._book.recent(symbol)}
        if single is not None:
            found[single.order_id] = single
        for row in found.values():
            self.owners.put(symbol, row.order_id, row.own_id)
        mine = [row for row in found.values() if row.own_id == name]
        return sorted(mine, key=lambda row: row.order_id)

    async def _check_absent(self, order: Order) -> None:
        """Look for executions of an order that the order history does not have (yet)."""
        symbol = order.instrument.id.symbol
        now_ms = self.rest.venue_ms()
        created_ms = self.rest.venue_ms(order.created_at_ns) - OVERLAP_MS
        since_ms = max(created_ms, now_ms - LONGEST_BACK_MS)
        rows = await self.trades.since(symbol, since_ms, Urgency.LOOK_UP)
        await self.learn(symbol, {row.order_id for row in rows})
        names = {self.owners.get(symbol, row.order_id) for row in rows}
        if order.client_order_id in names or len(self._owned(rows)) < len(rows):
            text = "executed, as it seems, but not in the order history yet"
            raise RequestFailed(NOT_SENT, f"{symbol} {order.client_order_id}: {text}")

    async def learn(self, symbol: str, order_ids: Collection[int]) -> list[int]:
        """Find out under which client ids orders were placed; returns those newly learnt of."""
        missing = self.owners.missing(symbol, order_ids)
        asked = missing
        if missing:
            rows = await self._book.recent(symbol, missing[0])
            self._put(rows)
            if len(rows) == MOST_ROWS:
                self._put(await self._book.recent(symbol))
            missing = self.owners.missing(symbol, missing)
        for order_id in missing:
            row = await self.one(symbol, order_id)
            if row is not None:
                self._put([row])
        return asked

    def _put(self, rows: Sequence[OrderRow]) -> None:
        for row in rows:
            self.owners.put(row.symbol, row.order_id, row.own_id)

    async def cancel(self, order: Order, urgency: Urgency) -> Sequence[BrokerEvent]:
        """Cancel a resting order; what it filled comes first.

        One that is not open any more is looked up: the cancellation may have lost a race.

        Raises:
            RequestFailed: not answered, or what it filled cannot be had yet.
        """
        symbol, name = order.instrument.id.symbol, order.client_order_id
        params = {"symbol": symbol, "origClientOrderId": name}
        try:
            row = await self.rest.send("delete", self._book.path, params, OrderRow, urgency)
        except RequestFailed as error:
            if error.code in NO_SUCH_ORDER:
                return self.told_of(await self.find(order))
            raise
        fills = await self.trades.of_order(order.instrument, row, name, urgency)
        return self.events(name, fills, order_status(row.status), row)

    def told_of(self, found: OrderLookedUp) -> Sequence[BrokerEvent]:
        """Return what a look-up found as news of the order; nothing where it found none."""
        if not found.found or found.status is None:
            return ()
        update = OrderUpdated(
            found.client_order_id,
            found.status,
            self._clock.now_ns(),
            filled_qty=total(found.fills),
            venue_order_id=found.venue_order_id,
        )
        return (*(OrderFilled(fill, update.at_ns) for fill in found.fills), update)

    def events(
        self, name: str, fills: Sequence[Fill], status: OrderStatus, row: OrderRow
    ) -> Sequence[BrokerEvent]:
        """Return the fills of an answer, then where the order stands."""
        self.owners.put(row.symbol, row.order_id, name)
        now_ns = self._clock.now_ns()
        update = OrderUpdated(
            name, status, now_ns, filled_qty=row.executed_qty, venue_order_id=str(row.order_id)
        )
        return (*(OrderFilled(fill, now_ns) for fill in fills), update)

    async def executions(
        self, instruments: Sequence[Instrument], learnt: Learnt | None = None
    ) -> tuple[list[Fill], Mapping[str, int]]:
        """Read the executions on instruments since the last reading, and until when (ms).

        ``learnt`` is told of orders that were not known before.
        """
        fills: list[Fill] = []
        until: dict[str, int] = {}
        for instrument in instruments:
            symbol = instrument.id.symbol
            rows, until[symbol] = await self.trades.since_last(symbol)
            new = await self.learn(symbol, {row.order_id for row in rows})
            if learnt is not None:
                await learnt(symbol, new)
            fills += await self.trades.fills(instrument, self._owned(rows))
        return fills, until

    def _owned(self, rows: Sequence[TradeRow]) -> list[TradeRow]:
        """Leave out what is too fresh for its order to be known: the next reading tells it.

        Told without its owner, an execution of ours would be taken for somebody else's.
        """
        settled_ms = self.rest.venue_ms() - OVERLAP_MS
        return [
            row
            for row in rows
            if row.time < settled_ms or self.owners.get(row.symbol, row.order_id) is not None
        ]

    def told(self, until: Mapping[str, int]) -> None:
        """Note that the executions of these symbols until then (ms) were told."""
        for symbol, until_ms in until.items():
            self.trades.told(symbol, until_ms)


def status_of(rows: Sequence[OrderRow]) -> OrderStatus:
    """Return where all orders under one id stand together."""
    statuses = [order_status(row.status) for row in rows]
    live = [status for status in statuses if status not in FINAL]
    if not live:
        same = set(statuses)
        return same.pop() if len(same) == 1 else OrderStatus.CANCELLED
    filled = sum((row.executed_qty for row in rows), Decimal(0))
    return OrderStatus.PARTIALLY_FILLED if filled > ZERO else live[0]
