"""The bench of trailing stops, very small: its paths, its shape and its verdicts."""

from decimal import Decimal

import pytest

from bench.shared.books import Stay, filled, watch
from bench.shared.held import following, position, positions
from bench.shared.prices import Prices
from bench.shared.report import BenchFailed
from bench.trailing import Passed, Paths, Sizes, kinds, measure, ours, report, ticks

PRICES = Prices("three", [28100.0, 28104.5, 28099.1])
TINY = Sizes(few=3, most=40, peaks=20, ticks=30, naive_ticks=4, rounds=1)
STAYS = {"back": Stay(1, 4.0, 2.0), "jump": Stay(0, 4.0, 2.0)}
PATHS = ("recorded", "falling", "rising", "new_high")


def passed(ns: float, **changes: float) -> Passed:
    return Passed(dict.fromkeys(PATHS, ns) | changes, STAYS)


def test_a_path_goes_a_tick_at_a_time() -> None:
    assert ticks(Decimal("1.0"), Decimal("1.3")) == [1.1, 1.2, 1.3]
    assert ticks(Decimal("1.3"), Decimal("1.0")) == [1.2, 1.1, 1.0]


def test_the_new_highs_pass_every_peak_and_the_other_paths_none() -> None:
    paths = Paths(TINY, PRICES)
    levels = following(40, paths.highest, peaks=20, width=20)
    peaks = {float(each.peak or 0) for each in levels}
    below = (paths.quiet[name] for name in ("recorded", "falling", "rising"))
    assert max(max(prices) for prices in below) < min(peaks)
    highs = paths.quiet["new_high"]
    assert highs == sorted(set(highs))
    assert highs[-1] > max(peaks)
    book = filled(positions(levels), PRICES.values[0])
    watch(book.last, highs)
    assert {book.peak(position(n, each).id) for n, each in enumerate(levels, 1)} == {highs[-1]}


def test_a_tiny_run_reports_every_kind_of_peaks_on_every_path() -> None:
    found = measure(TINY, PRICES).as_json()
    assert found["bench"] == "trailing"
    assert found["rows"][0] == {"prices": "three", "rounds": 1}
    says = {kind.says for kind in kinds(TINY)}
    for path in (*PATHS, "back", "jump"):
        rows = [row for row in found["rows"] if row.get("path") == path and "positions" in row]
        assert {(row["peaks"], row["positions"]) for row in rows} == {
            (each, size) for each in says for size in (3, 40)
        }
    naive = {row["peaks"] for row in found["rows"] if "naive_over_ours" in row}
    assert naive == {"one peak", "20 distinct peaks"}


def test_a_path_that_reaches_other_stops_than_it_should_is_no_figure() -> None:
    paths = Paths(TINY, PRICES)
    held = positions(following(3, paths.highest, peaks=3, width=20))
    with pytest.raises(BenchFailed, match="0 stops were reached on the way back"):
        ours(held[1:], paths)


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"new_high": 15.1}, ["new_high_one_peak"]),
        ({"falling": 15.1, "rising": 15.1}, ["falling_one_peak", "rising_one_peak"]),
        ({"recorded": 99.0}, []),
    ],
)
def test_the_paths_that_are_judged_may_cost_half_as_much_again(
    changes: dict[str, float], missed: list[str]
) -> None:
    found = {f"ours {kind.name} {size}": [passed(10.0)] for kind in kinds(TINY) for size in (3, 40)}
    found["ours one_peak 40"] = [passed(15.0, **changes)]
    found["ours steps 40"] = [passed(999.0)]
    result = report(TINY, "three", found)
    assert result.missed == missed
    assert len(result.targets) == 6
    assert result.ratios["rising_steps"] == 99.9
    assert result.ratios["back_longest_ms_distinct_peaks"] == 2.0
