import pytest

from engine.model.ids import Purpose
from engine.simulation.history import Commit, Life, Request
from tests.engine.simulation.checks.cases import MS, closed, order


def test_a_stale_writer_is_found():
    lifetime = closed()
    lifetime.history.lives.append(Life(1, 400 * MS, epoch=2))
    lifetime.history.commits.insert(2, Commit(500 * MS, 1, ()))
    assert lifetime.names() == {"stale_commits"}
    lifetime.history.requests.insert(1, Request(500 * MS, 1, order(Purpose.EXIT)))
    assert "stale_requests" in lifetime.names()


def test_the_newer_writer_may_follow_the_older_one():
    lifetime = closed()
    lifetime.history.lives.append(Life(1, 2000 * MS, epoch=2))
    lifetime.history.commits.append(Commit(2500 * MS, 1, ()))
    assert lifetime.names() == set()


def test_a_writer_without_a_lease_is_found():
    lifetime = closed()
    lifetime.history.lives[0].epoch = 0
    assert lifetime.names() == {"writes_with_lease"}


@pytest.mark.parametrize(
    ("host", "at_ms", "found"),
    [("b", 15_999, True), ("b", 16_000, False), ("a", 2500, False)],
)
def test_whoever_takes_over_from_another_host_waits(host: str, at_ms: int, found: bool):
    lifetime = closed()
    lifetime.history.lives[0].host = "a"
    lifetime.history.lives.append(Life(1, 2000 * MS, epoch=2, host=host))
    lifetime.history.look_ups.append((at_ms * MS, 1))
    assert ("taker_waits" in lifetime.names()) is found
    lifetime.history.look_ups.clear()
    lifetime.history.requests.append(Request(at_ms * MS, 1, order(Purpose.EXIT)))
    assert ("taker_waits" in lifetime.names()) is found
