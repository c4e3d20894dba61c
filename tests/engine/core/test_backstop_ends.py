"""What the venue says of backstops: refused, removed, unknown, triggered."""

import pytest

from engine.model.effects import ReadAccount, RefreshInstrument, SaveFill
from engine.model.events import AccountResumed, VenuePosition
from engine.model.exits import Disarmed, ExitReason, Percent
from engine.model.order import FillKind, Order, OrderStatus, Refusal
from engine.model.position import Position, PositionStatus
from engine.model.rules.ladder import Rung
from engine.model.signal import Outcome, Size, SizeKind
from tests.engine.core.backstop_rig import ALL, BackstopRig, D
from tests.engine.core.restarts import answer_absent, restarted
from tests.engine.core.rig import BTC_SPOT

# Refused


def refused(rig: BackstopRig, **fields: object) -> Order:
    order = rig.placed()[-1]
    rig.commit(order)
    rig.update(order, OrderStatus.REJECTED, **fields)
    return order


def test_a_refused_one_is_told_once_and_tried_again_after_a_minute_doubling() -> None:
    rig = BackstopRig()
    position = rig.open()
    pauses = []
    for _ in range(8):
        order = refused(rig, message="price too far")
        count, seconds = len(rig.placed()), 0
        while len(rig.placed()) == count:
            rig.wait(30)
            seconds += 30
        pauses.append(seconds // 60)
        assert rig.order(order).status is OrderStatus.REJECTED
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    problem = "refused: the venue takes none; price too far"
    assert rig.position(position).backstop_problem == problem
    (told,) = rig.told("backstop.refused")
    assert told["position_id"] == position.id
    assert told["message"] == problem
    rig.rest()
    assert rig.position(position).backstop_problem is None
    rig.wait(60)
    assert rig.position(position).backstop == D("90.2")


def test_after_one_was_taken_the_pause_begins_anew_and_the_owner_is_told_again() -> None:
    rig = BackstopRig()
    rig.open()
    refused(rig)
    rig.wait(60)
    order = rig.rest()
    rig.update(order, OrderStatus.REJECTED)  # the venue's own doing when it triggered
    rig.wait(59)
    assert len(rig.placed()) == 2
    rig.wait(1)
    assert len(rig.placed()) == 3
    assert len(rig.told("backstop.refused")) == 2


def test_a_refusal_by_filters_has_them_read_again() -> None:
    rig = BackstopRig()
    position = rig.open()
    refused(rig, refusal=Refusal.FILTERS)
    assert RefreshInstrument(position.instrument) in rig.last
    assert rig.position(position).backstop_problem == "refused: the venue takes none"


def test_one_removed_at_the_venue_is_placed_again_after_a_minute_and_told_when_removed_again() -> (
    None
):
    rig = BackstopRig()
    position, order = rig.protected()
    rig.gone(order)
    removed = "removed: it was taken down at the venue"
    assert rig.position(position).backstop_problem == removed
    assert rig.position(position).backstop is None
    assert rig.told("backstop.removed") == []
    rig.wait(59)
    assert len(rig.placed()) == 1
    rig.wait(1)
    order = rig.placed()[-1]
    rig.commit(order)
    rig.gone(order)
    assert len(rig.told("backstop.removed")) == 1


def test_the_position_s_end_forgets_what_was_refused() -> None:
    rig = BackstopRig()
    rig.open()
    refused(rig)
    rig.trade(95.0)
    rig.filled(rig.exits()[-1], "95")
    state = rig.guardian._state.backstops
    assert (state.retry_ns, state.refusals, state.told, state.later, state.looks) == (
        {},
        {},
        {},
        {},
        {},
    )


# Put off, unknown, absent


def test_one_that_was_put_off_is_placed_again_later_and_nobody_is_told() -> None:
    rig = BackstopRig()
    position = rig.open()
    order = rig.placed()[-1]
    rig.commit(order)
    rig.deferred(order)
    assert rig.order(order).status is OrderStatus.CANCELLED
    rig.wait(7)
    assert len(rig.placed()) == 1
    rig.wait(2)
    assert len(rig.placed()) == 2
    assert rig.position(position).backstop_problem is None
    assert not [kind for kind in rig.notices() if kind.startswith("backstop")]


def test_a_pause_that_a_venue_names_holds_for_the_next_one() -> None:
    rig = BackstopRig()
    rig.open()
    order = rig.placed()[-1]
    rig.commit(order)
    rig.deferred(order, retry_after_s=30)
    rig.wait(29)
    assert len(rig.placed()) == 1
    rig.wait(2)
    assert len(rig.placed()) == 2


def test_one_that_the_venue_has_is_looked_up_when_it_is_told_to_be_put_off() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.deferred(order)
    assert rig.order(order).status is OrderStatus.ACKNOWLEDGED
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]


def test_while_its_outcome_is_not_known_no_other_one_is_sent() -> None:
    rig = BackstopRig()
    position = rig.open()
    order = rig.placed()[-1]
    rig.commit(order)
    rig.update(order, OrderStatus.UNKNOWN)
    rig.close(position, "0.5")
    rig.filled(rig.exits()[-1], "100")
    rig.wait(40)
    assert rig.order(order).status is OrderStatus.UNKNOWN
    assert len(rig.placed()) == 1
    assert rig.told("order.unresolved")[0]["client_order_id"] == order.client_order_id
    assert order.client_order_id in rig.cancelled(rig.effects)
    rig.found(order, OrderStatus.CANCELLED)
    assert rig.placed()[-1].qty == D("0.5")


def test_one_that_is_found_resting_is_taken_up() -> None:
    rig = BackstopRig()
    position = rig.open()
    order = rig.placed()[-1]
    rig.commit(order)
    rig.update(order, OrderStatus.UNKNOWN)
    rig.found(order, OrderStatus.ACKNOWLEDGED, qty=D(1), venue_order_id="v7")
    assert rig.position(position).backstop == D("90.2")
    assert rig.order(order).venue_order_id == "v7"


def test_one_proved_absent_by_the_rule_of_all_orders_is_replaced_at_once() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    rig.update(order, OrderStatus.UNKNOWN)
    for _ in range(30):
        rig.wait(1)
        rig.account(VenuePosition(position.instrument.id, position.side, D(1), D(100)))
        rig.missed(order)
        if len(rig.placed()) == 2:
            break
    assert rig.order(order).status is OrderStatus.CANCELLED
    assert rig.placed()[-1].client_order_id == f"{position.id}b1"
    assert rig.position(position).backstop_problem is None


def test_one_that_filled_is_never_absent() -> None:
    rig = BackstopRig()
    _, order = rig.protected()
    rig.fill(order, "90", "0.4")
    rig.wait(1)
    rig.absent(order)
    assert rig.order(order).status is OrderStatus.PARTIALLY_FILLED


def test_a_stream_that_comes_back_has_it_looked_up_once_it_was_sent() -> None:
    rig = BackstopRig()
    rig.open()
    order = rig.placed()[-1]
    rig.handle(AccountResumed("bybit", rig.now))
    assert rig.asked() == []
    rig.rest()
    rig.handle(AccountResumed("bybit", rig.now))
    assert rig.asked() == [order.client_order_id]
    rig.handle(AccountResumed("binance", rig.now))
    assert rig.asked() == []


def test_one_found_with_another_quantity_is_alarmed_and_never_booked() -> None:
    rig = BackstopRig()
    position, order = rig.protected()
    fill = rig.fill_of(order, "90")
    rig.wait(600)
    rig.found(order, OrderStatus.FILLED, fill, qty=D(2))
    assert len(rig.told("order.contradicted")) == 1
    assert rig.position(position).qty_open == D(1)


# Triggered


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


# Spot


def on_spot(**fields: object) -> tuple[BackstopRig, Position, Order]:
    rig = BackstopRig(backstops=ALL)
    position, order = rig.protected(instrument=BTC_SPOT, **fields)
    return rig, position, order


def test_on_spot_the_close_is_sent_when_the_end_of_the_cancellation_is_known() -> None:
    rig, position, order = on_spot()
    rig.trade(95.0, BTC_SPOT, received_ns=rig.monotonic_ns)
    assert rig.cancelled() == [order.client_order_id]
    assert rig.exits() == []
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.wait(0.1)
    rig.gone(order)
    (close,) = rig.exits()
    assert (close.qty, close.reason, close.trigger_price) == (D(1), "stop_loss", D(95))
    rig.filled(close, "95")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_on_spot_the_close_is_sent_too_when_a_look_up_finds_the_end() -> None:
    rig, _, order = on_spot()
    rig.trade(95.0, BTC_SPOT)
    rig.wait(1)
    assert rig.asked() == [order.client_order_id]
    rig.found(order, OrderStatus.CANCELLED)
    assert len(rig.exits()) == 1


def test_on_spot_the_rest_is_closed_when_it_triggered_meanwhile() -> None:
    rig, position, order = on_spot()
    rig.trade(95.0, BTC_SPOT)
    rig.fill(order, "90", "0.6")
    assert rig.exits() == []
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.6"))
    assert [o.qty for o in rig.exits()] == [D("0.4")]
    rig.filled(rig.exits()[-1], "90")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)


def test_on_spot_a_triggered_one_is_not_cancelled() -> None:
    rig, position, order = on_spot()
    rig.fill(order, "90", "0.6")
    rig.close(position)
    rig.wait(0.1)
    assert rig.cancelled(rig.effects) == []
    rig.filled(order, "90", qty="0.4")
    assert rig.position(position).exit_reason is ExitReason.BACKSTOP


def test_on_spot_a_close_need_not_wait_for_one_that_waits_for_its_commit() -> None:
    rig = BackstopRig(backstops=ALL)
    rig.open(instrument=BTC_SPOT)
    rig.trade(95.0, BTC_SPOT)
    assert len(rig.exits()) == 1
    assert rig.order(rig.placed()[-1]).status is OrderStatus.CANCELLED


def test_on_spot_a_whole_close_takes_the_place_of_parts_that_wait() -> None:
    rig, position, order = on_spot()
    rig.close(position, "0.3")
    rig.close(position, "0.3")
    rig.close(position)
    rig.close(position)
    assert rig.exits() == []
    rig.gone(order)
    assert [o.qty for o in rig.exits()] == [D(1)]


def test_on_spot_parts_are_sold_when_it_is_gone_and_the_rest_is_protected_again() -> None:
    rig, position, order = on_spot()
    first = rig.signal("close", BTC_SPOT, size=Size(SizeKind.PERCENT, D(40)))
    second = rig.signal("close", BTC_SPOT, size=Size(SizeKind.PERCENT, D(10)))
    assert rig.outcome(first).outcome is Outcome.PENDING
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    assert [o.qty for o in rig.exits()] == [D("0.4"), D("0.1")]
    for part in rig.exits():
        rig.filled(part, "100")
    assert rig.outcome(first).outcome is Outcome.CLOSED
    assert rig.outcome(second).outcome is Outcome.CLOSED
    assert rig.placed()[-1].qty == D("0.5")
    assert rig.position(position).status is PositionStatus.OPEN


def test_on_spot_a_part_after_which_nothing_is_left_ends_what_waits() -> None:
    rig, position, order = on_spot()
    rig.close(position, "0.6")
    rig.close(position, "0.6")
    rig.gone(order)
    assert sum(o.qty for o in rig.exits()) == D(1)


def test_on_spot_a_close_waits_once_however_often_it_is_gone_on_with() -> None:
    rig = BackstopRig(backstops=ALL, add_on_same=True)
    position, order = rig.protected(instrument=BTC_SPOT)
    rig.signal("buy", BTC_SPOT)
    add = rig.submitted()[-1]
    rig.sent(add)
    rig.close(position)
    rig.filled(add, "100")
    assert rig.cancelled(rig.effects) == [order.client_order_id]
    rig.gone(order)
    assert [o.qty for o in rig.exits()] == [D(2)]


def test_on_spot_what_waits_says_nothing_of_a_position_that_is_worth_too_little_by_then() -> None:
    rig, position, order = on_spot(stop_loss=Disarmed())
    rig.close(position, "0.88")
    rig.gone(order)
    rig.filled(rig.exits()[-1], "100")
    order = rig.rest()
    rig.close(position, "0.5")
    rig.close(position, "0.5")
    rig.trade(40.0, BTC_SPOT)
    rig.gone(order)
    closed = rig.position(position)
    assert (closed.status, closed.dust) == (PositionStatus.CLOSED, D("0.12"))
    assert len(rig.exits()) == 1


def test_on_spot_what_is_bought_while_it_sells_is_closed_after_it() -> None:
    rig = BackstopRig(backstops=ALL, add_on_same=True)
    _, order = rig.protected(instrument=BTC_SPOT)
    rig.signal("buy", BTC_SPOT)
    add = rig.submitted()[-1]
    rig.sent(add)
    rig.fill(order, "90", "0.6")
    rig.filled(add, "90", qty="1")
    assert rig.exits() == []
    rig.filled(order, "90", qty="0.4")
    assert rig.cancelled(rig.effects) == []
    assert [o.qty for o in rig.exits()] == [D(1)]


def test_on_spot_a_rung_waits_and_is_closed_once() -> None:
    rig, _, order = on_spot(ladder=(Rung(Percent(D(5)), D("0.5")),))
    rig.trade(105.0, BTC_SPOT)
    rig.trade(106.0, BTC_SPOT)
    rig.wait(0.1)
    assert rig.exits() == []
    rig.gone(order)
    assert [(o.qty, o.reason) for o in rig.exits()] == [(D("0.5"), "ladder")]
    rig.filled(rig.exits()[-1], "105")
    assert rig.placed()[-1].qty == D("0.5")


def test_on_spot_a_position_sold_by_hand_while_a_part_waits_ends() -> None:
    rig, position, order = on_spot()
    rig.close(position, "0.5")
    rig.foreign(BTC_SPOT, "sell", "1", "100")
    rig.gone(order)
    assert rig.exits() == []
    assert rig.position(position).status is PositionStatus.CLOSED


# After a start


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


def test_a_refused_balance_has_the_account_read() -> None:
    rig = BackstopRig()
    rig.open()
    refused(rig, refusal=Refusal.BALANCE)
    assert ReadAccount("bybit") in rig.last
