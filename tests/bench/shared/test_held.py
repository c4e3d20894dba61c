"""Positions of the book's benches: thresholds where ordinary prices do not reach them."""

from decimal import Decimal

from bench.shared.held import (
    DISTANCES,
    INSTRUMENT,
    LONE_DISTANCE,
    PEAKS_BEGIN,
    following,
    outside,
    positions,
    trailed,
)
from engine.model.exits import Percent

PRICES = [100.0, 104.5, 99.1]
TICK = INSTRUMENT.tick_size


def test_fixed_thresholds_lie_on_ticks_outside_of_all_prices() -> None:
    levels = outside(PRICES, 50, seed=1)
    assert levels == outside(PRICES, 50, seed=1) != outside(PRICES, 50, seed=2)
    for each in levels:
        assert each.take_profit is not None
        assert each.stop_loss is not None
        assert 104.5 < each.take_profit < Decimal(110)
        assert Decimal(94) < each.stop_loss < 99.1
        assert each.take_profit % TICK == each.stop_loss % TICK == 0


def test_a_trailing_stop_is_added_to_the_same_thresholds() -> None:
    fixed = outside(PRICES, 50, seed=1)
    levels = trailed(fixed, Decimal("104.5"), 20, seed=3)
    lowest = Decimal("104.5") + PEAKS_BEGIN * TICK
    assert [each.take_profit for each in levels] == [each.take_profit for each in fixed]
    assert [each.stop_loss for each in levels] == [each.stop_loss for each in fixed]
    assert all(each.distance in DISTANCES for each in levels)
    assert {each.peak for each in levels} <= {lowest + n * TICK for n in range(20)}


def test_peaks_are_spread_evenly_over_their_range() -> None:
    begin = Decimal(100) + PEAKS_BEGIN * TICK
    few = following(4, Decimal(100), peaks=4, width=1000)
    assert sorted(each.peak for each in few) == [begin + n * 250 * TICK for n in range(4)]
    many = following(60, Decimal(100), peaks=20, width=20, step=Decimal("0.05"))
    peaks = [each.peak for each in many]
    assert sorted(set(peaks)) == [begin + n * TICK for n in range(20)]
    assert all(peaks.count(peak) == 3 for peak in peaks)
    assert peaks != sorted(peaks)
    assert [each.step for each in many] == [Decimal("0.05")] * 60
    assert [each.distance for each in many].count(LONE_DISTANCE) == 1
    assert {each.peak for each in following(5, Decimal(100), peaks=1, width=1000)} == {begin}


def test_positions_hold_what_their_levels_say() -> None:
    levels = trailed(outside(PRICES, 2, seed=1), Decimal("104.5"), 20, seed=3)
    first, second = positions(levels, begin=7)
    assert (first.created_at_ns, second.created_at_ns) == (7, 8)
    assert first.id != second.id
    assert (first.take_profit, first.stop_loss) == (levels[0].take_profit, levels[0].stop_loss)
    assert first.progress.peak == levels[0].peak
    assert first.exits.trailing is not None
    assert levels[0].distance is not None
    assert first.exits.trailing.distance == Percent(levels[0].distance)
    assert positions(outside(PRICES, 1, seed=1))[0].exits.trailing is None
