"""From a frame on the wire to the order handed to the broker, against a bare socket.

The other process writes the monotonic time of sending into each frame; clocks of one machine are
one clock. The bare reader receives and decodes with the same library; ours goes on to the book,
the guardian and the broker. Only frames that cross a threshold count, at the same places in both.
"""

import asyncio
import time
from decimal import Decimal
from typing import Any

import msgspec
from websockets.asyncio.client import connect

from bench.path import guarding, position
from bench.report import Report, finish
from bench.source import PRICE, running
from engine.core.statistics import percentile
from engine.model.order import Order
from engine.model.ticks import Tick
from engine.venues.bybit.wire import TradeFrame

FRAMES = 8_000
PER_SECOND = 2_000
EVERY = 20
ROUNDS = 5
SHAPES = {"single": 1, "bursts_of_50": 50}
SUBSCRIBE = '{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT"]}'


async def bare(url: str) -> list[float]:
    """Microseconds from sending to decoded, for the frames that would cross."""
    decode = msgspec.json.Decoder(TradeFrame, strict=False).decode
    taken: list[float] = []
    async with connect(f"{url}/linear", compression=None, ping_interval=None) as socket:
        await socket.send(SUBSCRIBE)
        await socket.recv()
        for _ in range(FRAMES):
            row = decode(await socket.recv(decode=False)).data[0]
            if row.p > PRICE:
                taken.append(time.monotonic_ns() / 1000 - row.T)
    return taken


async def ours(url: str) -> list[float]:
    """Microseconds from sending to the order handed to the broker."""
    crossings = FRAMES // EVERY
    handed_ns: dict[Decimal, int] = {}
    sent_us: dict[Decimal, int] = {}
    done = asyncio.Event()

    def handed(order: Order) -> None:
        if order.trigger_price is not None:
            handed_ns[order.trigger_price] = time.monotonic_ns()
        if len(handed_ns) == crossings:
            done.set()

    def seen(tick: Tick) -> None:
        price = Decimal(repr(getattr(tick, "price", 0.0)))
        sent_us[price] = tick.venue_time_ms

    guarded = [position(n + 1, Decimal(int(PRICE)) + 1 + n) for n in range(crossings)]
    async with guarding(url, guarded, handed, seen), asyncio.timeout(60):
        await done.wait()
    return [at_ns / 1000 - sent_us[price] for price, at_ns in handed_ns.items()]


def main() -> None:
    """Measure in interleaved rounds and report."""
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    for shape, burst in SHAPES.items():
        rounds: dict[str, list[list[float]]] = {"bare": [], "ours": []}
        facts = {"mode": "pace", "frames": FRAMES, "per_second": PER_SECOND}
        with running(**facts, burst=burst, every=EVERY) as url:
            for _ in range(ROUNDS):
                rounds["bare"].append(sorted(asyncio.run(bare(url))))
                rounds["ours"].append(sorted(asyncio.run(ours(url))))
        for name, each in rounds.items():
            rows.append({"shape": shape, "path": name, **_figures(each)})
        pairs = zip(rounds["ours"], rounds["bare"], strict=True)
        ratios[f"p99_{shape}"] = _median([_p(a, 99) / _p(b, 99) for a, b in pairs])
    targets = dict.fromkeys(ratios, 3.0)
    finish(Report("reaction", rows, ratios, targets, frozenset(targets)))


def _p(ordered: list[float], percent: float) -> float:
    value = percentile(ordered, percent)
    assert value is not None
    return value


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _figures(rounds: list[list[float]]) -> dict[str, float]:
    return {
        f"p{percent}_us": round(_median([_p(each, percent) for each in rounds]), 1)
        for percent in (50, 99, 99.9)
    }


if __name__ == "__main__":
    main()
