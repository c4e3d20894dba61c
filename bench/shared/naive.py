"""The naive loop: what is written first, and is right. Positions in a dict, every one every tick.

Longs only, so that no side has to be looked at: in its favour.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from bench.shared.held import Levels


class Guarded:
    """A position with its thresholds; ``share`` of its peak is where its trailing stop lies."""

    __slots__ = ("id", "peak", "share", "stop", "stop_loss", "take_profit")

    def __init__(self, number: int, levels: Levels) -> None:
        self.id = number
        self.take_profit = inf if levels.take_profit is None else float(levels.take_profit)
        self.stop_loss = -inf if levels.stop_loss is None else float(levels.stop_loss)
        self.share = 1 - float(levels.distance or 0) / 100
        self.peak = inf if levels.peak is None else float(levels.peak)
        self.stop = -inf if levels.distance is None else self.peak * self.share


class Hit(NamedTuple):
    """A position to close, and by how much the price has gone beyond its threshold."""

    position_id: int
    distance: float


def guarded(levels: Sequence[Levels]) -> dict[int, Guarded]:
    """Positions by their number, in the order of their age."""
    return {number: Guarded(number, each) for number, each in enumerate(levels, 1)}


def watch(held: dict[int, Guarded], prices: Iterable[float]) -> int:
    """Compare every price with every take-profit and stop-loss; returns how many it reached."""
    reached = 0
    for price in prices:
        for position in held.values():
            if price >= position.take_profit or price <= position.stop_loss:
                reached += 1
    return reached


def follow(held: dict[int, Guarded], prices: Iterable[float]) -> int:
    """Let every trailing stop follow every price; returns how many were reached."""
    reached = 0
    for price in prices:
        for position in held.values():
            if price > position.peak:
                position.peak = price
                position.stop = price * position.share
            elif price <= position.stop:
                reached += 1
    return reached


def crash(held: dict[int, Guarded], price: float) -> list[Hit]:
    """Remove all positions whose stop ``price`` reaches; the worst distance, then age, is first."""
    hits = []
    for position in held.values():
        stop = max(position.stop_loss, position.stop)
        if price <= stop:
            hits.append(Hit(position.id, stop - price))
    hits.sort(key=lambda hit: hit.distance, reverse=True)  # stable: equals stay in order of age
    for hit in hits:
        del held[hit.position_id]
    return hits
