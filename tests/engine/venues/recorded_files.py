"""What a recorder left, what a simulator says it sent, and whether one is the other."""

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHANNELS = {
    "publicTrade": "publicTrade",
    "orderbook1": "orderbook.1",
    "tickers": "tickers",
    "trade": "trade",
    "aggTrade": "aggTrade",
    "bookTicker": "bookTicker",
    "markPrice_1s": "markPrice@1s",
}


class File:
    """A recorded file as it lies on the disk, and what its name says."""

    def __init__(self, directory: Path, name: str) -> None:
        path = directory / name
        raw = path.read_bytes()
        assert raw.endswith(b"\n")
        self.lines = raw.decode().split("\n")[:-1]
        times = path.with_name(path.name.removesuffix(".jsonl") + ".recv_ns.txt").read_text()
        self.times_ns = [int(text) for text in times.splitlines()]
        venue, _, stem = name.removesuffix(".jsonl").partition("/")
        parts = stem.removesuffix(".sent").split("_")
        if venue == "bybit":
            market, channel, rest = parts[2], parts[1], parts[3:-1]
        else:
            market = {"spot": "spot", "usdm": "linear"}[parts[0]]
            channel, rest = "_".join(parts[1:-2]) or parts[1], parts[2:-1] and parts[-2:-1]
        self.key = (venue, market, "".join(rest).upper(), CHANNELS.get(channel, channel))


def read_files(directory: Path) -> dict[str, File]:
    """Every file of frames, by its name in the directory."""
    names = sorted(path.relative_to(directory).as_posix() for path in directory.glob("*/*.jsonl"))
    return {name: File(directory, name) for name in names}


def sent_frames(log: Path) -> dict[tuple[str, str, str, str], list[tuple[int, str]]]:
    """What the simulator says it sent, by instrument and channel."""
    found = defaultdict(list)
    for line in log.read_text().splitlines():
        row = json.loads(line)
        key = (row["venue"], row["market"], row["symbol"], row["channel"])
        found[key].append((row["at_ns"], row["frame"]))
    return found


def numbers(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """The texts of prices and quantities, frame by frame; repeated frames count once."""
    found: list[tuple[str, ...]] = []
    for line in lines:
        frame = json.loads(line)
        rows = frame["data"] if isinstance(frame["data"], list) else [frame["data"]]
        texts = tuple(text for row in rows for text in _texts(row))
        if texts and (not found or texts != found[-1]):
            found.append(texts)
    return found


def _texts(row: dict[str, Any]) -> list[str]:
    if "markPrice" in row:
        return [row["markPrice"]]
    if row.get("e") == "markPriceUpdate":
        return [row["p"], row["i"], row["r"]]
    sides = [row[name] for name in ("b", "a") if isinstance(row.get(name), list)]
    touch = [text for side in sides for level in side for text in level]
    names = ("p", "q", "v", "b", "B", "a", "A")
    return touch + [row[name] for name in names if isinstance(row.get(name), str)]


def is_played(recorded: list[Any], heard: list[Any]) -> bool:
    """Tell whether what was heard is a stretch of a recording that is played in a loop."""
    looped = [texts for texts, _ in itertools.groupby(recorded * (len(heard) // len(recorded) + 3))]
    size = len(heard)
    return any(looped[at : at + size] == heard for at in range(len(recorded) + 1))
