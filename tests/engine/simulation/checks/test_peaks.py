import pytest
from msgspec.structs import replace

from engine.model.effects import SavePosition
from engine.model.exits import Percent, Side
from engine.model.position import Position, Progress
from engine.model.rules.trailing import Trailing
from tests.engine.simulation.checks.cases import EXITS, D, begun, position

TRAILED = replace(EXITS, trailing=Trailing(Percent(D(2))))


def peaked(peak: str | None, **changes: object) -> Position:
    progress = Progress(peak=None if peak is None else D(peak))
    return replace(position(begun()), exits=TRAILED, progress=progress, **changes)


def found(*positions: Position) -> bool:
    lifetime = begun()
    for at_ms, each in enumerate(positions, 1000):
        lifetime.commit(at_ms, SavePosition(each))
    return "peak_kept" in lifetime.names()


@pytest.mark.parametrize(
    ("before", "after", "is_found"),
    [("101", "100", True), ("101", None, True), ("101", "102", False), (None, "100", False)],
)
def test_a_peak_that_goes_back_is_found(before: str | None, after: str | None, is_found: bool):
    assert found(peaked(before), peaked(after)) is is_found


def test_a_shorts_peak_goes_down():
    assert found(peaked("99", side=Side.SHORT), peaked("100", side=Side.SHORT))
    assert not found(peaked("99", side=Side.SHORT), peaked("98", side=Side.SHORT))


def test_other_rules_or_another_entry_begin_anew():
    assert not found(peaked("101"), peaked("100", qty=D(2)))
    other = replace(TRAILED, trailing=Trailing(Percent(D(3))))
    assert not found(peaked("101"), replace(peaked("100"), exits=other))
