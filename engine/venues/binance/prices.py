"""Binance's prices by REST: one request a kind of price, all at the same time.

Source of every field and weight: the venue's REST documentation, "Symbol Price Ticker" (spot,
weight 2; USD-M its second version, weight 1), "Symbol Order Book Ticker" (weight 2) and, on USD-M,
"Mark Price" (weight 1), each for one symbol; for all symbols of a market 4 and 4, on USD-M 2, 5 and
10. A side of the book that is empty has the price 0.
"""

import asyncio
from collections.abc import Mapping

import httpx
import structlog
from msgspec import Struct

from engine.model.errors import Retryable
from engine.model.instrument import InstrumentId, Market
from engine.ports import Clock
from engine.venues.prices import PoliteAddress, Prices, Written, price, touch

log = structlog.get_logger(__name__)

PATHS = {
    Market.SPOT: ("/api/v3/ticker/price", "/api/v3/ticker/bookTicker"),
    Market.LINEAR: ("/fapi/v2/ticker/price", "/fapi/v1/ticker/bookTicker", "/fapi/v1/premiumIndex"),
}
"""Where last, touch and mark are asked for, in this order; there is no mark on spot."""


class Row(Struct, rename="camel"):
    """The fields of the three answers that are read here; each answer has its own of them."""

    symbol: str
    price: Written = None
    bid_price: Written = None
    ask_price: Written = None
    mark_price: Written = None


NOTHING = Row("")


class BinancePrices:
    """Implements ``engine.venues.prices.PriceSource``.

    Attributes:
        addresses: the venue's REST of each market, with its silences.
    """

    def __init__(
        self, spot_rest_url: str, usdm_rest_url: str, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        self.addresses = {
            Market.SPOT: PoliteAddress(spot_rest_url, client, clock),
            Market.LINEAR: PoliteAddress(usdm_rest_url, client, clock),
        }

    async def ask(self, instrument: InstrumentId, seconds: float) -> Prices:
        """Ask what an instrument costs now, for at most so long.

        What one request brings counts also where another fails.

        Raises:
            Retryable: no request was answered in time and as it should be.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._ask(path, instrument, seconds))
                for path in PATHS[instrument.market]
            ]
        answers = [task.result() for task in tasks]
        failures = [str(answer) for answer in answers if isinstance(answer, Retryable)]
        if len(failures) == len(answers):
            raise Retryable("; ".join(failures))
        if failures:
            log.warning("prices.partly_failed", instrument=str(instrument), reasons=failures)
        rows = [answer if isinstance(answer, Row) else NOTHING for answer in answers]
        last, best, mark = (*rows, NOTHING)[:3]
        bid, ask = touch(best.bid_price, best.ask_price)
        return Prices(price(last.price), bid, ask, price(mark.mark_price))

    async def ask_all(self, market: Market, seconds: float) -> Mapping[str, Prices]:
        """Ask what all instruments of a market cost now, by symbol, for at most so long.

        Raises:
            Retryable: a request was not answered in time and as it should be.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._ask_all(path, market, seconds)) for path in PATHS[market]
            ]
        answers = [task.result() for task in tasks]
        failures = [str(answer) for answer in answers if isinstance(answer, Retryable)]
        if failures:
            raise Retryable("; ".join(failures))
        named = [answer for answer in answers if isinstance(answer, dict)]
        lasts, touches, marks = (*named, {})[:3]
        found = {}
        for symbol, last in lasts.items():
            best, mark = touches.get(symbol, NOTHING), marks.get(symbol, NOTHING)
            bid, ask = touch(best.bid_price, best.ask_price)
            found[symbol] = Prices(price(last.price), bid, ask, price(mark.mark_price))
        return found

    async def _ask_all(
        self, path: str, market: Market, seconds: float
    ) -> dict[str, Row] | Retryable:
        try:
            rows = await self.addresses[market].get(path, {}, seconds, list[Row])
        except Retryable as error:
            return error
        return {row.symbol: row for row in rows}

    async def _ask(self, path: str, instrument: InstrumentId, seconds: float) -> Row | Retryable:
        params = {"symbol": instrument.symbol}
        try:
            row = await self.addresses[instrument.market].get(path, params, seconds, Row)
        except Retryable as error:
            return error
        if row.symbol != instrument.symbol:
            return Retryable(f"{instrument}: {path} answers of {row.symbol[:40]}")
        return row
