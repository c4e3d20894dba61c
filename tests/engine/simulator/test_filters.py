from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.model.errors import Rejected
from engine.model.order import OrderSide
from engine.simulator.filters import (
    MAX_LEVELS,
    Offer,
    check_filters,
    check_notional,
    walk,
    worse,
)
from tests.engine.simulator.paper_parts import BUY, PERP, SELL, SPOT, D, order


def test_a_price_moves_against_the_taker_and_is_rounded_against_him():
    assert worse(SPOT, BUY, D("100.00"), D("0.00055")) == D("100.06")
    assert worse(SPOT, SELL, D("100.00"), D("0.00055")) == D("99.94")


def test_a_price_on_the_tick_stays_where_nothing_is_added():
    assert (
        worse(SPOT, BUY, D("100.01"), D(0)) == worse(SPOT, SELL, D("100.01"), D(0)) == D("100.01")
    )


@pytest.mark.parametrize(
    ("qty", "word"),
    [
        ("0.0025", "lot_size"),
        ("0.001", "lot_size"),
        ("0", "lot_size"),
        ("-0.002", "lot_size"),
        ("50.001", "max_market_qty"),
    ],
)
def test_a_quantity_outside_the_filters_is_refused(qty: str, word: str):
    with pytest.raises(Rejected, match=word):
        check_filters(order("a", BUY, qty))


@pytest.mark.parametrize("qty", ["0.002", "50"])
def test_a_quantity_at_a_limit_is_taken(qty: str):
    check_filters(order("a", BUY, qty))


def test_a_zero_quantity_is_refused_where_the_venue_sets_no_minimum():
    free = replace(SPOT, min_qty=D(0))
    with pytest.raises(Rejected, match="lot_size"):
        check_filters(order("a", BUY, "0", instrument=free))


def test_an_instrument_that_does_not_trade_takes_no_orders():
    with pytest.raises(Rejected, match="not_trading: bybit:spot:BTCUSDT"):
        check_filters(order("a", BUY, "1", instrument=replace(SPOT, trading=False)))


def test_an_order_must_be_worth_the_minimum_exactly_at_least():
    check_notional(order("a", BUY, "0.05"), D(100))
    with pytest.raises(Rejected, match=r"min_notional: worth 4\.9995 USDT, at least 5 is needed"):
        check_notional(order("a", BUY, "0.05"), D("99.99"))


def test_only_reduce_only_orders_on_linear_may_be_worth_less():
    check_notional(order("a", SELL, "0.001", instrument=PERP, reduce_only=True), D(100))
    with pytest.raises(Rejected):
        check_notional(order("a", SELL, "0.001", instrument=PERP), D(100))
    with pytest.raises(Rejected):
        check_notional(order("a", SELL, "0.002", reduce_only=True), D(100))


def test_each_displayed_size_costs_one_slippage_more():
    offer = Offer(D(100), D(2), D("0.001"))
    assert walk(SPOT, BUY, D(5), offer) == [
        (D("100.00"), D(2)),
        (D("100.10"), D(2)),
        (D("100.20"), D(1)),
    ]
    assert walk(SPOT, SELL, D(3), offer) == [(D("100.00"), D(2)), (D("99.90"), D(1))]


def test_what_others_took_is_gone():
    offer = Offer(D(100), D(2), D("0.001"), taken=D(3))
    assert walk(SPOT, BUY, D(2), offer) == [(D("100.10"), D(1)), (D("100.20"), D(1))]


@pytest.mark.parametrize("offer", [Offer(D(100), D(2)), Offer(D(100), None, D("0.001"))])
def test_without_slippage_or_size_all_is_met_at_one_price(offer: Offer):
    assert walk(SPOT, BUY, D(500), offer) == [(D(100), D(500))]


def test_the_book_ends_after_its_levels():
    parts = walk(SPOT, BUY, D(1000), Offer(D(100), D(1), D("0.0001")))
    assert len(parts) == MAX_LEVELS
    assert sum(qty for _, qty in parts) == MAX_LEVELS
    assert walk(SPOT, BUY, D(1), Offer(D(100), D(1), D("0.0001"), taken=D(MAX_LEVELS))) == []


def test_bids_end_above_zero():
    assert walk(SPOT, SELL, D(9), Offer(D(100), D(1), D("0.4"))) == [
        (D(100), D(1)),
        (D(60), D(1)),
        (D(20), D(1)),
    ]


@given(
    side=st.sampled_from(OrderSide),
    qty=st.decimals("0.001", 50, places=3),
    shown=st.decimals("0.001", 5, places=3),
    taken=st.decimals(0, 5, places=3),
    bps=st.integers(0, 200),
)
def test_parts_add_up_and_only_get_worse(
    side: OrderSide, qty: Decimal, shown: Decimal, taken: Decimal, bps: int
):
    parts = walk(SPOT, side, qty, Offer(D("123.45"), shown, D(bps) / 10_000, taken))
    filled = sum((part for _, part in parts), D(0))
    ends = bps > 0 and taken + qty > MAX_LEVELS * shown
    assert filled == (max(MAX_LEVELS * shown - taken, D(0)) if ends else qty) or bps > 99
    prices = [price for price, _ in parts]
    assert prices == sorted(prices, reverse=side is SELL)
    assert all(price > 0 and price == SPOT.floor_price(price) for price in prices)
    assert all(part > 0 and part == SPOT.floor_qty(part) for _, part in parts)
