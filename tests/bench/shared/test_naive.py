"""The naive loop is right: it reaches what the book reaches, in the same order."""

from decimal import Decimal

import pytest

from bench.shared import naive
from bench.shared.books import filled
from bench.shared.held import Levels, outside, position, positions

PRICES = [100.0, 104.5, 99.1]


def fixed(take_profit: str, stop_loss: str) -> Levels:
    return Levels(Decimal(take_profit), Decimal(stop_loss))


def test_a_price_at_a_threshold_reaches_it() -> None:
    held = naive.guarded([fixed("110", "90"), fixed("120", "80")])
    assert naive.watch(held, [90.1, 109.9]) == 0
    assert naive.watch(held, [90.0, 110.0]) == 2
    assert naive.watch(held, [120.0, 80.0]) == 4
    assert len(held) == 2


def test_a_trailing_stop_follows_new_highs_only() -> None:
    held = naive.guarded([Levels(distance=Decimal(10), peak=Decimal(100))])
    assert naive.follow(held, [95.0, 90.1]) == 0
    assert naive.follow(held, [200.0, 180.1]) == 0
    assert (held[1].peak, held[1].stop) == (200.0, 180.0)
    assert naive.follow(held, [180.0]) == 1


@pytest.mark.parametrize("price", [94.1, 97.0, 98.0])
def test_a_crash_takes_what_the_book_takes_in_the_same_order(price: float) -> None:
    # Stops on few ticks, so that many are equal and age decides.
    levels = outside(PRICES, 200, seed=1)
    held, book = naive.guarded(levels), filled(positions(levels), PRICES[0])
    hits = book.last.take(price, 0, 7)
    while book.last.due is not None:
        hits += book.last.more(7)
    found = naive.crash(held, price)
    assert [position(hit.position_id, levels[0]).id for hit in found] == [
        hit.position_id for hit in hits
    ]
    assert 0 < len(found) == 200 - len(held)
    assert len({hit.distance for hit in found}) < len(found)


def test_the_nearer_of_two_stops_counts() -> None:
    levels = [
        Levels(stop_loss=Decimal(80), distance=Decimal(10), peak=Decimal(100)),
        Levels(stop_loss=Decimal(95), distance=Decimal(10), peak=Decimal(100)),
    ]
    assert [hit.position_id for hit in naive.crash(naive.guarded(levels), 92.0)] == [2]
    assert [hit.position_id for hit in naive.crash(naive.guarded(levels), 90.0)] == [2, 1]
