"""Bybit's instrument lists: ``GET /v5/market/instruments-info``."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from engine.model.errors import Retryable
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.venues.filters import (
    NotOffered,
    Row,
    amount,
    decode_object,
    optional_amount,
    positive,
    read_all,
)
from engine.venues.rest import get

VENUE = "bybit"
PATH = "/v5/market/instruments-info"
PAGE_LIMIT = "1000"
MAX_PAGES = 50
"""A server that hands out cursors for ever is broken, not long."""


def read_linear(row: Row) -> Instrument:
    """Read one linear contract; only perpetuals are traded here."""
    if row["contractType"] != "LinearPerpetual":
        raise NotOffered
    lot = row["lotSizeFilter"]
    return Instrument(
        id=InstrumentId(VENUE, Market.LINEAR, row["symbol"]),
        base=row["baseCoin"],
        quote=row["quoteCoin"],
        tick_size=positive(row["priceFilter"], "tickSize"),
        qty_step=positive(lot, "qtyStep"),
        min_qty=amount(lot, "minOrderQty"),
        min_notional=amount(lot, "minNotionalValue"),
        max_market_qty=optional_amount(lot, "maxMktOrderQty"),
        trading=row["status"] == "Trading",
    )


def read_spot(row: Row) -> Instrument:
    """Read one spot pair.

    ``minOrderQty`` is deprecated there (the venue checks ``minOrderAmt``), so the smallest quantity
    is one step.
    """
    lot = row["lotSizeFilter"]
    step = positive(lot, "basePrecision")
    return Instrument(
        id=InstrumentId(VENUE, Market.SPOT, row["symbol"]),
        base=row["baseCoin"],
        quote=row["quoteCoin"],
        tick_size=positive(row["priceFilter"], "tickSize"),
        qty_step=step,
        min_qty=step,
        min_notional=amount(lot, "minOrderAmt"),
        max_market_qty=optional_amount(lot, "maxMarketOrderQty"),
        trading=row["status"] == "Trading",
    )


def parse_page(body: bytes, market: Market) -> tuple[list[Instrument], Counter[str], str]:
    """Read one page; returns its instruments, the skipped rows by reason, and the next cursor.

    Raises:
        Retryable: the venue answered with an error (HTTP 200 and ``retCode`` not 0).
    """
    source = f"{VENUE}.{market}"
    answer = decode_object(body, source)
    if answer.get("retCode") != 0:
        raise Retryable(f"{source}: {answer.get('retCode')} {answer.get('retMsg')}")
    result: Any = answer.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise Retryable(f"{source}: the answer carries no list")
    read = read_linear if market is Market.LINEAR else read_spot
    instruments, skipped = read_all(source, result["list"], read)
    return instruments, skipped, str(result.get("nextPageCursor") or "")


class BybitInstruments:
    """Implements ``engine.ports.Instruments``."""

    venue = VENUE

    def __init__(self, rest_url: str, client: httpx.AsyncClient) -> None:
        self.skipped: Counter[str] = Counter()
        self._url = rest_url + PATH
        self._client = client

    async def load(self, market: Market) -> Sequence[Instrument]:
        """Fetch all instruments of a market.

        Raises:
            Retryable: the venue could not be reached or answered with an error.
        """
        loaded: list[Instrument] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            params = {"category": str(market), "limit": PAGE_LIMIT}
            if cursor:
                params["cursor"] = cursor
            body = await get(self._client, self._url, params)
            page, skipped, cursor = await asyncio.to_thread(parse_page, body, market)
            loaded += page
            self.skipped += skipped
            if not cursor:
                return loaded
        raise Retryable(f"{VENUE}.{market}: more than {MAX_PAGES} pages")
