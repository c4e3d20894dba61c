"""Bybit v5 public streams: frames in, ticks out. No socket, no clock.

Source of every field: the v5 documentation of ``publicTrade``, ``tickers`` and ``orderbook.1``.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.ports import TickSink
from engine.venues.channel import (
    INFINITY,
    MAX_CONFLATED,
    Channel,
    Counters,
    conflate,
    funding_rate,
)
from engine.venues.dialect import Control, ControlKind

OPENING = b'{"topic":"'
PING = '{"op":"ping"}'
PING_SECONDS = 20.0

MAX_TOPICS = 10
"""Spot takes at most 10 topics a request; linear sets no number, but one rule is simpler."""

REQUEST_PAUSE_SECONDS = 0.05


class TradeRow(Struct, gc=False):
    """One trade: ``T`` time in ms, ``p`` price, ``seq`` cross sequence, ``BT`` block trade."""

    T: int
    p: float
    seq: int = 0
    BT: bool = False


class TradeFrame(Struct, gc=False):
    """A ``publicTrade`` frame: 1 to 1024 trades, rising by time."""

    data: list[TradeRow]


class BookRow(Struct, gc=False):
    """Level 1: best ``[price, qty]`` of each side; ``u`` update id, 1 after a service restart."""

    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    u: int


class BookFrame(Struct, gc=False):
    """An ``orderbook.1`` frame: ``ts`` sent, ``cts`` matched, both ms."""

    ts: int
    data: BookRow
    cts: int = 0


class TickerRow(Struct, gc=False):
    """The fields of a ``tickers`` frame that are read here; an absent one is unchanged."""

    markPrice: float | None = None  # noqa: N815
    fundingRate: str | None = None  # noqa: N815
    nextFundingTime: str | None = None  # noqa: N815


class TickerFrame(Struct, gc=False):
    """A ``tickers`` frame of linear, snapshot or delta; ``ts`` in ms."""

    ts: int
    data: TickerRow


class Trades(Channel):
    """Market trades of one instrument. Block trades are no prices: negotiated off the book."""

    __slots__ = ("_decode",)
    kind = "trade"

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(TradeFrame, strict=False).decode

    def read(self, frame: bytes, received_ns: int) -> None:
        """Emit the frame's trades, or of a long frame those that the book has to see."""
        rows = self._decode(frame).data
        if len(rows) > MAX_CONFLATED:
            rows = [row for row in rows if self._is_price(row)]
            rows = [row for row in rows if self._is_current(row, received_ns)]
            rows = [rows[index] for index in conflate([row.p for row in rows])]
            for row in rows:
                self.emit_trade(row.p, row.T, row.seq, received_ns)
            return
        for row in rows:
            sequence, price = row.seq or row.T, row.p
            if sequence > self._sequence:
                self._sequence = sequence
                self.advanced_ns = received_ns
            elif sequence < self._sequence and not self.restarted(sequence, received_ns):
                continue
            if row.BT:
                self.drop("block_trade")
            elif 0.0 < price < INFINITY:
                tick = self.tick = TradeTick(self.instrument, price, row.T, row.seq, received_ns)
                self._sink(tick)
            else:
                self.drop("not_a_price")

    def _is_current(self, row: TradeRow, received_ns: int) -> bool:
        # One sequence number may span trades and frames; where there is none, time orders them.
        if not self.advance(row.seq or row.T, received_ns):
            return False
        if row.BT:
            self.drop("block_trade")
            return False
        return True

    def _is_price(self, row: TradeRow) -> bool:
        if 0.0 < row.p < INFINITY:
            return True
        self.drop("not_a_price")
        return False


class Quotes(Channel):
    """Best bid and ask. An unchanged book is sent again after 3 s with the same ``u``."""

    __slots__ = ("_decode",)
    kind = "quote"

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(BookFrame, strict=False).decode

    def read(self, frame: bytes, received_ns: int) -> None:
        """Emit the frame's quote."""
        message = self._decode(frame)
        book = message.data
        update = book.u
        if update > self._sequence:
            self._sequence = update
            self.advanced_ns = received_ns
        elif update < self._sequence and not self._is_restart(update, received_ns):
            return
        if message.ts > self._time_ms:
            self._time_ms = message.ts
            self.advanced_ns = received_ns
        if not book.b or not book.a:
            self.drop("empty_book")
            return
        bid, bid_qty = book.b[0]
        ask, ask_qty = book.a[0]
        if not (0.0 < bid <= ask < INFINITY and bid_qty > 0.0 and ask_qty > 0.0):
            self.drop_quote(bid, ask)
            return
        time_ms = message.cts or message.ts
        tick = self.tick = QuoteTick(
            self.instrument, bid, ask, bid_qty, ask_qty, time_ms, update, received_ns
        )
        self._sink(tick)

    def _is_restart(self, update: int, received_ns: int) -> bool:
        # The venue says so itself: after a restart of its service it counts from 1.
        if update == 1:
            self.restart(1)
            self.advanced_ns = received_ns
            return True
        return self.restarted(update, received_ns)


class Tickers(Channel):
    """Mark price and funding of a linear instrument, merged from a snapshot and sparse deltas.

    ``lastPrice`` of this channel is no trade and is not read: the price source ``last`` is the
    trade stream.
    """

    __slots__ = ("_decode", "_funding_rate", "_funding_text", "_next_funding_ms")
    kind = "ticker"
    periodic = True

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        super().__init__(instrument, sink, counters)
        self._decode = msgspec.json.Decoder(TickerFrame, strict=False).decode
        self._funding_text = ""
        self._funding_rate: float | None = None
        self._next_funding_ms = 0

    def read(self, frame: bytes, received_ns: int) -> None:
        """Merge the frame; emit the mark price if the frame carries one."""
        message = self._decode(frame)
        if not self.advance(message.ts, received_ns):
            return
        row = message.data
        if row.fundingRate is not None or row.nextFundingTime is not None:
            self._merge_funding(row)
        mark = row.markPrice
        if mark is None:
            return
        if not 0.0 < mark < INFINITY:
            self.drop("not_a_price")
            return
        self._sink(
            MarkTick(
                self.instrument,
                mark,
                self._funding_rate,
                self._next_funding_ms,
                message.ts,
                received_ns,
            )
        )

    def _merge_funding(self, row: TickerRow) -> None:
        # Both are "" for a contract that is not funded yet; that must not cost us its mark price.
        if row.fundingRate is not None and row.fundingRate != self._funding_text:
            self._funding_text = row.fundingRate
            self._funding_rate = funding_rate(row.fundingRate)
        if row.nextFundingTime is not None:
            self._next_funding_ms = (
                int(row.nextFundingTime) if row.nextFundingTime.isdecimal() else 0
            )


class BybitDialect:
    """The public stream of one market: trades, best quotes, and on linear the mark price."""

    opening = OPENING
    max_topics = MAX_TOPICS
    request_pause_seconds = REQUEST_PAUSE_SECONDS
    ping: str | None = PING
    ping_seconds = PING_SECONDS
    life_seconds: float | None = None  # no cut is documented

    def __init__(self, market: Market) -> None:
        self.name = f"bybit.{market}"
        self._market = market

    def channels(
        self, instrument: InstrumentId, sink: TickSink, counters: Counters
    ) -> Mapping[str, Channel]:
        """Build the channels of an instrument, by topic."""
        symbol = instrument.symbol
        channels: dict[str, Channel] = {
            f"publicTrade.{symbol}": Trades(instrument, sink, counters),
            f"orderbook.1.{symbol}": Quotes(instrument, sink, counters),
        }
        if self._market is Market.LINEAR:
            channels[f"tickers.{symbol}"] = Tickers(instrument, sink, counters)
        return channels

    def request(self, topics: Sequence[str], request_id: str, *, subscribe: bool) -> str:
        """Write a request to subscribe to topics, or to end their subscription."""
        op = "subscribe" if subscribe else "unsubscribe"
        return msgspec.json.encode({"req_id": request_id, "op": op, "args": list(topics)}).decode()

    def classify(self, message: object) -> Control:
        """Say what a decoded frame is."""
        if not isinstance(message, dict):
            return Control(ControlKind.UNKNOWN, text="not_an_object")
        topic = message.get("topic")
        if isinstance(topic, str):
            return Control(ControlKind.DATA, text=topic)
        op, text = str(message.get("op", "")), str(message.get("ret_msg", ""))
        if op in ("ping", "pong") or text == "pong":
            return Control(ControlKind.PONG)
        return _answer(message, op, text)


def _answer(message: dict[str, object], op: str, text: str) -> Control:
    request_id = str(message.get("req_id") or "")
    # A batch with one bad topic is refused as a whole, yet may have subscribed the others.
    if message.get("success") is False and "already subscribed" not in text:
        return Control(ControlKind.REFUSED, request_id, text)
    if op in ("subscribe", "unsubscribe"):
        return Control(ControlKind.ACK, request_id)
    return Control(ControlKind.UNKNOWN, text=f"op_{op}" if op else "message")
