"""The bench of the book, very small: its shape, and what its verdicts come from."""

from typing import Any

import pytest

from bench.book import Apart, measure, report
from bench.shared import peers
from bench.shared.books import Crash, Edits
from bench.shared.prices import Prices
from bench.shared.stand import Sizes

PRICES = Prices("three", [28100.0, 28104.5, 28099.1])
TINY = Sizes(
    positions=(1, 5, 20),
    few=1,
    many=5,
    most=20,
    ticks=50,
    checks=50,
    nautilus=(1, 5),
    nautilus_once=(),
    edits=5,
    rounds=1,
)
WEIGHTS = {"fixed": 500.0, "trailing": 900.0}


def rounds(**changes: Any) -> dict[str, list[Any]]:
    """Three equal rounds; the fifth position costs the naive loop 500 times ours."""
    book = (Edits(4.0, 5.0, 1.0), Crash(20, 60.0, 30.0, 9.0))
    found: dict[str, Any] = {
        "loop": {0: 1.0},
        "ours": {1: 10.0, 5: 10.0, 20: 15.0},
        "naive": {1: 20.0, 5: 5_000.0, 20: 20_000.0},
        "numpy": {1: 100.0, 5: 200.0, 20: 300.0},
        "nautilus": {1: 100.0, 5: 3_000.0},
        "book fixed": book,
        "book trailing": book,
        "naive crash fixed": 10.0,
        "naive crash trailing": 10.0,
    }
    return {name: [each] * 3 for name, each in (found | changes).items()}


def test_a_tiny_run_without_peers_reports_every_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "installed", lambda _package: False)
    found = measure(TINY, PRICES).as_json()
    assert found["bench"] == "book"
    assert found["rows"][0] == {"prices": "three", "rounds": 1}
    sides = [(row["side"], row.get("positions")) for row in found["rows"] if "side" in row]
    assert sides[:7] == [
        ("loop", None),
        *(("ours", size) for size in TINY.positions),
        *(("naive", size) for size in TINY.positions),
    ]
    assert found["rows"][8:10] == [
        {"side": "numpy", "state": "not installed", "ratio": None},
        {"side": "nautilus_trader", "state": "not installed", "ratio": None},
    ]
    assert found["ratios"]["nautilus_over_ours_5"] is None
    assert found["ok"] is False


def test_figures_at_their_targets_hold_them_all() -> None:
    result = report(TINY, "three", rounds(), Apart({}, WEIGHTS))
    assert result.missed == []
    assert result.ratios["quiet_20_over_1"] == 1.5
    assert result.ratios["naive_over_ours_5"] == 500
    assert result.ratios["numpy_over_ours_5"] == 20
    assert result.ratios["nautilus_over_ours_5"] == 300
    assert result.ratios["crash_over_naive"] == 6
    assert result.ratios["bytes_per_position_trailing"] == 900


@pytest.mark.parametrize(
    ("changes", "weights", "missed"),
    [
        ({"ours": {1: 10.0, 5: 10.0, 20: 15.1}}, {}, ["quiet_20_over_1"]),
        ({"naive": {1: 1.0, 5: 4_999.0, 20: 1.0}}, {}, ["naive_over_ours_5"]),
        ({"nautilus": {1: 1.0, 5: 2_999.0}}, {}, ["nautilus_over_ours_5"]),
        ({"numpy": {1: 1.0, 5: 1.0, 20: 1.0}}, {}, []),
        (
            {"book fixed": (Edits(5.1, 5.2, 5.3), Crash(20, 60.1, 30.0, 10.1))},
            {},
            ["add_us", "amend_us", "remove_us", "crash_over_naive", "crash_longest_slice_ms"],
        ),
        ({"book trailing": (Edits(5.1, 5.2, 5.3), Crash(20, 99.0, 30.0, 99.0))}, {}, []),
        ({}, {"trailing": 1025.0}, ["bytes_per_position_trailing"]),
    ],
)
def test_each_target_bounds_its_ratio(
    changes: dict[str, Any], weights: dict[str, float], missed: list[str]
) -> None:
    result = report(TINY, "three", rounds(**changes), Apart({}, WEIGHTS | weights))
    assert result.missed == missed


def test_a_size_that_takes_long_to_set_up_is_told_apart_or_not_measured() -> None:
    rows = report(TINY, "three", rounds(), Apart({20: [9_000.0] * 3}, WEIGHTS)).rows
    last = [row for row in rows if str(row.get("side")).startswith("nautilus")][-1]
    assert last["over_ours"]["median"] == 600
    assert "one process" in last["state"]
    rows = report(TINY, "three", rounds(), Apart({}, WEIGHTS)).rows
    last = [row for row in rows if str(row.get("side")).startswith("nautilus")][-1]
    assert "not measured" in last["state"]
    assert "ns_per_tick" not in last
