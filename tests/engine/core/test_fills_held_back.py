"""Foreign executions after a start: what they took from ours, only a report can tell."""

from decimal import Decimal

from engine.model.effects import SaveFill
from engine.model.exits import ExitReason
from engine.model.order import FillKind
from engine.model.position import Position, PositionStatus
from tests.engine.core.accounts_rig import reads, row, settled, told
from tests.engine.core.restarts import answer_absent, restart
from tests.engine.core.rig import BTC_PERP, Rig

D = Decimal


def started(old: Rig) -> Rig:
    """A process that found what another one saved; every order is accounted for."""
    rig = restart(old)
    for position in rig.guardian.positions():
        for generation in range(4):
            rig.absent(f"{position.id}x{generation}")
    return rig


def held() -> tuple[Rig, Position]:
    """A long of one unit at 100, found after a start."""
    old = Rig()
    old.open()
    rig = started(old)
    return rig, rig.guardian.positions()[0]


def test_a_reduction_after_a_start_waits_for_the_report() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "0.4", "90")
    assert rig.last == ()
    settled(rig, row("long", "0.6"))
    assert rig.position(position).qty_open == D("0.6")
    assert told(rig, "position.reduced") == [
        {"position_id": position.id, "qty": "0.4", "price": "90", "left": "0.6"}
    ]
    assert rig.guardian._state.foreign == {}
    settled(rig, row("long", "0.6"), times=3)
    assert told(rig, "account.unexplained") == []


def test_a_reduction_of_what_was_not_ours_takes_nothing_from_ours() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "2", "90")
    settled(rig, row("long", "1"))
    assert rig.position(position).qty_open == 1
    assert "venue.foreign_fill" in rig.logged(rig.last)


def test_of_several_reductions_the_last_ones_took_from_ours() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "2", "91")
    rig.wait(1)
    rig.foreign(BTC_PERP, "sell", "0.3", "92")
    rig.wait(1)
    rig.foreign(BTC_PERP, "sell", "0.2", "93")
    settled(rig, row("long", "0.4"))
    booked = [(e.fill.qty, e.fill.price) for e in rig.last if isinstance(e, SaveFill)]
    assert booked == [(D("0.1"), 91), (D("0.3"), 92), (D("0.2"), 93)]
    assert rig.position(position).qty_open == D("0.4")


def test_of_reductions_of_one_moment_the_one_told_last_came_last() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "2", "91")
    rig.foreign(BTC_PERP, "sell", "0.3", "92")
    settled(rig, row("long", "0.8"))
    assert [e.fill.price for e in rig.last if isinstance(e, SaveFill)] == [92]
    assert rig.position(position).qty_open == D("0.8")


def test_a_liquidation_while_we_were_away_closes_ours() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "1", "50", kind=FillKind.LIQUIDATION)
    settled(rig)
    closed = rig.position(position)
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.LIQUIDATION)


def test_what_the_executions_do_not_explain_stays_a_difference() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "0.4", "90")
    rig.foreign(BTC_PERP, "buy", "0.1", "90")
    settled(rig, row("long", "0.5"), times=4)
    assert rig.position(position).qty_open == D("0.6")
    assert [data["ours"] for data in told(rig, "account.unexplained")] == ["0.6"]


def test_an_execution_of_before_the_position_was_held_does_not_explain_the_first_reports() -> None:
    rig, position = held()
    rig.now -= 10**9
    rig.foreign(BTC_PERP, "sell", "0.4", "90")
    rig.now += 10**9
    settled(rig, row("long", "0.6"), times=2)
    assert rig.position(position).qty_open == 1


def test_executions_that_were_booked_before_the_start_are_not_booked_again() -> None:
    old = Rig()
    a = old.open(strategy="a")
    old.now += 1
    b = old.open(strategy="b")
    old.foreign(BTC_PERP, "sell", "1.5", "90", venue_trade_id="both")
    old.foreign(BTC_PERP, "sell", "0.1", "90", venue_trade_id="one")
    assert old.position(a).status is PositionStatus.CLOSED
    rig = started(old)
    rig.guardian._state.book((b.id, "one"))  # a fill of both is told by the ledger for those left
    for trade, qty in (("both", "1.5"), ("one", "0.1")):
        rig.foreign(BTC_PERP, "sell", qty, "90", venue_trade_id=trade)
    settled(rig, row("long", "0.4"), times=3)
    assert rig.position(b).qty_open == D("0.4")
    assert told(rig, "account.unexplained") == []


def test_an_execution_told_again_while_it_waits_is_held_back_once() -> None:
    rig, position = held()
    for _ in range(3):
        rig.foreign(BTC_PERP, "sell", "0.4", "90", venue_trade_id="once")
    settled(rig, row("long", "0.2"))
    assert rig.position(position).qty_open == D("0.6")


def test_the_account_is_read_again_soon_after_an_execution_that_waits() -> None:
    rig, _ = held()
    rig.foreign(BTC_PERP, "sell", "0.4", "90")
    rig.wait(5)
    assert reads(rig) == 1


def test_what_waits_is_forgotten_with_the_position() -> None:
    rig, position = held()
    rig.foreign(BTC_PERP, "sell", "0.4", "90")
    rig.close(position)
    rig.filled(rig.exits()[0], "100")
    rig.wait(0.2)
    assert rig.guardian._state.accounts.instruments() == set()


def test_nothing_is_decided_while_the_orders_are_not_accounted_for() -> None:
    old = Rig()
    old.open()
    rig = restart(old)
    rig.foreign(BTC_PERP, "sell", "1", "90")
    settled(rig)
    assert rig.guardian.positions()
    answer_absent(rig, 0, 1, 2, 3)
    settled(rig)
    assert not rig.guardian.positions()
