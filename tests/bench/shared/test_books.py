"""Our book as the benches use it: what a measurement leaves behind, never how long it took."""

from decimal import Decimal

import pytest

from bench.shared import books
from bench.shared.held import Levels, outside, positions, trailed
from bench.shared.report import BenchFailed

PRICES = [28100.0, 28104.5, 28099.1]
FIXED = outside(PRICES, 300, seed=1)
TRAILED = trailed(FIXED, Decimal("28104.5"), 20, seed=2)


def test_a_book_is_not_filled_at_a_price_that_reaches_rules() -> None:
    with pytest.raises(BenchFailed, match="reaches rules"):
        books.filled(positions(FIXED), 20_000.0)


def test_quiet_prices_reach_nothing_and_are_the_channels_price() -> None:
    book = books.filled(positions(FIXED), PRICES[0])
    assert books.watch(book.last, PRICES) == 0
    assert book.last.price == PRICES[-1]
    assert books.per_tick_ns(lambda prices: books.watch(book.last, prices), PRICES * 100) > 0


def test_prices_that_reach_rules_are_taken_to_the_end_and_are_no_quiet_ticks() -> None:
    book = books.filled(positions(FIXED), PRICES[0])
    assert books.watch(book.last, [20_000.0, 40_000.0]) == 600
    book = books.filled(positions(FIXED), PRICES[0])
    with pytest.raises(BenchFailed, match="300 rules were reached by quiet prices"):
        books.per_tick_ns(lambda prices: books.watch(book.last, prices), [20_000.0])


def test_a_path_price_by_price_reaches_the_same() -> None:
    book = books.filled(positions(FIXED), PRICES[0])
    stay = books.watch_each(book.last, [*PRICES, 20_000.0])
    assert stay.hits == 300
    assert stay.longest_ms > 0


@pytest.mark.parametrize("levels", [FIXED, TRAILED])
def test_edits_end_with_the_changed_positions_and_without_the_new_ones(
    levels: list[Levels],
) -> None:
    held = positions(levels[:200])
    book = books.filled(held, PRICES[0])
    edits = books.edit(book, positions(levels[200:250], 201), positions(levels[250:], 1))
    assert min(edits.add_us, edits.amend_us, edits.remove_us) > 0
    assert len(book) == 200
    assert all(position.id in book for position in held)
    amended = {hit.position_id: hit.level for hit in book.last.take(40_000.0, 0)}
    expected = [*levels[250:], *levels[50:200]]
    assert [amended[position.id] for position in held] == [
        float(each.take_profit or 0) for each in expected
    ]


@pytest.mark.parametrize("levels", [FIXED, TRAILED])
def test_a_crash_takes_every_position_out_once(levels: list[Levels]) -> None:
    book = books.filled(positions(levels), PRICES[0])
    found = books.crash(book, 1.0)
    assert found.positions == 300
    assert len(book) == 0
    assert book.last.due is None
    assert 0 < found.taken_ms < found.whole_ms


def test_a_book_is_weighed_without_its_positions() -> None:
    held = positions(outside(PRICES, 2_000, seed=1))
    assert 100 < books.bytes_per_position(held, PRICES[0]) < 5_000
