"""Trailing stops on four paths: what a tick costs whatever the number of positions and of peaks.

Longs trail by 8.4 % to 13.3 %, one by 7.9 %. Their peaks lie above the highest recorded price: one
for all, or 10,000 distinct ones, a tick apart (a few positions are spread over the same range). The
paths, none of which reaches a stop:

- ``recorded``: recorded prices as they came, below all peaks.
- ``falling``: a tick down at a time. ``rising``: the way back up, below all peaks.
- ``new_high``: a tick up at a time, through all peaks and as far again beyond them.

Then the price comes ``back`` from there until it has reached the nearest stop, that of the one
position: whatever a book has put off while it saw new highs is done by then. Another book is taken
through all peaks by one price (``jump``). Longest prices are by the clock, everything else is CPU
time of the thread. The naive loop sees a few prices of each path.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from msgspec import Struct

from bench.shared import books, naive
from bench.shared.books import Stay
from bench.shared.held import INSTRUMENT, Levels, following, peaks_begin, positions
from bench.shared.prices import Prices, find_recordings, load
from bench.shared.report import BenchFailed, Report, finish, ratios_of, spread
from bench.shared.rounds import Side, interleaved
from engine.model.position import Position

CEILING = 1.5
JUDGED = ("falling", "rising", "new_high")
BACK_SHARE = Decimal("0.919")
"""How far the price comes back, below the stop at 7.9 % and above those at 8.4 %."""

STEP = Decimal("0.05")


class Sizes(Struct, frozen=True):
    """How much is measured.

    Attributes:
        few, most: numbers of positions that are compared.
        peaks: distinct peaks, at most one a position.
        ticks: prices of the paths that are no new highs. naive_ticks: of each path for the loop.
    """

    few: int = 10
    most: int = 100_000
    peaks: int = 10_000
    ticks: int = 5_000
    naive_ticks: int = 20
    rounds: int = 5


class Kind(Struct, frozen=True):
    """How peaks are spread. Steps are not judged, and the naive loop does not know them."""

    name: str
    says: str
    peaks: int
    step: Decimal | None = None


class Passed(Struct, frozen=True):
    """One measurement: nanoseconds a tick by path, and paths whose prices are timed one by one."""

    ns: dict[str, float]
    stays: dict[str, Stay] = {}


def kinds(sizes: Sizes) -> list[Kind]:
    """What is measured, in the order of the rows."""
    return [
        Kind("one_peak", "one peak", 1),
        Kind("distinct_peaks", f"{sizes.peaks} distinct peaks", sizes.peaks),
        Kind("steps", f"{sizes.peaks} distinct peaks, steps of {STEP} %", sizes.peaks, STEP),
    ]


class Paths:
    """Prices of all paths, a tick apart where they are made."""

    def __init__(self, sizes: Sizes, prices: Prices) -> None:
        self.highest = Decimal(str(max(prices.values)))
        top = peaks_begin(self.highest) + 2 * sizes.peaks * INSTRUMENT.tick_size
        low = self.highest - sizes.ticks * INSTRUMENT.tick_size
        self.quiet = {
            "recorded": prices.cycled(sizes.ticks),
            "falling": ticks(self.highest, low),
            "rising": ticks(low, self.highest),
            "new_high": ticks(peaks_begin(self.highest), top),
        }
        self.back = ticks(top, INSTRUMENT.floor_price(top * BACK_SHARE))


def ticks(begin: Decimal, end: Decimal) -> list[float]:
    """Every price from one to another, each a tick further, without the first."""
    tick = INSTRUMENT.tick_size if end > begin else -INSTRUMENT.tick_size
    return [float(begin + number * tick) for number in range(1, int((end - begin) / tick) + 1)]


def ours(held: Sequence[Position], paths: Paths) -> Passed:
    """Take all paths in turn with a new book, and the jump with another one."""
    first = paths.quiet["recorded"][0]
    book = books.filled(held, first)
    gc.collect()
    watch = partial(books.watch, book.last)
    ns = {name: books.per_tick_ns(watch, prices) for name, prices in paths.quiet.items()}
    back = books.watch_each(book.last, paths.back)
    book = books.filled(held, first)
    gc.collect()
    jump = books.watch_each(book.last, paths.quiet["new_high"][-1:])
    if (back.hits, jump.hits) != (1, 0):
        raise BenchFailed(
            f"{back.hits} stops were reached on the way back, {jump.hits} by the jump"
        )
    return Passed(ns, {"back": back, "jump": jump})


def loop(levels: Sequence[Levels], paths: Paths, count: int) -> Passed:
    """Take ``count`` prices of each path with the naive loop."""
    held = naive.guarded(levels)
    gc.collect()
    ns = {}
    for name, prices in paths.quiet.items():
        chosen = prices[:: max(len(prices) // count, 1)]
        ns[name] = books.per_tick_ns(partial(naive.follow, held), chosen)
    return Passed(ns)


def measure(sizes: Sizes, prices: Prices) -> Report:
    """Measure every kind at both sizes in interleaved rounds."""
    paths = Paths(sizes, prices)
    sides: dict[str, Side[Passed]] = {}
    for kind in kinds(sizes):
        for size in (sizes.few, sizes.most):
            levels = following(
                size,
                paths.highest,
                peaks=min(kind.peaks, size),
                width=sizes.peaks,
                step=kind.step,
            )
            measured = partial(ours, positions(levels), paths)
            sides[f"ours {kind.name} {size}"] = partial(_side, measured)
            if kind.step is None:
                measured = partial(loop, levels, paths, sizes.naive_ticks)
                sides[f"naive {kind.name} {size}"] = partial(_side, measured)
    return report(sizes, prices.source, interleaved(sides, sizes.rounds))


async def _side(measure: Callable[[], Passed]) -> Passed:
    return measure()


def report(sizes: Sizes, source: str, found: Mapping[str, Sequence[Passed]]) -> Report:
    """Put the rounds into rows and ratios."""
    rows: list[dict[str, Any]] = [{"prices": source, "rounds": sizes.rounds}]
    ratios: dict[str, float | None] = {}
    ceilings: dict[str, float] = {}
    for kind in kinds(sizes):
        rows += _rows(sizes, kind, found)
        few, most = (found[f"ours {kind.name} {size}"] for size in (sizes.few, sizes.most))
        for path in most[0].ns:
            name = f"{path}_{kind.name}"
            ratios[name] = spread(_ratios(path, most, few), 4)["median"]
            if kind.step is None and path in JUDGED:
                ceilings[name] = CEILING
        for path in most[0].stays:
            longest = [passed.stays[path].longest_ms for passed in most]
            ratios[f"{path}_longest_ms_{kind.name}"] = spread(longest, 4)["median"]
    return Report("trailing", rows, ratios, ceilings, frozenset(ceilings))


def _rows(
    sizes: Sizes, kind: Kind, found: Mapping[str, Sequence[Passed]]
) -> Iterator[dict[str, Any]]:
    sized = {size: found[f"ours {kind.name} {size}"] for size in (sizes.few, sizes.most)}
    for path in sized[sizes.most][0].ns:
        for size, ours in sized.items():
            row = {"peaks": kind.says, "path": path, "positions": size}
            row["ns_per_tick"] = spread([passed.ns[path] for passed in ours])
            other = found.get(f"naive {kind.name} {size}")
            if other is not None:
                row["naive_ns_per_tick"] = spread([passed.ns[path] for passed in other])
                row["naive_over_ours"] = spread(_ratios(path, other, ours))
            yield row
        ratio = spread(_ratios(path, sized[sizes.most], sized[sizes.few]), 2)
        yield {"peaks": kind.says, "path": path, f"{sizes.most} / {sizes.few}": ratio}
    for path in sized[sizes.most][0].stays:
        for size, ours in sized.items():
            stays = [passed.stays[path] for passed in ours]
            yield {
                "peaks": kind.says,
                "path": path,
                "positions": size,
                "longest_price_ms": spread([stay.longest_ms for stay in stays], 3),
                "whole_ms": spread([stay.whole_ms for stay in stays]),
                "us_per_position": spread([stay.whole_ms * 1000 / size for stay in stays], 2),
            }


def _ratios(path: str, over: Sequence[Passed], under: Sequence[Passed]) -> list[float]:
    return ratios_of([passed.ns[path] for passed in over], [passed.ns[path] for passed in under])


def main() -> None:
    """Run as a program."""
    finish(lambda: measure(Sizes(), load(find_recordings())))


if __name__ == "__main__":
    main()
