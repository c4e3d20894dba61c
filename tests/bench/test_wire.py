"""The bench of throughput, very small: its shape, and what its figures come from."""

import pytest

from bench.shared.source import running
from bench.shared.streams import Passage, Peer
from bench.wire import TARGETS, Sizes, lost, measure, report, whole
from engine.settings import FeedTransport

TINY = Sizes(frames=300, slow_frames=200, rounds=1, positions=3)
ABSENT = Peer("some-body", "no_such_package_anywhere", "some.py", "bybit", "nothing", 3.0)


NONE_LOST = {"prices_lost": 0, "picows_prices_lost": 0}


def rounds(**changes: Passage) -> dict[str, list[Passage]]:
    """Three rounds in which every side takes 2 s for 100 frames, but picows' whole path 0.5 s."""
    usual = Passage(2.0, 1.0, 100)
    sides = dict.fromkeys(("bare", "whole", "picows_bare"), usual)
    sides |= {"picows_whole": Passage(0.5, 1.0, 100)}
    return {name: [each] * 3 for name, each in (sides | changes).items()}


def test_a_tiny_run_reports_every_side_and_whom_it_could_not_measure() -> None:
    found = measure(TINY, [ABSENT]).as_json()
    assert found["bench"] == "wire"
    assert [row["path"] for row in found["rows"]] == [
        "receive and decode, websockets",
        "whole path, 3 open positions, websockets",
        "whole / bare",
        "receive and decode, picows",
        "whole path, 3 open positions, picows",
        "picows_whole / picows_bare",
        "picows_whole / whole",
        "some-body",
    ]
    measured = [found["rows"][at] for at in (0, 1, 3, 4)]
    assert all(row["frames_per_s"]["median"] > 0 for row in measured)
    assert all(row["frames"] == 300 for row in measured)
    assert found["rows"][1]["lost"] == found["ratios"]["prices_lost"] == 0
    assert found["rows"][4]["lost"] == found["ratios"]["picows_prices_lost"] == 0


def test_an_absent_peer_is_a_row_with_a_null_ratio_and_never_a_pass() -> None:
    found = report(TINY, rounds(), NONE_LOST, [ABSENT]).as_json()
    assert found["rows"][-1] == {"path": "some-body", "state": "not installed", "ratio": None}
    assert found["ratios"]["whole_over_some_body"] is None
    assert found["targets"]["whole_over_some_body"] == 3.0
    assert found["ok"] is False
    assert report(TINY, rounds(), NONE_LOST, []).as_json()["ok"] is True


@pytest.mark.parametrize("transport", FeedTransport)
async def test_the_whole_path_is_measured_from_the_first_write(transport: FeedTransport) -> None:
    with running(mode="blast", frames=300) as source:
        passage = await whole(source, 300, 3, transport)
    assert 0 < passage.seconds < 30
    assert 0 < passage.cpu_s < 30


@pytest.mark.parametrize(("expected", "missing"), [(300, 0), (310, 10)])
@pytest.mark.parametrize("transport", FeedTransport)
async def test_prices_that_never_came_are_counted_as_lost(
    transport: FeedTransport, expected: int, missing: int
) -> None:
    with running(mode="blast", frames=300) as source:
        found = await lost(source, expected, 3, transport)
    # Of ten more prices, one or both extremes may be among those that did not come.
    assert missing <= found <= missing + (2 if missing else 0)


@pytest.mark.parametrize(("seconds", "ratio", "ok"), [(2.0, 1.0, True), (2.5, 0.8, False)])
def test_rates_are_compared_round_by_round(seconds: float, ratio: float, ok: bool) -> None:
    found = report(TINY, rounds(whole=Passage(seconds, 2.0, 100)), NONE_LOST, []).as_json()
    assert found["rows"][0]["frames_per_s"] == {"median": 50.0, "min": 50.0, "max": 50.0}
    assert found["rows"][0]["cpu_us_per_frame"]["median"] == 10_000.0
    assert found["ratios"]["whole_over_bare"] == ratio
    assert found["ratios"]["whole_over_bare_by_cpu"] == 0.5
    assert found["targets"] == TARGETS
    assert found["ok"] is ok


@pytest.mark.parametrize(
    ("seconds", "missed"),
    [
        (2 / 3, []),
        (1.0, ["picows_whole_over_whole"]),
        (3.0, ["picows_whole_over_whole", "picows_whole_over_picows_bare"]),
    ],
)
def test_the_faster_wire_is_held_against_ours_and_its_own_bare_side(
    seconds: float, missed: list[str]
) -> None:
    passed = rounds(picows_whole=Passage(seconds, 1.0, 100))
    assert report(TINY, passed, NONE_LOST, []).missed == missed


@pytest.mark.parametrize("name", list(NONE_LOST))
def test_one_price_lost_on_our_side_is_a_missed_target(name: str) -> None:
    assert report(TINY, rounds(), NONE_LOST | {name: 1}, []).missed == [name]


def test_a_peer_is_compared_with_the_whole_path_and_shows_what_it_lost() -> None:
    passed = rounds(**{ABSENT.key: Passage(4.0, 1.0, 100, lost=50)})
    found = report(TINY, passed, NONE_LOST, [ABSENT]).as_json()
    assert found["rows"][-2]["lost"]["median"] == 50
    assert found["rows"][-1]["path"] == "whole / some_body"
    assert found["ratios"]["whole_over_some_body"] == 2.0
    assert found["ok"] is False
