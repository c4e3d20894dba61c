"""When an order is proved not to be at the venue, and what the owner is told until then."""

from decimal import Decimal

import pytest

from engine.model.effects import ReadAccount, SendNotice, SubmitOrder
from engine.model.events import OrderLookedUp, VenuePosition
from engine.model.exits import Side
from engine.model.order import Order, OrderStatus
from engine.model.position import GuardStatus
from tests.engine.core.restarts import KEY, entering, exit_id, opened, restart
from tests.engine.core.rig import BTC_PERP, SECOND, Rig

D = Decimal
HELD = VenuePosition(BTC_PERP.id, Side.LONG, D(1), D(100))


def lost() -> tuple[Rig, Order]:
    """A close that was handed over, and of which nothing is heard."""
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    order = rig.exits()[0]
    rig.sent(order)
    return rig, order


def miss(rig: Rig, order: Order, seconds: int) -> None:
    """Miss an order each second."""
    for _ in range(seconds):
        rig.wait(1)
        if rig.asked():
            rig.missed(order)


def resent(rig: Rig) -> list[Order]:
    return rig.submitted(rig.last)


def test_an_order_is_absent_when_its_time_is_over_and_three_look_ups_missed_it() -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 8)
    assert len(rig.exits()) == 1  # the venue might still take it
    miss(rig, order, 1)
    assert resent(rig) == [rig.order(order)]


def test_a_venue_that_takes_requests_for_longer_is_given_longer() -> None:
    rig = Rig(recv_window_ns=20 * SECOND)
    rig.open()
    rig.trade(95.0)
    order = rig.exits()[0]
    rig.sent(order)
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 23)
    assert len(rig.exits()) == 1
    miss(rig, order, 1)
    assert len(rig.exits()) == 2


def test_three_misses_are_needed_and_those_within_a_second_are_one() -> None:
    rig, order = lost()
    rig.wait(20)
    rig.account(HELD)
    for _ in range(9):
        rig.missed(order)
        rig.wait(0.4)
        rig.handle(OrderLookedUp(order.client_order_id, rig.now, found=False))
        if len(rig.exits()) > 1:
            break
    assert (rig.now - order.created_at_ns) / SECOND > 22


def test_a_miss_has_the_order_asked_for_again_in_a_second() -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    for _ in range(5):
        rig.wait(0.9)
        assert rig.asked() == []
        rig.wait(0.1)
        assert rig.asked() == [order.client_order_id]
        rig.missed(order)


def test_no_account_read_since_the_request_left_means_no_proof() -> None:
    rig = Rig()
    rig.open()
    rig.wait(5)
    rig.account(HELD)  # before it left
    rig.trade(95.0)
    order = rig.exits()[0]
    rig.sent(order)
    rig.wait(1)
    rig.missed(order)
    assert ReadAccount("bybit") in rig.last
    miss(rig, order, 60)
    assert len(rig.exits()) == 1
    rig.account(HELD)
    miss(rig, order, 1)
    assert len(rig.exits()) == 2


def test_the_account_is_read_at_the_first_miss_and_no_oftener_than_needed() -> None:
    rig, order = lost()
    rig.guardian._state.accounts.read_ns["bybit"] = 10**18  # it is not due by itself
    reads = []
    for second in range(1, 13):
        rig.wait(1)
        if rig.asked():
            rig.missed(order)
        reads += [second for effect in rig.last if isinstance(effect, ReadAccount)]
    assert reads == [1, 6, 11]


def test_a_change_that_is_not_explained_forbids_the_proof() -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    rig.guardian._state.unexplained[BTC_PERP.id] = D("0.5")
    miss(rig, order, 30)
    assert len(rig.exits()) == 1
    del rig.guardian._state.unexplained[BTC_PERP.id]
    miss(rig, order, 1)
    assert len(rig.exits()) == 2


def test_what_was_unexplained_when_the_request_left_says_nothing_of_it() -> None:
    rig = Rig()
    rig.open()
    rig.guardian._state.unexplained[BTC_PERP.id] = D("0.5")
    rig.trade(95.0)
    order = rig.exits()[0]
    assert order.qty == D("0.5")
    rig.sent(order)
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 9)
    assert resent(rig) == [rig.order(order)]


@pytest.mark.parametrize("sign", ["fill", "found", "acknowledged"])
def test_a_sign_of_the_order_begins_the_proof_anew(sign: str) -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 8)
    match sign:
        case "fill":
            rig.fill(order, "95", "0.1")
        case "found":
            rig.found(order, OrderStatus.ACKNOWLEDGED, qty=order.qty)
        case _:
            rig.update(order, OrderStatus.ACKNOWLEDGED)
    miss(rig, order, 2)
    assert len(rig.exits()) == 1


def test_a_request_sent_again_has_its_own_time_and_its_own_misses() -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 9)
    assert len(rig.exits()) == 2
    rig.sent(order)
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 8)
    assert len(rig.exits()) == 2
    miss(rig, order, 1)
    assert len(rig.exits()) == 3


def test_the_time_counts_from_when_it_left_and_not_from_the_decision() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    order = rig.exits()[0]
    rig.sent(order, sent_ns=rig.monotonic_ns + 5 * SECOND)  # the clock had stood still
    rig.wait(6)
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    miss(rig, order, 7)
    assert len(rig.exits()) == 1
    miss(rig, order, 1)
    assert len(rig.exits()) == 2


def test_a_wall_clock_that_jumps_makes_no_proof() -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    for _ in range(3):
        rig.set_wall_clock(3600)
        rig.wait(1)
        rig.missed(order)
    assert len(rig.exits()) == 1


def test_an_answer_that_bears_a_time_ahead_of_the_clock_makes_no_proof() -> None:
    rig, order = lost()
    rig.wait(1)
    rig.missed(order)
    rig.account(HELD)
    for _ in range(3):
        rig.wait(1)
        rig.now += 3600 * SECOND
        rig.missed(order)
        rig.now -= 3600 * SECOND
    assert len(rig.exits()) == 1


def test_an_entry_that_waits_for_its_commit_is_never_absent() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[0]
    rig.guardian._state.looking.add(entry.client_order_id)
    rig.wait(20)
    assert rig.absent(entry) == ()
    assert len(rig.submitted()) == 1


def test_an_entry_of_unknown_outcome_goes_again_when_it_is_proved_absent() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[0]
    rig.update(entry, OrderStatus.UNKNOWN)
    rig.wait(1)
    rig.missed(entry)
    rig.account()
    miss(rig, entry, 9)
    assert rig.last[-1] == SubmitOrder(rig.order(entry), after_commit=True)
    assert rig.order(entry).status is OrderStatus.SENT


# After a start


def test_exits_that_may_exist_are_asked_for_until_they_are_proved_absent() -> None:
    rig, _ = opened()
    for second in range(11):
        assert rig.position(KEY).guard is GuardStatus.RESOLVING
        rig.wait(1)
        for generation in range(4):
            rig.missed(exit_id(generation))
        if second == 0:
            rig.account(HELD)
        if second == 9:
            break
    assert rig.position(KEY).guard is GuardStatus.ARMED
    assert "position.unresolved" not in rig.notices()  # it was answered all the time


def test_misses_of_one_second_are_one_also_of_an_exit_that_may_exist() -> None:
    rig, _ = opened()
    rig.wait(12)
    rig.account(HELD)
    for generation in range(4):
        for _ in range(3):
            rig.missed(exit_id(generation))
    assert rig.position(KEY).guard is GuardStatus.RESOLVING


def test_a_venue_that_never_proves_it_is_told_of_after_half_a_minute() -> None:
    rig, _ = opened()
    for _ in range(29):
        rig.wait(1)
        for generation in range(4):
            rig.missed(exit_id(generation))
    assert "position.unresolved" not in rig.notices()
    rig.wait(1)
    assert rig.notices().count("position.unresolved") == 1


def test_an_entry_found_missing_after_a_start_may_still_be_on_its_way() -> None:
    rig, entry = entering()
    rig.wait(1)
    rig.missed(entry)
    rig.account()
    miss(rig, entry, 8)
    assert rig.submitted() == []
    miss(rig, entry, 1)
    assert rig.submitted() == [entry]


def test_an_absent_exit_of_the_ledger_that_turns_up_before_arming_is_not_sent_again() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    rig.absent(exit_id(0))
    rig.absent(exit_id(0))
    rig.update(old.exits()[0], OrderStatus.ACKNOWLEDGED)
    for generation in range(1, 5):
        rig.absent(exit_id(generation))
    assert rig.submitted() == []
    rig.wait(1)
    assert exit_id(0) in rig.asked()


# The owner


def told(rig: Rig) -> list[SendNotice]:
    return [e for e in rig.effects if isinstance(e, SendNotice) and e.kind.startswith("order.")]


def test_an_order_unresolved_for_half_a_minute_is_told_once_and_when_it_is_known() -> None:
    rig, order = lost()
    rig.wait(1)
    for _ in range(29):
        rig.wait(1)
    assert told(rig) == []
    for _ in range(20):
        rig.wait(1)
    ids = {"client_order_id": order.client_order_id, "position_id": order.position_id}
    assert [(n.kind, n.data) for n in told(rig)] == [("order.unresolved", ids)]
    rig.filled(order, "95")
    assert [(n.kind, n.data) for n in told(rig)[1:]] == [("order.resolved", ids)]


def test_a_final_status_whose_fills_never_come_is_unresolved() -> None:
    rig, order = lost()
    rig.update(order, OrderStatus.FILLED)
    for _ in range(31):
        rig.wait(1)
        rig.found(order, OrderStatus.FILLED, qty=order.qty)
    assert [n.kind for n in told(rig)] == ["order.unresolved"]


def test_an_order_that_rests_and_is_found_is_no_trouble() -> None:
    rig, order = lost()
    for _ in range(60):
        rig.wait(1)
        if rig.asked():
            rig.found(order, OrderStatus.ACKNOWLEDGED, qty=order.qty)
    assert told(rig) == []


def test_an_order_that_is_proved_absent_is_resolved() -> None:
    rig, order = lost()
    miss(rig, order, 31)
    assert [n.kind for n in told(rig)] == ["order.unresolved"]
    rig.account(HELD)
    miss(rig, order, 1)
    assert [n.kind for n in told(rig)] == ["order.unresolved", "order.resolved"]
