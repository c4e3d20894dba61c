"""Bybit v5 public REST: answers from what the simulator itself has sent.

Refusals come with HTTP 200 and a ``retCode`` other than 0 (v5 documentation, "Integration
Guidance"). Code 10001 is "request parameter error".
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.clock import NS_PER_MS
from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.simulator.dialects.bybit import Bybit
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.faults import Faults
from engine.simulator.market import InstrumentState, MarketPlace
from engine.simulator.market_events import Print
from engine.simulator.market_history import MINUTE_MS, Candle, Candles
from engine.simulator.market_listings import Listing

INTERVAL_MINUTES = {
    **{str(minutes): minutes for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": 1440,
}
TRADE_LIMITS = {Market.SPOT: (60, 60), Market.LINEAR: (500, 1000)}
"""Default and largest number of recent trades."""

Answer = Callable[["BybitQuery"], dict[str, Any]]


class BybitQuery:
    """The parameters of a request, read with Bybit's refusals."""

    def __init__(self, place: MarketPlace, params: dict[str, str]) -> None:
        self._place = place
        self._params = params

    @property
    def market(self) -> Market:
        """The category; inverse and option are not simulated."""
        try:
            return Market(self._params.get("category", ""))
        except ValueError:
            raise BybitError("params error: Category is invalid") from None

    def text(self, name: str) -> str:
        return self._params.get(name, "")

    def state(self) -> InstrumentState:
        """Return the instrument of ``symbol``, which must be given and listed."""
        state = self.optional_state()
        if state is None:
            raise BybitError("params error: Symbol Invalid")
        return state

    def optional_state(self) -> InstrumentState | None:
        """Return the instrument of ``symbol``; None when no symbol is given."""
        symbol = self.text("symbol")
        if not symbol:
            return None
        instrument = InstrumentId("bybit", self.market, symbol)
        if self._place.listings.get(instrument) is None:
            raise BybitError("params error: Symbol Invalid")
        return self._place.state(instrument)

    def whole(self, name: str, default: int, most: int) -> int:
        """Return a whole number of at least 1, at most ``most``."""
        text = self.text(name)
        if not text:
            return default
        if not text.isdigit() or int(text) < 1:
            raise BybitError(f"params error: {name} invalid")
        return min(int(text), most)


class BybitRest:
    """The public endpoints."""

    def __init__(self, place: MarketPlace, bybit: Bybit, faults: Faults) -> None:
        self._place = place
        self._bybit = bybit
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the routes below the REST address."""
        answers: dict[str, Answer] = {
            "time": self.time,
            "instruments-info": self.instruments_info,
            "recent-trade": self.recent_trade,
            "tickers": self.tickers,
            "kline": self.kline,
            "mark-price-kline": self.mark_kline,
            "orderbook": self.orderbook,
        }
        return [
            Route(f"/v5/market/{name}", self._endpoint(answer)) for name, answer in answers.items()
        ]

    def _endpoint(self, answer: Answer) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            body: dict[str, Any] = {"retCode": 0, "retMsg": "OK", "result": {}, "retExtInfo": {}}
            try:
                body["result"] = answer(BybitQuery(self._place, dict(request.query_params)))
            except BybitError as error:
                body |= {"retCode": error.code, "retMsg": error.message}
            body["time"] = self._place.time.now_ms() + self._faults.skew_ms("bybit")
            return Response(msgspec.json.encode(body), media_type="application/json")

        return endpoint

    def time(self, query: BybitQuery) -> dict[str, Any]:
        now_ns = self._place.time.now_ns() + self._faults.skew_ms("bybit") * NS_PER_MS
        return {"timeSecond": str(now_ns // 1_000_000_000), "timeNano": str(now_ns)}

    def instruments_info(self, query: BybitQuery) -> dict[str, Any]:
        """Spot comes whole; linear by pages of ``limit`` (500 by default, at most 1,000)."""
        market = query.market
        state = query.optional_state()
        chosen = [state.listing] if state is not None else self._place.listings.of("bybit", market)
        if query.text("status"):
            chosen = [entry for entry in chosen if entry.info["status"] == query.text("status")]
        if query.text("baseCoin"):
            chosen = [entry for entry in chosen if entry.base == query.text("baseCoin")]
        if market is Market.SPOT:
            return {"category": market, "list": [entry.info for entry in chosen]}
        page, cursor = _page(chosen, query)
        infos = [entry.info for entry in page]
        return {"category": market, "list": infos, "nextPageCursor": cursor}

    def recent_trade(self, query: BybitQuery) -> dict[str, Any]:
        """Newest first; there is no way to ask for older ones."""
        default, most = TRADE_LIMITS[query.market]
        state = query.state()
        newest = list(state.history.trades)[-query.whole("limit", default, most) :]
        symbol = state.listing.id.symbol
        rows = [_trade(print_, symbol) for print_ in reversed(newest)]
        return {"category": query.market, "list": rows}

    def tickers(self, query: BybitQuery) -> dict[str, Any]:
        market = query.market
        state = query.optional_state()
        listed = self._place.listings.of("bybit", market)
        chosen = [state.listing] if state is not None else listed
        rows = [row for entry in chosen if (row := self._ticker(entry)) is not None]
        return {"category": market, "list": rows}

    def _ticker(self, listing: Listing) -> dict[str, str] | None:
        market = listing.id.market
        dialect = self._bybit.spot if market is Market.SPOT else self._bybit.linear
        ticker = dialect.ticker(listing.id)
        if ticker is None or "lastPrice" not in ticker.fields:
            return None
        row = {"symbol": listing.id.symbol} | ticker.fields
        quote = self._place.state(listing.id).quote
        if market is Market.SPOT and quote is not None:
            row |= {"bid1Price": quote.bid, "bid1Size": quote.bid_qty}
            row |= {"ask1Price": quote.ask, "ask1Size": quote.ask_qty}
        return row

    def kline(self, query: BybitQuery) -> dict[str, Any]:
        """Newest first; the first one is unfinished."""
        rows = [_bar(bar) for bar in self._bars(query, query.state().history.candles)]
        return {"symbol": query.text("symbol"), "category": query.market, "list": rows}

    def mark_kline(self, query: BybitQuery) -> dict[str, Any]:
        """The same of the mark price, without volumes; on linear only."""
        if query.market is not Market.LINEAR:
            raise BybitError("params error: Category is invalid")
        bars = self._bars(query, query.state().history.mark_candles)
        rows = [_bar(bar)[:5] for bar in bars]
        return {"symbol": query.text("symbol"), "category": query.market, "list": rows}

    def _bars(self, query: BybitQuery, candles: Candles) -> list[Candle]:
        minutes = INTERVAL_MINUTES.get(query.text("interval"))
        if minutes is None:
            raise BybitError("Invalid period!")
        limit = query.whole("limit", 200, 1000)
        start_ms = query.whole("start", 1, 10**15)
        end_ms = query.whole("end", 10**15, 10**15)
        bars = candles.bars(minutes * MINUTE_MS, self._place.time.now_ms())
        return [bar for bar in bars if start_ms <= bar.start_ms <= end_ms][-limit:][::-1]

    def orderbook(self, query: BybitQuery) -> dict[str, Any]:
        """Only the touch: the simulator has no deeper book."""
        quote = query.state().quote
        symbol = query.text("symbol")
        now_ms = self._place.time.now_ms()
        if quote is None:
            empty: list[list[str]] = []
            return {"s": symbol, "b": empty, "a": empty, "ts": now_ms, "u": 0, "seq": 0}
        return {
            "s": symbol,
            "b": [[quote.bid, quote.bid_qty]],
            "a": [[quote.ask, quote.ask_qty]],
            "ts": now_ms,
            "u": quote.update,
            "seq": quote.seq,
            "cts": quote.time_ms,
        }


def _page(listings: list[Listing], query: BybitQuery) -> tuple[list[Listing], str]:
    """Cut out a page; the cursor hides the place of the next one."""
    start = _place_of(query.text("cursor"))
    limit = query.whole("limit", 500, 1000)
    end = start + limit
    cursor = base64.urlsafe_b64encode(f"next:{end}".encode()).decode()
    return listings[start:end], cursor if end < len(listings) else ""


def _place_of(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        word, _, place = base64.urlsafe_b64decode(cursor).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        word, place = "", ""
    if word != "next" or not place.isdigit():
        raise BybitError("params error: cursor invalid")
    return int(place)


def _trade(print_: Print, symbol: str) -> dict[str, Any]:
    return {
        "execId": print_.id,
        "symbol": symbol,
        "price": print_.price,
        "size": print_.qty,
        "side": "Buy" if print_.taker_buys else "Sell",
        "time": str(print_.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(print_.seq),
    }


def _bar(bar: Candle) -> list[str]:
    prices = [bar.open, bar.high, bar.low, bar.close]
    return [str(bar.start_ms), *prices, plain(bar.volume), plain(bar.turnover)]
