from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from engine.model.errors import Misconfigured
from engine.model.events import (
    AccountReported,
    Balance,
    BalancesReported,
    FundingPaid,
    OrderFilled,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument, Market
from engine.model.order import Fill, FillKind, OrderSide, OrderStatus, Refusal
from engine.simulator.filters import Refused
from tests.engine.simulator.paper_parts import (
    BUY,
    ETH,
    NOON_MS,
    PERP,
    RATES,
    SECOND,
    SELL,
    SPOT,
    D,
    flows,
    mark,
    model,
    order,
    quote,
)
from tests.engine.simulator.reports import (
    HOUR_MS,
    T,
    execute,
    fills_of,
    final_of,
    position,
    refused,
)

BNB = {"fee_asset": dict.fromkeys(RATES, "BNB"), "fee_asset_rate": D(500)}
FREE = dict.fromkeys(RATES, D(0))


def wallet_of(reports: Sequence[Any]) -> dict[str, Decimal]:
    assert isinstance(reports[-1], BalancesReported)
    return {balance.asset: balance.total for balance in reports[-1].balances}


# What happens without an order of ours


def test_a_trade_of_the_owner_is_a_fill_of_no_order_of_ours():
    venue = model()
    reports = venue.trade_elsewhere(PERP, BUY, D(2), D(100), T)
    (fill,) = fills_of(reports)
    assert fill == Fill(
        venue_trade_id=fill.venue_trade_id,
        instrument=PERP,
        side=BUY,
        qty=D(2),
        price=D(100),
        fee=D("0.11"),
        fee_asset="USDT",
        time_ns=T,
        venue_order_id=fill.venue_order_id,
    )
    assert fill.venue_order_id not in (None, fill.venue_trade_id)
    assert wallet_of(reports) == {"USDT": D("9999.89")}
    (held,) = venue.venue_positions()
    assert (held.side, held.qty, held.entry_price) == (Side.LONG, 2, 100)
    assert venue.new_fills == [fill]
    assert venue.orders == {}


def test_another_program_trades_under_its_own_order_id():
    reports = model().trade_elsewhere(SPOT, BUY, D(1), D(100), T, client_order_id="grid-7")
    (fill,) = fills_of(reports)
    assert (fill.client_order_id, fill.kind) == ("grid-7", FillKind.TRADE)
    assert wallet_of(reports) == {"BTC": D("0.999"), "USDT": D(9900)}


def test_the_owner_cannot_sell_what_he_does_not_have():
    venue = model()
    with pytest.raises(Refused, match=r"needs 1 BTC, 0 is free") as caught:
        venue.trade_elsewhere(SPOT, SELL, D(1), D(100), T)
    assert caught.value.refusal is Refusal.BALANCE
    assert (venue.new_fills, venue.account.wallet) == ([], {"USDT": D(10_000)})


def test_a_close_finds_nothing_where_the_owner_closed_before():
    venue = model()
    position(venue, BUY, "2", 100)
    venue.submit(order("x", SELL, "2", instrument=PERP, reduce_only=True), 0, T)
    venue.trade_elsewhere(PERP, SELL, D(2), D(99), T)
    assert refused(venue.on_tick(quote(99, 100, SECOND, PERP), T)).startswith("reduce_only")


def test_the_venue_may_reduce_a_position_whatever_is_free():
    venue = model("10.2", leverage=D(10), fee_rates=FREE)
    position(venue, BUY, "1", 100)
    reports = venue.trade_elsewhere(PERP, SELL, D("1.5"), D(60), T, FillKind.LIQUIDATION)
    assert fills_of(reports)[0].kind is FillKind.LIQUIDATION
    (held,) = venue.venue_positions()
    assert (held.side, held.qty) == (Side.SHORT, D("0.5"))


@pytest.mark.parametrize(("side", "pnl"), [(BUY, -10), (SELL, 10)])
def test_a_whole_position_is_liquidated_at_a_price(side: OrderSide, pnl: int):
    venue = model(leverage=D(10), fee_rates=FREE)
    position(venue, side, "2", 100)
    reports = venue.liquidate(PERP.id, T, D(95))
    (fill,) = fills_of(reports)
    assert (fill.kind, fill.side, fill.qty, fill.price, fill.client_order_id) == (
        FillKind.LIQUIDATION,
        side.opposite,
        2,
        95,
        None,
    )
    assert wallet_of(reports) == {"USDT": D(10_000 + pnl)}
    assert venue.venue_positions() == []


def test_without_a_price_a_liquidation_takes_exactly_the_margin():
    venue = model(leverage=D(10), fee_rates=FREE)
    position(venue, BUY, "2", 100)
    reports = venue.liquidate(PERP.id, T)
    assert fills_of(reports)[0].price == 90
    assert wallet_of(reports) == {"USDT": D(9980)}


def test_there_is_nothing_to_liquidate_where_there_is_no_position():
    venue = model()
    assert venue.liquidate(PERP.id, T) == []
    assert venue.liquidate(PERP.id, T, D(95)) == []


# History


def test_executions_are_read_again_in_order_ours_and_others():
    venue = model(keeps_history=True)
    execute(venue, order("a", BUY, "1"), 100)
    venue.trade_elsewhere(PERP, BUY, D(2), D(100), T)
    venue.liquidate(PERP.id, T)
    fills = venue.executions()
    assert [fill.client_order_id for fill in fills] == ["a", None, None]
    assert fills == venue.new_fills
    venue.new_fills.clear()
    assert venue.executions() == fills
    assert venue.executions(fills[0].venue_trade_id) == fills[1:]
    assert venue.executions(fills[-1].venue_trade_id) == []


def test_a_read_tells_what_happened_since_and_then_the_account():
    venue = model(keeps_history=True)
    position(venue, BUY, "2", 100)
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.01), T)
    (funding, _) = venue.on_tick(mark(100.0, due_ms, 0, None), T)
    venue.trade_elsewhere(PERP, SELL, D(1), D(110), T)
    entry, exit_ = venue.executions()
    *happened, account = venue.read(7, T + 1)
    assert happened == [OrderFilled(entry, T + 1), funding, OrderFilled(exit_, T + 1)]
    assert account == AccountReported(
        "bybit", tuple(venue.venue_positions()), venue.all_balances(T).balances, T + 1, 7
    )
    assert venue.read(7, T, entry.venue_trade_id)[:-1] == [funding, OrderFilled(exit_, T)]
    assert isinstance(funding, FundingPaid)
    assert venue.read(7, T, funding.venue_trade_id)[:-1] == [OrderFilled(exit_, T)]
    assert venue.read(7, T, exit_.venue_trade_id) == [venue.report(7, T)]


def test_without_history_nothing_is_kept_and_a_read_says_so():
    venue = model()
    position(venue, BUY, "2", 100)
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.01), T)
    venue.on_tick(mark(100.0, due_ms, 0, None), T)
    assert (venue.fills, venue.settlements) == ([], [])
    with pytest.raises(Misconfigured, match="keeps_history"):
        venue.executions()
    with pytest.raises(Misconfigured, match="keeps_history"):
        venue.read(0, T)


# Fees in a third asset


@pytest.mark.parametrize(
    ("instrument", "fee", "told"),
    [
        (SPOT, "0.0002", {"BNB": "0.9998", "BTC": "1", "USDT": "9900"}),
        (PERP, "0.00011", {"BNB": "0.99989", "USDT": "10000"}),
    ],
)
def test_a_fee_is_paid_in_a_third_asset_at_its_rate(
    instrument: Instrument, fee: str, told: dict[str, str]
):
    venue = model(**BNB)
    venue.account.open("BNB", D(1))
    reports = execute(venue, order("a", BUY, "1", instrument=instrument), 100)
    (fill,) = fills_of(reports)
    assert (fill.fee, fill.fee_asset, fill.fee_rate) == (D(fee), "BNB", D(500))
    assert wallet_of(reports[:-1]) == {asset: D(total) for asset, total in told.items()}


def test_a_trade_elsewhere_pays_in_the_third_asset_too():
    venue = model(**BNB)
    venue.account.open("BNB", D(1))
    reports = venue.trade_elsewhere(PERP, SELL, D(1), D(100), T)
    assert (fills_of(reports)[0].fee_asset, fills_of(reports)[0].fee_rate) == ("BNB", D(500))
    assert wallet_of(reports) == {"BNB": D("0.99989"), "USDT": D(10_000)}


def test_a_fee_is_paid_as_usual_where_the_third_asset_is_too_little():
    venue = model(**BNB)
    venue.account.open("BNB", D("0.00019"))
    (fill,) = fills_of(execute(venue, order("a", BUY, "1"), 100))
    assert (fill.fee, fill.fee_asset, fill.fee_rate) == (D("0.001"), "BTC", None)
    venue.account.add("BNB", D("0.00001"))
    (fill,) = fills_of(execute(venue, order("b", BUY, "1"), 100))
    assert (fill.fee, fill.fee_asset) == (D("0.0002"), "BNB")
    assert venue.account.total("BNB") == 0


def test_only_the_markets_named_pay_in_the_third_asset():
    venue = model(fee_asset={Market.SPOT: "BNB"}, fee_asset_rate=D(500))
    venue.account.open("BNB", D(1))
    reports = execute(venue, order("a", BUY, "1", instrument=PERP), 100)
    assert fills_of(reports)[0].fee_asset == "USDT"
    assert set(wallet_of(reports[:-1])) == {"USDT"}


def test_an_order_for_all_the_money_fits_where_the_fee_is_paid_elsewhere():
    venue = model("10", leverage=D(10), **BNB)
    venue.account.open("BNB", D(1))
    reports = execute(venue, order("a", BUY, "1", instrument=PERP), 100)
    assert final_of(reports).status is OrderStatus.FILLED
    assert venue.account.free("USDT") == 0
    poor = model("10", leverage=D(10), **BNB)
    told = refused(execute(poor, order("a", BUY, "1", instrument=PERP), 100))
    assert told == "insufficient_balance: needs 10.055 USDT, 10 is free"


def test_the_third_asset_is_moved_by_what_its_fills_say():
    venue = model(**BNB, slippage_bps=D(7))
    venue.account.open("BNB", D(1))
    reports = execute(venue, order("a", BUY, "3"), 99.97, size=0.7)
    reports += execute(venue, order("b", SELL, "2"), 101.01, size=0.7)
    reports += execute(venue, order("c", BUY, "1", instrument=ETH), 101.01)
    fills = fills_of(reports)
    assert {fill.fee_asset for fill in fills} == {"BNB"}
    moved = flows(fills)
    opening = {"USDT": D(10_000), "BTC": D(0), "BNB": D(1)}
    assert venue.account.wallet == {asset: total + moved[asset] for asset, total in opening.items()}


def test_balances_are_told_of_every_asset_of_the_account():
    venue = model()
    venue.account.open("BNB", D(1))
    assert venue.report(7, T).balances == (
        Balance("bybit", "BNB", D(1), D(1), D(0)),
        Balance("bybit", "USDT", D(10_000), D(10_000), D(0)),
    )
