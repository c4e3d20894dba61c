"""From a frame on the wire to the order handed to the broker, against a bare socket.

The other process puts the monotonic time of its write into each frame; clocks of one machine are
one clock. The bare reader receives and decodes with the same library; ours goes on to the book,
the guardian and the broker, while journal, ledger and paper account work as in the service; once
more with ``picows`` in the place of ``websockets``. Only frames that cross a threshold count, the
same ones on all sides; each closes one position.
"""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from bench.shared.frames import PRICE, SUBSCRIBE
from bench.shared.path import guarding, position
from bench.shared.report import BenchFailed, Report, finish, ratios_of, spread
from bench.shared.rounds import bare_socket, interleaved
from bench.shared.source import Source, running
from engine.core.statistics import percentile
from engine.model.order import Order
from engine.model.ticks import Tick, TradeTick
from engine.ports import TickSink
from engine.settings import FeedTransport
from engine.venues.bybit.wire import TradeFrame

TARGET = 3.0
PERCENTS = (50, 90, 99, 99.9)
SHAPES = {"single": 1, "bursts_of_50": 50}


class Sizes(Struct, frozen=True):
    """How much is measured; every ``every``-th frame crosses a threshold.

    One frame in 50 is 40 closes a second, far more than a trader has, each with its commits and its
    fill; in bursts it is the last frame, behind all the others.
    """

    frames: int = 8_000
    per_second: int = 2_000
    every: int = 50
    rounds: int = 5

    @property
    def crossings(self) -> int:
        return self.frames // self.every


async def bare(source: Source, sizes: Sizes) -> list[float]:
    """Microseconds from sent to decoded, for the frames that would cross."""
    decode = msgspec.json.Decoder(TradeFrame, strict=False).decode
    taken: list[float] = []
    async with bare_socket(source.url) as socket:
        await socket.send(SUBSCRIBE)
        await socket.recv()
        for _ in range(sizes.frames):
            row = decode(await socket.recv(decode=False)).data[0]
            if row.p > PRICE:
                taken.append(time.monotonic_ns() / 1000 - row.T)
    source.begun_ns()
    return _whole(taken, sizes)


async def ours(
    source: Source, sizes: Sizes, transport: FeedTransport = FeedTransport.WEBSOCKETS
) -> list[float]:
    """Microseconds from sent to the order handed to the broker."""
    handed_ns: dict[Decimal, int] = {}
    sent_us: dict[float, int] = {}
    done = asyncio.Event()

    def handed(order: Order) -> None:
        if order.trigger_price is not None:
            handed_ns.setdefault(order.trigger_price, time.monotonic_ns())

    def noting(sink: TickSink) -> TickSink:
        def see(tick: Tick) -> None:
            sink(tick)
            if isinstance(tick, TradeTick) and tick.price > PRICE:
                sent_us[tick.price] = tick.venue_time_ms
                if len(sent_us) == sizes.crossings:
                    done.set()

        return see

    guarded = [position(n + 1, Decimal(PRICE + 1 + n)) for n in range(sizes.crossings)]
    async with guarding(source.url, guarded, handed, noting, transport):
        await done.wait()
    source.begun_ns()
    taken = [at_ns / 1000 - sent_us[float(price)] for price, at_ns in handed_ns.items()]
    return _whole(taken, sizes)


def _whole(taken: list[float], sizes: Sizes) -> list[float]:
    if len(taken) != sizes.crossings:
        raise BenchFailed(f"{len(taken)} frames counted instead of {sizes.crossings}")
    return sorted(taken)


def measure(sizes: Sizes) -> Report:
    """Measure each shape in interleaved rounds."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for shape, burst in SHAPES.items():
        facts = {"frames": sizes.frames, "per_second": sizes.per_second, "every": sizes.every}
        with running(mode="pace", burst=burst, **facts) as source:
            sides = {
                "bare": lambda: bare(source, sizes),
                "ours": lambda: ours(source, sizes),
                "picows": lambda: ours(source, sizes, FeedTransport.PICOWS),
            }
            found[shape] = interleaved(sides, sizes.rounds)
    return report(found)


def report(found: Mapping[str, Mapping[str, list[list[float]]]]) -> Report:
    """Put the rounds, each its sorted microseconds, into rows and ratios."""
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    targets: dict[str, float] = {}
    for shape, sides in found.items():
        figures = {
            name: {each: [_percentile(r, each) for r in rounds] for each in PERCENTS}
            for name, rounds in sides.items()
        }
        for name, each in figures.items():
            spreads = {f"p{percent}_us": spread(values) for percent, values in each.items()}
            rows.append({"shape": shape, "path": name, **spreads})
        for name, ratio in (("ours", f"p99_{shape}"), ("picows", f"p99_{shape}_picows")):
            paired = {
                percent: ratios_of(figures[name][percent], figures["bare"][percent])
                for percent in PERCENTS
            }
            spreads = {f"p{percent}": spread(values, 2) for percent, values in paired.items()}
            rows.append({"shape": shape, "path": f"{name} / bare", **spreads})
            ratios[ratio] = spread(paired[99], 4)["median"]
        targets[f"p99_{shape}"] = TARGET
    return Report("reaction", rows, ratios, targets, frozenset(targets))


def _percentile(ordered: list[float], percent: float) -> float:
    value = percentile(ordered, percent)
    assert value is not None
    return value


def main() -> None:
    """Run as a program."""
    finish(lambda: measure(Sizes()))


if __name__ == "__main__":
    main()
