"""What is held and not ours, where the venue keeps long and short apart."""

from decimal import Decimal
from typing import Any

import pytest

from engine.core.others import figures, others_on
from engine.model.events import FundingPaid, VenuePosition
from engine.model.exits import ExitReason, Side
from engine.model.order import FillKind
from engine.model.position import Position, PositionStatus
from engine.model.signal import Outcome, Signal
from tests.engine.core.accounts_rig import reads, report, row, settled, told
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig

D = Decimal


def legs(rig: Rig) -> tuple[Decimal, ...]:
    """What is not ours of BTC: long, short."""
    return figures(rig.guardian._state, BTC_PERP.id)


def hedged(*rows: VenuePosition, action: str = "buy") -> tuple[Rig, Position]:
    """A position of one unit at 100 in hedge mode, and what the venue holds with it."""
    rig = Rig()
    report(rig, hedged=True)
    position = rig.open(action)
    settled(rig, *rows, hedged=True)
    return rig, position


def idle(*rows: VenuePosition) -> Rig:
    """Nothing of ours, in hedge mode."""
    rig = Rig()
    rig.wait(5)
    report(rig, *rows, hedged=True)
    return rig


def recorded(rig: Rig, signal: Signal) -> tuple[Outcome, str | None]:
    record = rig.outcome(signal)
    return record.outcome, record.reason


def test_each_leg_is_counted_less_what_is_ours_of_it() -> None:
    rig, _ = hedged(row("long", "3"), row("short", "9"))
    assert legs(rig) == (2, 9)
    settled(rig, row("long", "1"), hedged=True)
    assert legs(rig) == (2, 9)
    settled(rig, row("long", "1"), hedged=True)
    assert legs(rig) == (0, 0)
    assert told(rig, "account.unexplained") == []


def test_a_leg_that_changes_alone_is_followed_once_two_reports_agree() -> None:
    rig, _ = hedged(row("long", "1"), row("short", "9"))
    settled(rig, row("long", "1"), row("short", "8"), hedged=True)
    settled(rig, row("long", "1"), row("short", "7"), hedged=True)
    assert legs(rig) == (0, 9)
    settled(rig, row("long", "1"), row("short", "7"), hedged=True)
    assert legs(rig) == (0, 7)


def test_legs_on_which_nothing_is_ours_are_counted_from_each_report() -> None:
    rig = idle(row("long", "2"), row("short", "3"))
    assert legs(rig) == (2, 3)
    settled(rig, row("short", "4"), hedged=True)
    assert legs(rig) == (0, 4)
    settled(rig, hedged=True)
    assert legs(rig) == (0, 0)


def test_a_report_that_an_execution_has_overtaken_says_nothing_of_the_legs() -> None:
    rig = idle(row("short", "3"))
    rig.wait(5)
    rig.foreign(BTC_PERP, "sell", "1", "100", leg=Side.SHORT)
    report(rig, row("short", "3"), ago_s=1, hedged=True)
    assert legs(rig) == (0, 4)


def test_the_other_leg_bars_no_entry() -> None:
    rig = idle(row("short", "3"))
    rig.trade(100.0)
    signal = rig.signal("buy")
    rig.trade(100.0)
    assert recorded(rig, signal)[0] is Outcome.PENDING
    assert len(rig.submitted()) == 1


def test_the_other_side_bars_an_entry_where_the_venue_nets() -> None:
    rig = Rig()
    rig.wait(5)
    report(rig, row("short", "3"))
    signal = rig.signal("buy")
    outcome, reason = recorded(rig, signal)
    assert outcome is Outcome.REJECTED
    assert reason is not None
    assert reason.startswith("foreign_position: bybit:linear:BTCUSDT has 3 BTC on the other side")


@pytest.mark.parametrize(
    ("action", "leg", "side"), [("buy", Side.LONG, "sell"), ("sell", Side.SHORT, "buy")]
)
def test_a_reduction_of_our_leg_takes_what_is_not_ours_first_at_once(
    action: str, leg: Side, side: str
) -> None:
    rig, position = hedged(row(leg, "3"), action=action)
    rig.foreign(BTC_PERP, side, "1.5", "100", leg=leg)
    assert others_on(rig.guardian._state, BTC_PERP.id, leg) == D("0.5")
    assert rig.position(position).qty_open == 1
    rig.foreign(BTC_PERP, side, "0.9", "100", leg=leg)
    assert legs(rig) == (0, 0)
    assert rig.position(position).qty_open == D("0.6")


@pytest.mark.parametrize(("action", "side"), [("buy", "sell"), ("sell", "buy")])
def test_what_opens_the_other_leg_takes_nothing_from_ours(action: str, side: str) -> None:
    leg = Side.SHORT if action == "buy" else Side.LONG
    rig, position = hedged(row(leg.opposite, "1"), action=action)
    rig.foreign(BTC_PERP, side, "1", "100", leg=leg)
    assert rig.position(position).qty_open == 1
    assert others_on(rig.guardian._state, BTC_PERP.id, leg) == 1
    assert others_on(rig.guardian._state, BTC_PERP.id, leg.opposite) == 0


def test_what_others_add_to_our_leg_is_not_ours() -> None:
    rig, position = hedged(row("long", "1"))
    rig.foreign(BTC_PERP, "buy", "2", "100", leg=Side.LONG)
    assert legs(rig) == (2, 0)
    assert rig.position(position).qty_open == 1


def test_a_leg_is_never_less_than_nothing() -> None:
    rig = idle(row("short", "1"))
    rig.foreign(BTC_PERP, "buy", "3", "100", leg=Side.SHORT)
    assert legs(rig) == (0, 0)


@pytest.mark.parametrize("kind", [FillKind.LIQUIDATION, FillKind.ADL])
def test_a_liquidation_of_the_other_leg_leaves_ours(kind: FillKind) -> None:
    rig, position = hedged(row("long", "1"), row("short", "2"))
    rig.foreign(BTC_PERP, "buy", "2", "100", kind=kind, leg=Side.SHORT)
    assert rig.position(position).qty_open == 1
    rig.foreign(BTC_PERP, "sell", "1", "60", kind=kind, leg=Side.LONG)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.LIQUIDATION)


def test_an_execution_that_does_not_tell_its_leg_waits_for_the_report() -> None:
    rig, position = hedged(row("long", "1"))
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    assert rig.last == ()
    rig.wait(5)
    assert reads(rig) == 1
    report(rig, row("long", "1"), row("short", "0.5"), hedged=True)
    assert rig.position(position).qty_open == 1
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    settled(rig, row("long", "0.5"), row("short", "0.5"), hedged=True)
    assert rig.position(position).qty_open == D("0.5")


def test_what_follows_an_execution_that_waits_for_its_leg_waits_with_it() -> None:
    rig, position = hedged(row("long", "1"))
    rig.foreign(BTC_PERP, "buy", "0.7", "100")
    rig.foreign(BTC_PERP, "sell", "0.7", "100", leg=Side.LONG)  # what was bought before it
    assert rig.position(position).qty_open == 1
    settled(rig, row("long", "1"), hedged=True)
    assert rig.position(position).qty_open == 1
    rig.foreign(BTC_PERP, "sell", "0.3", "100", leg=Side.LONG)
    assert rig.position(position).qty_open == D("0.7")


def test_the_report_that_executions_waited_for_tells_what_is_left_of_others_at_once() -> None:
    rig, position = hedged(row("long", "3"))
    rig.foreign(BTC_PERP, "sell", "2", "100")
    settled(rig, row("long", "1"), hedged=True)
    assert legs(rig) == (0, 0)
    rig.foreign(BTC_PERP, "sell", "0.4", "100", leg=Side.LONG)
    assert rig.position(position).qty_open == D("0.6")


def test_an_execution_of_no_told_leg_where_nothing_is_ours_has_the_account_read() -> None:
    rig = idle(row("short", "3"))
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    assert legs(rig) == (0, 3)
    rig.wait(5)
    assert reads(rig) == 1


def test_a_reduction_of_a_leg_that_an_entry_of_ours_is_filling_waits_for_the_report() -> None:
    rig = idle()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.sent(entry)
    rig.fill(entry, "100", "0.5")
    rig.foreign(BTC_PERP, "sell", "0.8", "100", leg=Side.LONG)
    assert rig.position(entry.position_id).qty_open == D("0.5")
    rig.fill(entry, "100", "0.5")
    settled(rig, row("long", "0.2"), hedged=True)
    assert rig.position(entry.position_id).qty_open == 1  # the entry may still fill
    rig.update(entry, "filled")
    settled(rig, row("long", "0.2"), hedged=True)
    assert rig.position(entry.position_id).qty_open == D("0.2")


def test_the_other_leg_is_not_what_an_entry_of_ours_meets() -> None:
    rig = idle()
    rig.signal("buy")
    rig.trade(100.0)
    rig.sent(rig.submitted()[-1])
    rig.foreign(BTC_PERP, "sell", "0.8", "100", leg=Side.SHORT)
    assert legs(rig) == (0, D("0.8"))


def test_less_than_ours_on_a_leg_is_explained_by_no_execution_of_before() -> None:
    rig = idle()
    rig.foreign(BTC_PERP, "sell", "0.4", "104", leg=Side.SHORT)
    rig.wait(1)
    position = rig.open()
    settled(rig, row("long", "0.6"), row("short", "0.4"), times=3, hedged=True)
    assert rig.position(position).qty_open == 1
    assert [data["venue"] for data in told(rig, "account.unexplained")] == ["0.6"]


def test_a_lone_row_of_the_other_leg_is_no_netted_figure() -> None:
    rig, position = hedged(row("short", "5"))
    settled(rig, row("short", "5"), times=2, hedged=True)
    assert rig.position(position).qty_open == 1
    assert [data["venue"] for data in told(rig, "account.unexplained")] == ["0"]


def test_spot_is_one_balance_in_hedge_mode_too() -> None:
    rig = idle()
    rig.guardian._state.foreign[BTC_SPOT.id] = D(2)
    assert figures(rig.guardian._state, BTC_SPOT.id) == (2,)


def test_an_unknown_instrument_of_a_venue_that_was_not_read_counts_nothing() -> None:
    rig = Rig()
    rig.foreign(ETH_PERP, "buy", "1", "100")
    assert figures(rig.guardian._state, ETH_PERP.id) == (0,)


def test_the_leg_of_funding_is_the_one_that_is_ours() -> None:
    rig, position = hedged(row("long", "2"), row("short", "7"))
    rig.handle(FundingPaid("f1", BTC_PERP, D("0.4"), rig.now))
    assert rig.position(position).funding == D("0.2")


def counted(**fields: Any) -> tuple[Decimal, ...]:
    rig = idle(row("long", "2"))
    rig.foreign(BTC_PERP, fields["side"], "1", "100", leg=fields["leg"])
    return legs(rig)


@pytest.mark.parametrize(
    ("side", "leg", "after"),
    [
        ("buy", Side.LONG, (3, 0)),
        ("sell", Side.LONG, (1, 0)),
        ("sell", Side.SHORT, (2, 1)),
        ("buy", Side.SHORT, (2, 0)),
    ],
)
def test_executions_move_the_leg_that_they_tell(
    side: str, leg: Side, after: tuple[int, int]
) -> None:
    assert counted(side=side, leg=leg) == after
