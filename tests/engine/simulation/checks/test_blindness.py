import pytest
from msgspec.structs import replace

from engine.model.effects import SavePosition, SendNotice
from engine.model.events import FeedLost, FeedResumed
from engine.model.position import PositionStatus
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import BTC, MS, Lifetime, begun, position

LOST = SendNotice("feed.lost", EPOCH_NS, {"instruments": [str(BTC.id)]})
FOUND = "blindness_told"


def blinded(lost_ms: int = 3000) -> Lifetime:
    """A lifetime in which the prices of an open position were lost."""
    lifetime = begun()
    lifetime.positions.append(position(lifetime))
    lifetime.commit(1000, SavePosition(lifetime.positions[0]))
    lifetime.tell(1500, FeedResumed((BTC.id,), EPOCH_NS))
    lifetime.tell(lost_ms, FeedLost((BTC.id,), "silent", EPOCH_NS))
    return lifetime


def test_blindness_that_nobody_was_told_is_found():
    assert FOUND in blinded().names()


@pytest.mark.parametrize(("at_ms", "found"), [(3000, False), (2999, True)])
def test_it_is_told_when_it_begins(at_ms: int, found: bool):
    lifetime = blinded()
    lifetime.commit(at_ms, LOST)
    assert (FOUND in lifetime.names()) is found


def test_a_process_that_ended_soon_need_not_have_told():
    lifetime = blinded()
    lifetime.history.lives[0].ended_ns = 10_000 * MS
    assert FOUND not in lifetime.names()


def test_prices_that_were_lost_already_are_not_lost_again():
    lifetime = blinded()
    lifetime.commit(3001, LOST)
    lifetime.tell(4000, FeedLost((BTC.id,), "silent", EPOCH_NS))
    assert lifetime.judge().checks[FOUND] == 1


def test_of_what_is_closed_nothing_is_told():
    lifetime = blinded()
    over = replace(lifetime.positions[0], status=PositionStatus.CLOSING)
    lifetime.commit(2000, SavePosition(over))
    assert FOUND not in lifetime.names()
