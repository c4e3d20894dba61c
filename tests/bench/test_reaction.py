"""The bench of reaction, very small: its shape, and that all sides count the same frames."""

from functools import partial

import pytest

from bench.reaction import (
    HUNG,
    HUNG_TARGET,
    SHAPES,
    TARGET,
    Sizes,
    bare,
    hung_report,
    measure,
    measure_hung,
    order_report,
    ours,
    report,
)
from bench.shared.orders import Sizes as OrderSizes
from bench.shared.orders import measure_orders
from bench.shared.report import BenchFailed
from bench.shared.source import running
from engine.settings import FeedTransport

TINY = Sizes(frames=200, per_second=4_000, every=20, rounds=1)


def test_a_tiny_run_reports_both_shapes() -> None:
    found = measure(TINY).as_json()
    names = {f"p99_{shape}" for shape in SHAPES}
    assert found["bench"] == "reaction"
    assert found["ratios"].keys() == names | {f"{name}_picows" for name in names}
    assert found["targets"] == dict.fromkeys(names, TARGET)
    assert [(row["shape"], row["path"]) for row in found["rows"]] == [
        (shape, path)
        for shape in SHAPES
        for path in ("bare", "ours", "picows", "ours / bare", "picows / bare")
    ]


async def test_all_sides_count_the_crossing_frames_and_no_others() -> None:
    facts = {"frames": TINY.frames, "per_second": TINY.per_second, "every": TINY.every}
    with running(mode="pace", burst=50, **facts) as source:
        for side in (bare, ours, partial(ours, transport=FeedTransport.PICOWS)):
            taken = await side(source, TINY)
            assert len(taken) == 10
            assert taken == sorted(taken)
            assert taken[0] > 0
            assert taken[-1] < 30e6


async def test_a_frame_too_few_is_no_result() -> None:
    with (
        running(mode="pace", burst=1, frames=200, per_second=4_000, every=50) as source,
        pytest.raises(BenchFailed, match="4 frames counted instead of 10"),
    ):
        await bare(source, TINY)


@pytest.mark.parametrize(("slow", "ok"), [(300.0, True), (301.0, False)])
def test_the_target_bounds_the_ratio_of_the_99th_percentiles(slow: float, ok: bool) -> None:
    rounds = {"bare": [[100.0]] * 5, "ours": [[slow]] * 5, "picows": [[900.0]] * 5}
    found = report({"single": rounds}).as_json()
    assert found["ratios"] == {"p99_single": slow / 100, "p99_single_picows": 9.0}
    assert found["ok"] is ok


@pytest.mark.prove
def test_a_tiny_run_of_the_real_brokers_counts_every_close() -> None:
    sizes = OrderSizes(closes=4, rounds=2)
    taken = measure_orders(sizes)
    assert taken.keys() == {
        (venue, side) for venue in ("binance", "bybit") for side in ("bare", "ours")
    }
    assert {len(closes) for closes in taken.values()} == {4}
    assert all(0 < each < 30e6 for closes in taken.values() for each in closes)
    found = order_report(taken, sizes.rounds).as_json()
    assert [(row["orders"], row["path"], row["closes"]) for row in found["rows"]] == [
        ("binance", "ours", 4),
        ("binance", "bare", 4),
        ("bybit", "ours", 4),
        ("bybit", "bare", 4),
    ]


@pytest.mark.parametrize(
    ("median", "slowest", "ok"),
    [(120.0, 300.0, True), (121.0, 300.0, False), (120.0, 301.0, False)],
)
def test_the_targets_bound_both_percentiles_of_an_order(
    median: float, slowest: float, ok: bool
) -> None:
    closes = {"ours": [median] * 98 + [slowest] * 2, "bare": [100.0] * 98 + [200.0] * 2}
    found = order_report({("bybit", side): taken for side, taken in closes.items()}, 2).as_json()
    assert found["ratios"] == {"p50_order_bybit": median / 100, "p99_order_bybit": slowest / 200}
    assert found["ok"] is ok


def test_a_tiny_run_beside_a_hung_venue_sees_every_price() -> None:
    found = measure_hung(TINY).as_json()
    assert [row["ticks while"] for row in found["rows"]] == [
        "idle",
        *(f"{venue} hangs" for venue in HUNG),
    ]
    assert found["targets"] == {f"p99.9_ticks_{venue}_hung": HUNG_TARGET for venue in HUNG}


@pytest.mark.parametrize(("slow", "ok"), [(125.0, True), (126.0, False)])
def test_the_target_bounds_the_ticks_beside_a_hung_venue(slow: float, ok: bool) -> None:
    rounds = {"idle": [[100.0]] * 5, "binance": [[100.0]] * 5, "bybit": [[slow]] * 5}
    found = hung_report(rounds).as_json()
    assert found["ratios"]["p99.9_ticks_bybit_hung"] == slow / 100
    assert found["ok"] is ok
