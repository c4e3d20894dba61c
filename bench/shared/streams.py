"""Peers' own streams of trades, each run by a program of ``bench/peers/`` against a source."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from bench.shared import peers
from bench.shared.frames import END_PRICE
from bench.shared.source import Source, running

LIMIT_S = 35.0
"""Of one measurement, its imports and a stream that falls silent included."""


class Passage(Struct, frozen=True):
    """One measurement: how long ``frames`` frames took, and how many of their prices were lost.

    ``seconds`` are from the first write to the last price handed on, ``cpu_s`` those of the reading
    process, all threads. Of a stream that died ``frames`` are the prices that it handed on before.
    """

    seconds: float
    cpu_s: float
    frames: int
    lost: int = 0

    @property
    def per_s(self) -> float:
        return self.frames / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_s * 1e6 / self.frames


class Peer(Struct, frozen=True):
    """A library whose stream is measured.

    Attributes:
        package: its name in an import statement.
        does: what it does with a frame, up to the user's code.
        target: how many times its rate ours must be, if that is judged.
        slow: whether it gets fewer frames, so that a round stays short.
    """

    name: str
    package: str
    program: str
    venue: str
    does: str
    target: float | None
    slow: bool = True

    @property
    def label(self) -> str:
        """Its name and installed version."""
        return f"{self.name} {peers.version(self.package)}"

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")


PEERS = (
    Peer(
        "python-binance",
        "binance",
        "binance_stream.py",
        "binance",
        "websockets, JSON to a dict, a queue of 100, recv of its socket manager",
        3.0,
    ),
    Peer(
        "pybit",
        "pybit",
        "pybit_stream.py",
        "bybit",
        "websocket-client on a thread, JSON to a dict, callback by topic",
        6.0,
    ),
    Peer(
        "ccxt",
        "ccxt",
        "ccxt_stream.py",
        "bybit",
        "aiohttp, JSON to a dict, its uniform trade in a cache of 1000, watch_trades",
        None,
    ),
    Peer(
        "cryptofeed",
        "cryptofeed",
        "cryptofeed_stream.py",
        "bybit",
        "websockets on uvloop, JSON with decimals to its Trade, callback",
        1.0,
        slow=False,
    ),
)


def present(chosen: Sequence[Peer] = PEERS) -> list[Peer]:
    """Return those that are installed."""
    return [each for each in chosen if peers.installed(each.package)]


@contextmanager
def sources(chosen: Sequence[Peer], frames: int, slow_frames: int) -> Iterator[dict[Peer, Source]]:
    """Run a source for each: a stream that connects again disturbs no other's figures."""
    with ExitStack() as stack:
        yield {
            each: stack.enter_context(
                running(mode="blast", frames=slow_frames if each.slow else frames, venue=each.venue)
            )
            for each in chosen
        }


async def stream(peer: Peer, source: Source, frames: int) -> Passage:
    """Take the prices of ``frames`` frames through a peer's own stream.

    Raises:
        BenchFailed: its program failed, or not one price came.
    """
    args = {"root": source.root, "url": source.url, "last": END_PRICE}
    found = await asyncio.to_thread(peers.run, peer.program, args, timeout_s=LIMIT_S)
    seconds = (found["ended_ns"] - source.begun_ns()) / 1e9
    passed = frames if found["whole"] else found["prices"]
    return Passage(seconds, found["cpu_s"], passed, frames - found["prices"])
