"""What Bybit remembers of a gap: its recent trades, and bars of a minute.

Source of every field: the v5 documentation, "Get Recent Public Trades" (the newest 60 on spot,
1,000 on linear; there is no asking for older ones), "Get Kline" and "Get Mark Price Kline" (at most
1,000 bars, newest first, the last one unfinished). Block trades are no prices.
"""

from msgspec import Struct, field

from engine.model.events import MissedPrice
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import PriceSource
from engine.ports import Clock
from engine.venues.bybit.prices import BybitPrices
from engine.venues.missed import (
    MINUTE_MS,
    NS_PER_MS,
    Missed,
    bar,
    bars_then_trades,
    minute_of,
    moment_ms,
    trade,
)
from engine.venues.prices import Written

TRADES = "/v5/market/recent-trade"
BARS = {PriceSource.LAST: "/v5/market/kline", PriceSource.MARK: "/v5/market/mark-price-kline"}
MOST_TRADES = {Market.SPOT: 60, Market.LINEAR: 1000}
MOST_BARS = 1000
MAX_PAGES = 3
"""Two days of minutes: twice as far back as is ever asked for."""

REQUEST_SECONDS = 3.0


class TradeRow(Struct, rename="camel"):
    """A trade; ``time`` in ms."""

    price: Written
    time: str
    is_block_trade: bool = False


class BarRow(Struct, array_like=True):
    """A bar; ``start`` in ms. More columns follow."""

    start: str
    open: Written
    high: Written
    low: Written


class TradeRows(Struct):
    """What was asked for; empty in a refusal."""

    rows: list[TradeRow] = field(name="list", default_factory=list)


class BarRows(Struct):
    """What was asked for; empty in a refusal."""

    rows: list[BarRow] = field(name="list", default_factory=list)


class TradeAnswer(Struct, rename="camel"):
    """The envelope of every answer."""

    ret_code: int
    result: TradeRows
    ret_msg: str = ""


class BarAnswer(Struct, rename="camel"):
    """The envelope of every answer."""

    ret_code: int
    result: BarRows
    ret_msg: str = ""


class BybitMissed:
    """Implements ``engine.venues.missed.MissedSource``; silences are those of ``prices``."""

    def __init__(self, prices: BybitPrices, clock: Clock) -> None:
        self._prices = prices
        self._clock = clock

    async def fetch(self, instrument: InstrumentId, source: PriceSource, since_ms: int) -> Missed:
        """Fetch what was priced since a venue time in ms.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """
        if source is PriceSource.MARK:
            return await self._bars(instrument, source, since_ms)
        rows = await self._trades(instrument)
        trades = [trade(row.price, moment_ms(row.time)) for row in rows if not row.is_block_trade]
        oldest_ms = moment_ms(rows[0].time) if rows else 0
        if oldest_ms < since_ms or len(rows) < MOST_TRADES[instrument.market]:
            return Missed(tuple(each for each in trades if each.from_ms >= since_ms))
        bars = await self._bars(instrument, source, since_ms)
        return Missed(bars_then_trades(bars.prices, trades), bars.complete)

    async def _trades(self, instrument: InstrumentId) -> list[TradeRow]:
        """The newest trades, oldest first."""
        params = self._params(instrument) | {"limit": str(MOST_TRADES[instrument.market])}
        address = self._prices.address
        answer = await address.get(TRADES, params, REQUEST_SECONDS, TradeAnswer)
        self._prices.refuse(instrument, answer.ret_code, answer.ret_msg)
        return sorted(answer.result.rows, key=lambda row: moment_ms(row.time))

    async def _bars(self, instrument: InstrumentId, source: PriceSource, since_ms: int) -> Missed:
        now_ms = self._clock.now_ns() // NS_PER_MS
        first_ms = minute_of(since_ms)
        farthest_ms = minute_of(now_ms) - (MAX_PAGES * MOST_BARS - 1) * MINUTE_MS
        start_ms, found = max(first_ms, farthest_ms), list[MissedPrice]()
        while start_ms <= now_ms:
            end_ms = start_ms + (MOST_BARS - 1) * MINUTE_MS
            found += await self._page(instrument, BARS[source], start_ms, end_ms)
            start_ms = end_ms + MINUTE_MS
        return Missed(tuple(found), complete=first_ms >= farthest_ms)

    async def _page(
        self, instrument: InstrumentId, path: str, start_ms: int, end_ms: int
    ) -> list[MissedPrice]:
        params = self._params(instrument) | {
            "interval": "1",
            "start": str(start_ms),
            "end": str(end_ms),
            "limit": str(MOST_BARS),
        }
        answer = await self._prices.address.get(path, params, REQUEST_SECONDS, BarAnswer)
        self._prices.refuse(instrument, answer.ret_code, answer.ret_msg)
        rows = sorted(answer.result.rows, key=lambda row: moment_ms(row.start))
        return [bar(moment_ms(row.start), row.high, row.low) for row in rows]

    def _params(self, instrument: InstrumentId) -> dict[str, str]:
        return {"category": str(instrument.market), "symbol": instrument.symbol}
