"""One market's executions: of an order, and since the last reading."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from engine.clock import NS_PER_MS
from engine.model.instrument import Instrument
from engine.model.money import ZERO
from engine.model.order import Fill, OrderSide
from engine.venues.account import RequestFailed, Urgency
from engine.venues.binance.account_fees import FeeRates
from engine.venues.binance.account_owners import MOST_ROWS, Owners, kind_of
from engine.venues.binance.client import MarketRest
from engine.venues.binance.codes import NOT_SENT
from engine.venues.binance.parse import OrderRow, TradeRow

OVERLAP_MS = 60_000
"""Executions may reach the history out of order; what was told already is known by its trade id."""

FIRST_BACK_MS = 24 * 3_600_000 - 2 * OVERLAP_MS
"""The first reading, with the overlap, fits one window of a day."""


class TradeSource(Struct, frozen=True):
    """Where a market tells executions.

    Attributes:
        window_ms: longest time between the first and the last row of an answer.
    """

    path: str
    shape: Any
    window_ms: int


class Trades:
    """Reads executions as fills."""

    def __init__(
        self, rest: MarketRest, source: TradeSource, owners: Owners, fees: FeeRates
    ) -> None:
        self._rest = rest
        self._source = source
        self._owners = owners
        self._fees = fees
        self._read_until_ms: dict[str, int] = {}

    async def fills(self, instrument: Instrument, rows: Sequence[TradeRow]) -> list[Fill]:
        """Return rows as fills, under the client ids that are known."""
        return [await self._fill(instrument, row) for row in rows]

    async def of_order(
        self, instrument: Instrument, order: OrderRow, name: str, urgency: Urgency
    ) -> list[Fill]:
        """Return all executions of an order, under a client id.

        Raises:
            RequestFailed: not to be had, or the history does not hold them all yet.
        """
        if order.executed_qty == ZERO:
            return []
        self._owners.put(order.symbol, order.order_id, name)
        rows = await self._rows_of_order(order, urgency)
        filled = sum((row.qty for row in rows), ZERO)
        if filled != order.executed_qty:
            text = f"of {order.executed_qty} filled, {filled} is in the history of trades"
            raise RequestFailed(NOT_SENT, f"{order.symbol} {name}: {text}")
        return await self.fills(instrument, rows)

    async def _rows_of_order(self, order: OrderRow, urgency: Urgency) -> list[TradeRow]:
        params = {"symbol": order.symbol, "limit": str(MOST_ROWS)}
        page = await self._page({**params, "orderId": str(order.order_id)}, urgency)
        rows = list(page)
        while len(page) == MOST_ROWS:
            page = await self._page({**params, "fromId": str(page[-1].id + 1)}, urgency)
            rows += [row for row in page if row.order_id == order.order_id]
        return rows

    async def since_last(self, symbol: str) -> tuple[list[TradeRow], int]:
        """Return the executions since the last reading, and up to when they are read (ms).

        ``told`` takes the latter once they were told.
        """
        until_ms = self._rest.venue_ms()
        since_ms = self._read_until_ms.get(symbol, until_ms - FIRST_BACK_MS)
        return await self.since(symbol, since_ms - OVERLAP_MS, Urgency.HOUSEKEEPING), until_ms

    def told(self, symbol: str, until_ms: int) -> None:
        """Note that all executions of a symbol until then were told."""
        self._read_until_ms[symbol] = until_ms

    async def since(self, symbol: str, since_ms: int, urgency: Urgency) -> list[TradeRow]:
        """Return the executions since a venue time, oldest first."""
        rows: list[TradeRow] = []
        now_ms = self._rest.venue_ms()
        while True:
            params = {"symbol": symbol, "limit": str(MOST_ROWS), "startTime": str(since_ms)}
            page = await self._page(params, urgency)
            rows += page
            while len(page) == MOST_ROWS:
                params = {"symbol": symbol, "limit": str(MOST_ROWS), "fromId": str(page[-1].id + 1)}
                page = await self._page(params, urgency)
                rows += page
            since_ms += self._source.window_ms
            if since_ms >= now_ms:
                # Pages by id go on beyond a window's end.
                return sorted({row.id: row for row in rows}.values(), key=lambda row: row.id)

    async def _page(self, params: dict[str, str], urgency: Urgency) -> Sequence[TradeRow]:
        rows: Sequence[TradeRow] = await self._rest.get(
            self._source.path, params, self._source.shape, urgency
        )
        return rows

    async def _fill(self, instrument: Instrument, row: TradeRow) -> Fill:
        name = self._owners.get(row.symbol, row.order_id)
        rate = await self._fees.at(instrument, row.commission_asset, row.time)
        return Fill(
            venue_trade_id=str(row.id),
            instrument=instrument,
            side=OrderSide.BUY if row.bought else OrderSide.SELL,
            qty=row.qty,
            price=row.price,
            fee=row.commission,
            fee_asset=row.commission_asset,
            time_ns=row.time * NS_PER_MS,
            client_order_id=name or None,
            venue_order_id=str(row.order_id),
            fee_rate=rate,
            kind=kind_of(name or ""),
            leg=row.leg,
        )


def total(fills: Sequence[Fill]) -> Decimal:
    """Return what was filled, in base asset."""
    return sum((fill.qty for fill in fills), ZERO)
