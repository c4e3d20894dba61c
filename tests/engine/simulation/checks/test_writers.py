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
