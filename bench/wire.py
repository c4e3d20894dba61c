"""Frames a second through the whole path: against receiving and decoding alone, and against peers.

Ours and the bare side read the same frames from another process over a real WebSocket, with the
same library and the same options. The whole path is the product's: session, channel, guardian with
1,000 open positions, paper account; the bare one is a loop of ``recv`` and the same typed decode.
A peer is another library's own stream of trades, subscribed as its users do, in an environment and
a process of its own; it reads as many frames, or fewer where it is slow, in the format of the venue
that it is for. Its user's code only counts prices: it has no positions to guard.

Time runs from the first write of the sending process to the last frame decoded, to the close that
it causes handed to the broker, or to the last price handed to the peer's user. CPU time is the
reading process's own, all threads. Prices lost are those sent and never handed on; ours are counted
in a pass of their own, price by price, with a position at the highest and one at the lowest.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from bench.shared import frames as sent
from bench.shared.frames import END_PRICE, SUBSCRIBE
from bench.shared.path import guarding, position
from bench.shared.report import NOT_INSTALLED, Report, finish, ratios_of, spread
from bench.shared.rounds import Side, bare_socket, interleaved
from bench.shared.source import Source, running
from bench.shared.streams import PEERS, Passage, Peer, present, sources, stream
from engine.model.order import Order
from engine.model.position import Position
from engine.model.ticks import Tick, TradeTick
from engine.ports import TickSink
from engine.venues.bybit.wire import TradeFrame

TARGET = 0.85
IDLE_LOOK_S = 0.02
LOSS_LIMIT_S = 20.0


class Sizes(Struct, frozen=True):
    """How much is measured; slow peers get ``slow_frames``."""

    frames: int = 80_000
    slow_frames: int = 20_000
    rounds: int = 9
    positions: int = 1_000


async def bare(source: Source, frames: int) -> Passage:
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
    return Passage((ended_ns - source.begun_ns()) / 1e9, cpu_s, frames)


def guarded(count: int) -> list[Position]:
    """``count`` positions, of which the last frame closes the first and nothing the others."""
    far = [position(number, Decimal(200_000) + number) for number in range(2, count + 1)]
    return [position(1, Decimal(END_PRICE)), *far]


async def whole(source: Source, frames: int, positions: int) -> Passage:
    """Guard ``positions`` until the last frame closes one of them."""
    done = asyncio.Event()
    ends: list[tuple[int, float]] = []

    def handed(order: Order) -> None:
        if order.trigger_price == END_PRICE:
            ends.append((time.monotonic_ns(), time.process_time()))
            done.set()

    held = guarded(positions)
    async with guarding(source.url, held, handed) as flow:
        cpu_s = time.process_time()
        while flow.price(held[0].instrument.id) is None:
            cpu_s = time.process_time()
            await asyncio.sleep(IDLE_LOOK_S)
        await done.wait()
    ended_ns, ended_cpu_s = ends[0]
    seconds = (ended_ns - source.begun_ns()) / 1e9
    return Passage(seconds, ended_cpu_s - cpu_s, frames)


async def lost(source: Source, frames: int, positions: int) -> int:
    """How many prices of one blast our path lost, and how many extremes its book did not see."""
    prices = list(sent.prices(frames))
    extremes = {Decimal(f"{max(prices[:-1]):.2f}"), Decimal(f"{min(prices):.2f}")}
    seen: Counter[float] = Counter()
    closed: set[Decimal | None] = set()
    done = asyncio.Event()

    def noting(sink: TickSink) -> TickSink:
        def see(tick: Tick) -> None:
            sink(tick)
            if isinstance(tick, TradeTick):
                seen[tick.price] += 1

        return see

    def handed(order: Order) -> None:
        closed.add(order.trigger_price)
        if order.trigger_price == END_PRICE:
            done.set()

    highest, lowest = position(positions + 1, max(extremes)), position(positions + 2, Decimal(9**9))
    lowest = msgspec.structs.replace(lowest, stop_loss=min(extremes))
    held = [*guarded(positions), highest, lowest]
    async with guarding(source.url, held, handed, noting), asyncio.timeout(LOSS_LIMIT_S):
        await done.wait()
    source.begun_ns()
    return (Counter(prices) - seen).total() + len(extremes - closed)


def measure(sizes: Sizes, peers: Sequence[Peer] = PEERS) -> Report:
    """Measure in interleaved rounds, with those of ``peers`` that are installed."""
    there = present(peers)
    with (
        running(mode="blast", frames=sizes.frames) as source,
        sources(there, sizes.frames, sizes.slow_frames) as others,
    ):
        sides: dict[str, Side[Passage]] = {
            "bare": partial(bare, source, sizes.frames),
            "whole": partial(whole, source, sizes.frames, sizes.positions),
        }
        for peer in there:
            frames = sizes.slow_frames if peer.slow else sizes.frames
            sides[peer.key] = partial(stream, peer, others[peer], frames)
        found = interleaved(sides, sizes.rounds)
        missing = asyncio.run(lost(source, sizes.frames, sizes.positions))
    return report(sizes, found, missing, peers)


def report(
    sizes: Sizes, found: Mapping[str, list[Passage]], missing: int, peers: Sequence[Peer]
) -> Report:
    """Put the rounds into rows and ratios; a peer without rounds is not installed."""
    guarding_row = row(
        f"whole path, {sizes.positions} open positions",
        "the same, then book, guardian, paper account, broker",
        found["whole"],
    )
    rows = [
        row("receive and decode", "websockets, JSON to a struct", found["bare"]),
        guarding_row | {"lost": missing},
        compared(found, "whole", "bare"),
    ]
    ratios: dict[str, float | None] = {
        "whole_over_bare": ratio(found, "whole", "bare"),
        "whole_over_bare_by_cpu": ratio(found, "whole", "bare", by_cpu=True),
        "prices_lost": missing,
    }
    targets = {"whole_over_bare": TARGET, "prices_lost": 0.0}
    for peer in peers:
        name = f"whole_over_{peer.key}"
        if peer.target is not None:
            targets[name] = peer.target
        if peer.key in found:
            passed = found[peer.key]
            gone = {"lost": spread([each.lost for each in passed], 0)}
            rows += [row(peer.label, peer.does, passed) | gone, compared(found, "whole", peer.key)]
            ratios[name] = ratio(found, "whole", peer.key)
        else:
            rows.append({"path": peer.name, "state": NOT_INSTALLED, "ratio": None})
            ratios[name] = None
    return Report("wire", rows, ratios, targets, frozenset({"prices_lost"}))


def row(path: str, does: str, passed: Sequence[Passage]) -> dict[str, Any]:
    """One side: what it does with each frame, how many it got a round, and its figures."""
    return {
        "path": path,
        "does": does,
        "frames": passed[0].frames,
        "frames_per_s": spread([each.per_s for each in passed], 0),
        "cpu_us_per_frame": spread([each.cpu_us for each in passed], 2),
    }


def compared(found: Mapping[str, list[Passage]], over: str, under: str) -> dict[str, Any]:
    """Two sides round by round."""
    return {
        "path": f"{over} / {under}",
        "ratio": spread(_pairs(found, over, under, by_cpu=False), 3),
        "by_cpu": spread(_pairs(found, over, under, by_cpu=True), 3),
    }


def ratio(
    found: Mapping[str, list[Passage]], over: str, under: str, *, by_cpu: bool = False
) -> float:
    """The median round's ratio of rates, or of rates a CPU second."""
    return spread(_pairs(found, over, under, by_cpu=by_cpu), 4)["median"]


def _pairs(
    found: Mapping[str, list[Passage]], over: str, under: str, *, by_cpu: bool
) -> list[float]:
    if by_cpu:
        costs = ([each.cpu_us for each in found[side]] for side in (under, over))
        return ratios_of(*costs)
    rates = ([each.per_s for each in found[side]] for side in (over, under))
    return ratios_of(*rates)


def main() -> None:
    """Run as a program."""
    finish(lambda: measure(Sizes()))


if __name__ == "__main__":
    main()
