"""Backstops that the venue refuses, removes, puts off or has lost."""

from engine.model.effects import ReadAccount, RefreshInstrument
from engine.model.events import AccountResumed, VenuePosition
from engine.model.order import Order, OrderStatus, Refusal
from tests.engine.core.backstop_rig import BackstopRig, D

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


def test_a_refused_balance_has_the_account_read() -> None:
    rig = BackstopRig()
    rig.open()
    refused(rig, refusal=Refusal.BALANCE)
    assert ReadAccount("bybit") in rig.last


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
