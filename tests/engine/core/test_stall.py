"""A clock that comes late: noted from two seconds on, and told from five on."""

import pytest

from engine.model.effects import AppendEvent, SendNotice
from engine.model.events import ClockAdvanced
from tests.engine.core.rig import SECOND, Rig


@pytest.mark.parametrize(
    ("late_ns", "logged", "notices"),
    [
        (2 * SECOND, [], []),
        (2 * SECOND + 1, ["loop.stalled"], []),
        (5 * SECOND, ["loop.stalled"], []),
        (5 * SECOND + 1, ["loop.stalled"], ["guard.stalled"]),
    ],
)
def test_a_stall_is_noted_and_a_long_one_told(
    late_ns: int, logged: list[str], notices: list[str]
) -> None:
    rig = Rig()
    rig.handle(ClockAdvanced(rig.now, rig.monotonic_ns + late_ns, late_ns))
    assert (rig.logged(), rig.notices()) == (logged, notices)


def test_a_stall_is_told_once_with_its_length() -> None:
    rig = Rig()
    rig.handle(ClockAdvanced(rig.now, rig.monotonic_ns, 7_250_000_000))
    rig.wait(0.1)
    told = [e for e in rig.effects if isinstance(e, AppendEvent | SendNotice)]
    assert [each.data for each in told] == [{"late_ms": 7250}] * 2


def test_a_long_pause_between_clocks_that_came_in_time_is_no_stall() -> None:
    rig = Rig()
    rig.wait(60)
    assert rig.logged() == []
