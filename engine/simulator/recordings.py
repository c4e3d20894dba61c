"""Recorded venue streams as tracks: one per instrument, its channels merged as they arrived.

A recording is a ``NAME.jsonl(.gz)`` of frames as received and a ``NAME.recv_ns.txt(.gz)`` of local
receive times (one per line, nanoseconds). Which instruments there are is read from the names:
``<venue>/..._<channel>_<symbol>_<YYYYMMDD>``, with ``_2`` and so on behind a day's further ones.

Bybit's older recordings carry no symbol in their names, and a 200-level book instead of
``orderbook.1``; its level-1 frames are derived here, one for each change of the touch. Where USD-M
was recorded as ``aggTrade``, each aggregate is played as one trade.
"""

import gzip
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
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


_TAG = r"(?P<tag>\d{8}(?:_\d+)?)"
_BINANCE_FILE = re.compile(
    r"(?P<market>spot|usdm)_(?P<channel>trade|aggTrade|bookTicker|markPrice_1s)"
    rf"_(?P<symbol>.+)_{_TAG}"
)
_BYBIT_FILE = re.compile(
    r"v5_(?P<channel>publicTrade|tickers|orderbook1|orderbook200)"
    rf"_(?P<market>linear|spot)(?:_(?P<symbol>.+)_{_TAG})?"
)

PREFERRED = {("usdm", "btcusdt"): "20230404"}
"""Recordings to play although newer ones may lie beside them: this one holds mark prices."""

_Files = Mapping[str, str]
"""The files of one recording of one instrument: names without ending, by channel."""


def read_listings(directory: Path) -> Listings:
    """Read the recorded instrument lists; what is listed in several is as the newest has it.

    Raises:
        Misconfigured: a market was recorded without its list.
    """
    bybit, binance = directory / "bybit", directory / "binance"
    found = []
    streams = {market for market, _ in _recorded(bybit, _BYBIT_FILE)}
    for market in (Market.LINEAR, Market.SPOT):
        name = f"v5_market_instruments-info_{market}"
        for answer in _answers(bybit / "rest", name, wanted=market in streams):
            found += bybit_listings.read(market, answer["result"]["list"])
    streams = {market for market, _ in _recorded(binance, _BINANCE_FILE)}
    for market, prefix in ((Market.SPOT, "spot"), (Market.LINEAR, "usdm")):
        name = f"{prefix}_exchangeInfo"
        for answer in _answers(binance / "rest", name, wanted=prefix in streams):
            found += binance_listings.read(market, answer["symbols"])
    return Listings(found)


def _answers(directory: Path, name: str, *, wanted: bool) -> list[Any]:
    """Read every page of a list, the newest recording last; one without a tag is the oldest."""
    pattern = re.compile(rf"{re.escape(name)}(?:_{_TAG})?(?:_page(?P<page>\d+))?")
    matches = [match for stem in _stems(directory, ".json") if (match := pattern.fullmatch(stem))]
    matches.sort(key=lambda match: (_age(match["tag"] or ""), int(match["page"] or 1)))
    stems = [match[0] for match in matches] or [name] * wanted
    return [decode(_read(directory / f"{stem}.json")) for stem in stems]


def read_tracks(directory: Path) -> list[Track]:
    """Read the tracks that the simulator plays: the newest recording of each instrument.

    Raises:
        Misconfigured: there is none, or a stream and its times differ in length.
    """
    tracks = [*_binance_tracks(directory / "binance"), *_bybit_tracks(directory / "bybit")]
    if not tracks:
        raise Misconfigured(
            f"{directory} holds no recordings that could be played; point TICKGUARD_RECORDED at a "
            "directory that `tickguard record` made, or use --prices seeded"
        )
    return tracks


def _recorded(directory: Path, pattern: re.Pattern[str]) -> dict[tuple[str, str], _Files]:
    """Find the recording to play of each market and symbol, in their order.

    A symbol is empty where files hold several.
    """
    found: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for stem in _stems(directory, ".jsonl"):
        if match := pattern.fullmatch(stem):
            tags = found.setdefault((match["market"], match["symbol"] or ""), {})
            tags.setdefault(match["tag"] or "", {})[match["channel"]] = stem
    return {key: _choose(key, tags) for key, tags in sorted(found.items())}


def _choose(key: tuple[str, str], tags: Mapping[str, _Files]) -> _Files:
    preferred = PREFERRED.get(key, "")
    return tags[preferred if preferred in tags else max(tags, key=_age)]


def _age(tag: str) -> tuple[str, int]:
    day, _, number = tag.partition("_")
    return day, int(number or 1)


def _stems(directory: Path, ending: str) -> list[str]:
    names = {path.name.removesuffix(".gz") for path in directory.glob(f"*{ending}*")}
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))


def _binance_tracks(directory: Path) -> Iterator[Track]:
    for (market, symbol), files in _recorded(directory, _BINANCE_FILE).items():
        entries = [*_trades(directory, market, files)]
        for name, channel in (("bookTicker", Channel.QUOTE), ("markPrice_1s", Channel.MARK)):
            for at_ns, line in _lines(directory, files.get(name)):
                entries.append((at_ns, Cue(0.0, channel, encode(decode(line)["data"]))))
        where = Market.SPOT if market == "spot" else Market.LINEAR
        if entries:
            yield _track(InstrumentId("binance", where, symbol.upper()), entries, "E")


def _trades(directory: Path, market: str, files: _Files) -> Iterator[tuple[int, Cue]]:
    if market == "usdm" and "trade" not in files:
        for at_ns, line in _lines(directory, files.get("aggTrade")):
            yield at_ns, Cue(0.0, Channel.TRADE, encode(_as_trade(decode(line)["data"])))
        return
    payloads = [
        (at_ns, decode(line)["data"]) for at_ns, line in _lines(directory, files.get("trade"))
    ]
    for (at_ns, payload), (_, after) in itertools.pairwise([*payloads, (0, {})]):
        yield at_ns, Cue(0.0, Channel.TRADE, encode(payload), not _aggregates(payload, after))


def _as_trade(aggregate: dict[str, Any]) -> dict[str, Any]:
    """Write a USD-M aggregate as one trade, numbered like the aggregates, which have no holes.

    Only trades of the order book are aggregated (USD-M, "Aggregate Trade Streams").
    """
    taken = {"e": "trade", "t": aggregate["a"], "X": MARKET_SOURCE}
    return {name: taken.get(name, aggregate.get(name)) for name in "eETstpqXm"}


def _aggregates(trade: dict[str, Any], after: dict[str, Any]) -> bool:
    """Tell whether Binance reports two neighbouring trades as one aggregate."""
    return all(trade[name] == after.get(name) for name in ("T", "p", "m")) and (
        trade.get("X", MARKET_SOURCE) == after.get("X", MARKET_SOURCE)
    )


def _bybit_tracks(directory: Path) -> Iterator[Track]:
    found: dict[tuple[str, str], _Files] = {}
    # Files of several symbols come first, so that an instrument's own recording replaces them.
    for (market, name), files in _recorded(directory, _BYBIT_FILE).items():
        for symbol in [name] if name else _symbols(directory, files.values()):
            found[market, symbol.upper()] = files
    for (market, symbol), files in sorted(found.items()):
        if entries := _bybit_entries(directory, symbol, files):
            yield _track(InstrumentId("bybit", Market(market), symbol), entries, "ts")


def _symbols(directory: Path, names: Iterable[str]) -> set[str]:
    lines = (line for name in names for _, line in _lines(directory, name))
    return {decode(line)["topic"].rpartition(".")[2] for line in lines}


def _bybit_entries(directory: Path, symbol: str, files: _Files) -> list[tuple[int, Cue]]:
    entries: list[tuple[int, Cue]] = []
    for name, channel in (("publicTrade", Channel.TRADE), ("tickers", Channel.TICKER)):
        for at_ns, line in _lines(directory, files.get(name)):
            if decode(line)["topic"].endswith(f".{symbol}"):
                entries.append((at_ns, Cue(0.0, channel, line)))
    for at_ns, line in _touches(_lines(directory, files.get("orderbook1"))):
        entries.append((at_ns, Cue(0.0, Channel.QUOTE, line)))
    if "orderbook1" not in files:
        books = _lines(directory, files.get("orderbook200"))
        for at_ns, frame in level_one((at_ns, decode(line)) for at_ns, line in books):
            if frame["data"]["s"] == symbol:
                entries.append((at_ns, Cue(0.0, Channel.QUOTE, encode(frame))))
    return entries


def _touches(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Pass ``orderbook.1`` frames on as recorded.

    A side that a delta leaves out is taken from the frame before; a book without one is no quote.
    """
    before: dict[str, list[list[str]]] = {}
    for at_ns, line in lines:
        frame = decode(line)
        data, kept = frame["data"], before if frame["type"] == "delta" else {}
        sides = {
            side: [level for level in data[side] if float(level[1])][:1] or kept.get(side, [])
            for side in "ba"
        }
        before = sides
        if all(sides.values()):
            whole = sides == {side: data[side] for side in "ba"}
            full = frame | {"type": "snapshot", "data": data | sides}
            yield at_ns, line if whole and frame["type"] == "snapshot" else encode(full)


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
    leads_ms = (
        at_ns / 1e6 - payload[time_name]
        for at_ns, payload in ((at_ns, decode(cue.data)) for at_ns, cue in entries)
        if time_name in payload
    )
    # Spot's quotes of Binance alone carry no time of the venue.
    lead_ms = min(leads_ms, default=0.0)
    start_ms = round(start_ns / 1e6 - lead_ms)
    span_s = (entries[-1][0] - start_ns) / 1e9
    cues = tuple(
        Cue((at_ns - start_ns) / 1e9, cue.channel, cue.data, cue.closes) for at_ns, cue in entries
    )
    return Track(instrument, cues, start_ms, span_s + SEAM_S)


def _lines(directory: Path, name: str | None) -> list[tuple[int, bytes]]:
    """Read a file with its times; what was not recorded has no lines."""
    if name is None:
        return []
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
