"""What is written down of a lifetime begins empty, and is of one lifetime."""

from engine.simulation.history import Delivery, History, Life
from tests.engine.simulation.rig import Lived, plan, signal


def test_histories_share_nothing() -> None:
    one, other = History(), History()
    one.lives.append(Life(0, 0))
    one.calls["0.check"] += 1
    one.edges["order.sent.filled"] += 1
    one.crash_points["by time"] += 1
    one.errors.append((0, 0, "why"))
    assert other == History()


def test_what_was_not_answered_has_no_answer() -> None:
    delivery = Delivery(5, None, signal())
    assert (delivery.answered_ns, delivery.status, delivery.signal_id) == (None, None, None)


def test_a_life_that_never_had_a_lease_has_no_epoch() -> None:
    life = Life(3, 7)
    assert (life.epoch, life.ended_ns, life.killed, life.refused) == (0, None, False, None)


def test_everything_is_written_down_in_order_of_time() -> None:
    history = Lived(plan()).history
    for written in (history.requests, history.arrivals, history.commits, history.struck):
        times = [each.at_ns for each in written]
        assert times == sorted(times)
    told = [each.at_ns for each in history.told]
    assert told == sorted(told)
    assert history.events > len(told) / 2
