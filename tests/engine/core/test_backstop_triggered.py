"""Backstops that are triggered, and positions that end otherwise."""

import pytest

from engine.model.effects import SaveFill
from engine.model.exits import ExitReason, Percent
from engine.model.order import FillKind, OrderStatus
from engine.model.position import PositionStatus
from engine.model.rules.ladder import Rung
from engine.model.signal import Size, SizeKind
from tests.engine.core.backstop_rig import BackstopRig, D


def test_its_fill_closes_the_position_by_the_backstop_once() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    fill = rig.fill(order, "90")
    closing = rig.position(position)
    assert (closing.status, closing.exit_reason) == (PositionStatus.CLOSING, ExitReason.BACKSTOP)
    assert len(rig.told("backstop.triggered")) == 1
    rig.trade(80.0)
    assert rig.exits() == []  # it is disarmed
    rig.found(order, OrderStatus.FILLED, fill)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.BACKSTOP)
    assert closed.exit_price == D(90)
    assert rig.booked() == D(1)
    assert rig.guardian.backstops() == []


def test_what_it_leaves_is_closed_by_the_guard() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.fill(order, "90", "0.4")
    rig.wait(0.1)
    assert rig.exits() == []  # it still asks for the rest
    rig.update(order, OrderStatus.CANCELLED)
    assert [o.qty for o in rig.exits()] == [D("0.6")]
    rig.filled(rig.exits()[-1], "89")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.BACKSTOP)
    assert rig.booked() == D(1)


def test_a_triggered_one_of_which_the_end_is_not_told_is_looked_up() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.fill(order, "90", "0.4")
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]


def test_it_counts_what_the_venue_counts_before_its_end_is_believed() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.4"))
    assert rig.asked() == [order.client_order_id]
    assert rig.position(position).status is PositionStatus.OPEN
    rig.found(order, OrderStatus.CANCELLED, rig.fill_of(order, "90", "0.4"))
    assert [o.qty for o in rig.exits()] == [D("0.6")]


def test_a_close_that_was_under_way_keeps_its_reason_when_the_backstop_was_faster() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.trade(95.0)
    rig.fill(order, "90", "0.7")
    rig.update(order, OrderStatus.CANCELLED)
    own = rig.exits()[-1]
    rig.fill(own, "91", "0.3")
    rig.update(own, OrderStatus.CANCELLED)  # reduce-only: the venue cut it
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)
    assert rig.told("backstop.triggered") == []
    assert rig.booked() == D(1)


@pytest.mark.parametrize(("by_exit", "saved"), [("0.9", ["0.7", "0.3"]), ("0.3", ["0.7", "0.3"])])
def test_more_fills_than_are_held_are_never_booked(by_exit: str, saved: list[str]) -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.trade(95.0)
    rig.fill(order, "90", "0.7")
    rig.fill(rig.exits()[-1], "90", by_exit)
    fills = [e.fill.qty for e in rig.effects if isinstance(e, SaveFill)][1:]
    assert fills == [D(qty) for qty in saved]
    assert len(rig.told("order.unexpected_fill")) == (by_exit == "0.9")
    assert rig.position(position).qty_open == D(0)


def test_a_fill_of_what_is_all_sold_is_told_and_not_booked() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.trade(95.0)
    rig.filled(rig.exits()[-1], "95")
    rig.fill(order, "90")
    assert rig.booked() == D(1)
    (told,) = rig.told("order.unexpected_fill")
    assert told["client_order_id"] == order.client_order_id
    assert rig.position(position).status is PositionStatus.CLOSING
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.update(order, OrderStatus.FILLED)
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_fill_after_its_end_is_told_and_not_booked() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.gone(order)
    rig.fill(order, "90")
    assert rig.position(position).qty_open == D(1)
    assert len(rig.told("order.unexpected_fill")) == 1


def test_an_exit_proved_absent_is_dropped_when_the_backstop_sells_instead() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.trade(95.0)
    rig.sent(rig.exits()[-1], rig.monotonic_ns)
    rig.fill(order, "90", "0.4")
    rig.wait(1)
    rig.absent(rig.exits()[-1])
    assert rig.order(rig.exits()[-1]).status is OrderStatus.CANCELLED


def test_a_rung_of_the_same_moment_is_booked_with_it() -> None:
    rig = BackstopRig()
    position, order = rig.protected(ladder=(Rung(Percent(D(5)), D("0.5")),))
    rig.trade(105.0)
    rung = rig.exits()[-1]
    rig.fill(order, "90", "0.5")
    rig.fill(rung, "105", "0.5")
    rig.update(rung, OrderStatus.FILLED)
    rig.update(order, OrderStatus.CANCELLED)
    assert rig.position(position).status is PositionStatus.CLOSED
    assert rig.booked() == D(1)


# Closed by others


def test_a_position_closed_by_hand_ends_when_its_backstop_is_gone() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.foreign(position.instrument, "sell", "1", "100")
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    closing = rig.position(position)
    assert (closing.status, closing.exit_reason) == (PositionStatus.CLOSING, ExitReason.EXTERNAL)
    rig.trade(90.0)
    rig.gone(order)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.EXTERNAL)
    assert rig.exits() == []


def test_a_liquidated_position_ends_when_its_backstop_is_gone() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.foreign(position.instrument, "sell", "1", "80", kind=FillKind.LIQUIDATION)
    rig.gone(order)
    assert rig.position(position).exit_reason is ExitReason.LIQUIDATION
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_rest_that_cannot_be_sold_waits_for_the_backstop_and_is_not_ordered() -> None:
    rig = BackstopRig()
    rig.signal("buy", size=Size(SizeKind.QTY, D(1)))
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.filled(entry, "100")
    order = rig.rest()
    rig.trade(95.0)
    rig.fill(rig.exits()[-1], "95", "0.9995")
    rig.update(rig.exits()[-1], OrderStatus.CANCELLED)
    assert len(rig.exits()) == 1
    rig.gone(order)
    closed = rig.position(entry.position_id)
    assert (closed.status, closed.dust) == (PositionStatus.CLOSED, D("0.0005"))


def test_a_position_closed_by_hand_before_its_backstop_was_sent_ends_at_once() -> None:
    rig = BackstopRig()
    position = rig.open()
    rig.foreign(position.instrument, "sell", "1", "100")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert rig.guardian.backstops() == []


def test_what_was_sold_beyond_a_position_is_taken_from_the_others_oldest_first() -> None:
    rig = BackstopRig()
    first = rig.open(strategy="one")
    rig.rest()
    second = rig.open(strategy="two")
    order = rig.rest()
    rig.close(second)
    rig.filled(rig.exits()[-1], "95")
    fill = rig.fill(order, "90", "0.7")
    assert rig.position(first).qty_open == D("0.3")
    saved = [e for e in rig.effects if isinstance(e, SaveFill)][-1]
    assert (saved.position_id, saved.fill.client_order_id) == (first.id, None)
    assert saved.fill.venue_trade_id == fill.venue_trade_id
    rig.found(order, OrderStatus.FILLED, fill, qty=D(1))
    assert rig.position(first).qty_open == D("0.3")


def test_only_what_was_sold_beyond_a_position_is_taken_from_the_others() -> None:
    rig = BackstopRig()
    first = rig.open(strategy="one")
    rig.rest()
    second = rig.open(strategy="two")
    order = rig.rest()
    rig.close(second)
    rig.fill(rig.exits()[-1], "95", "0.8")
    rig.fill(order, "90", "0.5")
    assert rig.position(second).qty_open == D(0)
    assert rig.position(first).qty_open == D("0.7")
