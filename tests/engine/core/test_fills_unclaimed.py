"""Executions that were told before ours was held, and what they took of it all the same."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.fills import MAX_UNCLAIMED
from engine.model.effects import SaveFill
from engine.model.exits import ExitReason
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, FillKind, Order, OrderStatus
from engine.model.position import Position, PositionStatus
from tests.engine.core.accounts_rig import MONEY, balance, reads, report, row, settled, told
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig

D = Decimal


def met(foreign: str = "0.4", action: str = "buy", **config: Any) -> tuple[Rig, Position, Fill]:
    """An entry of one unit that met what others held on the other side."""
    rig = Rig(**config)
    before = rig.foreign(BTC_PERP, "sell" if action == "buy" else "buy", foreign, "104")
    rig.now += 1
    return rig, rig.open(action), before


def booked(rig: Rig) -> list[tuple[str, Decimal, Decimal]]:
    """Trade id, quantity and price of what was booked from others in the last step."""
    fills = [e.fill for e in rig.last if isinstance(e, SaveFill)]
    return [(fill.venue_trade_id, fill.qty, fill.price) for fill in fills]


def test_what_our_entry_closed_of_others_is_taken_from_ours_by_their_execution() -> None:
    rig, position, before = met()
    settled(rig, row("long", "0.6"), times=3)
    assert booked(rig) == [(before.venue_trade_id, D("0.4"), D(104))]
    left = rig.position(position)
    assert (left.status, left.qty_open) == (PositionStatus.OPEN, D("0.6"))
    assert told(rig, "position.reduced") == [
        {"position_id": position.id, "qty": "0.4", "price": "104", "left": "0.6"}
    ]
    assert told(rig, "account.unexplained") == []
    assert rig.guardian._state.foreign == {}
    rig.trade(95.0)
    assert rig.exits()[0].qty == D("0.6")


def test_a_short_meets_what_others_held_long() -> None:
    rig, position, _ = met(action="sell")
    settled(rig, row("short", "0.6"), times=3)
    assert rig.position(position).qty_open == D("0.6")


def test_an_execution_that_explains_the_difference_may_come_until_the_third_report() -> None:
    rig, position, _ = met()
    settled(rig, row("long", "0.6"), times=2)
    assert rig.position(position).qty_open == 1
    late = rig.foreign(BTC_PERP, "sell", "0.4", "90")
    assert booked(rig) == [(late.venue_trade_id, D("0.4"), D(90))]


def test_what_they_do_not_explain_whole_takes_nothing_and_is_alarmed() -> None:
    rig, position, _ = met("0.3")
    settled(rig, row("long", "0.6"), times=3)
    assert rig.position(position).qty_open == 1
    assert len(told(rig, "account.unexplained")) == 1


def test_an_execution_on_our_own_side_explains_nothing() -> None:
    rig = Rig()
    rig.foreign(BTC_PERP, "buy", "0.4", "104")
    rig.now += 1
    position = rig.open()
    settled(rig, row("long", "0.6"), times=3)
    assert rig.position(position).qty_open == 1
    assert len(told(rig, "account.unexplained")) == 1


def test_what_others_took_back_before_our_entry_explains_nothing() -> None:
    rig = Rig()
    rig.foreign(BTC_PERP, "sell", "0.4", "104")
    rig.foreign(BTC_PERP, "buy", "0.1", "104")
    rig.foreign(BTC_PERP, "buy", "0.3", "104")
    rig.now += 1
    rig.open()
    settled(rig, row("long", "0.6"), times=3)
    assert len(told(rig, "account.unexplained")) == 1


def test_what_others_took_back_in_part_explains_the_rest() -> None:
    rig = Rig()
    rig.foreign(BTC_PERP, "sell", "0.4", "104")
    rig.foreign(BTC_PERP, "buy", "0.1", "104")
    rig.now += 1
    position = rig.open()
    settled(rig, row("long", "0.7"), times=3)
    assert rig.position(position).qty_open == D("0.7")


def test_what_turned_others_to_the_other_side_explains_by_what_is_left() -> None:
    rig = Rig()
    rig.foreign(BTC_PERP, "buy", "0.3", "104")
    last = rig.foreign(BTC_PERP, "sell", "0.5", "105")
    rig.now += 1
    rig.open()
    settled(rig, row("long", "0.8"), times=3)
    assert booked(rig) == [(last.venue_trade_id, D("0.2"), D(105))]


def test_the_latest_executions_explain_first_and_each_as_far_as_it_went() -> None:
    rig = Rig()
    first = rig.foreign(BTC_PERP, "sell", "0.3", "104")
    second = rig.foreign(BTC_PERP, "sell", "0.2", "105")
    rig.now += 1
    position = rig.open()
    settled(rig, row("long", "0.7"), times=3)
    assert booked(rig) == [
        (second.venue_trade_id, D("0.2"), D(105)),
        (first.venue_trade_id, D("0.1"), D(104)),
    ]
    again = rig.open(strategy="b")
    settled(rig, row("long", "1.5"), times=3)
    assert booked(rig) == []  # to the first it was booked already
    assert len(told(rig, "account.unexplained")) == 1
    assert rig.position(position).qty_open + rig.position(again).qty_open == D("1.7")


def test_what_met_others_whole_is_closed_and_their_rest_bars_the_next_entry() -> None:
    rig, position, _ = met("1.5")
    settled(rig, row("short", "0.5"), times=3)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.EXTERNAL)
    refused = rig.outcome(rig.signal("buy"))
    assert str(refused.reason).startswith("foreign_position: bybit:linear:BTCUSDT has 0.5 BTC")


def test_it_was_not_closed_before_it_was_opened() -> None:
    rig, position, _ = met("1")
    settled(rig, times=3)
    closed = rig.position(position)
    assert closed.status is PositionStatus.CLOSED
    assert closed.exit_time_ns == closed.entry_time_ns


def test_where_each_side_has_its_own_leg_nothing_was_met() -> None:
    rig, position, _ = met()
    settled(rig, row("long", "0.6"), row("short", "0.4"), times=3)
    assert rig.position(position).qty_open == 1
    assert len(told(rig, "account.unexplained")) == 1


def test_what_was_known_to_be_others_does_not_explain_what_ours_lacks() -> None:
    rig = Rig()
    position = rig.open()
    settled(rig, row("long", "3"))
    rig.foreign(BTC_PERP, "sell", "2", "104")
    settled(rig, row("long", "0.5"), times=3)
    assert rig.position(position).qty_open == 1
    assert len(told(rig, "account.unexplained")) == 1


def test_an_exit_that_sold_what_was_bought_later_leaves_the_reduction_to_the_later_one() -> None:
    """The owner sold while nothing was told, then we bought again and sold what was there."""
    rig = Rig()
    before = rig.foreign(BTC_SPOT, "sell", "0.4", "104")
    rig.now += 1
    position = rig.open(instrument=BTC_SPOT)
    settled(rig, balances=(*MONEY, balance("BTC", "0.6")), times=3)
    assert booked(rig) == [(before.venue_trade_id, D("0.4"), D(104))]
    assert rig.position(position).qty_open == D("0.6")


def test_an_execution_on_one_pair_of_an_asset_does_not_explain_what_another_pair_lacks() -> None:
    other = replace(BTC_SPOT, id=InstrumentId("bybit", Market.SPOT, "BTCUSDC"), quote="USDC")
    rig = Rig()
    rig.balance("USDC", "10000")
    rig.foreign(BTC_SPOT, "sell", "1.5", "104")
    rig.now += 1
    first = rig.open(instrument=BTC_SPOT)
    second = rig.open(instrument=other)
    settled(rig, balances=(*MONEY, balance("BTC", "0.5")), times=3)
    assert rig.position(first).qty_open + rig.position(second).qty_open == 2
    assert len(told(rig, "account.unexplained")) == 2


def test_a_liquidation_of_before_is_kept_too() -> None:
    rig = Rig()
    rig.foreign(BTC_PERP, "sell", "0.4", "50", kind=FillKind.LIQUIDATION)
    rig.now += 1
    position = rig.open()
    settled(rig, row("long", "0.6"), times=3)
    assert told(rig, "position.liquidation") == [
        {"position_id": position.id, "qty": "0.4", "price": "50", "left": "0.6"}
    ]


def test_what_is_explained_late_ends_the_alarm_and_takes_entries_again() -> None:
    rig, position, _ = met("0.3")
    settled(rig, row("long", "0.6"), times=3)
    rig.now -= 10**12
    rig.foreign(BTC_PERP, "sell", "0.1", "104")  # of before the entry, told late
    rig.now += 10**12
    settled(rig, row("long", "0.6"))
    assert rig.position(position).qty_open == D("0.6")
    assert len(told(rig, "account.explained")) == 1


def test_only_so_many_executions_are_kept() -> None:
    rig = Rig()
    for _ in range(MAX_UNCLAIMED + 5):
        rig.foreign(BTC_PERP, "sell", "0.1", "104")
    assert len(rig.guardian._state.accounts.unclaimed[BTC_PERP.id]) == MAX_UNCLAIMED


# While an entry is on its way


def entering(qty: str) -> tuple[Rig, Order]:
    """An entry of one unit that was sent, and of which so much is known to be filled."""
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[0]
    rig.sent(entry)
    rig.fill(entry, "100", qty)
    return rig, entry


def test_what_took_more_than_is_known_waits_for_the_rest_of_the_entry() -> None:
    rig, entry = entering("0.4")
    fill = rig.foreign(BTC_PERP, "sell", "1", "50", kind=FillKind.LIQUIDATION)
    assert booked(rig) == []
    rig.fill(entry, "100", "0.6")
    rig.update(entry, OrderStatus.FILLED)
    settled(rig)
    assert booked(rig) == [(fill.venue_trade_id, D(1), D(50))]
    closed = rig.position(entry.position_id)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.LIQUIDATION)


def test_what_was_filled_after_a_liquidation_is_not_touched_by_it() -> None:
    rig, entry = entering("0.4")
    rig.foreign(BTC_PERP, "sell", "0.4", "50", kind=FillKind.LIQUIDATION)
    assert rig.position(entry.position_id).qty_open == 0
    rig.filled(entry, "100")
    assert rig.position(entry.position_id).qty_open == 1


def test_the_account_is_read_soon_for_what_waits_for_an_entry() -> None:
    rig, _ = entering("0.4")
    settled(rig, row("long", "0.4"))
    rig.foreign(BTC_PERP, "sell", "0.5", "50")
    rig.wait(4)
    rig.wait(1)
    assert reads(rig) == 1


@pytest.mark.parametrize(
    ("side", "instrument"), [("buy", BTC_PERP), ("sell", ETH_PERP), ("sell", BTC_SPOT)]
)
def test_what_cannot_have_taken_from_the_entry_waits_for_nothing(
    side: str, instrument: Instrument
) -> None:
    rig, _ = entering("0.4")
    rig.foreign(instrument, side, "1", "100")
    assert "venue.foreign_fill" in rig.logged(rig.last)


def test_an_entry_that_has_not_left_is_told_what_others_hold() -> None:
    rig = Rig()
    report(rig)
    rig.signal("buy")
    rig.trade(100.0)
    rig.foreign(BTC_PERP, "sell", "1", "100")
    refusal = rig.guardian.entry_refusal(rig.submitted()[0], rig.now)
    assert str(refusal).startswith("foreign_position: ")


def test_while_an_exit_is_on_its_way_nothing_waits() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position, "0.5")
    rig.sent(rig.exits()[0])
    rig.foreign(BTC_PERP, "sell", "2", "100")
    assert rig.position(position).qty_open == 0
