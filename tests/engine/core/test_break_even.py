"""The break-even move: when the stop moves, to where, and what it nets there."""

from decimal import Decimal
from typing import Any

import pytest

from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent
from engine.model.instrument import Instrument
from engine.model.money import ZERO
from engine.model.position import Position
from tests.engine.core.restarts import KEY, answer_absent, restart
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig

D = Decimal
TWO = Percent(D(2))


def opened(
    action: str = "buy", instrument: Instrument = BTC_PERP, **fields: Any
) -> tuple[Rig, Position]:
    """A position of one unit at 100 whose stop moves at 2 % of profit."""
    rig = Rig()
    return rig, rig.open(action, instrument=instrument, **({"break_even": TWO} | fields))


@pytest.mark.parametrize(
    ("action", "before", "price", "stop"),
    [("buy", 101.9, 102.0, "100.2"), ("sell", 98.1, 98.0, "99.8")],
)
def test_the_stop_moves_once_the_trigger_is_reached(
    action: str, before: float, price: float, stop: str
) -> None:
    rig, position = opened(action)
    rig.trade(before)
    assert not rig.position(position).progress.at_break_even
    rig.trade(price)
    moved = rig.position(position)
    assert (moved.stop_loss, moved.progress.at_break_even) == (D(stop), True)
    assert rig.notices().count("position.stop_moved") == 1
    rig.trade(float(stop))
    order = rig.exits()[0]
    assert (order.reason, order.qty, order.trigger_price) == ("break_even", D(1), D(stop))
    rig.filled(order, stop)
    assert rig.position(position).exit_reason is ExitReason.BREAK_EVEN


@pytest.mark.parametrize(
    ("action", "instrument"), [("buy", BTC_PERP), ("sell", BTC_PERP), ("buy", BTC_SPOT)]
)
def test_closed_at_the_moved_stop_it_nets_no_loss_after_the_fees_of_both_ways(
    action: str, instrument: Instrument
) -> None:
    entry = "100"
    rate = D("0.001") if instrument is BTC_SPOT else D("0.00055")
    rig = Rig()
    rig.signal(action, instrument, break_even=TWO)
    rig.trade(float(entry), instrument)
    order = rig.submitted()[-1]
    in_base = instrument is BTC_SPOT
    fee = order.qty * rate if in_base else order.qty * D(entry) * rate
    rig.filled(order, entry, fee=fee, fee_asset="BTC" if in_base else "USDT")
    rig.trade(102.0 if action == "buy" else 98.0, instrument)
    stop = rig.position(order.position_id).stop_loss
    assert stop is not None
    rig.trade(float(stop), instrument)
    exit_order = rig.exits()[0]
    rig.filled(exit_order, str(stop), fee=exit_order.qty * stop * rate)
    closed = rig.position(order.position_id)
    assert closed.net_pnl >= ZERO
    assert closed.net_pnl < D("0.2")


def test_an_offset_that_was_given_is_of_the_entry() -> None:
    rig, position = opened(break_even_offset=D("0.75"))
    rig.trade(102.0)
    assert rig.position(position).stop_loss == D("100.8")  # 100.75, up to the tick


def test_an_offset_of_zero_is_the_entry_itself() -> None:
    rig, position = opened(break_even_offset=ZERO)
    rig.trade(102.0)
    assert rig.position(position).stop_loss == D(100)


def test_a_trigger_may_be_a_price() -> None:
    rig, position = opened(break_even=AtPrice(D("101.5")))
    rig.trade(101.5)
    assert rig.position(position).progress.at_break_even


def test_a_stop_of_ones_own_that_protects_more_stays() -> None:
    rig, position = opened()
    rig.trade(101.9)
    rig.amend(position, stop_loss=AtPrice(D(101)))
    rig.trade(102.0)
    kept = rig.position(position)
    assert (kept.stop_loss, kept.progress.at_break_even) == (D(101), False)
    assert "position.stop_moved" not in rig.notices()
    rig.trade(101.0)
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


def test_a_position_without_a_stop_gets_one() -> None:
    rig, position = opened(stop_loss=Disarmed())
    rig.trade(102.0)
    assert rig.position(position).stop_loss == D("100.2")


def test_the_stop_does_not_move_twice_or_back() -> None:
    rig, position = opened()
    for price in (102.0, 103.0, 101.0, 102.0):
        rig.trade(price)
    assert rig.position(position).stop_loss == D("100.2")
    assert rig.notices().count("position.stop_moved") == 1


def test_a_moved_stop_can_be_moved_again_by_its_owner() -> None:
    rig, position = opened()
    rig.trade(102.0)
    rig.amend(position, stop_loss=AtPrice(D(99)))
    moved = rig.position(position)
    assert (moved.stop_loss, moved.progress.at_break_even) == (D(99), False)
    rig.trade(103.0)
    rig.trade(99.0)
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


def test_a_moved_stop_stays_when_another_rule_is_changed() -> None:
    rig, position = opened()
    rig.trade(102.0)
    rig.amend(position, take_profit=Percent(D(20)), stop_loss=None)
    amended = rig.position(position)
    assert (amended.stop_loss, amended.progress.at_break_even) == (D("100.2"), True)


def test_a_new_break_even_move_starts_from_the_stop_that_was_moved() -> None:
    rig, position = opened()
    rig.trade(102.0)
    rig.amend(position, break_even=Percent(D(5)), break_even_offset=D(3))
    assert rig.position(position).stop_loss == D("100.2")
    rig.trade(105.0)
    moved = rig.position(position)
    assert (moved.stop_loss, moved.progress.at_break_even) == (D(103), True)


def test_a_moved_stop_is_kept_over_a_restart() -> None:
    old, _ = opened()
    old.trade(102.0)
    rig = restart(old)
    answer_absent(rig, 0, 1, 2, 3)
    rig.trade(100.2)
    assert rig.exits()[0].reason is ExitReason.BREAK_EVEN
    assert rig.position(KEY).stop_loss == D("100.2")
