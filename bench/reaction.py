"""From a frame on the wire to the order handed to the broker, against a bare socket.

The other process puts the monotonic time of its write into each frame; clocks of one machine are
one clock. The bare reader receives and decodes with the same library; ours goes on to the book,
the guardian and the broker, while journal, ledger and paper account work as in the service; once
more with ``picows`` in the place of ``websockets``. Only frames that cross a threshold count, the
same ones on all sides; each closes one position.

Then the real brokers: the service trades with the local simulator through pybit and python-binance,
beside a script of ten lines that sends the same request through the bare library. And ticks while
every call to another venue hangs, beside ticks while nothing does.
"""

import asyncio
import contextlib
import functools
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from bench.shared.frames import PRICE, SUBSCRIBE
from bench.shared.hung import hung
from bench.shared.orders import Found, measure_orders
from bench.shared.orders import Sizes as OrderSizes
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
ORDER_TARGETS = {50: 1.2, 99: 1.5}
HUNG_TARGET = 1.25
HUNG = ("binance", "bybit")
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


async def ticks(source: Source, sizes: Sizes, venue: str | None = None) -> list[float]:
    """Microseconds from sent to seen by the guard of every price, while a venue hangs."""
    taken: list[float] = []
    done = asyncio.Event()

    def noting(sink: TickSink) -> TickSink:
        def see(tick: Tick) -> None:
            sink(tick)
            if isinstance(tick, TradeTick):
                taken.append(time.monotonic_ns() / 1000 - tick.venue_time_ms)
                if len(taken) == sizes.frames:
                    done.set()

        return see

    async with contextlib.AsyncExitStack() as stack:
        if venue is not None:
            await stack.enter_async_context(hung(venue))
        far = [position(1, Decimal(2 * PRICE))]
        await stack.enter_async_context(guarding(source.url, far, lambda _: None, noting))
        await done.wait()
    source.begun_ns()
    return sorted(taken)


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


def measure_hung(sizes: Sizes) -> Report:
    """Compare ticks while another venue's calls hang with ticks while nothing does."""
    facts = {"frames": sizes.frames, "per_second": sizes.per_second, "every": sizes.frames}
    with running(mode="pace", burst=1, **facts) as source:
        sides = {
            "idle": lambda: ticks(source, sizes),
            **{name: functools.partial(ticks, source, sizes, name) for name in HUNG},
        }
        found = interleaved(sides, sizes.rounds)
    return hung_report(found)


def hung_report(found: Mapping[str, list[list[float]]]) -> Report:
    """Put the rounds of ticks into rows and ratios."""
    figures = {
        name: {each: [_percentile(r, each) for r in rounds] for each in PERCENTS}
        for name, rounds in found.items()
    }
    rows: list[dict[str, Any]] = [
        {"ticks while": name if name == "idle" else f"{name} hangs"}
        | {f"p{percent}_us": spread(values) for percent, values in each.items()}
        for name, each in figures.items()
    ]
    ratios: dict[str, float | None] = {
        f"p99.9_ticks_{name}_hung": spread(
            ratios_of(figures[name][99.9], figures["idle"][99.9]), 4
        )["median"]
        for name in HUNG
    }
    targets = dict.fromkeys(ratios, HUNG_TARGET)
    return Report("reaction", rows, ratios, targets, frozenset(targets))


def order_report(found: Found, rounds: int) -> Report:
    """Put the closes of both sides into rows and ratios; p99 is of all closes together."""
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float | None] = {}
    targets: dict[str, float] = {}
    for venue in sorted({venue for venue, _ in found}):
        sides = {side: found[venue, side] for side in ("ours", "bare")}
        for side, taken in sides.items():
            parts = [sorted(part) for part in _parts(taken, rounds)]
            shown = {
                f"p{each}_us": spread([_percentile(p, each) for p in parts]) for each in (50, 90)
            }
            whole = {"p99_us": round(_percentile(sorted(taken), 99), 1)}
            rows.append({"orders": venue, "path": side, "closes": len(taken), **shown, **whole})
        pairs = zip(_parts(sides["ours"], rounds), _parts(sides["bare"], rounds), strict=True)
        medians = [
            _percentile(sorted(ours), 50) / _percentile(sorted(bare), 50) for ours, bare in pairs
        ]
        p99 = {side: _percentile(sorted(taken), 99) for side, taken in sides.items()}
        ratios[f"p50_order_{venue}"] = spread(medians, 4)["median"]
        ratios[f"p99_order_{venue}"] = round(p99["ours"] / p99["bare"], 4)
        targets |= {f"p{each}_order_{venue}": target for each, target in ORDER_TARGETS.items()}
    return Report("reaction", rows, ratios, targets, frozenset(targets))


def _parts(taken: list[float], count: int) -> list[list[float]]:
    """Cut figures into rounds, in the order in which they came."""
    size = len(taken) // count
    return [taken[number * size : (number + 1) * size] for number in range(count)]


def joined(*reports: Report) -> Report:
    """Make one report of several."""
    rows = [row for each in reports for row in each.rows]
    ratios = {name: value for each in reports for name, value in each.ratios.items()}
    targets = {name: value for each in reports for name, value in each.targets.items()}
    return Report("reaction", rows, ratios, targets, frozenset(targets))


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
    sizes, orders = Sizes(), OrderSizes()
    finish(
        lambda: joined(
            measure(sizes),
            order_report(measure_orders(orders), orders.rounds),
            measure_hung(sizes),
        )
    )


if __name__ == "__main__":
    main()
