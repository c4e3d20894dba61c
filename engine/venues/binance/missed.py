"""What Binance remembers of a gap: aggregate trades, and bars of a minute.

Source of every field and weight: the REST documentation of both markets, "Compressed/Aggregate
Trades List" (weight 4 on spot, 20 on USD-M; 1,000 a page, oldest first, onward from a time and then
from an id; USD-M remembers 48 hours), "Kline/Candlestick Data" and "Mark Price Kline" (oldest
first, the last one unfinished). Aggregates of USD-M leave insurance fund and ADL out.
"""

from msgspec import Struct

from engine.model.events import MissedPrice
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import PriceSource
from engine.ports import Clock
from engine.venues.binance.prices import BinancePrices
from engine.venues.missed import MINUTE_MS, NS_PER_MS, Missed, bar, minute_of, trade
from engine.venues.prices import Written

TRADES = {Market.SPOT: "/api/v3/aggTrades", Market.LINEAR: "/fapi/v1/aggTrades"}
BARS = {
    (Market.SPOT, PriceSource.LAST): "/api/v3/klines",
    (Market.LINEAR, PriceSource.LAST): "/fapi/v1/klines",
    (Market.LINEAR, PriceSource.MARK): "/fapi/v1/markPriceKlines",
}
MOST_TRADES = 1000
MOST_BARS = 1000
MAX_TRADE_PAGES = {Market.SPOT: 10, Market.LINEAR: 5}
MAX_BAR_PAGES = 3
"""Two days of minutes: twice as far back as is ever asked for."""

LONGEST_BY_TRADES_MS = 15 * MINUTE_MS
"""What is longer is told by bars from the start: of a busy symbol its trades fill many pages."""

REQUEST_SECONDS = 3.0


class TradeRow(Struct):
    """An aggregate: ``a`` its id, ``p`` price, ``T`` time in ms."""

    a: int
    p: Written
    T: int


class BarRow(Struct, array_like=True):
    """A bar; ``start`` in ms. More columns follow."""

    start: int
    open: Written
    high: Written
    low: Written


class BinanceMissed:
    """Implements ``engine.venues.missed.MissedSource``; silences are those of ``prices``."""

    def __init__(self, prices: BinancePrices, clock: Clock) -> None:
        self._addresses = prices.addresses
        self._clock = clock

    async def fetch(self, instrument: InstrumentId, source: PriceSource, since_ms: int) -> Missed:
        """Fetch what was priced since a venue time in ms.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """
        now_ms = self._clock.now_ns() // NS_PER_MS
        if source is PriceSource.LAST and now_ms - since_ms <= LONGEST_BY_TRADES_MS:
            trades = await self._trades(instrument, since_ms)
            if trades is not None:
                return Missed(tuple(trades))
        return await self._bars(instrument, source, since_ms, now_ms)

    async def _trades(self, instrument: InstrumentId, since_ms: int) -> list[MissedPrice] | None:
        """The trades since then; None when they fill too many pages."""
        onward, found = {"startTime": str(since_ms)}, list[MissedPrice]()
        for _ in range(MAX_TRADE_PAGES[instrument.market]):
            params = {"symbol": instrument.symbol, "limit": str(MOST_TRADES)} | onward
            address = self._addresses[instrument.market]
            path = TRADES[instrument.market]
            rows = await address.get(path, params, REQUEST_SECONDS, list[TradeRow])
            found += [trade(row.p, row.T) for row in rows]
            if len(rows) < MOST_TRADES:
                return found
            onward = {"fromId": str(rows[-1].a + 1)}
        return None

    async def _bars(
        self, instrument: InstrumentId, source: PriceSource, since_ms: int, now_ms: int
    ) -> Missed:
        first_ms = minute_of(since_ms)
        farthest_ms = minute_of(now_ms) - (MAX_BAR_PAGES * MOST_BARS - 1) * MINUTE_MS
        start_ms, found = max(first_ms, farthest_ms), list[MissedPrice]()
        while start_ms <= now_ms:
            end_ms = start_ms + MOST_BARS * MINUTE_MS - 1
            found += await self._page(instrument, source, start_ms, end_ms)
            start_ms = end_ms + 1
        return Missed(tuple(found), complete=first_ms >= farthest_ms)

    async def _page(
        self, instrument: InstrumentId, source: PriceSource, start_ms: int, end_ms: int
    ) -> list[MissedPrice]:
        params = {
            "symbol": instrument.symbol,
            "interval": "1m",
            "startTime": str(start_ms),
            "endTime": str(end_ms),
            "limit": str(MOST_BARS),
        }
        address = self._addresses[instrument.market]
        path = BARS[instrument.market, source]
        rows = await address.get(path, params, REQUEST_SECONDS, list[BarRow])
        return [bar(row.start, row.high, row.low) for row in rows]
