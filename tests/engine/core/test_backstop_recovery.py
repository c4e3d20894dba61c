"""Backstops that a process finds when it comes up."""

from engine.model.exits import ExitReason
from engine.model.order import Order, OrderStatus
from engine.model.position import Position, PositionStatus
from tests.engine.core.backstop_rig import ALL, BackstopRig, D
from tests.engine.core.restarts import answer_absent, exit_id, restarted
from tests.engine.core.rig import BTC_SPOT


def on_spot(**fields: object) -> tuple[BackstopRig, Position, Order]:
    rig = BackstopRig(backstops=ALL)
    position, order = rig.protected(instrument=BTC_SPOT, **fields)
    return rig, position, order


def test_after_a_start_it_is_looked_up_and_taken_up_and_none_else_is_placed() -> None:
    old = BackstopRig()
    position, order = old.protected()
    rig = restarted(BackstopRig(), old)
    assert order.client_order_id in rig.asked(rig.effects)
    answer_absent(rig, 0, 1, 2, 3)
    assert "position.armed" in rig.logged()
    rig.found(order, OrderStatus.ACKNOWLEDGED)
    rig.wait(30)
    assert rig.placed() == []
    assert rig.position(position).backstop == D("90.2")


def test_after_a_start_the_next_one_waits_until_the_last_is_proved_absent() -> None:
    old = BackstopRig()
    position = old.open()
    order = old.placed()[-1]  # perhaps it was sent
    rig = restarted(BackstopRig(), old)
    answer_absent(rig, 0, 1, 2, 3)
    rig.wait(3)
    assert rig.placed() == []
    rig.absent(order)
    assert [o.client_order_id for o in rig.placed()] == [f"{position.id}b1"]


def test_after_a_start_one_that_triggered_meanwhile_is_booked() -> None:
    old = BackstopRig()
    position, order = old.protected()
    rig = restarted(BackstopRig(), old)
    rig.found(order, OrderStatus.FILLED, old.fill_of(order, "90"))
    rig.wait(1)
    answer_absent(rig, 0, 1, 2, 3)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.BACKSTOP)
    assert rig.booked() == D(1)


def test_after_a_start_a_position_that_it_closed_ends_when_all_is_accounted_for() -> None:
    old = BackstopRig()
    position, order = old.protected()
    rig = restarted(BackstopRig(), old)
    rig.found(order, OrderStatus.FILLED, old.fill_of(order, "90"))
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.found(exit_id(0), OrderStatus.REJECTED, qty=D(1))  # sent, and not on disk
    assert rig.position(position).status is PositionStatus.CLOSED
    assert rig.order(exit_id(0)).status is OrderStatus.REJECTED


def test_after_a_start_what_a_triggered_one_left_is_closed_when_all_is_accounted_for() -> None:
    old = BackstopRig()
    position, order = old.protected()
    rig = restarted(BackstopRig(), old)
    rig.close(position, "0.2")
    rig.found(order, OrderStatus.CANCELLED, old.fill_of(order, "90", "0.4"))
    assert rig.exits() == []
    answer_absent(rig, 0, 1, 2, 3)
    assert [o.qty for o in rig.exits()] == [D("0.6")]


def test_after_a_start_a_close_on_a_derivative_does_not_wait_for_it() -> None:
    old = BackstopRig()
    position, order = old.protected()
    rig = restarted(BackstopRig(), old)
    rig.close(position)
    answer_absent(rig, 0, 1, 2, 3)
    assert len(rig.exits()) == 1
    assert rig.cancelled(rig.effects) == [order.client_order_id]


def test_after_a_start_a_close_on_spot_waits_for_it() -> None:
    old, position, order = on_spot()
    rig = restarted(BackstopRig(backstops=ALL), old)
    rig.close(position)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.exits() == []
    rig.found(order, OrderStatus.CANCELLED)
    assert len(rig.exits()) == 1


def test_after_a_start_its_end_is_noted_while_the_position_is_resolved() -> None:
    old, position, order = on_spot()
    rig = restarted(BackstopRig(backstops=ALL), old)
    rig.close(position, "0.5")
    rig.found(order, OrderStatus.CANCELLED)
    assert rig.exits() == []
    answer_absent(rig, 0, 1, 2, 3)
    assert [o.qty for o in rig.exits()] == [D("0.5")]
