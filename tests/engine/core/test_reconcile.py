"""What the venue holds against what our books say."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.effects import SaveBalance
from engine.model.events import AccountReported
from engine.model.instrument import Market
from engine.model.order import OrderStatus
from engine.model.position import Position, PositionStatus
from tests.engine.core.accounts_rig import balance, reads, report, row, settled, told
from tests.engine.core.restarts import answer_absent, opened
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig

D = Decimal


def holding(action: str = "buy") -> tuple[Rig, Position]:
    """A position of one unit at 100."""
    rig = Rig()
    return rig, rig.open(action)


def foreign(rig: Rig) -> Decimal:
    return rig.guardian._state.foreign.get(BTC_PERP.id, D(0))


def unexplained(rig: Rig) -> Decimal | None:
    return rig.guardian._state.unexplained.get(BTC_PERP.id)


# Balances


def test_balances_of_a_report_are_all_there_are() -> None:
    rig, _ = holding()
    rig.balance("ETH", "3")
    settled(rig, row("long", "1"), balances=[balance("USDT", "9000")])
    saved = {e.balance.asset: e.balance.total for e in rig.last if isinstance(e, SaveBalance)}
    assert saved == {"USDT": D(9000), "ETH": D(0)}
    settled(rig, row("long", "1"), balances=[balance("USDT", "9000")])
    assert not [e for e in rig.last if isinstance(e, SaveBalance)]


def test_balances_of_a_report_that_executions_have_overtaken_are_not_taken() -> None:
    rig, position = holding()
    rig.wait(5)
    rig.close(position, "0.5")
    rig.filled(rig.exits()[0], "100")
    rig.wait(1)
    report(rig, row("long", "1"), balances=[balance("USDT", "1")], ago_s=2)
    assert not [e for e in rig.last if isinstance(e, SaveBalance)]
    report(rig, row("long", "0.5"), balances=[balance("USDT", "1")])
    assert [e for e in rig.last if isinstance(e, SaveBalance)]


# What is not ours


@pytest.mark.parametrize(("action", "side", "sign"), [("buy", "long", 1), ("sell", "short", -1)])
def test_what_the_venue_holds_beyond_ours_is_not_ours(action: str, side: str, sign: int) -> None:
    rig, _ = holding(action)
    settled(rig, row(side, "3"))
    assert foreign(rig) == 2 * sign
    assert told(rig, "account.unexplained") == []


def test_what_is_not_ours_is_followed_once_two_reports_agree_on_it() -> None:
    rig, _ = holding()
    settled(rig, row("long", "3"))
    settled(rig, row("long", "2"))
    assert foreign(rig) == 2
    rig.wait(5)
    assert reads(rig) == 1
    report(rig, row("long", "1.5"))
    assert foreign(rig) == 2
    settled(rig, row("long", "1.5"))
    assert foreign(rig) == D("0.5")


def test_an_execution_told_after_the_report_that_shows_it_takes_nothing_from_ours() -> None:
    rig, position = holding()
    settled(rig, row("long", "3"))
    settled(rig, row("long", "1"))
    rig.foreign(BTC_PERP, "sell", "2", "100")
    assert (foreign(rig), rig.position(position).qty_open) == (0, 1)
    settled(rig, row("long", "1"))
    assert foreign(rig) == 0


def test_what_is_held_where_nothing_is_ours_is_not_ours() -> None:
    rig = Rig()
    rig.open(instrument=ETH_PERP)
    eth = row("long", "1", instrument=ETH_PERP)
    settled(rig, eth, row("short", "2"))
    assert foreign(rig) == -2
    settled(rig, eth, row("short", "2"), row("long", "3"))  # legs stand apart
    assert foreign(rig) == 0
    settled(rig, eth, row("short", "2"))
    settled(rig, eth)
    assert foreign(rig) == 0


# Differences


def test_less_than_ours_in_three_reports_is_alarmed_once_and_books_nothing() -> None:
    rig, position = holding()
    settled(rig, row("long", "0.4"), times=2)
    assert unexplained(rig) is None
    settled(rig, row("long", "0.4"))
    settled(rig, row("long", "0.3"))
    figures = {"instrument": "bybit:linear:BTCUSDT", "ours": "1", "venue": "0.4"}
    assert told(rig, "account.unexplained") == [figures]
    assert rig.logged().count("account.unexplained") == 1
    assert unexplained(rig) == D("0.3")
    assert rig.position(position).qty_open == 1


@pytest.mark.parametrize("rows", [(), (row("short", "5"),)])
def test_nothing_or_the_other_side_is_a_difference(rows: tuple[object, ...]) -> None:
    rig, _ = holding()
    settled(rig, *rows, times=3)  # type: ignore[arg-type]
    assert unexplained(rig) == 0


def test_reports_that_differ_count_only_in_a_row() -> None:
    rig, _ = holding()
    settled(rig, times=2)
    settled(rig, row("long", "1"))
    settled(rig, times=2)
    assert unexplained(rig) is None


def test_one_report_told_again_or_overtaken_counts_once() -> None:
    rig, _ = holding()
    rig.wait(5)
    for _ in range(5):
        report(rig)
    report(rig, ago_s=1)
    assert unexplained(rig) is None


def test_a_difference_that_is_explained_is_told_once() -> None:
    rig, _ = holding()
    settled(rig, times=3)
    settled(rig, row("long", "1"), times=2)
    assert unexplained(rig) is None
    assert told(rig, "account.explained") == [{"instrument": "bybit:linear:BTCUSDT"}]
    assert rig.logged().count("account.explained") == 1


def test_a_difference_ends_with_the_position() -> None:
    rig, _ = holding()
    settled(rig, times=3)
    rig.foreign(BTC_PERP, "sell", "1", "90")
    assert unexplained(rig) == 0
    rig.wait(0.2)
    assert unexplained(rig) is None
    assert len(told(rig, "account.explained")) == 1


def test_an_execution_that_comes_late_explains_the_difference() -> None:
    rig, position = holding()
    settled(rig, row("long", "0.4"), times=3)
    rig.foreign(BTC_PERP, "sell", "0.6", "90")
    assert rig.position(position).qty_open == D("0.4")
    settled(rig, row("long", "0.4"))
    assert unexplained(rig) is None


# Which reports count


def test_no_report_counts_while_an_order_of_ours_is_under_way() -> None:
    rig, position = holding()
    rig.close(position)
    settled(rig, times=5)
    assert unexplained(rig) is None
    assert rig.guardian._state.accounts.differences == {}


@pytest.mark.parametrize(("ago_s", "count"), [(3.0, None), (1.5, None), (0.5, 1)])
def test_no_report_counts_that_was_asked_for_before_an_order_ended_or_settled(
    ago_s: float, count: int | None
) -> None:
    rig, position = holding()
    rig.wait(10)
    rig.close(position, "0.5")
    rig.filled(rig.exits()[0], "100")
    rig.wait(2)
    report(rig, ago_s=ago_s)
    assert rig.guardian._state.accounts.differences.get(BTC_PERP.id) == count


def test_a_wall_clock_that_jumps_keeps_no_report_from_counting() -> None:
    rig, position = holding()
    rig.wait(10)
    rig.now += 3600 * 10**9  # told by the next event, before the clock tells it
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    assert rig.position(position).qty_open == D("0.5")
    settled(rig, times=3)
    assert unexplained(rig) == 0


def test_orders_of_other_instruments_do_not_matter() -> None:
    rig, _ = holding()
    other = rig.open(instrument=ETH_PERP)
    rig.close(other)
    settled(rig, times=3)
    assert unexplained(rig) == 0


def test_no_report_counts_while_a_position_is_resolving() -> None:
    rig, _ = opened()
    settled(rig, times=3)
    assert unexplained(rig) is None
    answer_absent(rig, 0, 1, 2, 3)
    settled(rig, times=3)
    assert unexplained(rig) == 0


def test_a_report_of_another_venue_says_nothing_of_ours() -> None:
    rig, _ = holding()
    for _ in range(3):
        rig.wait(5)
        rig.handle(AccountReported("binance", (), (), rig.now, rig.monotonic_ns))
    assert unexplained(rig) is None
    assert told(rig, "account.unexplained") == []


# Legs


def test_legs_are_compared_each_with_its_own() -> None:
    rig, _ = holding()
    settled(rig, row("short", "9"), row("long", "3"))
    assert foreign(rig) == 2
    settled(rig, row("short", "9"), row("long", "0.4"), times=3)
    assert unexplained(rig) == D("0.4")


def test_where_legs_stand_apart_an_execution_waits_for_the_report() -> None:
    rig, position = holding()
    settled(rig, row("short", "9"), row("long", "1"))
    rig.foreign(BTC_PERP, "sell", "0.5", "100")  # of which leg it does not tell
    assert rig.position(position).qty_open == 1
    settled(rig, row("short", "9.5"), row("long", "1"))
    assert rig.position(position).qty_open == 1
    rig.foreign(BTC_PERP, "sell", "0.5", "100")
    settled(rig, row("short", "9.5"), row("long", "0.5"))
    assert rig.position(position).qty_open == D("0.5")


# Spot


def spot() -> tuple[Rig, Position]:
    """A spot position of 0.999 BTC: one bought, less the fee."""
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.filled(entry, "100", fee=D("0.001"), fee_asset="BTC")
    return rig, rig.position(entry.position_id)


def test_on_spot_the_balance_is_compared_with_the_sum_of_ours() -> None:
    rig, _ = spot()
    settled(rig, balances=[balance("BTC", "1.5")])
    assert rig.guardian._state.foreign == {BTC_SPOT.id: D("0.501")}
    settled(rig, balances=[balance("BTC", "0.9")], times=3)
    assert rig.guardian._state.unexplained == {BTC_SPOT.id: D("0.9")}
    settled(rig, balances=[balance("BTC", "0.999")])
    assert rig.guardian._state.unexplained == {}


def test_what_a_futures_wallet_holds_of_the_asset_was_not_bought_on_spot() -> None:
    rig, _ = spot()
    own = replace(balance("BTC", "1.5"), market=Market.SPOT)
    settled(rig, balances=[own, replace(balance("BTC", "7"), market=Market.LINEAR)])
    assert rig.guardian._state.foreign == {BTC_SPOT.id: D("0.501")}


def test_on_spot_less_than_a_step_is_no_difference() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.filled(entry, "100", fee=D("0.0010005"), fee_asset="BTC")
    settled(rig, balances=[balance("BTC", "0.998999")], times=3)
    assert rig.guardian._state.unexplained == {}
    assert rig.guardian._state.foreign == {}


def test_on_spot_an_order_on_the_quote_of_another_pair_moves_the_asset() -> None:
    rig, position = spot()
    rig.wait(5)
    rig.close(position, "0.5")
    settled(rig, times=3)
    assert rig.guardian._state.accounts.differences == {}
    rig.update(rig.exits()[0], OrderStatus.REJECTED)
    assert rig.position(position).status is PositionStatus.OPEN
    settled(rig, times=3)
    assert rig.guardian._state.unexplained == {BTC_SPOT.id: D(0)}
