"""Frames a second through the whole path against receiving and decoding alone.

Both sides read the same frames from another process over a real WebSocket, with the same library
and the same options. The whole path is the product's: session, channel, guardian with 1,000 open
positions, paper account; the bare one is a loop of ``recv`` and the same typed decode. Time runs
from the first write of the sending process to the last frame decoded, or to the close that it
causes handed to the broker. CPU time is the reading process's own, all threads.
"""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from bench.shared.frames import END_PRICE, SUBSCRIBE
from bench.shared.path import guarding, position
from bench.shared.report import Report, finish, ratios_of, spread
from bench.shared.rounds import bare_socket, interleaved
from bench.shared.source import Source, running
from engine.model.order import Order
from engine.venues.bybit.wire import TradeFrame

TARGET = 0.85
IDLE_LOOK_S = 0.02


class Sizes(Struct, frozen=True):
    """How much is measured."""

    frames: int = 80_000
    rounds: int = 11
    positions: int = 1_000


class Passage(Struct, frozen=True):
    """One measurement: seconds and CPU seconds for all frames."""

    seconds: float
    cpu_s: float


async def bare(source: Source) -> Passage:
    """Receive and decode by the same typed struct until the last frame."""
    decode = msgspec.json.Decoder(TradeFrame, strict=False).decode
    async with bare_socket(source.url) as socket:
        await socket.send(SUBSCRIBE)
        await socket.recv()
        recv = socket.recv
        cpu_s = time.process_time()
        while decode(await recv(decode=False)).data[0].p < END_PRICE:
            pass
        ended_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
    return Passage((ended_ns - source.begun_ns()) / 1e9, cpu_s)


async def whole(source: Source, positions: int) -> Passage:
    """Guard ``positions`` until the last frame closes one of them."""
    done = asyncio.Event()
    ends: list[tuple[int, float]] = []

    def handed(order: Order) -> None:
        if order.trigger_price == END_PRICE:
            ends.append((time.monotonic_ns(), time.process_time()))
            done.set()

    far = [position(number, Decimal(200_000) + number) for number in range(2, positions + 1)]
    sentinel = position(1, Decimal(END_PRICE))
    async with guarding(source.url, [*far, sentinel], handed) as flow:
        cpu_s = time.process_time()
        while flow.price(sentinel.instrument.id) is None:
            cpu_s = time.process_time()
            await asyncio.sleep(IDLE_LOOK_S)
        await done.wait()
    ended_ns, ended_cpu_s = ends[0]
    seconds = (ended_ns - source.begun_ns()) / 1e9
    return Passage(seconds, ended_cpu_s - cpu_s)


def measure(sizes: Sizes) -> Report:
    """Measure in interleaved rounds."""
    with running(mode="blast", frames=sizes.frames) as source:
        sides = {
            "bare": lambda: bare(source),
            "whole": lambda: whole(source, sizes.positions),
        }
        return report(sizes, interleaved(sides, sizes.rounds))


def report(sizes: Sizes, found: Mapping[str, list[Passage]]) -> Report:
    """Put the rounds into rows and the ratio."""
    rates = {name: [sizes.frames / each.seconds for each in found[name]] for name in found}
    cpu_us = {name: [each.cpu_s * 1e6 / sizes.frames for each in found[name]] for name in found}
    names = {
        "bare": "receive and decode",
        "whole": f"whole path, {sizes.positions} open positions",
    }
    rows = [
        {
            "path": text,
            "frames_per_s": spread(rates[name], 0),
            "cpu_us_per_frame": spread(cpu_us[name], 2),
        }
        for name, text in names.items()
    ]
    ratios = ratios_of(rates["whole"], rates["bare"])
    by_cpu = ratios_of(cpu_us["bare"], cpu_us["whole"])
    rows.append({"path": "whole / bare", "ratio": spread(ratios, 3), "by_cpu": spread(by_cpu, 3)})
    figures = {
        "whole_over_bare": spread(ratios, 4)["median"],
        "whole_over_bare_by_cpu": spread(by_cpu, 4)["median"],
    }
    return Report("wire", rows, figures, {"whole_over_bare": TARGET})


def main() -> None:
    """Run as a program."""
    finish(lambda: measure(Sizes()))


if __name__ == "__main__":
    main()
