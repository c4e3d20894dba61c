"""Which faults are on, whom they concern, and how often they strike."""

import pytest

from engine.simulation.faults import Faults
from engine.simulation.history import History
from engine.simulation.plan import Fault
from tests.engine.simulation.rig import MS, PERP, SPOT


class Stage:
    """Faults with a clock that tests move."""

    def __init__(self, *faults: Fault) -> None:
        self.now_ms = 0.0
        self.history = History()
        self.faults = Faults(faults, self.history, lambda: round(self.now_ms * MS))


@pytest.mark.parametrize(
    ("now_ms", "is_on"), [(99.999999, False), (100, True), (149.999999, True), (150, False)]
)
def test_a_fault_is_on_from_its_beginning_and_before_its_end(now_ms: float, is_on: bool) -> None:
    stage = Stage(Fault("limit", 100, 50))
    stage.now_ms = now_ms
    assert (stage.faults.strike("limit") is not None) is is_on
    assert len(stage.history.struck) == is_on


def test_it_strikes_as_often_as_it_may() -> None:
    fault = Fault("limit", 0, 50, times=2)
    stage = Stage(fault)
    assert [stage.faults.strike("limit") for _ in range(3)] == [fault, fault, None]
    assert [struck.fault for struck in stage.history.struck] == [fault, fault]


def test_asking_whether_it_is_on_uses_nothing_up() -> None:
    fault = Fault("limit", 0, 50)
    stage = Stage(fault)
    assert stage.faults.active("limit") is stage.faults.active("limit") is fault
    assert stage.history.struck == []
    assert stage.faults.strike("limit") is fault
    assert stage.faults.active("limit") is None


def test_equal_faults_strike_one_after_another() -> None:
    one, other = Fault("limit", 0, 50), Fault("limit", 0, 50)
    stage = Stage(one, other)
    assert stage.faults.strike("limit") is one
    assert stage.faults.strike("limit") is other
    assert stage.faults.strike("limit") is None


def test_a_kind_strikes_for_itself() -> None:
    stage = Stage(Fault("limit", 0, 50))
    assert stage.faults.strike("skew") is None
    assert stage.faults.strike("limit") is not None


@pytest.mark.parametrize(
    ("narrow", "asked", "concerned"),
    [
        ({}, ("bybit", PERP.id), True),
        ({"venue": "bybit"}, ("bybit", PERP.id), True),
        ({"venue": "binance"}, ("bybit", PERP.id), False),
        ({"venue": "binance"}, (None, None), True),
        ({"instrument": PERP.id}, ("bybit", PERP.id), True),
        ({"instrument": SPOT.id}, ("bybit", PERP.id), False),
        ({"instrument": PERP.id}, ("bybit", None), False),
    ],
)
def test_a_fault_concerns_what_it_names(narrow: dict, asked: tuple, concerned: bool) -> None:
    stage = Stage(Fault("mute", 0, 50, **narrow))
    assert (stage.faults.active("mute", *asked) is not None) is concerned


def test_nothing_strikes_when_everything_is_healed() -> None:
    stage = Stage(Fault("limit", 0, 50, times=9), Fault("mute", 0, 50))
    stage.faults.heal()
    assert stage.faults.strike("limit") is stage.faults.active("mute") is None
    assert stage.history.struck == []


def test_what_happens_undrawn_is_written_down_with_its_time() -> None:
    stage = Stage()
    stage.now_ms = 1234
    stage.faults.happened("dup_post")
    ((at_ns, fault),) = stage.history.struck
    assert (at_ns, fault.kind, fault.at_ms) == (1234 * MS, "dup_post", 1234)
