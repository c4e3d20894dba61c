"""Binance's instrument lists: ``GET /api/v3/exchangeInfo`` and ``/fapi/v1/exchangeInfo``."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import httpx

from engine.model.errors import Retryable
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO
from engine.venues.filters import (
    STABLE_QUOTES,
    NotOffered,
    OddFilter,
    Row,
    amount,
    decode_object,
    optional_amount,
    positive,
    read_all,
)
from engine.venues.rest import get

VENUE = "binance"
SPOT_PATH = "/api/v3/exchangeInfo"
USDM_PATH = "/fapi/v1/exchangeInfo"


def _filters(row: Row) -> dict[str, Row]:
    return {each["filterType"]: each for each in row["filters"]}


def _steps(filters: Mapping[str, Row]) -> tuple[Decimal, Decimal, Decimal | None]:
    """Return step, smallest and largest quantity of a market order: both lot filters apply.

    A step or bound of 0 is switched off.
    """
    lot = filters["LOT_SIZE"]
    market = filters.get("MARKET_LOT_SIZE", {})
    step = max(amount(lot, "stepSize"), optional_amount(market, "stepSize") or ZERO)
    if step == ZERO:
        raise OddFilter("stepSize is 0")
    smallest = max(amount(lot, "minQty"), optional_amount(market, "minQty") or ZERO)
    largest = [optional_amount(each, "maxQty") for each in (lot, market)]
    return step, smallest, min((each for each in largest if each), default=None)


def _spot_min_notional(filters: Mapping[str, Row]) -> Decimal:
    """Return the smallest value of a market order, 0 where the venue does not hold it to one."""
    if "NOTIONAL" in filters:
        notional, applies = filters["NOTIONAL"], "applyMinToMarket"
    elif "MIN_NOTIONAL" in filters:  # the filter's name until 2023
        notional, applies = filters["MIN_NOTIONAL"], "applyToMarket"
    else:
        return ZERO
    return amount(notional, "minNotional") if notional.get(applies, True) else ZERO


def read_spot(row: Row) -> Instrument:
    """Read one spot pair."""
    filters = _filters(row)
    step, smallest, largest = _steps(filters)
    return Instrument(
        id=InstrumentId(VENUE, Market.SPOT, row["symbol"]),
        base=row["baseAsset"],
        quote=row["quoteAsset"],
        tick_size=positive(filters["PRICE_FILTER"], "tickSize"),
        qty_step=step,
        min_qty=smallest,
        min_notional=_spot_min_notional(filters),
        max_market_qty=largest,
        trading=row["status"] == "TRADING" and row.get("isSpotTradingAllowed", True) is True,
    )


def read_usdm(row: Row) -> Instrument:
    """Read one USD-M contract: perpetuals quoted and margined in a stable asset."""
    quote = row["quoteAsset"]
    if (
        row["contractType"] != "PERPETUAL"
        or quote not in STABLE_QUOTES
        or row["marginAsset"] != quote
    ):
        raise NotOffered
    filters = _filters(row)
    step, smallest, largest = _steps(filters)
    return Instrument(
        id=InstrumentId(VENUE, Market.LINEAR, row["symbol"]),
        base=row["baseAsset"],
        quote=quote,
        tick_size=positive(filters["PRICE_FILTER"], "tickSize"),
        qty_step=step,
        min_qty=smallest,
        min_notional=amount(filters["MIN_NOTIONAL"], "notional"),
        max_market_qty=largest,
        trading=row["status"] == "TRADING",
    )


def parse(body: bytes, market: Market) -> tuple[list[Instrument], Counter[str]]:
    """Read ``exchangeInfo``; returns the instruments and the skipped rows by reason.

    Raises:
        Retryable: the answer carries no list.
    """
    source = f"{VENUE}.{market}"
    symbols = decode_object(body, source).get("symbols")
    if not isinstance(symbols, list):
        raise Retryable(f"{source}: the answer carries no list")
    return read_all(source, symbols, read_spot if market is Market.SPOT else read_usdm)


class BinanceInstruments:
    """Implements ``engine.ports.Instruments``."""

    venue = VENUE

    def __init__(self, spot_rest_url: str, usdm_rest_url: str, client: httpx.AsyncClient) -> None:
        self.skipped: Counter[str] = Counter()
        self._urls = {
            Market.SPOT: spot_rest_url + SPOT_PATH,
            Market.LINEAR: usdm_rest_url + USDM_PATH,
        }
        self._client = client

    async def load(self, market: Market) -> Sequence[Instrument]:
        """Fetch all instruments of a market.

        Raises:
            Retryable: the venue could not be reached or answered with an error.
        """
        # Permission sets are most of the answer's bytes, and are not read.
        params = {"showPermissionSets": "false"} if market is Market.SPOT else {}
        body = await get(self._client, self._urls[market], params)
        instruments, skipped = await asyncio.to_thread(parse, body, market)
        self.skipped += skipped
        return instruments
