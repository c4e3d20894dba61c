import pytest

from engine.model.effects import SaveFill, SendNotice
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import POSITION, Lifetime, begun, closed, position


def opened() -> Lifetime:
    lifetime = begun()
    lifetime.positions.append(position(lifetime))
    return lifetime


def notice(kind: str, **data: object) -> SendNotice:
    return SendNotice(kind, EPOCH_NS, data)


BEGIN = notice("position.unresolved", position_id=POSITION)
END = notice("position.resolved", position_id=POSITION)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ((BEGIN, END), set()),
        ((BEGIN, END, BEGIN, END), set()),
        ((BEGIN,), {"alarm_clears"}),
        ((BEGIN, BEGIN, END), {"alarm_alternates"}),
        ((BEGIN, END, END), {"alarm_alternates"}),
        ((END,), {"alarm_alternates"}),
    ],
)
def test_an_alarm_begins_once_and_ends_once(told: tuple[SendNotice, ...], found: set[str]):
    lifetime = opened()
    for at_ms, each in enumerate(told, 1000):
        lifetime.commit(at_ms, each)
    assert lifetime.names() == found


def test_an_alarm_of_what_is_over_need_not_end():
    lifetime = closed()
    lifetime.commit(1000, BEGIN)
    assert lifetime.names() == set()


def test_a_position_is_told_stuck_again_after_progress_only():
    stuck = notice("position.stuck", position_id=POSITION)
    lifetime = opened()
    lifetime.commit(1000, stuck)
    lifetime.commit(1001, SaveFill(lifetime.fills[0], POSITION), stuck)
    assert lifetime.names() == set()
    lifetime.commit(1002, stuck)
    assert lifetime.names() == {"stuck_told_once"}
