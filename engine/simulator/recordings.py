"""Recorded venue streams as tracks: one per instrument, its channels merged as they arrived.

A recording is a ``NAME.jsonl(.gz)`` of frames as received and a ``NAME.recv_ns.txt(.gz)`` of local
receive times (one per line, nanoseconds). Bybit's recordings hold a 200-level book, no
``orderbook.1``; its level-1 frames are derived here, one for each change of the touch.
"""

import gzip
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.model.errors import Misconfigured
from engine.model.instrument import InstrumentId, Market
from engine.simulator.dialects import binance_listings, bybit_listings
from engine.simulator.market_events import MARKET_SOURCE
from engine.simulator.market_listings import Listings

SEAM_S = 0.1
"""Silence between the end of a recording and its next start."""

encode = msgspec.json.encode
decode = msgspec.json.decode


class Channel(StrEnum):
    """What a recorded frame carries."""

    TRADE = "trade"
    QUOTE = "quote"
    TICKER = "ticker"
    MARK = "mark"


class Cue(Struct, frozen=True, gc=False):
    """One recorded payload and when it is due, in seconds after the start of its track.

    ``closes`` is False for a Binance trade whose aggregate goes on with the next one.
    """

    at_s: float
    channel: Channel
    data: bytes
    closes: bool = True


class Track(Struct, frozen=True):
    """The recording of one instrument.

    Attributes:
        cues: payloads in the order of their arrival.
        start_ms: venue time at the start of the track.
        period_s: seconds from one start to the next when it is played in a loop.
    """

    instrument: InstrumentId
    cues: tuple[Cue, ...]
    start_ms: int
    period_s: float

    def has(self, channel: Channel) -> bool:
        """Tell whether a channel was recorded."""
        return any(cue.channel is channel for cue in self.cues)


class _Part(Struct, frozen=True):
    """One recorded file: its name without ending, and what it holds."""

    name: str
    channel: Channel


BINANCE_TRACKS = (
    ("spot", "btcusdt", "20240808"),
    ("spot", "ethusdt", "20240808"),
    ("usdm", "btcusdt", "20230404"),
    ("usdm", "ethusdt", "20240718"),
)
BYBIT_TRACKS = (
    (Market.LINEAR, "BTCUSDT"),
    (Market.LINEAR, "ETHUSDT"),
    (Market.SPOT, "BTCUSDT"),
)


def read_listings(directory: Path) -> Listings:
    """Read the recorded instrument lists.

    Raises:
        Misconfigured: a file is missing.
    """
    bybit = directory / "bybit" / "rest"
    binance = directory / "binance" / "rest"
    found = []
    for market in (Market.LINEAR, Market.SPOT):
        answer = decode(_read(bybit / f"v5_market_instruments-info_{market}.json"))
        found += bybit_listings.read(market, answer["result"]["list"])
    for market, name in ((Market.SPOT, "spot"), (Market.LINEAR, "usdm")):
        answer = decode(_read(binance / f"{name}_exchangeInfo.json"))
        found += binance_listings.read(market, answer["symbols"])
    return Listings(found)


def read_tracks(directory: Path) -> list[Track]:
    """Read the tracks that the simulator plays.

    Raises:
        Misconfigured: a file is missing, or a stream and its times differ in length.
    """
    tracks = [_binance_track(directory / "binance", *track) for track in BINANCE_TRACKS]
    return tracks + [_bybit_track(directory / "bybit", *track) for track in BYBIT_TRACKS]


def _binance_track(directory: Path, market: str, symbol: str, tag: str) -> Track:
    entries: list[tuple[int, Cue]] = []
    parts = [
        _Part(f"{market}_trade_{symbol}_{tag}", Channel.TRADE),
        _Part(f"{market}_bookTicker_{symbol}_{tag}", Channel.QUOTE),
        _Part(f"{market}_markPrice_1s_{symbol}_{tag}", Channel.MARK),
    ]
    for part in parts:
        if part.channel is Channel.MARK and not (directory / f"{part.name}.jsonl").exists():
            continue
        payloads = [(at_ns, decode(line)["data"]) for at_ns, line in _lines(directory, part.name)]
        following = [payload for _, payload in payloads[1:]] + [{}]
        for (at_ns, payload), after in zip(payloads, following, strict=True):
            closes = part.channel is not Channel.TRADE or not _aggregates(payload, after)
            entries.append((at_ns, Cue(0.0, part.channel, encode(payload), closes)))
    where = Market.SPOT if market == "spot" else Market.LINEAR
    return _track(InstrumentId("binance", where, symbol.upper()), entries, "E")


def _aggregates(trade: dict[str, Any], after: dict[str, Any]) -> bool:
    """Tell whether Binance reports two neighbouring trades as one aggregate."""
    return all(trade[name] == after.get(name) for name in ("T", "p", "m")) and (
        trade.get("X", MARKET_SOURCE) == after.get("X", MARKET_SOURCE)
    )


def _bybit_track(directory: Path, market: Market, symbol: str) -> Track:
    entries: list[tuple[int, Cue]] = []
    for name, channel in (("publicTrade", Channel.TRADE), ("tickers", Channel.TICKER)):
        for at_ns, line in _lines(directory, f"v5_{name}_{market}"):
            if decode(line)["topic"].endswith(f".{symbol}"):
                entries.append((at_ns, Cue(0.0, channel, line)))
    books = _lines(directory, f"v5_orderbook200_{market}")
    for at_ns, frame in level_one((at_ns, decode(line)) for at_ns, line in books):
        if frame["data"]["s"] == symbol:
            entries.append((at_ns, Cue(0.0, Channel.QUOTE, encode(frame))))
    return _track(InstrumentId("bybit", market, symbol), entries, "ts")


def level_one(frames: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Derive ``orderbook.1`` snapshots from deeper book frames: one per change of the touch.

    A level with quantity 0 is removed (Bybit v5, "Orderbook"). The frames of all symbols of a file
    may be mixed.
    """
    books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    touches: dict[str, list[list[list[str]]]] = {}
    for at_ns, frame in frames:
        data = frame["data"]
        symbol = data["s"]
        if frame["type"] == "snapshot":
            books[symbol] = ({}, {})
        bids, asks = books[symbol]
        _apply(bids, data["b"])
        _apply(asks, data["a"])
        touch = [_best(bids, max), _best(asks, min)]
        if touch != touches.get(symbol):
            touches[symbol] = touch
            top = data | {"b": touch[0], "a": touch[1]}
            head = {"topic": f"orderbook.1.{symbol}", "type": "snapshot", "data": top}
            yield at_ns, {name: head.get(name, frame[name]) for name in frame}


def _apply(side: dict[str, str], levels: list[list[str]]) -> None:
    for price, qty in levels:
        if float(qty) == 0:
            side.pop(price, None)
        else:
            side[price] = qty


def _best(side: dict[str, str], choose: Any) -> list[list[str]]:
    price = choose(side, key=float)
    return [[price, side[price]]]


def _track(instrument: InstrumentId, entries: list[tuple[int, Cue]], time_name: str) -> Track:
    """Join what was recorded; the fastest frame is taken to have needed no time to arrive."""
    entries.sort(key=lambda entry: entry[0])
    start_ns = entries[0][0]
    lead_ms = min(
        at_ns / 1e6 - payload[time_name]
        for at_ns, payload in ((at_ns, decode(cue.data)) for at_ns, cue in entries)
        if time_name in payload
    )
    start_ms = round(start_ns / 1e6 - lead_ms)
    span_s = (entries[-1][0] - start_ns) / 1e9
    cues = tuple(
        Cue((at_ns - start_ns) / 1e9, cue.channel, cue.data, cue.closes) for at_ns, cue in entries
    )
    return Track(instrument, cues, start_ms, span_s + SEAM_S)


def _lines(directory: Path, name: str) -> list[tuple[int, bytes]]:
    frames = _read(directory / f"{name}.jsonl").splitlines()
    times = _read(directory / f"{name}.recv_ns.txt").split()
    if len(frames) != len(times):
        raise Misconfigured(f"{name}: {len(frames)} frames but {len(times)} receive times")
    return [(int(at_ns), frame) for at_ns, frame in zip(times, frames, strict=True)]


def _read(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    if packed.exists():
        return gzip.decompress(packed.read_bytes())
    if path.exists():
        return path.read_bytes()
    raise Misconfigured(
        f"the recordings have no {path.name}; point TICKGUARD_RECORDED at a complete directory"
    )
