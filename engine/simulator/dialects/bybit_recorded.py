"""Recorded Bybit frames as market events, their ids and times rewritten so that they rise."""

import uuid
from typing import Any

from engine.simulator.market import next_funding_ms
from engine.simulator.market_events import MarketEvent, Origin, Print, Prints, Quote, Ticker
from engine.simulator.market_playback import Stamp
from engine.simulator.recordings import Channel, Cue, decode


def read(cue: Cue, stamp: Stamp) -> MarketEvent:
    """Turn a recorded frame into an event; ``raw`` is the frame to send."""
    frame = decode(cue.data)
    if cue.channel is Channel.TRADE:
        return _trades(frame, stamp)
    if cue.channel is Channel.QUOTE:
        return _book(frame, stamp)
    return _ticker(frame, stamp)


def _trades(frame: dict[str, Any], stamp: Stamp) -> Prints:
    frame["ts"] = stamp.ms("sent", frame["ts"])
    prints = tuple(_print(trade, stamp) for trade in frame["data"])
    return Prints(stamp.instrument, Origin.RECORDED, prints, frame["ts"], raw=frame)


def _print(trade: dict[str, Any], stamp: Stamp) -> Print:
    trade["T"] = stamp.ms("trade", trade["T"])
    trade["seq"] = stamp.sequences.shared.follow(trade["seq"])
    if trade["i"].isdigit():
        number = stamp.sequences.trade.follow(int(trade["i"]))
        trade["i"] = str(number)
    else:
        number = stamp.sequences.trade.fresh()
        if stamp.loop:
            trade["i"] = str(uuid.uuid5(uuid.UUID(trade["i"]), str(stamp.loop)))
    return Print(
        id=trade["i"],
        number=number,
        price=trade["p"],
        qty=trade["v"],
        taker_buys=trade["S"] == "Buy",
        time_ms=trade["T"],
        seq=trade["seq"],
        source="BLOCK" if trade["BT"] else "MARKET",
    )


def _book(frame: dict[str, Any], stamp: Stamp) -> Quote:
    data = frame["data"]
    frame["ts"] = stamp.ms("quote", frame["ts"])
    frame["cts"] = stamp.ms("cts", frame["cts"])
    data["u"] = stamp.sequences.book.follow(data["u"])
    data["seq"] = stamp.sequences.shared.follow(data["seq"])
    (bid, bid_qty), (ask, ask_qty) = data["b"][0], data["a"][0]
    return Quote(
        instrument=stamp.instrument,
        origin=Origin.RECORDED,
        bid=bid,
        bid_qty=bid_qty,
        ask=ask,
        ask_qty=ask_qty,
        update=data["u"],
        seq=data["seq"],
        time_ms=frame["cts"],
        sent_ms=frame["ts"],
        raw=frame,
    )


def _ticker(frame: dict[str, Any], stamp: Stamp) -> Ticker:
    frame["ts"] = stamp.ms("tickers", frame["ts"])
    frame["cs"] = stamp.sequences.shared.follow(frame["cs"])
    data = frame["data"]
    if "nextFundingTime" in data:
        data["nextFundingTime"] = str(next_funding_ms(frame["ts"]))
    return Ticker(
        instrument=stamp.instrument,
        origin=Origin.RECORDED,
        fields={name: text for name, text in data.items() if name != "symbol"},
        full=frame["type"] == "snapshot",
        seq=frame["cs"],
        sent_ms=frame["ts"],
        raw=frame,
    )
