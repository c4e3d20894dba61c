from decimal import Decimal

import pytest

from engine.clock import SystemClock
from engine.model.events import FundingPaid, OrderFilled, OrderUpdated
from engine.model.exits import Side
from engine.model.instrument import Market
from engine.model.order import FillKind, OrderStatus, Refusal
from engine.simulator.account import MarginMode
from engine.simulator.desk import FEE_RATES, open_desks
from engine.simulator.filters import Refused
from engine.simulator.terms import Terms, Trigger
from tests.engine.simulator.desk_rig import BUY, SELL, Counter, D, refused, until
from tests.engine.simulator.rig import ids

LONG_ONLY = Terms(leg=Side.LONG)
FALLS = Trigger(D(9900), rises=False, by_mark=True)


# Settings


async def test_in_hedge_mode_long_and_short_are_held_apart() -> None:
    counter = Counter()
    counter.price(10_000)
    refused(counter, "position_mode", "a", BUY, "0.1", terms=LONG_ONLY)
    counter.desk.set_hedged(True)
    refused(counter, "position_mode", "a", BUY, "0.1")
    await counter.done(counter.order("a", BUY, "0.1"), LONG_ONLY)
    await counter.done(counter.order("b", SELL, "0.3"), Terms(leg=Side.SHORT))
    rows = [(row.leg, row.side, row.qty) for row in counter.desk.positions()]
    assert rows == [(Side.LONG, Side.LONG, D("0.1")), (Side.SHORT, Side.SHORT, D("0.3"))]
    assert [fill.leg for fill in counter.desk.executions()] == [Side.LONG, Side.SHORT]
    closed = await counter.done(counter.order("c", SELL, "0.3"), LONG_ONLY)
    assert (closed.status, closed.filled_qty) == (OrderStatus.CANCELLED, D("0.1"))
    assert [row.leg for row in counter.desk.positions()] == [Side.SHORT]


async def test_the_position_mode_cannot_be_switched_over_something_open() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.submit(counter.order("a", BUY, "0.1"))
    with pytest.raises(Refused, match="open_orders"):
        counter.desk.set_hedged(True)
    counter.desk.set_hedged(False)
    await until(lambda: bool(counter.desk.positions()))
    with pytest.raises(Refused, match="open_positions"):
        counter.desk.set_hedged(True)
    assert not counter.desk.hedged


async def test_orders_on_spot_do_not_hinder_a_switch_of_the_position_mode() -> None:
    counter = Counter()
    counter.price(10_000, counter.spot)
    counter.desk.submit(counter.order("a", BUY, "0.1", counter.spot))
    counter.desk.set_hedged(True)
    assert counter.desk.hedged


async def test_leverage_moves_the_margin_and_the_liquidation_price_of_what_is_open() -> None:
    counter = Counter()
    counter.price(10_000)
    assert counter.desk.leverage(counter.perp.id) == 10
    await counter.buys("a", "0.1")
    counter.desk.set_leverage(counter.perp.id, D(5))
    (row,) = counter.desk.positions()
    assert (row.leverage, row.margin) == (D(5), D("200.002"))
    assert row.liquidation_price is not None
    assert abs(row.liquidation_price - D("8040.28")) < D("0.01")
    assert counter.desk.leverage(counter.perp.id) == 5
    assert counter.desk.leverage(ids("bybit:linear:ETHUSDT")) == 10


async def test_a_leverage_whose_margin_is_not_free_is_refused() -> None:
    counter = Counter()
    counter.price(10_000)
    await counter.buys("a", "50")
    with pytest.raises(Refused, match="insufficient_balance") as caught:
        counter.desk.set_leverage(counter.perp.id, D(2))
    assert caught.value.refusal is Refusal.BALANCE
    assert counter.desk.positions()[0].leverage == 10


async def test_the_margin_mode_is_the_accounts_or_an_instruments() -> None:
    counter = Counter()
    eth = ids("bybit:linear:ETHUSDT")
    assert counter.desk.margin_mode() is MarginMode.ISOLATED
    counter.desk.set_margin_mode(MarginMode.CROSS, eth)
    assert counter.desk.margin_mode(eth) is MarginMode.CROSS
    assert counter.desk.margin_mode(counter.perp.id) is MarginMode.ISOLATED
    counter.desk.set_margin_mode(MarginMode.CROSS)
    assert counter.desk.margin_mode(counter.perp.id) is MarginMode.CROSS
    counter.price(10_000)
    await counter.buys("a", "0.1")
    assert counter.desk.positions()[0].margin_mode is MarginMode.CROSS
    counter.desk.set_margin_mode(MarginMode.CROSS)
    with pytest.raises(Refused, match="open_positions"):
        counter.desk.set_margin_mode(MarginMode.ISOLATED)
    counter.desk.set_margin_mode(MarginMode.ISOLATED, eth)


async def test_fees_are_taken_in_a_third_asset_while_there_is_enough_of_it() -> None:
    counter = Counter("binance", (Market.SPOT,))
    counter.price(10_000, counter.spot)
    counter.desk.deposit("BNB", D(1))
    counter.desk.pay_fees_in("BNB", D(500))
    done = await counter.buys("a", "0.1", instrument=counter.spot)
    assert done.fees == {"BNB": D("1000.001") / 500 / 1000}
    assert done.fills[0].fee_rate == 500
    counter.desk.pay_fees_in(None)
    done = await counter.buys("b", "0.1", instrument=counter.spot)
    assert done.fees == {"BTC": D("0.0001")}


# What happens without a request of ours


async def test_what_the_owner_trades_past_us_is_filed_as_an_order_and_told() -> None:
    counter = Counter()
    counter.price(10_000)
    fill = counter.desk.trade_by_hand(counter.perp, BUY, D("0.1"))
    assert (fill.price, fill.client_order_id) == (D(10_000), None)
    (filed,) = counter.desk.orders()
    assert (filed.venue_order_id, filed.fills) == (fill.venue_order_id, (fill,))
    assert filed.status is OrderStatus.FILLED
    await until(lambda: len(counter.told) == 3)
    assert counter.told[0] == OrderFilled(fill, fill.time_ns)
    last = counter.told[-1]
    assert isinstance(last, OrderUpdated)
    assert (last.client_order_id, last.venue_order_id) == ("", fill.venue_order_id)
    assert counter.desk.find("") is None


async def test_a_trade_by_hand_may_bear_anothers_id_a_price_and_a_leg() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.set_hedged(True)
    opened = counter.desk.trade_by_hand(counter.perp, SELL, D("0.2"))
    assert opened.leg is Side.SHORT
    fill = counter.desk.trade_by_hand(
        counter.perp, BUY, D("0.1"), D(9500), Side.SHORT, "web_1", FillKind.ADL
    )
    assert (fill.price, fill.leg, fill.kind) == (D(9500), Side.SHORT, FillKind.ADL)
    filed = counter.desk.find("web_1")
    assert filed is not None
    assert (filed.terms.leg, filed.order.reduce_only) == (Side.SHORT, True)
    assert counter.desk.positions()[0].qty == D("0.1")


async def test_a_hand_cannot_trade_what_is_not_free_or_has_no_price() -> None:
    counter = Counter()
    with pytest.raises(Refused, match="no_price"):
        counter.desk.trade_by_hand(counter.perp, BUY, D("0.1"))
    counter.price(10_000, counter.spot)
    with pytest.raises(Refused, match="insufficient_balance"):
        counter.desk.trade_by_hand(counter.spot, SELL, D("0.1"))
    with pytest.raises(Refused, match="no_price"):
        counter.desk.settle_funding(counter.perp.id)


async def test_a_lost_margin_is_liquidated_and_filed() -> None:
    counter = Counter()
    counter.price(10_000)
    await counter.buys("a", "0.1")
    counter.price(9000)
    fill = counter.desk.executions()[-1]
    assert fill.kind is FillKind.LIQUIDATION
    filed = counter.desk.order(fill.venue_order_id or "")
    assert filed is not None
    assert (filed.order.side, filed.order.qty, filed.order.reduce_only) == (SELL, D("0.1"), True)
    assert counter.desk.positions() == []


async def test_a_liquidation_on_request_takes_a_leg_or_all() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.set_hedged(True)
    for leg, side in ((Side.LONG, BUY), (Side.SHORT, SELL)):
        counter.desk.trade_by_hand(counter.perp, side, D("0.1"), leg=leg)
    (fill,) = counter.desk.liquidate(counter.perp.id, Side.SHORT)
    assert (fill.side, fill.leg) == (BUY, Side.SHORT)
    counter.desk.trade_by_hand(counter.perp, SELL, D("0.1"), leg=Side.SHORT)
    assert len(counter.desk.liquidate(counter.perp.id)) == 2
    assert counter.desk.liquidate(counter.perp.id) == []


async def test_funding_is_settled_on_request_at_the_rate_that_is_due_or_a_given_one() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.desk.trade_by_hand(counter.perp, BUY, D("0.1"))
    (paid,) = counter.desk.settle_funding(counter.perp.id)
    assert paid.amount == D("0.1") * 10_000 * D("0.0001")
    (paid,) = counter.desk.settle_funding(counter.perp.id, D("-0.01"))
    assert paid.amount == D(-10)
    counter.desk.model.funding.clear()
    counter.desk.model.marks.clear()
    (paid,) = counter.desk.settle_funding(counter.perp.id)
    assert paid.amount == D("0.1")
    assert len(counter.desk.settlements(counter.perp.id)) == 3
    assert counter.desk.settlements(counter.spot.id) == []
    await until(lambda: any(isinstance(report, FundingPaid) for report in counter.told))


async def test_deposits_count_as_openings() -> None:
    counter = Counter()
    counter.desk.deposit("USDT", D(50))
    counter.desk.deposit("SOL", D(3))
    counter.desk.deposit("USDC", D(-1))
    opening = counter.desk.snapshot()["opening"]
    assert opening == {"USDT": D(100_050), "USDC": D(99_999), "SOL": D(3)}
    totals = {row.asset: row.total for row in counter.desk.balances()}
    assert totals == opening
    await until(lambda: len(counter.told) == 3)


async def test_the_books_add_up_to_the_last_digit() -> None:
    counter = Counter()
    counter.price(10_000)
    counter.price(10_000, counter.spot)
    await counter.buys("a", "1.234", instrument=counter.perp)
    await counter.buys("b", "2.345678", instrument=counter.spot)
    counter.price("10033.3")
    counter.desk.settle_funding(counter.perp.id)
    await counter.done(counter.order("c", SELL, "1.234", reduce_only=True))
    await counter.done(counter.order("d", SELL, "2.3", counter.spot))
    usdt = Decimal(100_000) - sum(paid.amount for paid in counter.desk.settlements())
    for fill in counter.desk.executions():
        usdt += fill.qty * fill.price * (1 if fill.side is SELL else -1)
        usdt -= fill.fee if fill.fee_asset == "USDT" else 0
    assert counter.desk.model.account.total("USDT") == usdt


def test_bybit_has_one_wallet_and_binance_one_for_each_market() -> None:
    desks = open_desks(Counter().place, SystemClock())
    assert desks["bybit", Market.SPOT] is desks["bybit", Market.LINEAR]
    assert desks["binance", Market.SPOT] is not desks["binance", Market.LINEAR]
    for (venue, market), desk in desks.items():
        assert (desk.venue, market in desk.markets) == (venue, True)
        assert desk.model.rules.fee_rates == FEE_RATES[venue]
        assert {row.asset: row.total for row in desk.balances()} == {
            "USDT": D(100_000),
            "USDC": D(100_000),
        }
    assert desks["binance", Market.SPOT].instrument(ids("binance:linear:BTCUSDT")) is None
    assert desks["bybit", Market.SPOT].instrument(ids("bybit:spot:NONEUSDT")) is None
