"""The trailing stop on a position: from where it follows, what it keeps, how it is shown."""

from decimal import Decimal
from typing import Any

import pytest

from engine.core.arming import save_peaks
from engine.core.guardian import SAVED_PEAKS
from engine.model.effects import SavePosition
from engine.model.exit_lines import ExitLine, LineState, exit_lines
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent, Points
from engine.model.instrument import Instrument
from engine.model.position import Position, PositionStatus
from tests.engine.core.restarts import KEY, answer_absent, restart
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig

D = Decimal
TWO = Percent(D(2))


def opened(
    action: str = "buy", instrument: Instrument = BTC_PERP, **fields: Any
) -> tuple[Rig, Position]:
    """A position of one unit at 100 without a take-profit."""
    rig = Rig()
    return rig, rig.open(action, instrument=instrument, take_profit=Disarmed(), **fields)


def line_of(rig: Rig, key: str) -> ExitLine:
    position = rig.guardian.position(key)
    assert position is not None
    return next(line for line in exit_lines(position) if line.rule is ExitReason.TRAILING)


def live_peak(rig: Rig, key: str) -> Decimal | None:
    position = rig.guardian.position(key)
    assert position is not None
    return position.progress.peak


@pytest.mark.parametrize("instrument", [BTC_PERP, BTC_SPOT], ids=["linear", "spot"])
def test_it_follows_a_long_from_its_entry_on(instrument: Instrument) -> None:
    rig, position = opened(instrument=instrument, trailing=TWO)
    for price in (101.0, 110.0, 107.9):
        rig.trade(price, instrument)
    assert rig.exits() == []
    rig.trade(107.8, instrument)
    order = rig.exits()[0]
    assert (order.reason, order.trigger_price, order.qty) == ("trailing", D("107.8"), D(1))
    rig.filled(order, "107.8")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.TRAILING)


def test_it_follows_a_short_from_its_entry_on() -> None:
    rig, _ = opened("sell", trailing=Points(D(3)))
    for price in (99.0, 90.0, 92.9):
        rig.trade(price)
    assert rig.exits() == []
    rig.trade(93.0)
    assert (rig.exits()[0].reason, rig.exits()[0].side) == (ExitReason.TRAILING, "buy")


def test_a_price_that_only_falls_closes_at_the_distance_from_the_entry() -> None:
    rig, _ = opened(trailing=TWO)
    rig.trade(98.1)
    assert rig.exits() == []
    rig.trade(98.0)
    assert rig.exits()[0].reason is ExitReason.TRAILING


@pytest.mark.parametrize("activation", [Percent(D(3)), AtPrice(D(103))], ids=["percent", "price"])
def test_it_waits_for_its_activation(activation: Any) -> None:
    rig, position = opened(trailing=TWO, trailing_activation=activation)
    assert line_of(rig, position.id) == ExitLine(ExitReason.TRAILING, D(103), LineState.WAITING)
    rig.trade(102.9)
    rig.trade(98.0)
    assert rig.exits() == []
    rig.trade(104.0)
    assert "position.trailing_activated" in rig.logged(rig.last)
    assert rig.position(position).progress.peak == D(104)
    assert line_of(rig, position.id).threshold == D("102")  # 101.92, up to the tick
    rig.trade(102.0)
    assert rig.exits()[0].reason is ExitReason.TRAILING


def test_with_a_step_it_moves_only_after_a_whole_step() -> None:
    rig, position = opened(trailing=Points(D(2)), trailing_step=Points(D(1)))
    rig.trade(100.9)
    assert line_of(rig, position.id).threshold == D(98)
    rig.trade(101.5)
    assert line_of(rig, position.id).threshold == D("99.5")
    rig.trade(102.4)
    assert line_of(rig, position.id).threshold == D("99.5")


def test_what_is_shown_is_the_stop_now_and_how_far_the_price_is_from_it() -> None:
    rig, position = opened(trailing=TWO)
    rig.trade(110.0)
    rig.trade(109.0)
    shown = rig.guardian.position(position.id)
    assert shown is not None
    line = line_of(rig, position.id)
    assert (line.threshold, line.distance(shown.current_price)) == (D("107.8"), D("1.2"))


def test_it_goes_on_with_what_a_part_close_leaves() -> None:
    rig, position = opened(trailing=TWO)
    rig.trade(110.0)
    rig.close(position, "0.5")
    rig.filled(rig.exits()[0], "110")
    assert live_peak(rig, position.id) == D(110)
    rig.trade(107.8)
    assert rig.exits()[1].qty == D("0.5")


def test_the_first_reached_of_all_rules_closes_and_the_others_are_over() -> None:
    rig, position = opened(trailing=Percent(D(6)), max_hold_ns=10**9, break_even=Percent(D(3)))
    rig.trade(95.0)
    rig.trade(110.0)
    rig.trade(94.0)
    rig.wait(5)
    assert [o.reason for o in rig.exits()] == [ExitReason.STOP_LOSS]
    assert rig.position(position).stop_loss == D(95)


# Saved


def test_a_new_peak_is_saved_within_a_second_and_once() -> None:
    rig, position = opened(trailing=TWO)
    rig.trade(105.0)
    assert rig.last == ()
    rig.wait(1)
    saved = [e.position for e in rig.last if isinstance(e, SavePosition)]
    assert [p.progress.peak for p in saved] == [D(105)]
    rig.wait(1)
    assert rig.last == ()
    assert rig.position(position).progress.peak == D(105)


def test_peaks_are_saved_in_turns_when_there_are_many() -> None:
    rig = Rig(max_open_positions=10)
    positions = [rig.open(trailing=TWO, strategy=str(number)) for number in range(3)]
    rig.trade(105.0)
    state = rig.guardian._state
    save_peaks(state, 2)
    save_peaks(state, 2)
    rig.wait(0)
    assert [state.positions[p.id].progress.peak for p in positions] == [D(105)] * 3
    assert SAVED_PEAKS > 2


def test_the_peak_is_kept_over_a_restart() -> None:
    old, _ = opened(trailing=TWO)
    old.trade(110.0)
    old.wait(1)
    rig = restart(old)
    assert live_peak(rig, KEY) == D(110)
    rig.trade(107.8)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.exits()[0].reason is ExitReason.TRAILING


def test_a_trailing_stop_that_waits_still_waits_after_a_restart() -> None:
    old, _ = opened(trailing=TWO, trailing_activation=Percent(D(3)))
    rig = restart(old)
    answer_absent(rig, 0, 1, 2, 3)
    rig.trade(97.0)
    assert rig.exits() == []
    rig.trade(103.0)
    assert live_peak(rig, KEY) == D(103)


def test_a_closed_position_is_saved_no_more() -> None:
    rig, _ = opened(trailing=TWO)
    rig.trade(98.0)
    rig.filled(rig.exits()[0], "98")
    rig.wait(2)
    assert rig.last == ()
