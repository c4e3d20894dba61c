"""What a fee in a third asset (MNT) was worth at its fill: the close of that minute's bar."""

from decimal import Decimal

from msgspec.structs import replace

from engine.model.instrument import Market
from engine.model.money import ZERO
from engine.model.order import Fill
from engine.venues.account import RequestFailed
from engine.venues.bybit.client import BybitClient
from engine.venues.bybit.client_budgets import BARS
from engine.venues.bybit.parse import BarRow, Rows
from engine.venues.bybit.parse_events import NS_PER_MS, number

MINUTE_MS = 60_000
MOST_KEPT = 1000


def lacks_rate(fill: Fill) -> bool:
    """Tell whether the value of a fee has to be asked for."""
    own = (fill.instrument.base, fill.instrument.quote)
    return fill.fee != ZERO and fill.fee_asset not in own and fill.fee_rate is None


class Rates:
    """Values fees. What cannot be had is left out, which the ledger flags."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._known: dict[tuple[str, int], Decimal] = {}

    async def value(self, fill: Fill) -> Fill:
        """Return a fill with the value of one unit of its fee's asset, in quote asset."""
        if not lacks_rate(fill):
            return fill
        minute_ms = fill.time_ns // NS_PER_MS // MINUTE_MS * MINUTE_MS
        symbol = fill.fee_asset + fill.instrument.quote
        rate = self._known.get((symbol, minute_ms))
        if rate is None:
            rate = await self._ask(symbol, minute_ms)
        if rate is None:
            return fill
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[symbol, minute_ms] = rate
        return replace(fill, fee_rate=rate)

    async def _ask(self, symbol: str, minute_ms: int) -> Decimal | None:
        params = {
            "category": str(Market.SPOT),
            "symbol": symbol,
            "interval": "1",
            "start": minute_ms,
            "end": minute_ms + MINUTE_MS - 1,
            "limit": 1,
        }
        try:
            bars: Rows[BarRow] = await self._client.ask(BARS, params)
        except RequestFailed:
            return None
        price = number(bars.rows[0].close) if bars.rows else ZERO
        return price if price > ZERO else None
