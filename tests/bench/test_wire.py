"""The bench of throughput, very small: its shape, and what its figures come from."""

import pytest

from bench.shared.source import running
from bench.wire import TARGET, Passage, Sizes, measure, report, whole

TINY = Sizes(frames=300, rounds=1, positions=3)


def test_a_tiny_run_reports_both_sides_and_their_ratio() -> None:
    found = measure(TINY).as_json()
    assert found["bench"] == "wire"
    assert [row["path"] for row in found["rows"]] == [
        "receive and decode",
        "whole path, 3 open positions",
        "whole / bare",
    ]
    assert found["ratios"].keys() == {"whole_over_bare", "whole_over_bare_by_cpu"}
    assert found["targets"] == {"whole_over_bare": TARGET}
    assert isinstance(found["ok"], bool)
    assert all(row["frames_per_s"]["median"] > 0 for row in found["rows"][:2])


async def test_the_whole_path_is_measured_from_the_first_write() -> None:
    with running(mode="blast", frames=300) as source:
        passage = await whole(source, 3)
    assert 0 < passage.seconds < 30
    assert 0 < passage.cpu_s < 30


@pytest.mark.parametrize(("seconds", "ratio", "ok"), [(2.0, 1.0, True), (2.5, 0.8, False)])
def test_rates_are_compared_round_by_round(seconds: float, ratio: float, ok: bool) -> None:
    bare, whole_passage = Passage(2.0, 1.0), Passage(seconds, 2.0)
    found = report(Sizes(frames=100), {"bare": [bare] * 3, "whole": [whole_passage] * 3}).as_json()
    assert found["rows"][0]["frames_per_s"] == {"median": 50.0, "min": 50.0, "max": 50.0}
    assert found["rows"][0]["cpu_us_per_frame"]["median"] == 10_000.0
    assert found["ratios"] == {"whole_over_bare": ratio, "whole_over_bare_by_cpu": 0.5}
    assert found["ok"] is ok
