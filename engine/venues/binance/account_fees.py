"""What a fee that was paid in a third asset (BNB) was worth."""

from decimal import Decimal

from engine.model.instrument import Instrument
from engine.venues.account import RequestFailed, Urgency
from engine.venues.binance.client import MarketRest
from engine.venues.binance.parse import Bar

MINUTE_MS = 60_000
SECONDS = 2.0
FRESH_MINUTES = 3
KEPT = 1000


class FeeRates:
    """Prices of fee assets by minute, from spot bars: the bar's close stands for the minute.

    Attributes:
        wanted: pairs (fee asset, quote) that are kept fresh for what the streams tell.
    """

    def __init__(self, spot: MarketRest) -> None:
        self.wanted: set[tuple[str, str]] = set()
        self._spot = spot
        self._rates: dict[tuple[str, str, int], Decimal] = {}

    async def at(self, instrument: Instrument, asset: str, time_ms: int) -> Decimal | None:
        """Return the value of one unit of ``asset`` in quote asset at a venue time.

        None where it is the base or quote asset itself, or the price cannot be had.
        """
        if asset in {instrument.base, instrument.quote}:
            return None
        self.wanted.add((asset, instrument.quote))
        known = self._rates.get((asset, instrument.quote, time_ms // MINUTE_MS))
        return known or await self._ask(asset, instrument.quote, time_ms)

    def now(self, instrument: Instrument, asset: str, time_ms: int) -> Decimal | None:
        """The same at once, if it was asked for in the last minutes."""
        if asset in {instrument.base, instrument.quote}:
            return None
        self.wanted.add((asset, instrument.quote))
        minute = time_ms // MINUTE_MS
        for before in range(FRESH_MINUTES):
            rate = self._rates.get((asset, instrument.quote, minute - before))
            if rate is not None:
                return rate
        return None

    async def refresh(self) -> None:
        """Ask the present prices of all wanted pairs."""
        for asset, quote in sorted(self.wanted):
            await self._ask(asset, quote, self._spot.venue_ms())

    async def _ask(self, asset: str, quote: str, time_ms: int) -> Decimal | None:
        params = {"symbol": asset + quote, "interval": "1m", "endTime": str(time_ms), "limit": "1"}
        try:
            bars = await self._spot.get(
                "/api/v3/klines",
                params,
                list[Bar],
                Urgency.LOOK_UP,
                signed=False,
                seconds=SECONDS,
            )
        except RequestFailed:
            return None  # the fill is flagged: its fee has no rate
        if not bars:
            return None
        self._rates[asset, quote, time_ms // MINUTE_MS] = bars[-1].close
        if len(self._rates) > KEPT:
            del self._rates[next(iter(self._rates))]
        return bars[-1].close
