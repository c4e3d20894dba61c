"""Recorded Binance payloads as market events, their ids and times rewritten so that they rise."""

from typing import Any

from engine.simulator.market import next_funding_ms
from engine.simulator.market_events import (
    MARKET_SOURCE,
    Mark,
    MarketEvent,
    Origin,
    Print,
    Prints,
    Quote,
)
from engine.simulator.market_playback import Stamp
from engine.simulator.recordings import Channel, Cue, decode


def read(cue: Cue, stamp: Stamp) -> MarketEvent:
    """Turn a recorded payload into an event; ``raw`` is the payload to send."""
    data = decode(cue.data)
    if cue.channel is Channel.TRADE:
        return _trade(data, stamp, closes=cue.closes)
    if cue.channel is Channel.QUOTE:
        return _quote(data, stamp)
    return _mark(data, stamp)


def _trade(data: dict[str, Any], stamp: Stamp, *, closes: bool) -> Prints:
    data["E"] = stamp.ms("sent", data["E"])
    data["T"] = stamp.ms("trade", data["T"])
    data["t"] = stamp.sequences.trade.follow(data["t"])
    print_ = Print(
        id=str(data["t"]),
        number=data["t"],
        price=data["p"],
        qty=data["q"],
        taker_buys=not data["m"],
        time_ms=data["T"],
        source=data.get("X", MARKET_SOURCE),
    )
    return Prints(stamp.instrument, Origin.RECORDED, (print_,), data["E"], closes=closes, raw=data)


def _quote(data: dict[str, Any], stamp: Stamp) -> Quote:
    """Spot's payload has no time; the moment of playing stands in for it."""
    data["u"] = stamp.sequences.book.follow(data["u"])
    if "E" in data:
        data["T"] = stamp.ms("cts", data["T"])
        data["E"] = stamp.ms("quote", data["E"])
    return Quote(
        instrument=stamp.instrument,
        origin=Origin.RECORDED,
        bid=data["b"],
        bid_qty=data["B"],
        ask=data["a"],
        ask_qty=data["A"],
        update=data["u"],
        seq=0,
        time_ms=data.get("T", stamp.now_ms),
        sent_ms=data.get("E", stamp.now_ms),
        raw=data,
    )


def _mark(data: dict[str, Any], stamp: Stamp) -> Mark:
    data["E"] = stamp.ms("mark", data["E"])
    data["T"] = next_funding_ms(data["E"])
    return Mark(
        instrument=stamp.instrument,
        origin=Origin.RECORDED,
        mark=data["p"],
        index=data["i"],
        settle=data["P"],
        funding_rate=data["r"],
        next_funding_ms=data["T"],
        sent_ms=data["E"],
        raw=data,
    )
