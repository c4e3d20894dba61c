"""Binance public streams, spot and USD-M: frames in, ticks out. No socket, no clock.

All frames come from combined streams: ``{"stream":"btcusdt@trade","data":{...}}``. Source of every
field: the venue's documentation of the WebSocket market streams.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.ports import TickSink
from engine.venues.channel import INFINITY, Channel, Counters, funding_rate
from engine.venues.dialect import Control, ControlKind

OPENING = b'{"stream":"'
MARKET_PRINT = "MARKET"

MAX_TOPICS = 50

SPOT_PAUSE_SECONDS = 0.25
"""Spot takes 5 messages a second, pings and pongs included: 4 requests leave room for them."""

USDM_PAUSE_SECONDS = 0.125
"""USD-M takes 10 messages a second."""

LIFE_SECONDS = 23.5 * 3600
"""The venue cuts every connection at 24 h."""


class TradeRow(Struct, gc=False):
    """``@trade``: ``t`` trade id, ``T`` time in ms, ``p`` price; ``X`` kind of print (USD-M)."""

    t: int
    T: int
    p: float
    X: str = MARKET_PRINT


class TradeFrame(Struct, gc=False):
    """A ``@trade`` frame."""

    data: TradeRow


class AggregateRow(Struct, gc=False):
    """``@aggTrade``: ``a`` rising id of the aggregate, ``T`` time in ms, ``p`` price."""

    a: int
    T: int
    p: float


class AggregateFrame(Struct, gc=False):
    """An ``@aggTrade`` frame."""

    data: AggregateRow


class QuoteRow(Struct, gc=False):
    """``@bookTicker``: ``u`` update id; USD-M adds ``T`` in ms, spot carries no time at all."""

    u: int
    b: float
    B: float
    a: float
    A: float
    T: int = 0


class QuoteFrame(Struct, gc=False):
    """A ``@bookTicker`` frame."""

    data: QuoteRow


class MarkRow(Struct, gc=False):
    """``@markPrice``: ``E`` time in ms, ``p`` mark, ``r`` funding rate, ``T`` next funding."""

    E: int
    p: float
    r: str = ""
    T: int = 0


class MarkFrame(Struct, gc=False):
    """A ``@markPrice@1s`` frame."""

    data: MarkRow


class Trades(Channel):
    """Single trades. On USD-M the stream also prints the insurance fund and ADL: no prices."""

    __slots__ = ("_decode",)
    kind = "trade"

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(TradeFrame, strict=False).decode

    def read(self, frame: bytes, received_ns: int) -> None:
        """Emit the frame's trade if the market made it."""
        row = self._decode(frame).data
        number, price = row.t, row.p
        if number > self._sequence:
            self._sequence = number
            self.advanced_ns = received_ns
        elif number < self._sequence and not self.restarted(number, received_ns):
            return
        if row.X != MARKET_PRINT:
            self.drop("not_market")
        elif 0.0 < price < INFINITY:
            tick = self.tick = TradeTick(self.instrument, price, row.T, number, received_ns)
            self._sink(tick)
        else:
            self.drop("not_a_price")


class AggregateTrades(Channel):
    """Trades of one taker at one price. USD-M leaves insurance fund and ADL out of this stream."""

    __slots__ = ("_decode",)
    kind = "agg_trade"

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(AggregateFrame, strict=False).decode

    def read(self, frame: bytes, received_ns: int) -> None:
        """Emit the frame's trade."""
        row = self._decode(frame).data
        if self.advance(row.a, received_ns):
            self.emit_trade(row.p, row.T, row.a, received_ns)


class Quotes(Channel):
    """Best bid and ask."""

    __slots__ = ("_decode",)
    kind = "quote"

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(QuoteFrame, strict=False).decode

    def read(self, frame: bytes, received_ns: int) -> None:
        """Emit the frame's quote."""
        row = self._decode(frame).data
        update = row.u
        if update > self._sequence:
            self._sequence = update
            self.advanced_ns = received_ns
        elif update < self._sequence and not self.restarted(update, received_ns):
            return
        bid, ask, bid_qty, ask_qty = row.b, row.a, row.B, row.A
        if 0.0 < bid <= ask < INFINITY and bid_qty > 0.0 and ask_qty > 0.0:
            tick = self.tick = QuoteTick(
                self.instrument, bid, ask, bid_qty, ask_qty, row.T, update, received_ns
            )
            self._sink(tick)
        else:
            self.drop_quote(bid, ask)


class Marks(Channel):
    """Mark price and funding, each second."""

    __slots__ = ("_decode",)
    kind = "mark"
    periodic = True

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(MarkFrame, strict=False).decode

    def read(self, frame: bytes, received_ns: int) -> None:
        """Emit the frame's mark price."""
        row = self._decode(frame).data
        if not self.advance(row.E, received_ns):
            return
        if not 0.0 < row.p < INFINITY:
            self.drop("not_a_price")
            return
        self._sink(MarkTick(self.instrument, row.p, funding_rate(row.r), row.T, row.E, received_ns))


class ChannelType(Protocol):
    """The constructor that all channels share."""

    def __call__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> Channel:
        """Build a channel."""


class BinanceDialect:
    """One combined stream with the channels it carries for each instrument, by stream suffix."""

    opening = OPENING
    max_topics = MAX_TOPICS
    ping: str | None = None  # the server pings; the library answers
    ping_seconds = 0.0
    life_seconds: float | None = LIFE_SECONDS

    def __init__(
        self, name: str, suffixes: Mapping[str, ChannelType], request_pause_seconds: float
    ) -> None:
        self.name = name
        self.request_pause_seconds = request_pause_seconds
        self._suffixes = suffixes

    def channels(
        self, instrument: InstrumentId, sink: TickSink, counters: Counters
    ) -> Mapping[str, Channel]:
        """Build the channels of an instrument, by stream name."""
        symbol = instrument.symbol.lower()
        return {
            f"{symbol}@{suffix}": make(instrument, sink, counters)
            for suffix, make in self._suffixes.items()
        }

    def request(self, topics: Sequence[str], request_id: str, *, subscribe: bool) -> str:
        """Write a request to subscribe to streams, or to end their subscription."""
        method = "SUBSCRIBE" if subscribe else "UNSUBSCRIBE"
        return msgspec.json.encode(
            {"method": method, "params": list(topics), "id": int(request_id)}
        ).decode()

    def classify(self, message: object) -> Control:
        """Say what a decoded frame is."""
        if not isinstance(message, dict):
            return Control(ControlKind.UNKNOWN, text="not_an_object")
        stream, data = message.get("stream"), message.get("data", message)
        event = data.get("e") if isinstance(data, dict) else None
        if event == "serverShutdown" or stream == "!serverShutdown":
            return Control(ControlKind.SHUTDOWN)
        if isinstance(stream, str):
            return Control(ControlKind.DATA, text=stream)
        return _answer(message, event)


def _answer(message: dict[str, object], event: object) -> Control:
    identity = message.get("id")
    request_id = "" if identity is None else str(identity)
    error = message.get("error", message)
    if isinstance(error, dict) and "code" in error:
        return Control(ControlKind.REFUSED, request_id, f"{error['code']} {error.get('msg', '')}")
    if "result" in message:
        return Control(ControlKind.ACK, request_id)
    return Control(ControlKind.UNKNOWN, text=f"event_{event}" if event else "message")


def spot_dialect() -> BinanceDialect:
    """Build the spot stream: single trades and best quotes."""
    return BinanceDialect(
        "binance.spot", {"trade": Trades, "bookTicker": Quotes}, SPOT_PAUSE_SECONDS
    )


def usdm_market_dialect() -> BinanceDialect:
    """Build the USD-M stream on the route ``/market``: trades and mark prices."""
    return BinanceDialect(
        "binance.linear.market",
        {"aggTrade": AggregateTrades, "markPrice@1s": Marks},
        USDM_PAUSE_SECONDS,
    )


def usdm_public_dialect() -> BinanceDialect:
    """Build the USD-M stream on the route ``/public``: best quotes."""
    return BinanceDialect("binance.linear.public", {"bookTicker": Quotes}, USDM_PAUSE_SECONDS)
