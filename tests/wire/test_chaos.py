"""The real libraries over real sockets, under faults and kills: nothing lost, nothing twice."""

from pathlib import Path

import pytest

from tests.wire.chaos import START, live


def check(folder: Path, seed: int, wanted: int, kills: int) -> None:
    story = live(folder, seed, wanted, kills)
    assert story.kills == kills, story
    assert all(story.opened[name] >= wanted for name in START), story
    assert {"take_profit", "stop_loss"} <= story.reasons.keys(), story


@pytest.mark.timeout(240)
def test_twenty_entries_of_each_market_survive_faults_and_a_kill(tmp_path: Path) -> None:
    check(tmp_path, seed=1, wanted=20, kills=1)


@pytest.mark.prove
def test_two_hundred_entries_of_each_market_survive_faults_and_three_kills(tmp_path: Path) -> None:
    check(tmp_path, seed=2, wanted=200, kills=3)
