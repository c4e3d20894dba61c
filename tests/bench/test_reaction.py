"""The bench of reaction, very small: its shape, and that all sides count the same frames."""

from functools import partial

import pytest

from bench.reaction import SHAPES, TARGET, Sizes, bare, measure, ours, report
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
