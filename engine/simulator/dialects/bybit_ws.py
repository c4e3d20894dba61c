"""Bybit's public WebSocket: ``/v5/public/spot`` and ``/v5/public/linear``.

Source: the v5 documentation ("Connect", and the public channels). Texts of refusals that the
documentation does not give are those that clients report: ``args size >10`` on spot,
``error:already subscribed,topic:...``.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.model.instrument import InstrumentId, Market
from engine.simulator.dialects import bybit_frames as frames
from engine.simulator.dialects.bybit_tickers import TickerFields
from engine.simulator.dialects.session import Frame, Hub, Session
from engine.simulator.market import MarketPlace
from engine.simulator.market_events import (
    Mark,
    MarketEvent,
    Origin,
    Prints,
    Quote,
    Ticker,
)

SPOT_ARGS_LIMIT = 10
BOOK_REPEAT_MS = 3000
"""An unchanged level-1 book is sent again after 3 s, with the same ``u``."""

TICKER_INTERVAL_S = {Market.LINEAR: 0.1, Market.SPOT: 0.05}
KLINE_INTERVAL_S = 1.0
CHANNELS = ("publicTrade", "tickers", "orderbook.1", "kline.1")


class BybitPublic:
    """One category of the public stream."""

    venue = "bybit"

    def __init__(self, place: MarketPlace, market: Market) -> None:
        self.market = market
        self.hub = Hub()
        self._place = place
        self._directions = frames.TickDirections()
        self._tickers: dict[InstrumentId, TickerFields] = {}
        self._books_ms: dict[InstrumentId, int] = {}
        self._klines: dict[InstrumentId, tuple[int, int]] = {}
        place.listen(self.venue, market, self.on_event)

    def ticker(self, instrument: InstrumentId) -> TickerFields | None:
        """Return an instrument's ticker, once anything is known of it."""
        return self._tickers.get(instrument)

    # --- market events --------------------------------------------------------------------------

    def on_event(self, event: MarketEvent) -> None:
        """Write an event to whoever listens."""
        if isinstance(event, Prints):
            self._on_prints(event)
        elif isinstance(event, Quote):
            self._on_quote(event)
        elif isinstance(event, Ticker):
            self._on_ticker(event)
        elif isinstance(event, Mark):
            self._generated(event.instrument, event.origin).take_mark(event)
            self._hurry(event.instrument, event.origin)

    def _on_prints(self, event: Prints) -> None:
        topic = f"publicTrade.{event.instrument.symbol}"
        if self.hub.heard(topic):
            self._deliver(event.instrument, topic, event.origin, self._trades(event))
        if event.origin is not Origin.RECORDED:
            self._generated(event.instrument, event.origin).take_prints(event)
            self._hurry(event.instrument, event.origin)

    def _trades(self, event: Prints) -> bytes:
        return frames.trades(event, self._directions)

    def _on_quote(self, quote: Quote) -> None:
        topic = f"orderbook.1.{quote.instrument.symbol}"
        self._books_ms[quote.instrument] = quote.sent_ms
        if self.hub.heard(topic):
            data = frames.book(quote, quote.sent_ms)
            self._deliver(quote.instrument, topic, quote.origin, data)
        if quote.origin is not Origin.RECORDED:
            self._generated(quote.instrument, quote.origin).take_quote(quote)
            self._hurry(quote.instrument, quote.origin)

    def _on_ticker(self, ticker: Ticker) -> None:
        fields = self._generated(ticker.instrument, ticker.origin)
        fields.merge(ticker)
        topic = f"tickers.{ticker.instrument.symbol}"
        if self.hub.heard(topic):
            raw = ticker.raw
            data = fields.snapshot(ticker.sent_ms) if raw is None else frames.encode(raw)
            self._deliver(ticker.instrument, topic, ticker.origin, data)

    def _generated(self, instrument: InstrumentId, origin: Origin) -> TickerFields:
        fields = self._tickers.get(instrument)
        if fields is None:
            fields = self._tickers[instrument] = TickerFields(instrument)
        fields.origin = origin
        return fields

    def _hurry(self, instrument: InstrumentId, origin: Origin) -> None:
        """A scripted price does not wait for the ticker's interval."""
        if origin is Origin.SCRIPTED:
            self._flush_ticker(self._tickers[instrument])

    def _flush_ticker(self, fields: TickerFields) -> None:
        topic = f"tickers.{fields.instrument.symbol}"
        if fields.changed and "lastPrice" in fields.fields:
            data = fields.delta(self._now_ms(fields.instrument, "tickers"))
            if self.hub.heard(topic):
                self._deliver(fields.instrument, topic, fields.origin, data)

    def _deliver(self, instrument: InstrumentId, topic: str, origin: Origin, data: bytes) -> None:
        channel = topic[: -len(instrument.symbol) - 1]
        self.hub.deliver(topic, Frame(data, instrument, channel, origin))

    def _now_ms(self, instrument: InstrumentId, channel: str) -> int:
        ids = self._place.state(instrument).sequences
        return ids.rising_ms(channel, self._place.time.now_ms())

    # --- timers ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what goes by time: ticker deltas, repeated books, candles."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_tickers())
            tasks.create_task(self._run_books())
            tasks.create_task(self._run_klines())

    async def _run_tickers(self) -> None:
        while True:
            await asyncio.sleep(TICKER_INTERVAL_S[self.market])
            for fields in list(self._tickers.values()):
                self._flush_ticker(fields)

    async def _run_books(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            now_ms = self._place.time.now_ms()
            for instrument, sent_ms in list(self._books_ms.items()):
                if now_ms - sent_ms >= BOOK_REPEAT_MS:
                    self._repeat_book(instrument, now_ms)

    def _repeat_book(self, instrument: InstrumentId, now_ms: int) -> None:
        quote = self._place.state(instrument).quote
        self._books_ms[instrument] = now_ms
        topic = f"orderbook.1.{instrument.symbol}"
        if quote is not None and self.hub.heard(topic):
            sent_ms = self._now_ms(instrument, "quote")
            self._deliver(instrument, topic, quote.origin, frames.book(quote, sent_ms))

    async def _run_klines(self) -> None:
        while True:
            await asyncio.sleep(KLINE_INTERVAL_S)
            for topic in self.hub.topics():
                channel, _, symbol = topic.rpartition(".")
                if channel == "kline.1":
                    self._send_kline(InstrumentId(self.venue, self.market, symbol), topic)

    def _send_kline(self, instrument: InstrumentId, topic: str) -> None:
        state = self._place.state(instrument)
        candles = state.history.candles
        now_ms = self._now_ms(instrument, "kline")
        candles.advance(now_ms)
        bar, finished = candles.last, candles.before_last()
        if bar is None:
            return
        before = self._klines.get(instrument)
        self._klines[instrument] = (bar.start_ms, bar.trades)
        if before == (bar.start_ms, bar.trades):
            return
        bars = [(bar, False)]
        if finished is not None and before is not None and before[0] < bar.start_ms:
            bars.insert(0, (finished, True))
        origin = state.quote.origin if state.quote is not None else Origin.SCRIPTED
        data = frames.kline(instrument, bars, now_ms)
        self._deliver(instrument, topic, origin, data)

    # --- requests -------------------------------------------------------------------------------

    def on_open(self, session: Session, streams: Sequence[str]) -> None:
        """Take in a new connection; Bybit's URLs name no topics."""
        self.hub.join(session)

    def on_close(self, session: Session) -> None:
        """Forget a connection that ended."""
        self.hub.leave(session)

    def on_message(self, session: Session, text: str | bytes) -> bool:
        """Answer a client's message; always keeps the connection."""
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        if not isinstance(request, dict):
            self._refuse(session, {}, "", "error:invalid request")
            return True
        operation = request.get("op")
        if operation == "ping":
            session.reply(self._ack(session, request, "ping", "pong", success=True), pong=True)
        elif operation in ("subscribe", "unsubscribe"):
            self._on_topics(session, request, operation)
        else:
            self._refuse(session, request, str(operation or ""), f"error:unknown op {operation}")
        return True

    def _on_topics(self, session: Session, request: dict[str, Any], operation: str) -> None:
        args = request.get("args")
        topics = args if isinstance(args, list) and all(isinstance(a, str) for a in args) else []
        problem = self._problem(session, topics, operation)
        if problem is not None:
            self._refuse(session, request, operation, problem)
            return
        message = operation if self.market is Market.SPOT else ""
        session.reply(self._ack(session, request, operation, message, success=True))
        for topic in topics:
            if operation == "unsubscribe":
                self.hub.unsubscribe(session, topic)
            else:
                self.hub.subscribe(session, topic)
                self._send_snapshot(session, topic)

    def _problem(self, session: Session, topics: list[str], operation: str) -> str | None:
        """Say why a request is refused, whole; None when it is fine."""
        if not topics:
            return "error:args is empty or not a list of topics"
        if self.market is Market.SPOT and len(topics) > SPOT_ARGS_LIMIT:
            return "args size >10"
        for topic in topics:
            if not self._exists(topic):
                return f"Invalid topic: {topic}"
            if operation == "subscribe" and topic in session.topics:
                return f"error:already subscribed,topic:{topic}"
        if operation == "subscribe" and session.rejects():
            return f"Invalid topic: {topics[0]}"
        return None

    def _exists(self, topic: str) -> bool:
        channel, _, symbol = topic.rpartition(".")
        instrument = InstrumentId(self.venue, self.market, symbol)
        return channel in CHANNELS and self._place.listings.get(instrument) is not None

    def _send_snapshot(self, session: Session, topic: str) -> None:
        """Send what a new subscriber gets at once: the book, the ticker."""
        channel, _, symbol = topic.rpartition(".")
        instrument = InstrumentId(self.venue, self.market, symbol)
        state = self._place.state(instrument)
        if channel == "orderbook.1" and state.quote is not None:
            now_ms = self._now_ms(instrument, "quote")
            quote = state.quote
            data = frames.book(quote, now_ms)
            session.push(Frame(data, instrument, channel, quote.origin), topic)
        fields = self._tickers.get(instrument)
        if channel == "tickers" and fields is not None and "lastPrice" in fields.fields:
            data = fields.snapshot(self._now_ms(instrument, "tickers"))
            session.push(Frame(data, instrument, channel, fields.origin), topic)

    def _refuse(
        self, session: Session, request: dict[str, Any], operation: str, message: str
    ) -> None:
        session.reply(self._ack(session, request, operation, message, success=False))

    def _ack(
        self,
        session: Session,
        request: dict[str, Any],
        operation: str,
        message: str,
        *,
        success: bool,
    ) -> bytes:
        answer: dict[str, Any] = {
            "success": success,
            "ret_msg": message,
            "conn_id": session.conn,
        }
        request_id = request.get("req_id")
        if self.market is Market.LINEAR or request_id:
            answer["req_id"] = "" if request_id is None else request_id
        return frames.encode(answer | {"op": operation})
