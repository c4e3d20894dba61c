"""What is told and asked when the lease of the one writer changes hands."""

from engine.model.events import LeaseChanged
from tests.engine.core.rig import Rig


def lease(rig: Rig, *withheld: str, held: bool) -> None:
    rig.handle(LeaseChanged(held, rig.now, withheld))


def test_the_owner_is_told_once_when_the_lease_ends_and_once_when_it_is_held_again() -> None:
    rig = Rig()
    for held in (True, False, False, True, True):
        lease(rig, held=held)
    assert rig.notices() == ["guard.fenced", "guard.unfenced"]
    assert rig.logged() == ["guard.fenced", "guard.unfenced"]


def test_a_close_that_was_withheld_is_looked_up_at_once_and_again_after_a_second() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    (close,) = rig.exits()
    lease(rig, close.client_order_id, held=False)
    assert rig.asked() == [close.client_order_id]
    assert rig.asked(rig.wait(0.9)) == []
    assert rig.asked(rig.wait(0.1)) == [close.client_order_id]


def test_each_close_that_was_withheld_is_looked_up_also_past_the_lease() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    (close,) = rig.exits()
    lease(rig, held=False)
    lease(rig, close.client_order_id, held=False)
    assert rig.asked() == [close.client_order_id]


def test_a_withheld_close_that_came_to_its_end_is_not_asked_for() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    (close,) = rig.exits()
    rig.filled(close, "95")
    lease(rig, close.client_order_id, held=False)
    assert rig.asked() == []
