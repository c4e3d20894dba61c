"""Amendments that ask for what has come and gone."""

from decimal import Decimal
from typing import Any

from engine.model.events import ExitsAmended
from engine.model.exit_set import ExitChanges
from engine.model.exits import Disarmed
from engine.model.position import Position
from tests.engine.core.ladders import rungs
from tests.engine.core.rig import SECOND, Rig

D = Decimal
NONE = Disarmed()


def opened(**fields: Any) -> tuple[Rig, Position]:
    """A position of one unit at 100."""
    rig = Rig()
    return rig, rig.open(**fields)


def problems(rig: Rig, position: Position, **changes: Any) -> list[str]:
    event = ExitsAmended(position.id, ExitChanges(**changes), "owner", rig.now)
    return [problem.field for problem in rig.guardian.amendment_problems(event)]


def test_a_time_that_is_over_already_is_refused_not_closed_by() -> None:
    rig, position = opened()
    rig.wait(100)
    assert problems(rig, position, max_hold_ns=60 * SECOND) == ["max_hold_seconds"]
    assert problems(rig, position, max_hold_ns=101 * SECOND) == []


def test_a_rung_that_was_reached_does_not_move_the_stop_later() -> None:
    rig, position = opened(take_profit=NONE, ladder=rungs("5:0.3", "9:0.3"))
    rig.trade(105.0)
    rig.filled(rig.exits()[-1], "105")
    assert problems(rig, position, break_even_after_rung=1) == ["break_even_after_rung"]
    assert problems(rig, position, break_even_after_rung=2) == []
