"""The bench of throughput, very small: its shape, and what its figures come from."""

import pytest

from bench.shared.source import running
from bench.shared.streams import Passage, Peer
from bench.wire import TARGET, Sizes, lost, measure, report, whole

TINY = Sizes(frames=300, slow_frames=200, rounds=1, positions=3)
ABSENT = Peer("some-body", "no_such_package_anywhere", "some.py", "bybit", "nothing", 3.0)


def test_a_tiny_run_reports_both_sides_and_whom_it_could_not_measure() -> None:
    found = measure(TINY, [ABSENT]).as_json()
    assert found["bench"] == "wire"
    assert [row["path"] for row in found["rows"]] == [
        "receive and decode",
        "whole path, 3 open positions",
        "whole / bare",
        "some-body",
    ]
    assert all(row["frames_per_s"]["median"] > 0 for row in found["rows"][:2])
    assert all(row["frames"] == 300 for row in found["rows"][:2])
    assert found["rows"][1]["lost"] == found["ratios"]["prices_lost"] == 0


def test_an_absent_peer_is_a_row_with_a_null_ratio_and_never_a_pass() -> None:
    passage = Passage(2.0, 1.0, 100)
    rounds = {"bare": [passage] * 3, "whole": [passage] * 3}
    found = report(TINY, rounds, 0, [ABSENT]).as_json()
    assert found["rows"][-1] == {"path": "some-body", "state": "not installed", "ratio": None}
    assert found["ratios"]["whole_over_some_body"] is None
    assert found["targets"]["whole_over_some_body"] == 3.0
    assert found["ok"] is False
    assert report(TINY, rounds, 0, []).as_json()["ok"] is True


async def test_the_whole_path_is_measured_from_the_first_write() -> None:
    with running(mode="blast", frames=300) as source:
        passage = await whole(source, 300, 3)
    assert 0 < passage.seconds < 30
    assert 0 < passage.cpu_s < 30


@pytest.mark.parametrize(("expected", "missing"), [(300, 0), (310, 10)])
async def test_prices_that_never_came_are_counted_as_lost(expected: int, missing: int) -> None:
    with running(mode="blast", frames=300) as source:
        found = await lost(source, expected, 3)
    # Of ten more prices, one or both extremes may be among those that did not come.
    assert missing <= found <= missing + (2 if missing else 0)


@pytest.mark.parametrize(("seconds", "ratio", "ok"), [(2.0, 1.0, True), (2.5, 0.8, False)])
def test_rates_are_compared_round_by_round(seconds: float, ratio: float, ok: bool) -> None:
    bare, whole_passage = Passage(2.0, 1.0, 100), Passage(seconds, 2.0, 100)
    rounds = {"bare": [bare] * 3, "whole": [whole_passage] * 3}
    found = report(Sizes(frames=100), rounds, 0, []).as_json()
    assert found["rows"][0]["frames_per_s"] == {"median": 50.0, "min": 50.0, "max": 50.0}
    assert found["rows"][0]["cpu_us_per_frame"]["median"] == 10_000.0
    assert found["ratios"]["whole_over_bare"] == ratio
    assert found["ratios"]["whole_over_bare_by_cpu"] == 0.5
    assert found["targets"] == {"whole_over_bare": TARGET, "prices_lost": 0.0}
    assert found["ok"] is ok


def test_one_price_lost_on_our_side_is_a_missed_target() -> None:
    passage = Passage(2.0, 1.0, 100)
    rounds = {"bare": [passage] * 3, "whole": [passage] * 3}
    assert report(TINY, rounds, 1, []).missed == ["prices_lost"]


def test_a_peer_is_compared_with_the_whole_path_and_shows_what_it_lost() -> None:
    fast, slow = Passage(1.0, 1.0, 300), Passage(1.0, 1.0, 150, lost=50)
    rounds = {"bare": [fast] * 3, "whole": [fast] * 3, ABSENT.key: [slow] * 3}
    found = report(TINY, rounds, 0, [ABSENT]).as_json()
    assert found["rows"][3]["lost"]["median"] == 50
    assert found["rows"][3]["frames"] == 150
    assert found["rows"][4]["path"] == "whole / some_body"
    assert found["ratios"]["whole_over_some_body"] == 2.0
    assert found["ok"] is False
