"""The book agrees with the oracle over hundreds of thousands of prices, in worlds of all sizes.

A failing test names the world: ``run(seed, ticks, size)`` shows it again.
"""

from collections import Counter

import pytest

from tests.property.worlds import run

SIZES = ((1, 40_000), (3, 60_000), (10, 70_000), (40, 30_000), (120, 10_000), (300, 3_000))
"""Positions in a book, and prices given to books of this size."""
TICKS = 250
"""Prices for one world."""
SHARE = 5_000
"""Prices for one test, so that the tests spread over processes."""


def cases(times: int) -> list[tuple[int, int, int]]:
    """(size, first seed, worlds) of each test."""
    found = []
    for size, ticks in SIZES:
        share = min(SHARE, ticks) * times
        seeds = range(size * 1_000_000, (size + 1) * 1_000_000, 10_000)
        found += [
            (size, first_seed, share // TICKS)
            for _, first_seed in zip(range(0, ticks * times, share), seeds, strict=False)
        ]
    return found


def agree_over(size: int, first_seed: int, worlds: int) -> Counter[str]:
    triggered: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + worlds):
        triggered += run(seed, TICKS, size)
    return triggered


def test_the_sample_has_the_promised_number_of_prices() -> None:
    assert sum(worlds * TICKS for *_, worlds in cases(1)) >= 200_000


@pytest.mark.parametrize(("size", "first_seed", "worlds"), cases(1))
def test_book_and_oracle_agree(size: int, first_seed: int, worlds: int) -> None:
    triggered = agree_over(size, first_seed, worlds)
    assert set(triggered) == {"STOP", "TARGET", "TRAIL", "ACTIVATION", "BREAK_EVEN", "RUNG"}
    assert triggered.total() > 100


@pytest.mark.prove
@pytest.mark.parametrize(("size", "first_seed", "worlds"), cases(10))
def test_book_and_oracle_agree_for_long(size: int, first_seed: int, worlds: int) -> None:
    assert agree_over(size, first_seed + 5_000, worlds)
