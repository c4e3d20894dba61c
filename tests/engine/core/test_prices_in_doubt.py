"""Slices among prices in doubt and stops that are being confirmed: nothing is judged twice."""

import pytest

from engine.core.prices import SLICE
from engine.model.ticks import PriceSource
from tests.engine.core.price_rig import PriceRig
from tests.engine.core.rig import BTC_PERP, MONOTONIC_0, D

# Doubt


def test_a_believed_jump_that_fills_slices_is_not_judged_again_behind_newer_prices() -> None:
    """Else 46 would be held after 100, contradicted by nothing, and believed 2 s later."""
    rig = PriceRig()
    rig.open_many(40, stop=lambda _: 99)
    rig.open_many(100, stop=lambda _: 50)
    (deep,) = rig.open_many(1, stop=lambda _: 44.5)
    rig.trade(98)
    rig.trade(45)  # held once its turn comes
    rig.after(10).trade(44)
    rig.after(60).trade(46)
    rig.after(60).trade(46.5)
    rig.finish()
    assert rig.counts() == {"bybit.last.held": 2, "bybit.last.confirmed": 1}
    assert len(rig.closed()) == 141
    assert deep in rig.closed()
    assert rig.guardian.price(BTC_PERP.id) == D("46.5")


def test_a_price_held_while_its_channel_is_busy_is_confirmed_and_taken_in_its_turn() -> None:
    rig = PriceRig()
    keys = rig.open_many(100, stop=lambda _: 65)
    (deep,) = rig.open_many(1, stop=lambda _: 41)
    rig.trade(60)
    rig.after(50).trade(40)  # confirms 60, and is a jump from there
    assert len(rig.closed()) == SLICE
    rig.rest(mark=40.0)
    assert len(rig.closed()) == SLICE
    rig.finish()
    assert rig.closed() == [*keys, deep]
    assert rig.counts() == {"bybit.last.held": 2, "bybit.last.confirmed": 2}


def test_a_hold_does_not_run_out_while_contrary_prices_wait() -> None:
    rig = PriceRig()
    rig.open_many(100, confirm_ms=500)
    (guarded,) = rig.open_many(1, stop=lambda _: 70, trigger=PriceSource.MARK)
    rig.mark(100)
    rig.trade(94)
    rig.finish()
    rig.mark(60)
    rig.clock(500)  # confirms the stops of the others
    rig.mark(99)
    rig.clock(1500)
    assert "price.unconfirmed" not in rig.notices()
    rig.finish()
    assert guarded not in rig.closed()
    assert rig.counts() == {"bybit.mark.held": 1, "bybit.mark.contradicted": 1}


def test_a_hold_runs_out_on_a_busy_instrument_when_nothing_waits() -> None:
    rig = PriceRig()
    rig.open_many(100, confirm_ms=500)
    (guarded,) = rig.open_many(1, stop=lambda _: 70, trigger=PriceSource.MARK)
    rig.mark(100)
    rig.trade(94)
    rig.finish()
    rig.mark(60)
    rig.clock(500)
    assert len(rig.closed()) == SLICE
    rig.clock(1500)
    assert guarded in rig.closed()
    rig.finish()
    assert len(set(rig.closed())) == len(rig.closed()) == 101


def test_each_believed_price_is_a_turn_when_it_closes_something() -> None:
    rig = PriceRig()
    rig.open_many(90, stop=lambda number: (65, 55, 49)[number % 3])
    rig.trade(60)
    rig.after(1).trade(50)
    rig.after(60).trade(48)
    assert len(rig.closed()) == 30
    rig.go_on()
    assert len(rig.closed()) == 60
    assert rig.finish() == 1
    assert len(rig.closed()) == 90


def test_two_sources_that_are_busy_at_once_take_turns() -> None:
    rig = PriceRig()
    rig.open_many(100, stop=lambda _: 70)
    rig.open_many(100, stop=lambda _: 70, trigger=PriceSource.BOOK)
    rig.quote(99, 101)
    rig.trade(60)
    rig.quote(60, 61)
    rig.rest(mark=60.0)
    assert len(rig.closed()) == 2 * SLICE
    while rig.wants_a_turn:
        before = len(rig.closed())
        rig.go_on()
        assert len(rig.closed()) - before <= SLICE
    assert len(set(rig.closed())) == 200


def test_a_source_speaks_with_the_last_price_it_believes() -> None:
    rig = PriceRig()
    rig.open_many(40, stop=lambda _: 65)
    (guarded,) = rig.open_many(1, stop=lambda _: 50, trigger=PriceSource.MARK)
    rig.mark(100)
    rig.trade(60)
    rig.mark(45)
    rig.after(60).trade(75)  # confirms 60, and speaks against 45, which 60 would have confirmed
    rig.finish()
    assert len(rig.closed()) == 40
    assert guarded not in rig.closed()


# Time


def test_stops_confirmed_by_the_time_are_closed_in_slices() -> None:
    rig = PriceRig()
    keys = rig.open_many(100, confirm_ms=500)
    rig.trade(94)
    rig.finish()
    rig.clock(499)
    assert rig.closed() == []
    rig.clock(1)
    assert len(rig.closed()) == SLICE
    rig.clock(100)  # a busy instrument's clock does nothing more
    rig.finish()
    assert rig.closed() == keys
    assert {order.reason for order in rig.exits()} == {"stop_loss"}
    assert {order.trigger_received_ns for order in rig.exits()} == {0}  # no frame closed them


@pytest.mark.parametrize("busy", [PriceSource.LAST, PriceSource.BOOK])
def test_a_recovery_that_waits_lifts_the_stops_it_came_before(busy: PriceSource) -> None:
    rig = PriceRig()
    rig.open_many(100, trigger=busy, stop=lambda _: 93)
    (confirms,) = rig.open_many(1, confirm_ms=500)
    rig.quote(99, 101)
    rig.trade(94)
    if busy is PriceSource.LAST:
        rig.trade(93)
    else:
        rig.quote(93, 95)
    rig.after(100).trade(96)
    rig.clock(1000)
    rig.finish()
    assert confirms not in rig.closed()
    assert len(rig.closed()) == 100


def test_a_confirmation_begins_when_the_price_is_believed() -> None:
    rig = PriceRig()
    rig.open_many(1, stop=lambda _: 70, confirm_ms=500)
    rig.trade(60)
    rig.clock(2000)
    rig.clock(499)
    assert rig.closed() == []
    rig.clock(1)
    assert len(rig.closed()) == 1


def test_the_frame_that_closes_is_named_to_every_slice() -> None:
    rig = PriceRig()
    rig.open_many(100)
    rig.after(7).trade(94)
    at_ns = rig.monotonic_ns
    rig.after(500).trade(99)
    rig.finish()
    assert {order.trigger_received_ns for order in rig.exits()} == {at_ns}
    assert at_ns > MONOTONIC_0
