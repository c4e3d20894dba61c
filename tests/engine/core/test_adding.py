"""Averaging in: what an add changes, what it keeps, and when it is not made."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.events import BotSwitched
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderStatus
from engine.model.position import Position, PositionStatus
from engine.model.signal import Outcome, Signal, Size, SizeKind
from tests.engine.core.ladders import rungs
from tests.engine.core.restarts import KEY, answer_absent, restart
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, SECOND, Rig

D = Decimal
ONE_MORE = Size(SizeKind.QTY, D(1))


def opened(
    action: str = "buy", instrument: Instrument = BTC_PERP, **fields: Any
) -> tuple[Rig, Position]:
    """A position of one unit at 100."""
    rig = Rig(add_on_same=True)
    return rig, rig.open(action, instrument=instrument, **fields)


def ask(rig: Rig, action: str = "buy", instrument: Instrument = BTC_PERP) -> tuple[Signal, Order]:
    """Ask for one more; the add waits for its fill."""
    signal = rig.signal(action, instrument, size=ONE_MORE)
    order = rig.submitted()[-1]
    rig.sent(order)
    return signal, order


def add(rig: Rig, price: str, action: str = "buy", instrument: Instrument = BTC_PERP) -> Signal:
    rig.trade(float(price), instrument)
    signal, order = ask(rig, action, instrument)
    rig.filled(order, price)
    return signal


# What it does


@pytest.mark.parametrize(
    ("action", "instrument", "price", "average", "target", "stop"),
    [
        ("buy", BTC_PERP, "96", "98", "107.8", "93.1"),
        ("buy", BTC_SPOT, "96", "98", "107.8", "93.1"),
        ("sell", BTC_PERP, "104", "102", "91.8", "107.1"),
    ],
)
def test_percent_limits_follow_the_average(
    action: str, instrument: Instrument, price: str, average: str, target: str, stop: str
) -> None:
    rig, position = opened(action, instrument)
    signal = add(rig, price, action, instrument)
    grown = rig.position(position)
    assert (grown.qty, grown.entry_price) == (D(2), D(average))
    assert (grown.take_profit, grown.stop_loss) == (D(target), D(stop))
    assert rig.outcome(signal) == replace(
        rig.outcome(signal), outcome=Outcome.OPENED, position_id=position.id
    )
    assert rig.notices()[-1] == "position.added"


def test_absolute_limits_stay() -> None:
    rig, position = opened(take_profit=AtPrice(D(110)), stop_loss=AtPrice(D(94)))
    add(rig, "96")
    grown = rig.position(position)
    assert (grown.take_profit, grown.stop_loss) == (D(110), D(94))
    rig.trade(94.0)
    assert rig.exits()[-1].qty == D(2)


def test_each_add_has_an_id_of_its_own_and_waits_for_its_commit() -> None:
    rig, position = opened()
    _, first = ask(rig)
    _, second = ask(rig)
    assert [o.client_order_id for o in (first, second)] == [f"{KEY}a0", f"{KEY}a1"]
    assert (first.purpose, first.side, first.reduce_only) == ("add", "buy", False)
    assert rig.position(position).progress.adds == 2


def test_done_rungs_stay_done_and_the_others_are_of_the_grown_quantity() -> None:
    rig, _ = opened(take_profit=Disarmed(), ladder=rungs("2:0.5", "4:0.25"))
    rig.trade(102.0)
    rig.filled(rig.exits()[-1], "102")
    add(rig, "101")  # the average is 100.5, the second rung at 104.5
    rig.trade(104.4)
    assert len(rig.exits()) == 1
    rig.trade(104.5)
    assert [o.qty for o in rig.exits()] == [D("0.5"), D("0.5")]


def test_the_peak_of_a_trailing_stop_is_kept() -> None:
    rig, position = opened(trailing=Percent(D(2)))
    rig.trade(103.0)
    add(rig, "102")
    live = rig.guardian.position(position.id)
    assert live is not None
    assert live.progress.peak == D(103)
    rig.trade(101.0)
    assert (rig.exits()[-1].reason, rig.exits()[-1].qty) == (ExitReason.TRAILING, D(2))


def test_a_stop_at_break_even_stays_where_it_is() -> None:
    rig, position = opened(break_even=Percent(D(2)))
    rig.trade(102.0)
    add(rig, "101")
    assert rig.position(position).stop_loss == D("100.2")


def test_an_add_filled_in_part_counts_for_what_is_filled() -> None:
    rig, position = opened()
    signal, order = ask(rig)
    rig.fill(order, "97", "0.5")
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.5"))
    grown = rig.position(position)
    assert (grown.qty, grown.entry_price) == (D("1.5"), D(99))
    assert rig.outcome(signal).outcome is Outcome.OPENED


def test_an_add_that_is_not_filled_leaves_the_position_as_it_was() -> None:
    rig, position = opened()
    signal, order = ask(rig)
    rig.update(order, OrderStatus.REJECTED, message="too busy")
    assert (rig.outcome(signal).outcome, rig.outcome(signal).reason) == ("rejected", "too busy")
    assert rig.position(position).qty == D(1)
    assert "position.added" not in rig.notices()


def test_exits_of_an_add_are_logged_and_ignored() -> None:
    rig, position = opened()
    rig.signal("buy", stop_loss=Percent(D(1)), size=ONE_MORE)
    assert "signal.exits_ignored" in rig.logged(rig.last)
    rig.filled(rig.submitted()[-1], "100")
    assert rig.position(position).stop_loss == D(95)


def test_another_strategy_opens_a_position_of_its_own() -> None:
    rig, position = opened(strategy="dip")
    rig.signal("buy", strategy="trend")
    assert rig.submitted()[-1].purpose == "entry"
    assert rig.position(position).progress.adds == 0


# When it is not made


def refused(rig: Rig, **fields: Any) -> str:
    signal = rig.signal("buy", **({"size": ONE_MORE} | fields))
    assert rig.outcome(signal).outcome is Outcome.REJECTED
    assert rig.submitted(rig.last) == []
    return str(rig.outcome(signal).reason).split(":")[0]


def test_nothing_is_added_while_the_entry_fills() -> None:
    rig = Rig(add_on_same=True)
    rig.signal("buy")
    rig.trade(100.0)
    assert refused(rig) == "not_open"


def test_nothing_is_added_to_what_is_being_closed() -> None:
    rig, position = opened()
    rig.close(position)
    assert refused(rig) == "not_open"


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (Size(SizeKind.QTY, D("0.0001")), "below_min_qty"),
        (Size(SizeKind.QTY, D("0.05")), "below_min_notional"),
        (Size(SizeKind.QTY, D(1000)), "insufficient_balance"),
    ],
)
def test_an_add_is_checked_like_an_entry(size: Size, why: str) -> None:
    rig, _ = opened()
    assert refused(rig, size=size) == why


def test_an_add_at_a_price_that_moved_away_is_refused() -> None:
    rig, _ = opened()
    assert refused(rig, reference_price=D(95)) == "price_moved"


def test_an_add_whose_average_brings_the_liquidation_before_the_stop_is_refused() -> None:
    rig = Rig(add_on_same=True, leverage=D(10))
    rig.open(stop_loss=AtPrice(D(92)))
    rig.trade(109.0)
    # At an average of 106.75 the venue liquidates at about 96.6.
    assert refused(rig, size=Size(SizeKind.QTY, D(3))) == "stop_beyond_liquidation"


def test_a_position_at_break_even_is_judged_by_the_stop_it_has() -> None:
    rig, position = opened(break_even=Percent(D(2)))
    rig.trade(102.0)
    signal = add(rig, "101")
    assert rig.outcome(signal).outcome is Outcome.OPENED
    assert rig.position(position).qty == D(2)


def test_risk_is_measured_to_the_stop_of_the_position() -> None:
    rig, _ = opened(stop_loss=AtPrice(D(95)))
    rig.trade(99.0)
    rig.signal("buy", size=Size(SizeKind.RISK_PERCENT, D("0.1")))
    # 0.1 % of 9,999 over 4 of distance and the fees of both ways
    assert rig.submitted()[-1].qty == D("2.434")


@pytest.mark.parametrize("cause", ["bot_stopped", "too_old", "closed", "settled"])
def test_an_add_that_waits_for_its_commit_is_dropped_when_it_is_not_wanted(cause: str) -> None:
    rig, position = opened()
    _, order = ask(rig)
    at_ns = rig.now
    if cause == "bot_stopped":
        rig.handle(BotSwitched(False, "owner", rig.now))
    elif cause == "too_old":
        at_ns += 61 * SECOND
    elif cause == "closed":
        rig.close(position)
    else:
        rig.update(order, OrderStatus.REJECTED)
    refusal = rig.guardian.entry_refusal(order, at_ns)
    assert str(refusal).startswith(cause)


# Meanwhile


def test_a_close_while_an_add_is_in_flight_closes_what_it_buys_too() -> None:
    rig, position = opened()
    signal, order = ask(rig)
    rig.close(position)
    rig.filled(rig.exits()[0], "100")
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.filled(order, "100")
    assert [o.qty for o in rig.exits()] == [D(1), D(1)]
    rig.filled(rig.exits()[1], "100")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert rig.outcome(signal).outcome is Outcome.OPENED


def test_a_close_while_an_add_that_fails_is_in_flight_ends_flat() -> None:
    rig, position = opened()
    signal, order = ask(rig)
    rig.trade(95.0)
    rig.filled(rig.exits()[0], "95")
    rig.update(order, OrderStatus.CANCELLED, message="closed")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)
    assert rig.outcome(signal).outcome is Outcome.REJECTED


def test_a_position_emptied_by_others_ends_when_its_add_fails() -> None:
    rig, position = opened()
    _, order = ask(rig)
    rig.foreign(BTC_PERP, "sell", "1", "101")
    assert rig.position(position).status is PositionStatus.OPEN
    rig.update(order, OrderStatus.REJECTED)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.EXTERNAL)


def test_a_position_emptied_by_others_lives_on_with_what_its_add_buys() -> None:
    rig, position = opened()
    _, order = ask(rig)
    rig.foreign(BTC_PERP, "sell", "1", "101")
    rig.filled(order, "100")
    grown = rig.position(position)
    assert (grown.status, grown.qty_open, grown.exit_reason) == ("open", D(1), None)


def test_a_rung_does_not_close_what_an_add_is_buying() -> None:
    rig, position = opened(take_profit=Disarmed(), ladder=rungs("2:0.6"))
    rig.close(position, "0.4")
    rig.filled(rig.exits()[-1], "100")
    rig.trade(101.9)
    _, order = ask(rig)
    rig.trade(102.0)
    rig.filled(rig.exits()[-1], "102")
    rig.filled(order, "102")
    grown = rig.position(position)
    assert (grown.status, grown.qty_open) == (PositionStatus.OPEN, D(1))
    assert [o.qty for o in rig.exits()] == [D("0.4"), D("0.6")]


def test_a_rung_does_not_close_what_the_owner_asked_for_and_did_not_get() -> None:
    rig, position = opened(take_profit=Disarmed(), ladder=rungs("2:0.6"))
    rig.close(position, "0.4")
    rig.trade(102.0)
    rig.filled(rig.exits()[1], "102")
    rig.update(rig.exits()[0], OrderStatus.REJECTED, message="busy")
    left = rig.position(position)
    assert (left.status, left.qty_open) == (PositionStatus.OPEN, D("0.4"))


# Over a restart


@pytest.mark.parametrize("found", [True, False], ids=["found", "absent"])
def test_an_add_in_flight_over_a_restart_is_asked_for_first(found: bool) -> None:
    old, _ = opened()
    signal, order = ask(old)
    rig = restart(old, add_on_same=True)
    assert rig.asked() == [order.client_order_id]
    if found:
        rig.found(order, OrderStatus.FILLED, rig.fill_of(order, "98"), qty=D(1))
    else:
        rig.absent(order)
        assert [o.client_order_id for o in rig.submitted()] == [order.client_order_id]
        rig.filled(order, "98")
    answer_absent(rig, 0, 1, 2, 3)
    grown = rig.position(KEY)
    assert (grown.qty, grown.entry_price, grown.guard) == (D(2), D(99), "armed")
    assert rig.outcome(signal).outcome is Outcome.OPENED


def test_an_absent_add_that_is_too_old_is_dropped_after_a_restart() -> None:
    old, _ = opened()
    signal, order = ask(old)
    old.wait(61)
    rig = restart(old, add_on_same=True)
    rig.absent(order)
    answer_absent(rig, 0, 1, 2, 3)
    assert rig.submitted() == []
    assert str(rig.outcome(signal).reason).startswith("too_old")
    assert rig.position(KEY).status is PositionStatus.OPEN
