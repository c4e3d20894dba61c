"""The position book against the naive loop, numpy and nautilus_trader: what a quiet tick costs.

Every side holds the same positions, longs with a take-profit and a stop-loss each, and sees the
same recorded prices, none of which reaches a threshold; the smaller sizes are the first of the
largest one's positions. Loops have one shape, a ``for`` over prices that were made beforehand; what
it costs alone is a row, and is subtracted nowhere. Ours is fed as the guardian feeds it. numpy and
nautilus_trader run in processes of their own in the peers' environment, in the same rounds.

Positions are added, amended and removed in random order while the largest number is in the book.
Then it crashes: one price through every stop, in slices, each position taken out of the book as it
is reached. The naive loop finds them, puts them in the same order and removes them. Memory is
weighed in a pass of its own. Times are CPU times of the thread, but for the longest slice: that is
by the clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from bench.shared import books
from bench.shared.books import Edits
from bench.shared.peers import version
from bench.shared.prices import Prices, find_recordings, load
from bench.shared.report import NOT_INSTALLED, Report, finish, ratios_of, spread
from bench.shared.rounds import interleaved
from bench.shared.stand import PEERS, Sizes, Stand

DOES = {
    "loop": "a for loop over prices that does nothing",
    "ours": "two comparisons, or what the book does with the price",
    "naive": "a loop over a dict of positions, two comparisons of floats each",
    "numpy": "two comparisons of arrays, or-ed, any",
    "nautilus": "OrderEmulator.on_trade_tick, two emulated orders a position",
}
RULES = {
    "fixed": "take-profit, stop-loss",
    "trailing": "take-profit, stop-loss, trailing stop (10,000 peaks, 50 distances)",
}
ONCE_LIMIT_S = 100.0

SET_UP = "not measured: setting up takes time that grows with the square of the positions"

Found = Mapping[str, list[Any]]
"""The rounds of each side of a ``Stand``, by its name."""


class Apart(Struct, frozen=True):
    """What is measured apart from the rounds.

    Attributes:
        nautilus: nanoseconds a tick by number of positions, one for each round in one process.
        weights: bytes a position by kind of rules.
    """

    nautilus: dict[int, list[float]]
    weights: dict[str, float]


def measure(sizes: Sizes, prices: Prices) -> Report:
    """Measure in interleaved rounds; memory, and what takes long to set up, apart from them."""
    stand = Stand(sizes, prices)
    found = interleaved(stand.sides(), sizes.rounds)
    once: dict[int, list[float]] = {}
    if sizes.nautilus_once and "nautilus" in found:
        once = stand.run_peer(
            "nautilus", sizes.nautilus_once, rounds=sizes.rounds, limit_s=ONCE_LIMIT_S
        )
    first = prices.values[0]
    weights = {
        name: books.bytes_per_position(kind.held, first) for name, kind in stand.kinds.items()
    }
    return report(sizes, prices.source, found, Apart(once, weights))


def report(sizes: Sizes, source: str, found: Found, apart: Apart) -> Report:
    """Put the rounds into rows and ratios; a peer without rounds is not installed."""
    few, many, most = sizes.few, sizes.many, sizes.most
    grown = [quiet[most] / quiet[few] for quiet in found["ours"]]
    ratios: dict[str, float | None] = {f"quiet_{most}_over_{few}": _median(grown)}
    ceilings = {f"quiet_{most}_over_{few}": 1.5}
    targets: dict[str, float] = {}
    for side, target in (("naive", 500.0), ("numpy", None), ("nautilus", 300.0)):
        name = f"{side}_over_ours_{many}"
        ratios[name] = _median(_against(found, side, many)) if side in found else None
        if target is not None:
            targets[name] = target
    for kind, of_kind in (("fixed", ""), ("trailing", "_trailing")):
        for name, value in edited([edits for edits, _ in found[f"book {kind}"]]).items():
            ratios[f"{name}{of_kind}"] = value["median"]
        ratios[f"crash_over_naive{of_kind}"] = _median(_crashes(found, kind))
        slices = [crash.longest_ms for _, crash in found[f"book {kind}"]]
        ratios[f"crash_longest_slice_ms{of_kind}"] = _median(slices)
        ratios[f"bytes_per_position{of_kind}"] = apart.weights[kind]
        ceilings[f"bytes_per_position{of_kind}"] = 1024.0
    ceilings |= {"add_us": 5.0, "amend_us": 5.0, "remove_us": 5.0}
    ceilings |= {"crash_over_naive": 6.0, "crash_longest_slice_ms": 10.0}
    rows = [
        {"prices": source, "rounds": sizes.rounds},
        *quiet_rows(sizes, found, apart),
        *edit_rows(sizes, found, apart),
    ]
    return Report("book", rows, ratios, targets | ceilings, frozenset(ceilings))


def quiet_rows(sizes: Sizes, found: Found, apart: Apart) -> Iterator[dict[str, Any]]:
    """Nanoseconds of a quiet tick, each side at each size, and how many times ours that is."""
    loop = spread([quiet[0] for quiet in found["loop"]])
    yield {"side": "loop", "does": DOES["loop"], "ns_per_tick": loop}
    for side in ("ours", "naive", *PEERS):
        package = PEERS[side][0] if side in PEERS else None
        if side not in found:
            yield {"side": package, "state": NOT_INSTALLED, "ratio": None}
            continue
        label = f"{package} {version(package)}" if package else side
        for size in sizes.positions:
            row = {"side": label, "does": DOES[side], "positions": size}
            if size in found[side][0]:
                row["ns_per_tick"] = spread([quiet[size] for quiet in found[side]])
                if side != "ours":
                    row["over_ours"] = spread(_against(found, side, size))
            elif size in apart.nautilus:
                ours = [quiet[size] for quiet in found["ours"]]
                row["ns_per_tick"] = spread(apart.nautilus[size])
                row["over_ours"] = spread(ratios_of(apart.nautilus[size], ours))
                row["state"] = "rounds of one process, since setting up takes long"
            else:
                row["state"] = SET_UP
            yield row


def edit_rows(sizes: Sizes, found: Found, apart: Apart) -> Iterator[dict[str, Any]]:
    """Edits, crashes and memory with the largest number of positions."""
    for kind, rules in RULES.items():
        facts = {"rules": rules, "positions": sizes.most}
        yield facts | edited([edits for edits, _ in found[f"book {kind}"]])
        ours, other = found[f"book {kind}"], found[f"naive crash {kind}"]
        yield facts | {
            "crash": f"ours, slices of {books.SLICE} rules, positions taken out",
            "whole_ms": spread([crash.whole_ms for _, crash in ours]),
            "taken_ms": spread([crash.taken_ms for _, crash in ours]),
            "longest_slice_ms": spread([crash.longest_ms for _, crash in ours], 3),
        }
        yield facts | {
            "crash": "naive: found, put in order, removed",
            "whole_ms": spread(other),
            "ours_over_it": spread(_crashes(found, kind), 2),
        }
        yield facts | {"bytes_per_position": round(apart.weights[kind])}


def edited(rounds: Sequence[Edits]) -> dict[str, dict[str, float]]:
    """Microseconds of each edit."""
    return {
        name: spread([getattr(edits, name) for edits in rounds], 2)
        for name in ("add_us", "amend_us", "remove_us")
    }


def _against(found: Found, side: str, size: int) -> list[float]:
    """How many times ours a side took, round by round."""
    return ratios_of([quiet[size] for quiet in found[side]], [q[size] for q in found["ours"]])


def _crashes(found: Found, kind: str) -> list[float]:
    """How many times the naive loop ours took, round by round."""
    ours = [crash.whole_ms for _, crash in found[f"book {kind}"]]
    return ratios_of(ours, found[f"naive crash {kind}"])


def _median(values: Sequence[float]) -> float:
    return spread(values, 4)["median"]


def main() -> None:
    """Run as a program."""
    finish(lambda: measure(Sizes(), load(find_recordings())))


if __name__ == "__main__":
    main()
