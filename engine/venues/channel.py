"""What every channel of every venue does to a price before it is believed.

A channel is one stream of one instrument (its trades, its best quotes, its mark price). It owns the
typed decoder of its frames, drops what is older than what it has seen, and passes the rest on.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import MsgspecError

from engine.model.instrument import InstrumentId
from engine.model.ticks import QuoteTick, TradeTick
from engine.ports import TickSink

INFINITY = float("inf")

RESTART_AFTER = 20
"""So many frames in a row below the last sequence are a venue that began to count anew.

TCP keeps the order, so a reordered run comes from the venue and is short; dropping for ever would
silently end the guard.
"""

MAX_CONFLATED = 4

UNREADABLE = (MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises over a frame that is not what it should be."""


class Counters(Counter[str]):
    """Frames and ticks dropped, by reason and kind: ``dropped.older``, ``malformed.trade``, ..."""


class Channel:
    """Base of all channels; reads each of its frames.

    Attributes:
        kind: name of the channel for counters and log lines.
        periodic: the venue sends it at least every few seconds even in a quiet market, so that its
            silence means a fault.
        advanced_ns: local monotonic time at which the venue's time or sequence last rose.
        quiet_ns: local monotonic time at which the venue last said by REST that nothing is missing.
        tick: the last trade or quote that was passed on; None before one, and of other kinds.
    """

    __slots__ = (
        "_older_in_a_row",
        "_older_since_ns",
        "_sequence",
        "_sink",
        "_time_ms",
        "advanced_ns",
        "counters",
        "instrument",
        "quiet_ns",
        "tick",
    )
    kind = "channel"
    periodic = False

    def __init__(self, instrument: InstrumentId, sink: TickSink, counters: Counters) -> None:
        self.instrument = instrument
        self.counters = counters
        self.advanced_ns = 0
        self.quiet_ns = 0
        self.tick: TradeTick | QuoteTick | None = None
        self._sink = sink
        self._sequence = 0
        self._time_ms = 0
        self._older_in_a_row = 0
        self._older_since_ns = 0

    def read(self, frame: bytes, received_ns: int) -> None:
        """Decode a frame and hand its ticks to the sink.

        The commonest channels write the first lines of ``advance`` out: a call costs as much as the
        rest of the check.

        Raises:
            MsgspecError: the frame is not of this channel's shape.
        """
        raise NotImplementedError

    def drop(self, reason: str) -> None:
        """Count a tick that is not passed on."""
        self.counters[f"dropped.{reason}"] += 1

    def advance(self, sequence: int, received_ns: int) -> bool:
        """Note a frame's sequence; returns False if it is older than the last (equal is not).

        Only a rise makes the channel fresh: a frame repeated for ever is a frozen feed.
        """
        if sequence > self._sequence:
            self._sequence = sequence
            self.advanced_ns = received_ns
            return True
        return sequence == self._sequence or self.restarted(sequence, received_ns)

    def restarted(self, sequence: int, received_ns: int) -> bool:
        """Judge a sequence below the last: dropped, unless the venue has begun to count anew."""
        if self.advanced_ns != self._older_since_ns:
            self._older_since_ns = self.advanced_ns
            self._older_in_a_row = 0
        self._older_in_a_row += 1
        if self._older_in_a_row < RESTART_AFTER:
            self.drop("older")
            return False
        self.restart(sequence)
        self.advanced_ns = received_ns
        return True

    def restart(self, sequence: int) -> None:
        """Follow a venue that began to count anew."""
        self.counters["sequence_restarted"] += 1
        self._sequence = sequence
        self._older_in_a_row = 0

    def emit_trade(self, price: float, time_ms: int, sequence: int, received_ns: int) -> None:
        """Pass on a trade if its price is one."""
        if 0.0 < price < INFINITY:
            tick = self.tick = TradeTick(self.instrument, price, time_ms, sequence, received_ns)
            self._sink(tick)
        else:
            self.drop("not_a_price")

    def drop_quote(self, bid: float, ask: float) -> None:
        """Count a quote that is none: no prices, an empty side, or bid and ask crossed."""
        if not (0.0 <= bid < INFINITY and 0.0 <= ask < INFINITY):
            self.drop("not_a_price")
        elif bid == 0.0 or ask == 0.0 or bid <= ask:
            self.drop("empty_book")
        else:
            self.drop("crossed_book")


def funding_rate(text: str) -> float | None:
    """Read a funding rate, a fraction; None where a contract pays none and the text is empty."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -INFINITY < value < INFINITY else None


def conflate(prices: Sequence[float]) -> list[int]:
    """Choose which trades of a long frame the book has to see; returns rising indices.

    Up to ``MAX_CONFLATED`` prices all count. Of more: the first occurrence of the highest, of the
    lowest, and the last, so that every threshold the frame crossed is still crossed.
    """
    count = len(prices)
    if count <= MAX_CONFLATED:
        return list(range(count))
    high = max(range(count), key=prices.__getitem__)
    low = min(range(count), key=prices.__getitem__)
    return sorted({high, low, count - 1})


class Router:
    """Finds the channel of a frame from the name in its first bytes, without decoding it.

    ``offset`` is where the name begins: after ``{"topic":"`` at Bybit, ``{"stream":"`` at Binance.
    """

    def __init__(self, opening: bytes) -> None:
        self.channels: dict[bytes, Channel] = {}
        self.offset = len(opening)

    def route(self, frame: bytes, received_ns: int) -> Channel | None:
        """Let the frame's channel read it; returns the channel, or None if no channel is named.

        Raises:
            Malformed: the channel could not read it.
        """
        offset = self.offset
        return self.read(frame[offset : frame.find(b'"', offset)], frame, received_ns)

    def read(self, name: bytes, frame: bytes, received_ns: int) -> Channel | None:
        """Do the same for a frame whose name had to be found by decoding it."""
        channel = self.channels.get(name)
        if channel is None:
            return None
        try:
            channel.read(frame, received_ns)
        except UNREADABLE as error:
            raise Malformed(channel.kind) from error
        return channel


class Malformed(Exception):
    """A frame that its channel could not read; the text is the channel's kind."""
