from msgspec.structs import replace

from engine.model.effects import SendNotice
from engine.model.order import OrderStatus
from engine.model.position import GuardStatus, PositionStatus
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import MS, POSITION, begun, closed, position


def test_a_position_that_nobody_watches_is_found_unless_it_was_told():
    for changes in ({"guard": GuardStatus.RESOLVING}, {"status": PositionStatus.STUCK}):
        lifetime = begun()
        lifetime.positions.append(replace(position(lifetime), **changes))
        assert lifetime.names() == {"guarded_at_rest"}
        told = {"position_id": POSITION}
        lifetime.notices.append(SendNotice("position.stuck", EPOCH_NS, told))
        assert lifetime.names() == set()


def test_a_holding_of_ours_that_storage_does_not_know_is_found():
    lifetime = begun()
    assert "known_holding" in lifetime.names()


def test_a_lifetime_that_does_not_come_to_rest_is_found():
    for quiet_ns in (None, 700_000 * MS):
        lifetime = closed()
        lifetime.history.quiet_ns = quiet_ns
        assert lifetime.names() == {"comes_to_rest"}


def test_an_order_that_never_ended_is_found():
    lifetime = closed()
    lifetime.orders[-1] = replace(lifetime.orders[-1], status=OrderStatus.UNKNOWN)
    assert lifetime.names() == {"orders_final"}
