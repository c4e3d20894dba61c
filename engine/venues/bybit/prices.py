"""Bybit's prices by REST: ``GET /v5/market/tickers``, one request an instrument, or one for
all of a market.

Source of every field: the v5 documentation, "Get Tickers" and "Error Codes". ``bid1Price`` and
``ask1Price`` are ``""`` while a side of the book is empty; ``markPrice`` exists on linear only.
"""

from collections.abc import Mapping

import httpx
from msgspec import Struct, field

from engine.model.errors import Retryable
from engine.model.instrument import InstrumentId, Market
from engine.ports import Clock
from engine.venues.prices import PoliteAddress, Prices, Written, price, touch
from engine.venues.rest import RateLimited

PATH = "/v5/market/tickers"

TOO_MANY_CODES = frozenset({10006, 10018})
"""``retCode`` of a rate limit by account and by address; the limits roll in 5 s at most."""

TOO_MANY_PAUSE_S = 5.0


class TickerRow(Struct, rename="camel"):
    """The fields of a ticker that are read here."""

    symbol: str
    last_price: Written = None
    bid1_price: Written = None
    ask1_price: Written = None
    mark_price: Written = None


class Result(Struct):
    """What was asked for; empty in a refusal."""

    rows: list[TickerRow] = field(name="list", default_factory=list)


class Answer(Struct, rename="camel"):
    """The envelope of every answer: HTTP 200 also where ``retCode`` is a refusal."""

    ret_code: int
    result: Result
    ret_msg: str = ""


class BybitPrices:
    """Implements ``engine.venues.prices.PriceSource``.

    Attributes:
        address: the venue's REST, with its silences.
    """

    def __init__(self, rest_url: str, client: httpx.AsyncClient, clock: Clock) -> None:
        self.address = PoliteAddress(rest_url, client, clock)

    async def ask(self, instrument: InstrumentId, seconds: float) -> Prices:
        """Ask what an instrument costs now, for at most so long.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """
        params = {"category": str(instrument.market), "symbol": instrument.symbol}
        answer = await self.address.get(PATH, params, seconds, Answer)
        self.refuse(instrument, answer.ret_code, answer.ret_msg)
        for row in answer.result.rows:
            if row.symbol == instrument.symbol:
                return _prices(row, instrument.market)
        raise Retryable(f"{instrument}: the answer does not name it")

    async def ask_all(self, market: Market, seconds: float) -> Mapping[str, Prices]:
        """Ask what all instruments of a market cost now, by symbol, for at most so long.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """
        answer = await self.address.get(PATH, {"category": str(market)}, seconds, Answer)
        self.refuse(market, answer.ret_code, answer.ret_msg)
        return {row.symbol: _prices(row, market) for row in answer.result.rows}

    def refuse(self, asked: InstrumentId | Market, code: int, message: str) -> None:
        """Heed the ``retCode`` of an answer; 0 is none.

        Raises:
            RateLimited: too many requests; nothing is sent for a while.
            Retryable: another refusal.
        """
        if code in TOO_MANY_CODES:
            self.address.silence(TOO_MANY_PAUSE_S)
            raise RateLimited(f"{asked}: {code}", TOO_MANY_PAUSE_S)
        if code != 0:
            raise Retryable(f"{asked}: {code} {message[:200]}")


def _prices(row: TickerRow, market: Market) -> Prices:
    bid, ask = touch(row.bid1_price, row.ask1_price)
    mark = price(row.mark_price) if market is Market.LINEAR else None
    return Prices(price(row.last_price), bid, ask, mark)
