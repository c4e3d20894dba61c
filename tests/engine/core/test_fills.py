"""Executions that were not ours, and funding."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.effects import AppendEvent, SaveFill
from engine.model.events import FundingPaid, OrderFilled
from engine.model.exits import ExitReason
from engine.model.instrument import Instrument
from engine.model.order import FillKind, OrderSide, OrderStatus
from engine.model.position import Position, PositionStatus
from tests.engine.core.accounts_rig import settled, told
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig, position_id

D = Decimal


def logged(rig: Rig) -> list[str]:
    return [e.kind for e in rig.last if isinstance(e, AppendEvent)]


@pytest.mark.parametrize(
    ("kind", "reason", "word"),
    [
        (FillKind.TRADE, ExitReason.EXTERNAL, "position.external"),
        (FillKind.LIQUIDATION, ExitReason.LIQUIDATION, "position.liquidation"),
        (FillKind.ADL, ExitReason.LIQUIDATION, "position.adl"),
    ],
)
def test_a_foreign_close_is_booked_from_its_execution_and_told_for_what_it_is(
    kind: FillKind, reason: ExitReason, word: str
) -> None:
    rig = Rig()
    position = rig.open()
    rig.foreign(BTC_PERP, "sell", "1", "60", kind=kind)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, reason)
    assert closed.realized_pnl == D(-40)
    assert told(rig, word) == [{"position_id": position.id, "qty": "1", "price": "60", "left": "0"}]
    assert rig.logged().count(word) == 1


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (FillKind.TRADE, "position.reduced"),
        (FillKind.LIQUIDATION, "position.liquidation"),
        (FillKind.ADL, "position.adl"),
    ],
)
def test_a_foreign_reduction_leaves_the_rest_guarded(kind: FillKind, word: str) -> None:
    rig = Rig()
    position = rig.open()
    rig.foreign(BTC_PERP, "sell", "0.4", "100", kind=kind)
    assert rig.position(position).status is PositionStatus.OPEN
    assert [data["left"] for data in told(rig, word)] == ["0.6"]
    rig.trade(95.0)
    assert rig.exits()[0].qty == D("0.6")


def test_a_foreign_reduction_is_taken_from_the_oldest_first_and_the_rest_is_logged() -> None:
    rig = Rig()
    a = rig.open(strategy="a")
    rig.now += 1
    b = rig.open(strategy="b")
    rig.foreign(BTC_PERP, "sell", "1.5", "100")
    assert rig.position(a).status is PositionStatus.CLOSED
    assert rig.position(b).qty_open == D("0.5")
    assert len([e for e in rig.last if isinstance(e, SaveFill)]) == 2
    rig.foreign(BTC_PERP, "sell", "9", "100")
    assert "venue.foreign_fill" in logged(rig)


def test_what_an_exit_in_flight_asks_for_is_reduced_last() -> None:
    rig = Rig()
    a = rig.open(strategy="a")
    rig.now += 1
    b = rig.open(strategy="b")
    rig.close(a, "0.8")
    rig.foreign(BTC_PERP, "sell", "0.7", "100")
    assert (rig.position(a).qty_open, rig.position(b).qty_open) == (D("0.8"), D("0.5"))
    assert "venue.foreign_fill" not in rig.logged()


def test_what_exits_in_flight_may_sell_of_another_position_waits_for_the_report() -> None:
    rig = Rig()
    a = rig.open(strategy="a")
    rig.now += 1
    b = rig.open(strategy="b")
    rig.close(a, "0.8")
    rig.foreign(BTC_PERP, "sell", "1.5", "100")
    assert (rig.position(a).qty_open, rig.position(b).qty_open) == (1, 1)
    rig.fill(rig.exits()[0], "100", "0.5")
    rig.update(rig.exits()[0], OrderStatus.CANCELLED, filled_qty=D("0.5"))
    settled(rig)
    assert (rig.position(a).qty_open, rig.position(b).qty_open) == (0, 0)


def test_a_foreign_fill_counts_once_even_when_it_closed_what_it_was_booked_to() -> None:
    rig = Rig()
    rig.open(strategy="a")
    rig.now += 1
    b = rig.open(strategy="b")
    for _ in range(2):
        rig.foreign(BTC_PERP, "sell", "1", "100", venue_trade_id="once")
    assert rig.position(b).qty_open == D(1)


def test_a_foreign_fill_that_the_ledger_has_is_not_booked_again() -> None:
    rig = Rig()
    position = rig.open()
    rig.guardian._state.book((position.id, "old"))
    rig.foreign(BTC_PERP, "sell", "1", "100", venue_trade_id="old")
    assert rig.position(position).qty_open == D(1)


def test_foreign_fills_of_the_other_side_or_instrument_touch_nothing() -> None:
    rig = Rig()
    position = rig.open()
    rig.foreign(BTC_PERP, "buy", "1", "100")
    rig.foreign(ETH_PERP, "sell", "1", "100")
    assert rig.position(position).qty_open == D(1)


def test_an_order_by_hand_under_an_id_of_its_own_is_foreign() -> None:
    rig = Rig()
    position = rig.open()
    rig.foreign(BTC_PERP, "sell", "1", "100", client_order_id="web_123")
    assert rig.position(position).exit_reason is ExitReason.EXTERNAL


def test_a_foreign_close_while_ours_is_in_flight_waits_for_it() -> None:
    rig = Rig()
    position = rig.open()
    rig.trade(95.0)
    rig.foreign(BTC_PERP, "sell", "1", "94")
    assert rig.position(position).status is PositionStatus.CLOSING
    rig.update(rig.exits()[0], OrderStatus.REJECTED, message="reduce only")
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.STOP_LOSS)
    assert len(rig.exits()) == 1


def test_a_foreign_close_between_two_tries_ends_the_position() -> None:
    rig = Rig()
    position = rig.open()
    rig.trade(95.0)
    rig.update(rig.exits()[0], OrderStatus.REJECTED)
    rig.foreign(BTC_PERP, "sell", "1", "94")
    assert rig.position(position).status is PositionStatus.CLOSED
    rig.wait(5)
    assert len(rig.exits()) == 1


def test_a_foreign_close_of_an_entry_still_in_flight_ends_with_the_entry() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.5")
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    assert rig.position(position_id(1)).status is PositionStatus.OPENING
    rig.update(entry, OrderStatus.CANCELLED)
    closed = rig.position(position_id(1))
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.EXTERNAL)


def test_a_late_fill_of_an_order_that_ended_is_alarmed_while_the_position_is_open() -> None:
    rig = Rig()
    rig.open()
    entry = rig.submitted()[0]
    rig.fill(entry, "100", "0.1")
    assert rig.notices()[-1] == "order.unexpected_fill"
    assert rig.position(position_id(1)).qty == D(1)


def test_a_fill_told_again_after_its_order_ended_is_nothing() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[0]
    rig.filled(entry, "100", venue_trade_id="once")
    rig.fill(entry, "100", venue_trade_id="once")
    assert rig.last == ()


def test_a_fill_told_again_after_its_position_closed_is_nothing() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    rig.filled(rig.exits()[0], "95", venue_trade_id="once")
    rig.fill(rig.exits()[0], "95", venue_trade_id="once")
    assert rig.last == ()


# What is not ours


def beside(
    qty: str, action: str = "buy", instrument: Instrument = BTC_PERP
) -> tuple[Rig, Position]:
    """A position of one unit at 100, and so much of others as a report told it."""
    rig = Rig()
    position = rig.open(action, instrument=instrument)
    rig.guardian._state.foreign[instrument.id] = D(qty)
    rig.guardian._state.accounts.based.add(instrument.id)
    return rig, position


def foreign(rig: Rig, instrument: Instrument = BTC_PERP) -> Decimal:
    return rig.guardian._state.foreign.get(instrument.id, D(0))


@pytest.mark.parametrize(("action", "side", "sign"), [("buy", "sell", 1), ("sell", "buy", -1)])
def test_a_reduction_is_taken_first_from_what_is_not_ours(
    action: str, side: str, sign: int
) -> None:
    rig, position = beside(str(2 * sign), action)
    rig.foreign(BTC_PERP, side, "1.5", "100")
    assert (foreign(rig), rig.position(position).qty_open) == (D("0.5") * sign, 1)
    assert logged(rig) == ["venue.foreign_fill"]
    rig.foreign(BTC_PERP, side, "0.9", "100")
    assert (foreign(rig), rig.position(position).qty_open) == (0, D("0.6"))
    booked = [e.fill.qty for e in rig.last if isinstance(e, SaveFill)]
    assert booked == [D("0.4")]


def test_what_goes_beyond_both_is_held_on_the_other_side() -> None:
    rig, position = beside("2")
    rig.foreign(BTC_PERP, "sell", "4", "100")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert foreign(rig) == -1


def test_a_foreign_purchase_is_not_ours() -> None:
    rig, position = beside("2")
    rig.foreign(BTC_PERP, "buy", "1", "100")
    assert (foreign(rig), rig.position(position).qty_open) == (3, 1)
    assert logged(rig) == ["venue.foreign_fill"]


def test_what_is_not_ours_counts_once_by_trade() -> None:
    rig, _ = beside("2")
    for _ in range(3):
        rig.foreign(BTC_PERP, "sell", "0.5", "100", venue_trade_id="once")
    assert foreign(rig) == D("1.5")


@pytest.mark.parametrize("kind", [FillKind.LIQUIDATION, FillKind.ADL])
def test_a_liquidation_takes_ours_whatever_else_is_held(kind: FillKind) -> None:
    rig, position = beside("2")
    rig.foreign(BTC_PERP, "sell", "3", "60", kind=kind)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.LIQUIDATION)
    assert foreign(rig) == 0


def test_on_spot_a_purchase_counts_less_its_fee_and_no_balance_is_negative() -> None:
    rig, position = beside("0", instrument=BTC_SPOT)
    fee = replace(rig.fill_of(rig.submitted()[0], "100", "1"), fee=D("0.1"), fee_asset="BTC")
    rig.handle(OrderFilled(replace(fee, client_order_id=None), rig.now))
    assert foreign(rig, BTC_SPOT) == D("0.9")
    rig.foreign(BTC_SPOT, "sell", "5", "100")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert foreign(rig, BTC_SPOT) == 0


def test_the_parts_of_a_foreign_fill_bear_its_whole_fee() -> None:
    rig = Rig()
    for strategy in "abc":
        rig.open(strategy=strategy)
        rig.now += 1
    fill = replace(rig.fill_of(rig.submitted()[0], "100", "3"), fee=D("0.1"))
    sold = replace(fill, side=OrderSide.SELL, client_order_id=None)
    rig.handle(OrderFilled(sold, rig.now))
    booked = [e.fill for e in rig.last if isinstance(e, SaveFill)]
    assert [one.qty for one in booked] == [1, 1, 1]
    assert sum(one.fee for one in booked) == D("0.1")


def test_an_execution_of_before_the_entry_touches_nothing() -> None:
    rig = Rig()
    position = rig.open()
    rig.now -= 1
    rig.foreign(BTC_PERP, "sell", "1", "100")
    assert rig.position(position).qty_open == 1


def test_before_a_report_told_what_is_not_ours_executions_alone_do_not() -> None:
    rig = Rig()
    rig.open()
    rig.foreign(BTC_PERP, "buy", "1", "100")
    rig.foreign(ETH_PERP, "sell", "1", "100", kind=FillKind.LIQUIDATION)
    assert rig.guardian._state.foreign == {}
    assert logged(rig) == ["venue.foreign_fill"]


def test_after_a_report_executions_alone_tell_what_is_not_ours() -> None:
    rig, _ = beside("0")
    rig.guardian._state.foreign.clear()
    rig.foreign(BTC_PERP, "buy", "1", "100")
    assert foreign(rig) == 1


# Funding


def funding(rig: Rig, amount: str, trade: str = "f1") -> None:
    rig.handle(FundingPaid(trade, BTC_PERP, D(amount), rig.now))


def test_funding_is_split_by_what_is_held_and_adds_up() -> None:
    rig = Rig()
    a = rig.open(strategy="a")
    b = rig.open(strategy="b")
    c = rig.open(strategy="c")
    rig.open(instrument=ETH_PERP)
    funding(rig, "0.1")
    funding(rig, "0.1")  # told again
    shares = [rig.position(key).funding for key in (a, b, c)]
    assert sum(shares) == D("0.1")
    assert max(shares) - min(shares) <= D("1e-17")
    assert rig.position(a).net_pnl == -shares[0]


def test_funding_received_is_negative_and_adds_to_the_result() -> None:
    rig = Rig()
    position = rig.open()
    funding(rig, "-0.2")
    assert rig.position(position).net_pnl == D("0.2")


def test_funding_of_what_others_hold_on_the_same_side_is_theirs() -> None:
    rig, position = beside("3")
    funding(rig, "0.4")
    assert rig.position(position).funding == D("0.1")
    (told_of,) = [e.data for e in rig.last if isinstance(e, AppendEvent)]
    assert (told_of["amount"], told_of["ours"]) == ("0.4", "0.1")


def test_funding_is_all_ours_beside_what_others_hold_on_the_other_side() -> None:
    rig, position = beside("-3")
    funding(rig, "0.4")
    assert rig.position(position).funding == D("0.4")


def test_funding_with_nothing_held_is_nothing() -> None:
    rig = Rig()
    rig.signal("buy")
    funding(rig, "0.1")
    assert rig.last == ()


def test_funding_of_before_a_position_was_held_is_not_its() -> None:
    rig = Rig()
    old = rig.open(strategy="a")
    settled_ns = rig.now
    rig.now += 1
    new = rig.open(strategy="b")
    rig.handle(FundingPaid("f1", BTC_PERP, D("0.1"), settled_ns))
    assert (rig.position(old).funding, rig.position(new).funding) == (D("0.1"), 0)


def test_what_a_close_in_flight_may_sell_of_others_waits_for_the_report() -> None:
    rig = Rig()
    rig.balance("BTC", "3")
    position = rig.open(instrument=BTC_SPOT)
    rig.trade(95.0, BTC_SPOT)
    close = rig.exits()[-1]
    rig.foreign(BTC_SPOT, "sell", "0.5", "95")
    assert rig.position(position).exit_qty == 0
    rig.filled(close, "95")
    assert rig.position(position).exit_qty == close.qty
    assert rig.position(position).status is PositionStatus.CLOSED
