"""After a start: what the ledger knows is compared with the venue before a position is armed."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.effects import (
    AppendEvent,
    SubmitOrder,
    Watch,
)
from engine.model.events import BotSwitched, FeedLost, Started
from engine.model.ids import Purpose, client_order_id
from engine.model.order import OrderSide, OrderStatus
from engine.model.position import GuardStatus, PositionStatus
from engine.model.signal import Outcome, SignalRecord
from tests.engine.core.restarts import (
    KEY,
    answer_absent,
    entering,
    exit_id,
    opened,
    possible,
    restart,
)
from tests.engine.core.rig import BTC_PERP, ETH_PERP, SECOND, Rig, position_id

D = Decimal


def test_a_fresh_install_starts_with_nothing() -> None:
    rig = Rig()
    rig.handle(Started(rig.now, accepting=False, since_ns=5))
    assert (rig.guardian.accepting, rig.guardian.since_ns) == (False, 5)
    assert [e.kind for e in rig.last if isinstance(e, AppendEvent)] == ["service.started"]


def test_four_exits_that_may_exist_are_asked_for_before_arming() -> None:
    rig, position = opened()
    assert rig.last.count(Watch(BTC_PERP)) == 1
    assert rig.asked() == [exit_id(n) for n in range(4)]
    assert position.guard is GuardStatus.RESOLVING
    assert rig.guardian.resolving() == [KEY]
    answer_absent(rig, 0, 1, 2)
    assert rig.position(KEY).guard is GuardStatus.RESOLVING
    answer_absent(rig, 3)
    assert rig.position(KEY).guard is GuardStatus.ARMED
    assert rig.guardian.resolving() == []
    rig.trade(95.0)
    assert [o.client_order_id for o in rig.exits()] == [exit_id(0)]


def test_orders_that_ended_before_the_start_are_not_taken_up() -> None:
    rig, _ = opened()  # its entry is filled, and in the ledger
    assert rig.guardian.orders_in_flight() == []


def test_a_position_on_a_silent_feed_is_armed_blind() -> None:
    rig, _ = opened()
    rig.handle(FeedLost((BTC_PERP.id,), "silent", rig.now))
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.position(KEY).guard is GuardStatus.BLIND


def test_a_venue_that_does_not_answer_is_asked_each_second_and_alarmed_once() -> None:
    rig, _ = opened()
    rig.wait(0.5)
    assert rig.asked() == []
    for _ in range(7):
        rig.wait(1)
        assert rig.asked() == [exit_id(n) for n in range(4)]
    assert rig.notices() == ["position.unresolved"]
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.notices() == ["position.unresolved", "position.resolved"]
    rig.wait(2)
    assert rig.asked() == []


# The entry


def test_an_absent_entry_is_sent_again_under_its_id_while_it_is_fresh() -> None:
    rig, entry = entering()
    assert rig.asked() == [entry.client_order_id]
    rig.absent(entry)
    assert rig.last[-1] == SubmitOrder(entry, after_commit=True)
    rig.absent(entry)  # the answer to another look-up
    assert len(rig.submitted()) == 1
    rig.sent(entry)
    rig.filled(entry, "100")
    assert rig.position(KEY).status is PositionStatus.OPEN


@pytest.mark.parametrize("reason", ["too_old", "bot_stopped", "closed"])
def test_an_absent_entry_that_is_not_wanted_any_more_is_dropped(reason: str) -> None:
    rig, entry = entering()
    match reason:
        case "too_old":
            rig.now += 61 * SECOND
        case "bot_stopped":
            rig.handle(BotSwitched(False, "owner", rig.now))
        case _:
            rig.guardian._state.positions[KEY] = replace(
                rig.guardian._state.positions[KEY], status=PositionStatus.CLOSING
            )
    rig.absent(entry)
    assert rig.submitted() == []
    assert rig.position(KEY).status is PositionStatus.REJECTED
    assert str(rig.order(entry).message).startswith(reason)
    assert rig.guardian.resolving() == []


def test_the_age_of_an_entry_is_that_of_its_order_when_its_signal_is_not_known() -> None:
    old = Rig()
    old.signal("buy")
    old.trade(100.0)
    rig = restart(old)
    rig.guardian._state.signals.clear()
    rig.now += 61 * SECOND
    rig.absent(old.submitted()[0])
    assert str(rig.order(old.submitted()[0]).message).startswith("too_old")


def test_an_entry_that_was_filled_meanwhile_is_booked_and_guarded() -> None:
    rig, entry = entering()
    rig.found(entry, OrderStatus.FILLED, rig.fill_of(entry, "100"), qty=entry.qty)
    assert rig.position(KEY).status is PositionStatus.OPEN
    assert rig.position(KEY).guard is GuardStatus.RESOLVING
    assert rig.asked() == [exit_id(n) for n in range(4)]  # it may have been closed, too
    answer_absent(rig, 0, 1, 2, 3)
    rig.trade(95.0)
    assert rig.exits()[-1].qty == D(1)


def test_an_entry_found_in_flight_is_followed_until_it_is_filled() -> None:
    rig, entry = entering()
    rig.found(entry, OrderStatus.ACKNOWLEDGED)
    assert rig.guardian.resolving() == []
    rig.wait(1)
    assert rig.asked() == [entry.client_order_id]
    rig.filled(entry, "100")
    assert rig.position(KEY).guard is GuardStatus.ARMED


def test_an_entry_found_refused_is_rejected_with_the_venues_words() -> None:
    rig, entry = entering()
    rig.found(entry, OrderStatus.REJECTED, message="no balance")
    assert rig.position(KEY).status is PositionStatus.REJECTED
    assert rig.guardian.resolving() == []


def test_a_part_filled_entry_is_whole_before_its_exits_are_asked_for() -> None:
    old = Rig()
    old.signal("buy")
    old.trade(100.0)
    entry = old.submitted()[0]
    first = old.fill(entry, "100", "0.4")
    rig = restart(old)
    assert rig.asked() == [entry.client_order_id]
    rig.found(entry, OrderStatus.FILLED, first, rig.fill_of(entry, "100", "0.6"))
    assert rig.position(KEY).qty == D(1)  # the fill that was booked is not booked again
    lost = rig.fill_of(possible(rig, 0), "95")
    rig.found(exit_id(0), OrderStatus.FILLED, lost)
    assert rig.position(KEY).status is PositionStatus.CLOSED


# Contradictions


def test_an_order_of_another_size_under_our_id_is_never_booked_and_alarmed_once() -> None:
    rig, entry = entering()
    for _ in range(2):
        rig.found(entry, OrderStatus.FILLED, rig.fill_of(entry, "100", "7"), qty=D(7))
    assert rig.position(KEY).qty == D(0)
    assert rig.guardian.resolving() == [KEY]
    assert rig.notices() == ["order.contradicted"]


@pytest.mark.parametrize("change", [{"side": OrderSide.BUY}, {"instrument": ETH_PERP}])
def test_an_exit_of_another_side_or_instrument_is_never_booked(change: dict[str, Any]) -> None:
    rig, _ = opened()
    fill = replace(rig.fill_of(possible(rig, 0), "95"), **change)
    rig.found(exit_id(0), OrderStatus.FILLED, fill, qty=D(1))
    answer_absent(rig, 1, 2, 3)
    assert rig.guardian.resolving() == [KEY]
    assert rig.notices() == ["order.contradicted"]


def test_an_exit_larger_than_all_that_was_held_is_never_booked() -> None:
    rig, _ = opened()
    rig.found(exit_id(0), OrderStatus.FILLED, qty=D("1.001"))
    assert rig.guardian.orders_in_flight() == []
    assert rig.notices() == ["order.contradicted"]


def test_an_absent_order_of_which_something_is_filled_is_asked_for_again() -> None:
    old = Rig()
    old.signal("buy")
    old.trade(100.0)
    entry = old.submitted()[0]
    old.fill(entry, "100", "0.4")
    rig = restart(old)
    rig.absent(entry)
    assert rig.submitted() == []
    rig.wait(1.1)
    assert entry.client_order_id in rig.asked()


def test_answers_about_ids_that_nobody_asked_for_are_nothing() -> None:
    rig, _ = opened()
    assert rig.absent("not-ours") == ()
    assert rig.absent(client_order_id(position_id(9), Purpose.EXIT, 0)) == ()
    assert rig.found(client_order_id(KEY, Purpose.ENTRY, 0), OrderStatus.FILLED) == ()
    assert rig.found(exit_id(77), OrderStatus.FILLED) == ()


# Signals


def test_an_accepted_entry_that_never_became_a_position_is_made_after_a_restart() -> None:
    rig = Rig()
    signal = replace(Rig().signal("buy"), id=KEY)
    rig.handle(Started(rig.now, True, signals=(SignalRecord(signal),)))
    rig.balance("USDT", "10000")
    rig.trade(100.0)
    (order,) = rig.submitted()
    assert order.client_order_id == client_order_id(KEY, Purpose.ENTRY, 0)
    assert rig.position(KEY).signal_id == signal.id


def test_an_accepted_entry_that_is_too_old_after_a_restart_is_rejected() -> None:
    rig = Rig()
    signal = Rig().signal("buy")
    rig.handle(Started(rig.now + 61 * SECOND, True, signals=(SignalRecord(signal),)))
    assert rig.outcome(signal).outcome is Outcome.REJECTED
    assert str(rig.outcome(signal).reason).startswith("too_old")
    assert rig.submitted() == []


def test_a_close_that_was_not_acted_on_is_acted_on() -> None:
    old = Rig()
    old.open()
    signal = Rig().signal("close", id="late")
    rig = Rig()
    rig.handle(
        Started(
            rig.now,
            True,
            positions=tuple(old.guardian.positions()),
            signals=(SignalRecord(signal),),
        )
    )
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.exits()[0].signal_id == "late"


def test_a_close_whose_position_is_closed_by_now_succeeded() -> None:
    rig = Rig()
    signal = Rig().signal("close")
    rig.handle(Started(rig.now, True, signals=(SignalRecord(signal, position_id=KEY),)))
    assert rig.outcome(signal).outcome is Outcome.CLOSED


def test_a_close_whose_position_is_still_closing_stays_pending() -> None:
    old = Rig()
    old.open()
    close = old.signal("close")
    rig = restart(old)
    answer_absent(rig, 1, 2, 3, 4)
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(old.exits()[0], "100"), qty=D(1))
    assert rig.outcome(close).outcome is Outcome.CLOSED
