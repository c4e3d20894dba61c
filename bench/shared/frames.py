"""Frames of the benches: shaped like Bybit's recorded ones, as bytes on the wire."""

import json
import random
from collections.abc import Callable, Iterator

SYMBOL = "BTCUSDT"
PRICE = 65_000
"""Ordinary frames of ``paced`` lie below, the crossing ones step above it by 1 each."""

END_PRICE = 70_000
SUBSCRIBE = json.dumps({"req_id": "1", "op": "subscribe", "args": [f"publicTrade.{SYMBOL}"]})


def trade_frame(price: float, sequence: int, time_text: str) -> bytes:
    """One ``publicTrade`` frame of linear BTCUSDT; ``time_text`` is a whole number."""
    row = {
        "T": 0,
        "s": SYMBOL,
        "S": "Buy",
        "v": "0.004",
        "p": f"{price:.2f}",
        "L": "ZeroPlusTick",
        "i": f"a9188a0a-82bc-50de-be60-{sequence:012x}",
        "BT": False,
        "RPI": False,
        "seq": 700_000_000_000 + sequence,
    }
    frame = {"topic": f"publicTrade.{SYMBOL}", "type": "snapshot", "ts": 0, "data": [row]}
    text = json.dumps(frame, separators=(",", ":"))
    return text.replace('"T":0', f'"T":{time_text}').replace('"ts":0', f'"ts":{time_text}').encode()


def binance_trade_frame(price: float, sequence: int, time_text: str) -> bytes:
    """One ``trade`` frame of spot BTCUSDT on a raw stream of Binance, in the same terms."""
    frame = {
        "e": "trade",
        "E": 0,
        "s": SYMBOL,
        "t": 5_000_000_000 + sequence,
        "p": f"{price:.2f}",
        "q": "0.00400000",
        "T": 0,
        "m": True,
        "M": True,
    }
    text = json.dumps(frame, separators=(",", ":"))
    return text.replace('"E":0', f'"E":{time_text}').replace('"T":0', f'"T":{time_text}').encode()


FRAME_OF: dict[str, Callable[[float, int, str], bytes]] = {
    "bybit": trade_frame,
    "binance": binance_trade_frame,
}


def on_wire(payload: bytes) -> bytes:
    """A server's unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload


def prices(count: int) -> Iterator[float]:
    """What ``blasted`` sends: ``count`` prices within 50 of ``PRICE``, the last ``END_PRICE``."""
    noise = random.Random(1)
    for _ in range(1, count):
        yield round(PRICE + noise.uniform(-50, 50), 2)
    yield END_PRICE


def blasted(count: int, time_ms: int, venue: str = "bybit") -> Iterator[bytes]:
    """``count`` frames of ``prices`` in a venue's own format."""
    frame_of = FRAME_OF[venue]
    for number, price in enumerate(prices(count), 1):
        yield frame_of(price, number, str(time_ms + number // 100))


def crosses(number: int, every: int) -> bool:
    """Whether the frame of this number (from 0) is one of the crossing ones."""
    return number % every == every - 1


STAMP_DIGITS = 16
"""Microseconds of a monotonic clock, padded with spaces (JSON allows them) to one width."""


def paced(count: int, every: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield ``count`` frames on the wire, each cut in two where the time of sending belongs.

    Every ``every``-th crosses one threshold: its price is the next whole one above ``PRICE``.
    """
    blank = "@" * STAMP_DIGITS
    for number in range(count):
        price = PRICE + 1 + number // every if crosses(number, every) else PRICE - 10
        frame = on_wire(
            trade_frame(price, number + 1, blank).replace(b'"ts":' + blank.encode(), b'"ts":0')
        )
        before, after = frame.split(blank.encode())
        yield before, after


def stamped(parts: tuple[bytes, bytes], sent_us: int) -> bytes:
    """Put the time of sending into a frame of ``paced``."""
    before, after = parts
    return before + str(sent_us).rjust(STAMP_DIGITS).encode() + after
