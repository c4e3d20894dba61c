"""Reads frames without a socket, as a connection would."""

import gzip
from collections.abc import Iterable
from pathlib import Path

from engine.model.instrument import InstrumentId
from engine.model.ticks import Tick
from engine.venues.channel import Channel, Counters, Router
from engine.venues.dialect import Dialect


class Reader:
    """The channels of some symbols of one dialect, and the ticks they emitted."""

    def __init__(self, dialect: Dialect, instruments: Iterable[InstrumentId]) -> None:
        self.counters = Counters()
        self.ticks: list[Tick] = []
        self.router = Router(dialect.opening)
        for instrument in instruments:
            self.add(dialect.channels(instrument, self.ticks.append, self.counters))

    def add(self, channels: dict[str, Channel]) -> None:
        for topic, channel in channels.items():
            self.router.channels[topic.encode()] = channel

    def read(self, frames: Iterable[bytes], received_ns: int = 1) -> int:
        """Read frames; returns how many of them a channel took."""
        return sum(self.router.route(frame, received_ns) is not None for frame in frames)


def recorded(path: Path) -> list[bytes]:
    """The frames of a recording, gzipped or not."""
    body = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [line for line in body.split(b"\n") if line]


def recorded_all(folder: Path, pattern: str) -> list[tuple[str, list[bytes]]]:
    """Each recording of a channel with its frames."""
    return [(path.name, recorded(path)) for path in sorted(folder.glob(f"{pattern}.jsonl*"))]
