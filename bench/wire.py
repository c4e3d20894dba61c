"""Frames a second through the whole path: against receiving and decoding alone, and against peers.

Ours and the bare side read the same frames from another process over a real WebSocket, with the
same library and the same options, once by ``websockets`` and once by ``picows``. The whole path is
the product's: session, channel, guardian with 1,000 open positions, paper account; the bare one is
the same typed decode in a loop of ``recv``, and with ``picows`` in its listener, without a copy.
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
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

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
from engine.settings import FeedTransport
from engine.venues.bybit.wire import TradeFrame

TARGETS = {
    "whole_over_bare": 0.85,
    "picows_whole_over_whole": 3.0,
    "picows_whole_over_picows_bare": 0.7,
    "prices_lost": 0.0,
    "picows_prices_lost": 0.0,
}
CEILINGS = frozenset({"prices_lost", "picows_prices_lost"})
PREFIXES = {FeedTransport.WEBSOCKETS: "", FeedTransport.PICOWS: "picows_"}
IDLE_LOOK_S = 0.02
LOSS_LIMIT_S = 20.0


class Sizes(Struct, frozen=True):
    """How much is measured; slow peers get ``slow_frames``."""

    frames: int = 200_000
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


async def picows_bare(source: Source, frames: int) -> Passage:
    """Decode by the same typed struct in the library's listener until the last frame."""
    decode = msgspec.json.Decoder(TradeFrame, strict=False).decode
    ends: list[tuple[int, float]] = []
    done = asyncio.Event()

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            self.acknowledged = False
            transport.send(WSMsgType.TEXT, SUBSCRIBE.encode())

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if not self.acknowledged:
                self.acknowledged = True
                self.cpu_s = time.process_time()
            elif decode(frame.get_payload_as_memoryview()).data[0].p == END_PRICE:
                ends.append((time.monotonic_ns(), time.process_time() - self.cpu_s))
                done.set()

    transport, _ = await ws_connect(Listener, f"{source.url}/linear", use_aiofastnet=False)
    await done.wait()
    transport.disconnect()
    await transport.wait_disconnected()
    ended_ns, cpu_s = ends[0]
    return Passage((ended_ns - source.begun_ns()) / 1e9, cpu_s, frames)


def guarded(count: int) -> list[Position]:
    """``count`` positions, of which the last frame closes the first and nothing the others."""
    far = [position(number, Decimal(200_000) + number) for number in range(2, count + 1)]
    return [position(1, Decimal(END_PRICE)), *far]


async def whole(
    source: Source,
    frames: int,
    positions: int,
    transport: FeedTransport = FeedTransport.WEBSOCKETS,
) -> Passage:
    """Guard ``positions`` until the last frame closes one of them."""
    done = asyncio.Event()
    ends: list[tuple[int, float]] = []

    def handed(order: Order) -> None:
        if order.trigger_price == END_PRICE:
            ends.append((time.monotonic_ns(), time.process_time()))
            done.set()

    held = guarded(positions)
    async with guarding(source.url, held, handed, transport=transport) as flow:
        cpu_s = time.process_time()
        while flow.price(held[0].instrument.id) is None:
            cpu_s = time.process_time()
            await asyncio.sleep(IDLE_LOOK_S)
        await done.wait()
    ended_ns, ended_cpu_s = ends[0]
    seconds = (ended_ns - source.begun_ns()) / 1e9
    return Passage(seconds, ended_cpu_s - cpu_s, frames)


async def lost(
    source: Source,
    frames: int,
    positions: int,
    transport: FeedTransport = FeedTransport.WEBSOCKETS,
) -> int:
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
    async with guarding(source.url, held, handed, noting, transport):
        async with asyncio.timeout(LOSS_LIMIT_S):
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
            "picows_bare": partial(picows_bare, source, sizes.frames),
        }
        for transport, prefix in PREFIXES.items():
            facts = (source, sizes.frames, sizes.positions, transport)
            sides[f"{prefix}whole"] = partial(whole, *facts)
        for peer in there:
            frames = sizes.slow_frames if peer.slow else sizes.frames
            sides[peer.key] = partial(stream, peer, others[peer], frames)
        found = interleaved(sides, sizes.rounds)
        missing = {
            f"{prefix}prices_lost": asyncio.run(
                lost(source, sizes.frames, sizes.positions, transport)
            )
            for transport, prefix in PREFIXES.items()
        }
    return report(sizes, found, missing, peers)


def report(
    sizes: Sizes,
    found: Mapping[str, list[Passage]],
    missing: Mapping[str, int],
    peers: Sequence[Peer],
) -> Report:
    """Put the rounds into rows and ratios; a peer without rounds is not installed."""
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float | None] = {}
    targets = dict(TARGETS)
    for transport, prefix in PREFIXES.items():
        rows += ours(sizes, found, transport, prefix, missing[f"{prefix}prices_lost"])
        over, under = f"{prefix}whole", f"{prefix}bare"
        ratios[f"{over}_over_{under}"] = ratio(found, over, under)
        ratios[f"{over}_over_{under}_by_cpu"] = ratio(found, over, under, by_cpu=True)
    rows.append(compared(found, "picows_whole", "whole"))
    ratios["picows_whole_over_whole"] = ratio(found, "picows_whole", "whole")
    ratios |= missing
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
    return Report("wire", rows, ratios, targets, CEILINGS)


def ours(
    sizes: Sizes,
    found: Mapping[str, list[Passage]],
    transport: FeedTransport,
    prefix: str,
    missing: int,
) -> list[dict[str, Any]]:
    """The rows of one transport: bare, whole, and one against the other."""
    path = f"whole path, {sizes.positions} open positions, {transport}"
    does = "the same, then book, guardian, paper account, broker"
    return [
        row(f"receive and decode, {transport}", "JSON to a struct", found[f"{prefix}bare"]),
        row(path, does, found[f"{prefix}whole"]) | {"lost": missing},
        compared(found, f"{prefix}whole", f"{prefix}bare"),
    ]


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
