import pytest

from engine.model.rules.time_stop import TimeStop


@pytest.mark.parametrize(
    ("rule", "entry_ns", "deadline_ns"),
    [
        (TimeStop(), 100, None),
        (TimeStop(max_hold_ns=50), 100, 150),
        (TimeStop(max_hold_ns=50), None, None),
        (TimeStop(close_at_ns=120), None, 120),
        (TimeStop(50, 120), 100, 120),
        (TimeStop(10, 120), 100, 110),
    ],
)
def test_the_earlier_of_both_holds(
    rule: TimeStop, entry_ns: int | None, deadline_ns: int | None
) -> None:
    assert rule.deadline_ns(entry_ns) == deadline_ns
