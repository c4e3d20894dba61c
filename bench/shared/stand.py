"""What ``bench.book`` measures: the sides of a quiet tick, edits and crashes of a book."""

import gc
import random
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from bench.shared import books, naive, peers
from bench.shared.books import Crash, Edits
from bench.shared.held import Levels, outside, position, positions, trailed
from bench.shared.prices import Prices
from bench.shared.report import BenchFailed
from bench.shared.rounds import Side

T = TypeVar("T")

PEERS = {
    "numpy": ("numpy", "numpy_check.py"),
    "nautilus": ("nautilus_trader", "nautilus_emulator.py"),
}
"""By their names here: the package and the program."""

PEER_LIMIT_S = 35.0
CRASH_PRICE = 1.0
PEAKS = 10_000

Quiet = dict[int, float]
"""Nanoseconds a tick by number of positions."""


class Sizes(Struct, frozen=True):
    """How much is measured.

    Attributes:
        few, many, most: numbers of positions that ratios are told of.
        ticks: prices of one measurement of ours. checks: positions times prices of the naive loop.
        peer_checks: the same of a peer.
        nautilus: sizes of nautilus_trader in every round; at ``nautilus_once``, where setting up
            takes long, its rounds follow one another in one process.
        edits: positions added, amended and removed in one measurement.
    """

    positions: tuple[int, ...] = (1, 10, 100, 1_000, 10_000, 100_000)
    few: int = 10
    many: int = 1_000
    most: int = 100_000
    ticks: int = 100_000
    checks: int = 1_000_000
    peer_checks: int = 400_000
    nautilus: tuple[int, ...] = (1, 10, 100, 1_000)
    nautilus_once: tuple[int, ...] = (10_000,)
    edits: int = 10_000
    rounds: int = 5


class Stand:
    """All that is prepared before the rounds, and the sides that they measure."""

    def __init__(self, sizes: Sizes, prices: Prices) -> None:
        self.sizes, self.prices = sizes, prices
        self._first = prices.values[0]
        self._ticks = prices.cycled(sizes.ticks)
        fixed = outside(prices.values, sizes.most + 2 * sizes.edits, seed=1)
        highest = Decimal(str(max(prices.values)))
        self._levels = fixed[: sizes.most]
        self.kinds = {
            "fixed": Kind(fixed, sizes.edits),
            "trailing": Kind(trailed(fixed, highest, PEAKS, seed=2), sizes.edits),
        }
        held = self.kinds["fixed"].held
        self._books = {size: books.filled(held[:size], self._first) for size in sizes.positions}
        self._naive = {size: naive.guarded(fixed[:size]) for size in sizes.positions}

    def sides(self) -> dict[str, Side[Any]]:
        """What is measured in every round, by name."""
        measured: dict[str, Callable[[], Any]] = {
            "loop": self.loop,
            "ours": self.ours,
            "naive": self.naive,
        }
        for name, (package, _) in PEERS.items():
            if peers.installed(package):
                measured[name] = partial(self.peer, name)
        for name, kind in self.kinds.items():
            measured[f"book {name}"] = partial(kind.edit_and_crash, self._first)
            measured[f"naive crash {name}"] = kind.naive_crash
        return {name: partial(_side, measure) for name, measure in measured.items()}

    def loop(self) -> Quiet:
        return {0: books.per_tick_ns(books.loop, self._ticks)}

    def ours(self) -> Quiet:
        return {
            size: books.per_tick_ns(partial(books.watch, book.last), self._ticks)
            for size, book in self._books.items()
        }

    def naive(self) -> Quiet:
        return {
            size: books.per_tick_ns(
                partial(naive.watch, held), self._ticks[: self._naive_ticks(size)]
            )
            for size, held in self._naive.items()
        }

    def _naive_ticks(self, size: int) -> int:
        return max(self.sizes.checks // size, 10)

    def peer(self, name: str) -> Quiet:
        """One round of a peer, in a process of its own."""
        wanted = self.sizes.nautilus if name == "nautilus" else self.sizes.positions
        found = self.run_peer(name, wanted, rounds=1, limit_s=PEER_LIMIT_S)
        return {size: values[0] for size, values in found.items()}

    def run_peer(
        self, name: str, wanted: Sequence[int], *, rounds: int, limit_s: float
    ) -> dict[int, list[float]]:
        """Nanoseconds a tick, one for each round, by number of positions."""
        levels = self._levels[: max(wanted)]
        args = {
            "take_profits": [float(each.take_profit or 0) for each in levels],
            "stop_losses": [float(each.stop_loss or 0) for each in levels],
            "prices": self.prices.values,
            "sizes": wanted,
            "checks": self.sizes.peer_checks,
            "rounds": rounds,
        }
        found = peers.run(PEERS[name][1], args, timeout_s=limit_s)["ns"]
        return {int(size): values for size, values in found.items()}


class Kind:
    """Positions with one kind of rules: those in the book, new ones, and changed ones.

    Every measurement that fills a book collects afterwards, as rounds do before they begin.
    """

    def __init__(self, levels: Sequence[Levels], edits: int) -> None:
        """The last of ``levels``, twice ``edits``, are of new positions and of changed ones."""
        count = len(levels) - 2 * edits
        self._levels = levels[:count]
        self.held = positions(self._levels)
        draw = random.Random(5)
        self._new = positions(levels[count : count + edits], count + 1)
        draw.shuffle(self._new)
        chosen = draw.sample(range(count), min(edits, count))
        self._amended = [
            position(index + 1, each)
            for index, each in zip(chosen, levels[count + edits :], strict=False)
        ]

    def edit_and_crash(self, price: float) -> tuple[Edits, Crash]:
        """Fill a book, edit it, let it crash; amendments change every threshold of a position."""
        book = books.filled(self.held, price)
        gc.collect()
        edits = books.edit(book, self._new, self._amended)
        gc.collect()
        found = books.crash(book, CRASH_PRICE)
        if found.positions != len(self.held):
            raise BenchFailed(f"{found.positions} of {len(self.held)} positions fell")
        return edits, found

    def naive_crash(self) -> float:
        """Milliseconds that the naive loop needs for the same."""
        held = naive.guarded(self._levels)
        gc.collect()
        began_ns = time.thread_time_ns()
        count = len(naive.crash(held, CRASH_PRICE))
        taken_ns = time.thread_time_ns() - began_ns
        if held or count != len(self._levels):
            raise BenchFailed(
                f"{count} of {len(self._levels)} positions fell out of the naive loop"
            )
        return taken_ns / 1e6


async def _side(measure: Callable[[], T]) -> T:
    return measure()
