import pytest
from msgspec.structs import replace

from engine.model.position import PositionStatus
from tests.engine.simulation.checks.cases import D, Lifetime, begun, leave, position


def closed_but_for(qty: str) -> Lifetime:
    """A lifetime in which so much was left and booked as dust."""
    lifetime = begun()
    lifetime.tick(1000, 94.0)
    leave(lifetime, 1000, qty=D(1) - D(qty))
    dust = {"status": PositionStatus.CLOSED, "dust": D(qty)}
    lifetime.positions[-1] = replace(position(lifetime), **dust)
    return lifetime


@pytest.mark.parametrize(("qty", "found"), [("0.0009", False), ("0.001", True), ("0.5", True)])
def test_dust_that_could_be_sold_is_found(qty: str, found: bool):
    assert ("dust_is_unsellable" in closed_but_for(qty).names()) is found
