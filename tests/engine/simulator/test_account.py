from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.model.order import OrderSide
from engine.simulator.account import Account, LinearPosition
from tests.engine.simulator.paper_parts import BUY, ETH, PERP, RATES, SELL, SPOT, D

SPOT_FEE = D("0.001")
MAINTENANCE = D("0.005")


def account(leverage: str = "10", usdt: str = "10000") -> Account:
    fresh = Account(D(leverage))
    fresh.open("USDT", D(usdt))
    return fresh


def test_an_asset_is_credited_once_for_ever():
    books = account(usdt="5")
    books.add("USDT", D(-5))
    books.open("USDT", D(100))
    assert books.total("USDT") == 0
    assert books.openings == {"USDT": D(5)}


def test_an_asset_first_met_as_a_base_is_still_credited_as_a_quote():
    books = account()
    books.add("EUR", D(7))
    books.open("EUR", D(100))
    assert books.total("EUR") == D(107)


def test_a_spot_buy_pays_its_fee_in_base():
    books = account()
    assert books.trade(SPOT, BUY, D("0.3"), D("100.01"), SPOT_FEE) == (D("0.0003"), "BTC")
    assert books.wallet == {"USDT": D("9969.997"), "BTC": D("0.2997")}


def test_a_spot_sell_pays_its_fee_in_quote():
    books = account()
    books.add("BTC", D(1))
    assert books.trade(SPOT, SELL, D("0.3"), D("100.01"), SPOT_FEE) == (D("0.030003"), "USDT")
    assert books.wallet == {"USDT": D("10029.972997"), "BTC": D("0.7")}


def test_a_linear_trade_pays_its_fee_in_quote_and_locks_its_margin():
    books = account(leverage="10")
    assert books.trade(PERP, BUY, D(2), D(100), D("0.0005")) == (D("0.1"), "USDT")
    assert (books.total("USDT"), books.locked("USDT"), books.free("USDT")) == (
        D("9999.9"),
        D(20),
        D("9979.9"),
    )
    assert books.locked("BTC") == 0


@pytest.mark.parametrize(("side", "gain"), [(BUY, D(20)), (SELL, D(-20))])
def test_a_part_close_realises_its_share_at_the_average_entry(side: OrderSide, gain: Decimal):
    books = account()
    books.trade(PERP, side, D(1), D(90), D(0))
    books.trade(PERP, side, D(3), D(110), D(0))
    books.trade(PERP, side.opposite, D(4) / 2, D(115), D(0))
    assert books.total("USDT") == 10_000 + gain
    assert abs(books.signed_qty(PERP.id)) == 2
    assert books.positions[PERP.id].entry_price == 105


def test_closing_whole_leaves_no_position_and_no_margin():
    books = account()
    books.trade(PERP, SELL, D(3), D(100), D(0))
    books.trade(PERP, BUY, D(3), D(90), D(0))
    assert books.positions == {}
    assert books.total("USDT") == books.free("USDT") == D(10_030)


@pytest.mark.parametrize("side", list(OrderSide))
def test_a_trade_beyond_flat_flips_the_position(side: OrderSide):
    books = account()
    books.trade(PERP, side, D(1), D(100), D(0))
    books.trade(PERP, side.opposite, D(3), D(110), D(0))
    position = books.positions[PERP.id]
    sign = 1 if side is BUY else -1
    assert books.total("USDT") == 10_000 + sign * 10
    assert (position.qty, position.value, position.entry_price) == (-2 * sign, -220 * sign, 110)


def test_a_position_keeps_the_leverage_it_was_opened_with():
    books = account(leverage="10")
    books.trade(PERP, BUY, D(1), D(100), D(0))
    books.leverage = D(2)
    books.trade(PERP, BUY, D(1), D(100), D(0))
    assert books.locked("USDT") == D(20)
    books.trade(PERP, SELL, D(3), D(100), D(0))
    assert books.locked("USDT") == D(50)


def test_the_last_part_of_a_position_takes_its_value_whole():
    books = account()
    exotic = replace(PERP, qty_step=D("1E-12"), tick_size=D("1E-12"))
    bought, part = D("3.000000000007"), D("1.000000000003")
    entry, price = D("0.000000777777"), D("0.000000888888")
    books.trade(exotic, BUY, bought, entry, D(0))
    books.trade(exotic, SELL, part, price, D(0))
    books.trade(exotic, SELL, bought - part, price, D(0))
    assert books.total("USDT") == 10_000 + bought * (price - entry)


def test_a_trade_reduces_only_the_other_side():
    books = account()
    assert books.reducible(PERP.id, BUY) == books.reducible(PERP.id, SELL) == 0
    books.trade(PERP, SELL, D(2), D(100), D(0))
    assert books.reducible(PERP.id, BUY) == 2
    assert books.reducible(PERP.id, SELL) == 0
    assert books.reducible(ETH.id, BUY) == 0


def test_spot_cannot_spend_what_is_locked_as_margin():
    books = account(leverage="1", usdt="1000")
    books.trade(PERP, BUY, D(6), D(100), D(0))
    assert books.missing(SPOT, BUY, [(D(100), D(4))], SPOT_FEE) is None
    assert books.missing(SPOT, BUY, [(D(100), D(4)), (D(101), D("0.001"))], SPOT_FEE) == (
        "USDT",
        D("400.101"),
    )


def test_spot_cannot_sell_what_is_not_there():
    books = account()
    books.add("BTC", D("0.2997"))
    assert books.missing(SPOT, SELL, [(D(100), D("0.2997"))], SPOT_FEE) is None
    assert books.missing(SPOT, SELL, [(D(100), D("0.3"))], SPOT_FEE) == ("BTC", D("0.3"))


def test_linear_needs_margin_and_fee():
    books = account(leverage="10", usdt="100")
    assert books.missing(PERP, BUY, [(D(100), D(9))], D("0.01")) is None
    assert books.missing(PERP, BUY, [(D(100), D(10))], D("0.01")) == ("USDT", D(110))


def test_asking_what_is_missing_changes_nothing():
    books = account()
    books.trade(PERP, BUY, D(1), D(100), D(0))
    books.missing(PERP, SELL, [(D(100), D(3))], D("0.01"))
    books.missing(SPOT, BUY, [(D(100), D(3))], D("0.01"))
    assert books.wallet == {"USDT": D(10_000)}
    assert books.positions == {PERP.id: LinearPosition(PERP, D(10), D(1), D(100))}


def test_a_reduction_is_never_refused_for_money():
    books = account(leverage="10", usdt="10")
    books.trade(PERP, BUY, D(1), D(100), D(0))
    books.add("USDT", D(-5))
    assert books.free("USDT") < 0
    assert books.missing(PERP, SELL, [(D(80), D(1))], D("0.01")) is None


def test_a_flip_uses_the_margin_that_it_sets_free():
    books = account(leverage="1", usdt="100")
    books.trade(PERP, BUY, D(1), D(100), D(0))
    assert books.missing(PERP, SELL, [(D(100), D(2))], D(0)) is None
    asset_and_need = books.missing(PERP, SELL, [(D(100), D("2.01"))], D(0))
    assert asset_and_need == ("USDT", D(1))


@pytest.mark.parametrize(("side", "price"), [(BUY, "90.45"), (SELL, "109.45")])
def test_liquidation_is_where_maintenance_is_reached(side: OrderSide, price: str):
    books = account(leverage="10")
    books.trade(PERP, side, D(2), D(100), D(0))
    position = books.positions[PERP.id]
    at = position.liquidation_price(MAINTENANCE)
    assert at is not None
    assert abs(at - D(price)) < D("0.01")
    beyond = D("1E-15") * position.sign
    assert position.is_liquidated(at - beyond, MAINTENANCE)
    assert not position.is_liquidated(at + beyond, MAINTENANCE)


def test_an_unlevered_long_is_never_liquidated():
    position = LinearPosition(PERP, D(1), D(2), D(200))
    assert position.liquidation_price(MAINTENANCE) is None
    assert not position.is_liquidated(D("0.0001"), MAINTENANCE)


@given(
    side=st.sampled_from(OrderSide),
    qty=st.decimals("0.001", 100, places=3),
    price=st.decimals(10, 100_000, places=1),
    more=st.decimals("0.001", 100, places=3),
    leverage=st.integers(2, 125),
)
def test_liquidation_costs_exactly_the_margin(
    side: OrderSide, qty: Decimal, price: Decimal, more: Decimal, leverage: int
):
    books = account(str(leverage), usdt="100000000")
    books.trade(PERP, side, qty, price, D(0))
    books.trade(PERP, side, more, price + 7, D(0))
    position = books.positions[PERP.id]
    margin = position.margin
    closing, closed, at, fee = books.liquidate(position)
    assert books.total("USDT") == 100_000_000 - margin
    assert books.positions == {}
    assert (closing, closed) == (side.opposite, qty + more)
    assert at == PERP.floor_price(at) > 0
    assert 0 <= fee <= closed * PERP.tick_size


TRADES = st.lists(
    st.tuples(
        st.sampled_from(OrderSide),
        st.decimals("0.001", 10, places=3),
        st.decimals("0.1", 1000, places=1),
    ),
    min_size=1,
    max_size=20,
)


@given(trades=TRADES)
def test_once_flat_the_wallet_is_the_opening_plus_what_the_fills_moved(
    trades: list[tuple[OrderSide, Decimal, Decimal]],
):
    books = account()
    expected = D(10_000)
    net = D(0)
    for side, qty, price in trades:
        sign = 1 if side is BUY else -1
        fee, _ = books.trade(PERP, side, qty, price, RATES[PERP.id.market])
        expected -= sign * qty * price + fee
        net += sign * qty
        assert books.signed_qty(PERP.id) == net
    if net:
        side = SELL if net > 0 else BUY
        books.trade(PERP, side, abs(net), D("55.5"), D(0))
        expected += net * D("55.5")
    assert books.positions == {}
    assert books.total("USDT") == books.free("USDT") == expected
