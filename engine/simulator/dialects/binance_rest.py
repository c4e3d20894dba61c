"""Binance public REST of spot (``/api/v3``) and USD-M futures (``/fapi/v1``).

Answers come from what the simulator itself has sent. Refusals: HTTP 400 with ``{"code","msg"}``
(errors documentation of both: -1121 symbol, -1102 missing, -1100 malformed, -1120 interval).
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.model.instrument import InstrumentId, Market
from engine.simulator.dialects.binance_rows import (
    aggregate_row,
    kline_row,
    mark_kline_row,
    premium_row,
    quote_row,
    trade_row,
)
from engine.simulator.dialects.faults import Faults
from engine.simulator.market import InstrumentState, MarketPlace
from engine.simulator.market_history import MINUTE_MS, Candle, Candles
from engine.simulator.market_listings import Listing

KLINE_MINUTES = {
    **{f"{minutes}m": minutes for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": 60 * hours for hours in (1, 2, 4, 6, 8, 12)},
    "1d": 1440,
}
KLINE_LIMITS = {Market.SPOT: 1000, Market.LINEAR: 1500}
WEIGHT_LIMITS = {Market.SPOT: 6000, Market.LINEAR: 2400}

Answer = Callable[["BinanceQuery"], Any]


class BinanceError(Exception):
    """A refusal with HTTP 400."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def missing(name: str) -> BinanceError:
    """Return the refusal of a mandatory parameter that was not sent."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return BinanceError(-1102, text)


class BinanceQuery:
    """The parameters of a request, read with Binance's refusals."""

    def __init__(self, place: MarketPlace, market: Market, params: dict[str, str]) -> None:
        self.market = market
        self._place = place
        self._params = params

    def text(self, name: str) -> str:
        return self._params.get(name, "")

    def state(self) -> InstrumentState:
        """Return the instrument of ``symbol``, which must be given and listed."""
        if not self.text("symbol"):
            raise missing("symbol")
        return self._place.state(self._named(self.text("symbol")).id)

    def _named(self, symbol: str) -> Listing:
        listing = self._place.listings.get(InstrumentId("binance", self.market, symbol))
        if listing is None:
            raise BinanceError(-1121, "Invalid symbol.")
        return listing

    def chosen(self) -> tuple[list[Listing], bool]:
        """Return the instruments asked for, and whether the answer is a single object."""
        if self.text("symbol"):
            return [self._named(self.text("symbol"))], True
        if self.text("symbols"):
            return [self._named(name) for name in self._names()], False
        return self._place.listings.of("binance", self.market), False

    def _names(self) -> list[str]:
        try:
            return msgspec.json.decode(self.text("symbols"), type=list[str])
        except msgspec.DecodeError:
            raise BinanceError(-1100, "Illegal characters found in parameter 'symbols'.") from None

    def whole(self, name: str, default: int, most: int) -> int:
        """Return a whole number; larger ones than ``most`` are cut to it."""
        text = self.text(name)
        if not text:
            return default
        if not text.isdigit():
            legal = "legal range is '^[0-9]{1,20}$'."
            raise BinanceError(-1100, f"Illegal characters found in parameter '{name}'; {legal}")
        return min(int(text), most)

    def span_ms(self) -> tuple[int, int]:
        """Return ``startTime`` and ``endTime``, both inclusive."""
        return self.whole("startTime", 0, 10**15), self.whole("endTime", 10**15, 10**15)


class BinanceRest:
    """The public endpoints of one market."""

    def __init__(self, place: MarketPlace, market: Market, faults: Faults) -> None:
        self._place = place
        self._market = market
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the routes below the REST address."""
        both: dict[str, Answer] = {
            "ping": self.ping,
            "time": self.time,
            "exchangeInfo": self.exchange_info,
            "trades": self.trades,
            "aggTrades": self.aggregates,
            "klines": self.klines,
            "ticker/price": self.ticker_price,
            "ticker/bookTicker": self.book_ticker,
            "depth": self.depth,
        }
        if self._market is Market.SPOT:
            return self._routes("/api/v3", both)
        usdm = both | {"premiumIndex": self.premium_index, "markPriceKlines": self.mark_klines}
        newer: dict[str, Answer] = {"ticker/price": self.ticker_price}
        return self._routes("/fapi/v1", usdm) + self._routes("/fapi/v2", newer)

    def _routes(self, base: str, answers: dict[str, Answer]) -> list[Route]:
        return [Route(f"{base}/{name}", self._endpoint(answer)) for name, answer in answers.items()]

    def _endpoint(self, answer: Answer) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            status = 200
            try:
                body = answer(BinanceQuery(self._place, self._market, dict(request.query_params)))
            except BinanceError as error:
                status, body = 400, {"code": error.code, "msg": error.message}
            return Response(msgspec.json.encode(body), status, media_type="application/json")

        return endpoint

    def ping(self, query: BinanceQuery) -> Any:
        return {}

    def time(self, query: BinanceQuery) -> Any:
        return {"serverTime": self._place.time.now_ms() + self._faults.skew_ms("binance")}

    def exchange_info(self, query: BinanceQuery) -> Any:
        """Futures ignore ``symbol``; spot filters by it."""
        listed = self._place.listings.of("binance", self._market)
        if self._market is Market.SPOT:
            listed, _ = query.chosen()
        infos = [listing.info for listing in listed]
        weight = {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": WEIGHT_LIMITS[self._market],
        }
        empty: list[Any] = []
        return {
            "timezone": "UTC",
            "serverTime": self._place.time.now_ms(),
            "rateLimits": [weight],
            "exchangeFilters": empty,
            "symbols": infos,
        }

    def trades(self, query: BinanceQuery) -> Any:
        """Oldest first; only trades of the order book."""
        prints = list(query.state().history.trades)[-query.whole("limit", 500, 1000) :]
        return [trade_row(print_, self._market) for print_ in prints]

    def aggregates(self, query: BinanceQuery) -> Any:
        """From an id on (inclusive), or of a time span, or the newest."""
        found = list(query.state().history.aggregates)
        limit = query.whole("limit", 500, 1000)
        start_ms, end_ms = query.span_ms()
        if query.text("fromId"):
            self._refuse_mixture(query)
            first = query.whole("fromId", 0, 10**18)
            found = [entry for entry in found if entry.number >= first][:limit]
        elif query.text("startTime") or query.text("endTime"):
            within = [entry for entry in found if start_ms <= entry.time_ms <= end_ms]
            found = within[:limit] if query.text("startTime") else within[-limit:]
        else:
            found = found[-limit:]
        return [aggregate_row(entry, self._market) for entry in found]

    def _refuse_mixture(self, query: BinanceQuery) -> None:
        if query.text("startTime") or query.text("endTime"):
            raise BinanceError(-1128, "Combination of optional parameters invalid.")

    def klines(self, query: BinanceQuery) -> Any:
        """Oldest first; the last one is unfinished."""
        state = query.state()
        length_ms, bars = self._bars(query, state.history.candles)
        return [kline_row(bar, length_ms, state.listing) for bar in bars]

    def mark_klines(self, query: BinanceQuery) -> Any:
        """The same of the mark price, its volumes ignored."""
        length_ms, bars = self._bars(query, query.state().history.mark_candles)
        return [mark_kline_row(bar, length_ms) for bar in bars]

    def _bars(self, query: BinanceQuery, candles: Candles) -> tuple[int, list[Candle]]:
        if not query.text("interval"):
            raise missing("interval")
        minutes = KLINE_MINUTES.get(query.text("interval"))
        if minutes is None:
            raise BinanceError(-1120, "Invalid interval.")
        limit = query.whole("limit", 500, KLINE_LIMITS[self._market])
        start_ms, end_ms = query.span_ms()
        length_ms = minutes * MINUTE_MS
        bars = candles.bars(length_ms, self._place.time.now_ms())
        found = [bar for bar in bars if start_ms <= bar.start_ms <= end_ms]
        return length_ms, found[:limit] if query.text("startTime") else found[-limit:]

    def ticker_price(self, query: BinanceQuery) -> Any:
        """Last prices; without a symbol, of all instruments that have traded."""

        def row(state: InstrumentState) -> dict[str, Any] | None:
            if state.last is None:
                return None
            found: dict[str, Any] = {"symbol": state.listing.id.symbol, "price": state.last}
            if self._market is Market.LINEAR and state.history.trades:
                found["time"] = state.history.trades[-1].time_ms
            return found

        return self._rows(query, row)

    def book_ticker(self, query: BinanceQuery) -> Any:
        """Touches; without a symbol, of all instruments that have one."""
        return self._rows(query, lambda state: quote_row(state, self._market))

    def premium_index(self, query: BinanceQuery) -> Any:
        """Mark and index prices with funding."""
        return self._rows(query, premium_row)

    def depth(self, query: BinanceQuery) -> Any:
        """Only the touch: the simulator has no deeper book."""
        quote = query.state().quote
        sides: dict[str, Sequence[Sequence[str]]] = {"bids": [], "asks": []}
        if quote is not None:
            sides = {"bids": [[quote.bid, quote.bid_qty]], "asks": [[quote.ask, quote.ask_qty]]}
        head: dict[str, Any] = {"lastUpdateId": quote.update if quote is not None else 0}
        if self._market is Market.LINEAR and quote is not None:
            head |= {"E": quote.sent_ms, "T": quote.time_ms}
        return head | sides

    def _rows(
        self, query: BinanceQuery, row: Callable[[InstrumentState], dict[str, Any] | None]
    ) -> Any:
        """Write the instruments asked for; those without a price yet are left out."""
        listings, single = query.chosen()
        states = [state for entry in listings if (state := self._place.find(entry.id)) is not None]
        rows = [found for state in states if (found := row(state)) is not None]
        if not single:
            return rows
        if not rows:
            raise BinanceError(-1121, "Invalid symbol.")
        return rows[0]
