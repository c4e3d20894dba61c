"""After a start: what the ledger knows is compared with the venue before a position is armed."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.effects import (
    AppendEvent,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SubmitOrder,
    Watch,
)
from engine.model.events import BotSwitched, FeedLost, Started
from engine.model.exits import ExitReason
from engine.model.ids import Purpose, client_order_id
from engine.model.order import Order, OrderSide, OrderStatus
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.signal import Outcome, SignalRecord
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, SECOND, Rig, position_id

D = Decimal
KEY = position_id(1)


def exit_id(generation: int) -> str:
    return client_order_id(KEY, Purpose.EXIT, generation)


def possible(rig: Rig, generation: int, qty: str = "1") -> Order:
    """An exit that the process before may have sent."""
    return Order(
        client_order_id=exit_id(generation),
        position_id=KEY,
        instrument=BTC_PERP,
        side=OrderSide.SELL,
        purpose=Purpose.EXIT,
        generation=generation,
        qty=D(qty),
        reduce_only=True,
        created_at_ns=rig.now,
        actor="guard",
    )


def restart(old: Rig) -> Rig:
    """A new process that finds what the old one saved."""
    positions = {e.position.id: e.position for e in old.effects if isinstance(e, SavePosition)}
    orders = {e.order.client_order_id: e.order for e in old.effects if isinstance(e, SaveOrder)}
    records = {e.record.signal.id: e.record for e in old.effects if isinstance(e, SaveSignal)}
    fills = [e for e in old.effects if isinstance(e, SaveFill)]
    rig = Rig()
    rig.now, rig._trades = old.now, old._trades
    rig.handle(
        Started(
            at_ns=old.now,
            accepting=True,
            positions=tuple(p for p in positions.values() if p.is_active),
            orders=tuple(orders.values()),
            signals=tuple(r for r in records.values() if r.outcome is Outcome.PENDING),
            booked=frozenset((str(e.fill.client_order_id), e.fill.venue_trade_id) for e in fills),
        )
    )
    return rig


def opened() -> tuple[Rig, Position]:
    """A process that comes up and finds a long of one unit at 100, nothing in flight."""
    old = Rig()
    old.open()
    rig = restart(old)
    return rig, rig.guardian.positions()[0]


def entering() -> tuple[Rig, Order]:
    """A process that comes up and finds an entry that was intended."""
    old = Rig()
    old.signal("buy")
    old.trade(100.0)
    return restart(old), old.submitted()[0]


def answer_absent(rig: Rig, *generations: int) -> None:
    for generation in generations:
        rig.absent(exit_id(generation))


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


# Exits


def test_a_close_sent_and_never_journalled_is_found_and_booked() -> None:
    rig, _ = opened()
    fill = rig.fill_of(possible(rig, 0), "95.2")
    rig.found(exit_id(0), OrderStatus.FILLED, fill, qty=D(1))
    closed = rig.position(KEY)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)
    assert closed.exit_price == D("95.2")
    assert rig.guardian.resolving() == []
    rig.found(exit_id(0), OrderStatus.FILLED, fill, qty=D(1))
    assert rig.last == ()


@pytest.mark.parametrize(
    ("price", "reason"), [("109", ExitReason.TAKE_PROFIT), ("97", ExitReason.STOP_LOSS)]
)
def test_the_reason_of_a_found_close_is_the_nearer_limit(price: str, reason: ExitReason) -> None:
    rig, _ = opened()
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(possible(rig, 0), price))
    assert rig.position(KEY).exit_reason is reason


def test_a_found_close_without_fills_is_taken_for_the_owners() -> None:
    rig, _ = opened()
    rig.found(exit_id(0), OrderStatus.ACKNOWLEDGED)
    position = rig.position(KEY)
    assert (position.status, position.exit_reason) == (PositionStatus.CLOSING, ExitReason.MANUAL)
    assert rig.guardian.orders_in_flight()[0].qty == D(1)


def test_a_found_exit_has_the_four_after_it_asked_for_too() -> None:
    rig, _ = opened()
    answer_absent(rig, 0, 2)
    part = possible(rig, 1, "0.4")
    rig.found(exit_id(1), OrderStatus.FILLED, rig.fill_of(part, "100"), qty=D("0.4"))
    assert rig.asked() == [exit_id(2), exit_id(4), exit_id(5)]
    answer_absent(rig, 2, 3, 4, 5)
    assert rig.position(KEY).status is PositionStatus.OPEN
    rig.trade(95.0)  # the rest is guarded, and its exit has an id of its own
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(2), D("0.6"))]


def test_a_found_exit_as_large_as_the_venue_takes_means_the_whole() -> None:
    old = Rig()
    old.open(instrument=replace(BTC_PERP, max_market_qty=D(1)), price="100")
    positions = list(old.guardian.positions())
    positions[0] = replace(positions[0], qty=D(3), entry_value=D(300))
    rig = Rig()
    rig.handle(Started(rig.now, True, positions=tuple(positions)))
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(possible(rig, 0), "95"), qty=D(1))
    assert rig.position(KEY).status is PositionStatus.CLOSING
    answer_absent(rig, 1, 2, 3, 4)
    assert [o.client_order_id for o in rig.exits()] == [exit_id(1)]


def test_an_exit_of_the_ledger_that_the_venue_never_got_is_sent_again_under_its_id() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    assert rig.asked() == [exit_id(n) for n in range(5)]
    rig.absent(exit_id(0))
    assert rig.submitted() == []  # a later one may have closed it
    answer_absent(rig, 1, 2, 3, 4)
    assert rig.submitted() == [old.exits()[0]]
    rig.absent(exit_id(0))
    assert len(rig.submitted()) == 1
    rig.wait(10)
    assert rig.asked() == [exit_id(0)]


def test_an_absent_exit_is_not_sent_again_when_a_later_one_closed_the_position() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    rig.absent(exit_id(0))
    fill = rig.fill_of(possible(rig, 1), "94")
    rig.found(exit_id(1), OrderStatus.FILLED, fill, qty=D(1))
    answer_absent(rig, 2, 3, 4, 5)
    assert rig.submitted() == []
    assert rig.order(exit_id(0)).status is OrderStatus.CANCELLED
    assert rig.position(KEY).status is PositionStatus.CLOSED


def test_an_exit_that_ended_by_an_event_before_its_answer_is_not_found_twice() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    order = old.exits()[0]
    rig = restart(old)
    fill = rig.fill(order, "95", "0.5")
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.5"))
    rig.found(order, OrderStatus.CANCELLED, fill, qty=D(1))
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.submitted()] == [(exit_id(1), D("0.5"))]


def test_an_absent_exit_that_ended_by_an_event_is_not_sent_again() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    order = old.exits()[0]
    rig = restart(old)
    rig.absent(order)
    rig.update(order, OrderStatus.REJECTED)
    answer_absent(rig, 1, 2, 3, 4)
    assert [o.client_order_id for o in rig.submitted()] == [exit_id(1)]


def test_a_closing_position_whose_exit_was_refused_goes_on() -> None:
    old = Rig()
    position = old.open()
    old.trade(95.0)
    old.update(old.exits()[0], OrderStatus.REJECTED, message="busy")
    rig = restart(old)
    assert rig.submitted() == []
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(1), position.qty)]
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


def test_a_closing_position_is_not_in_the_book_again() -> None:
    old = Rig()
    old.open()
    old.trade(95.0)
    rig = restart(old)
    assert rig.trade(94.0) == ()


# Meanwhile


def test_a_crossing_while_the_venue_is_asked_acts_when_it_answers() -> None:
    rig, _ = opened()
    rig.trade(94.0)
    assert rig.exits() == []
    rig.trade(100.0)
    answer_absent(rig, 0, 1, 2, 3)
    assert (rig.exits()[0].reason, rig.exits()[0].trigger_price) == (
        ExitReason.STOP_LOSS,
        D("94.0"),
    )


def test_a_close_asked_for_meanwhile_is_not_sent_over_an_id_that_may_exist() -> None:
    rig, _ = opened()
    rig.close(KEY, "0.5")
    close = rig.signal("close")
    rig.trade(110.0)
    assert rig.exits() == []
    assert rig.outcome(close).outcome is Outcome.PENDING
    answer_absent(rig, 0, 1, 2, 3)
    assert [o.qty for o in rig.exits()] == [D("0.5"), D("0.5")]
    for order in rig.exits():
        rig.filled(order, "110")
    assert rig.outcome(close).outcome is Outcome.CLOSED


def test_a_close_asked_for_meanwhile_succeeds_when_the_venue_had_closed_it_already() -> None:
    rig, _ = opened()
    close = rig.signal("close")
    rig.found(exit_id(0), OrderStatus.FILLED, rig.fill_of(possible(rig, 0), "95"), qty=D(1))
    assert rig.outcome(close).outcome is Outcome.CLOSED
    assert rig.exits() == []


def test_closes_asked_for_meanwhile_of_what_turns_out_to_be_dust_end_it_once() -> None:
    old = Rig()
    old.signal("buy", BTC_SPOT)
    old.trade(100.0, BTC_SPOT)
    entry = old.submitted()[0]
    old.fill(entry, "100", "0.000005")
    old.update(entry, OrderStatus.CANCELLED)
    rig = restart(old)
    rig.close(KEY)
    close = rig.signal("close", BTC_SPOT)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.position(KEY).status is PositionStatus.CLOSED
    assert rig.notices() == ["position.closed"]
    assert rig.outcome(close).outcome is Outcome.CLOSED


def test_a_crossing_of_a_position_that_turns_out_to_be_closing_sends_one_exit() -> None:
    rig, _ = opened()
    rig.trade(94.0)
    half = possible(rig, 0, "1")
    rig.found(exit_id(0), OrderStatus.CANCELLED, rig.fill_of(half, "95", "0.5"), qty=D(1))
    answer_absent(rig, 1, 2, 3, 4)
    assert [(o.client_order_id, o.qty) for o in rig.exits()] == [(exit_id(1), D("0.5"))]


def test_positions_are_armed_one_by_one() -> None:
    old = Rig()
    old.open()
    old.open(instrument=ETH_PERP)
    rig = restart(old)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.position(KEY).guard is GuardStatus.ARMED
    assert rig.guardian.resolving() == [position_id(2)]


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


def test_an_entry_that_never_became_a_position_is_told_to_be_sent_again() -> None:
    rig = Rig()
    signal = Rig().signal("buy")
    rig.handle(Started(rig.now, True, signals=(SignalRecord(signal),)))
    assert rig.outcome(signal).outcome is Outcome.REJECTED
    assert str(rig.outcome(signal).reason).startswith("interrupted")


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
