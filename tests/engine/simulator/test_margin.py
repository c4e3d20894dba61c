from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.model.events import (
    BalancesReported,
    FundingPaid,
    OrderFilled,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument
from engine.model.money import exact
from engine.model.order import FillKind, OrderSide, OrderStatus
from tests.engine.simulator.paper_parts import (
    BUY,
    ETH,
    NOON_MS,
    PERP,
    SECOND,
    SELL,
    SPOT,
    D,
    flows,
    mark,
    model,
    order,
    quote,
    trade,
)
from tests.engine.simulator.reports import (
    HOUR_MS,
    T,
    execute,
    fills_of,
    position,
    prices_of,
    refused,
)

# Positions and margin


def test_the_venue_tells_its_positions():
    venue = model(leverage=D(10))
    position(venue, SELL, "2", 100)
    (told,) = venue.venue_positions()
    assert told.liquidation_price is not None
    assert replace(told, liquidation_price=None) == VenuePosition(PERP.id, Side.SHORT, D(2), D(100))
    assert abs(told.liquidation_price - D("109.45")) < D("0.01")
    position(venue, BUY, "5", 100)
    (told,) = venue.venue_positions()
    assert (told.side, told.qty) == (Side.LONG, 3)


@pytest.mark.parametrize(
    ("side", "safe", "fatal", "at"),
    [(BUY, 90.5, 90.4, "90"), (SELL, 109.4, 109.5, "110")],
)
def test_a_mark_beyond_maintenance_liquidates_and_takes_exactly_the_margin(
    side: OrderSide, safe: float, fatal: float, at: str
):
    venue = model("1000", leverage=D(10), fee_rates=dict.fromkeys(model().rules.fee_rates, D(0)))
    position(venue, side, "2", 100)
    venue.on_tick(trade(1.0, PERP), T)
    assert venue.on_tick(mark(safe), T) == []
    assert venue.on_tick(mark(fatal, instrument=ETH), T) == []
    reports = venue.on_tick(mark(fatal), T)
    (fill,) = fills_of(reports)
    assert fill.kind is FillKind.LIQUIDATION
    assert fill.client_order_id is None
    assert (fill.side, fill.qty, fill.price, fill.fee) == (side.opposite, 2, D(at), 0)
    assert isinstance(reports[-1], BalancesReported)
    assert reports[-1].balances[0].total == D(980)
    assert venue.venue_positions() == []
    assert venue.on_tick(mark(fatal), T) == []


def test_a_close_in_flight_finds_nothing_after_a_liquidation():
    venue = model(leverage=D(10))
    position(venue, BUY, "2", 100)
    venue.submit(order("x", SELL, "2", instrument=PERP, reduce_only=True), 0, T)
    venue.on_tick(mark(80.0), T)
    assert refused(venue.on_tick(quote(80, 81, SECOND, PERP), T)).startswith("reduce_only")


# Funding


@pytest.mark.parametrize(
    ("side", "rate", "amount"),
    [
        (BUY, 0.0001, "0.0202"),
        (SELL, 0.0001, "-0.0202"),
        (BUY, -0.0001, "-0.0202"),
        (SELL, -0.0001, "0.0202"),
    ],
)
def test_longs_pay_shorts_where_the_rate_is_positive(side: OrderSide, rate: float, amount: str):
    venue = model()
    position(venue, side, "2", 100)
    before = venue.account.total("USDT")
    due_ms = NOON_MS + HOUR_MS
    assert venue.on_tick(mark(100.0, NOON_MS, due_ms, rate), T) == []
    assert venue.on_tick(mark(100.0, due_ms - 1, due_ms, rate), T) == []
    reports = venue.on_tick(mark(101.0, due_ms, due_ms + HOUR_MS, 0.5), T)
    assert isinstance(reports[0], FundingPaid)
    assert (reports[0].amount, reports[0].instrument) == (D(amount), PERP)
    assert isinstance(reports[1], BalancesReported)
    assert venue.account.total("USDT") == before - D(amount)


def test_funding_is_settled_once_whatever_late_marks_say():
    venue = model()
    position(venue, BUY, "2", 100)
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.0001), T)
    assert venue.on_tick(mark(100.0, due_ms + 5, due_ms, 0.0001), T) != []
    assert venue.on_tick(mark(100.0, due_ms - 1, due_ms, 0.0001), T) == []
    assert venue.on_tick(mark(100.0, due_ms + 6, due_ms, 0.0001), T) == []
    later_ms = due_ms + HOUR_MS
    assert venue.on_tick(mark(100.0, due_ms + 7, later_ms, 0.0002), T) == []
    assert venue.on_tick(mark(100.0, later_ms, later_ms, 0.0002), T) != []


def test_funding_of_a_flat_account_is_nothing_and_is_over():
    venue = model()
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.0001), T)
    assert venue.on_tick(mark(100.0, due_ms, due_ms, 0.0001), T) == []
    position(venue, BUY, "2", 100)
    assert venue.on_tick(mark(100.0, due_ms + 1, due_ms, 0.0001), T) == []


def test_marks_without_funding_leave_what_is_due_as_it_is():
    venue = model()
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.0001), T)
    venue.on_tick(mark(100.0, NOON_MS + 1), T)
    assert venue.funding[PERP.id].next_ms == due_ms


def test_only_a_new_settlement_of_a_held_instrument_has_to_be_saved():
    venue = model()
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.0001), T)
    assert not venue.unsaved
    position(venue, BUY, "2", 100)
    venue.on_tick(mark(100.0, NOON_MS + 1, due_ms, 0.0002), T)
    assert not venue.unsaved
    venue.on_tick(mark(100.0, NOON_MS + 2, due_ms + HOUR_MS, 0.0002), T)
    assert venue.unsaved


def test_a_settlement_may_end_in_a_liquidation():
    venue = model("1000", leverage=D(10))
    position(venue, BUY, "2", 100)
    due_ms = NOON_MS + HOUR_MS
    venue.on_tick(mark(100.0, NOON_MS, due_ms, 0.01), T)
    reports = venue.on_tick(mark(80.0, due_ms, due_ms, 0.01), T)
    kinds = [type(report) for report in reports]
    assert kinds == [FundingPaid, BalancesReported, OrderFilled, BalancesReported]


# What a price that causes nothing does


def test_prices_that_cause_nothing_are_said_to_need_no_more():
    venue = model()
    assert not venue.observe(quote(99, 100, 0))
    assert not venue.observe(trade(100.0))
    assert not venue.observe(mark(100.0, NOON_MS, NOON_MS + 1, 0.1))
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.observe(quote(99, 100, 0))
    assert not venue.observe(trade(100.0))
    assert venue.observe(mark(100.0, NOON_MS + 1, NOON_MS + 2, 0.1))


def test_balances_are_told_of_every_asset():
    venue = model(leverage=D(10))
    execute(venue, order("a", BUY, "1"), 100)
    position(venue, BUY, "1", 100)
    told = {b.asset: (b.total, b.free, b.locked) for b in venue.all_balances(T).balances}
    assert told == {
        "BTC": (D("0.999"), D("0.999"), D(0)),
        "USDT": (D("9899.945"), D("9889.945"), D(10)),
    }


# Conservation

STEPS = st.lists(
    st.tuples(
        st.sampled_from([SPOT, PERP, ETH]),
        st.sampled_from(OrderSide),
        st.decimals("0.01", 3, places=2),
        st.booleans(),
        st.integers(2_000, 400_000),
        st.decimals("0.001", 2, places=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@given(steps=STEPS, leverage=st.sampled_from([1, 3, 10]), bps=st.sampled_from([0, 5, 130]))
def test_every_asset_is_its_opening_plus_what_fills_and_funding_moved(
    steps: list[tuple[Instrument, OrderSide, Decimal, bool, int, Decimal, bool]],
    leverage: int,
    bps: int,
):
    venue = model(leverage=D(leverage), slippage_bps=D(bps))
    reports: list[Any] = []
    cents = 10_000
    for number, (instrument, side, qty, reduce_only, cents, size, quoted) in enumerate(steps):
        linear = instrument is not SPOT
        wanted = order(
            str(number), side, qty, instrument=instrument, reduce_only=reduce_only and linear
        )
        at_ns, price = number * 20 * SECOND, cents / 100
        reports += venue.submit(wanted, at_ns, T)
        if quoted:
            shown = quote(price, price, at_ns + SECOND, instrument, float(size))
            reports += venue.on_tick(shown, T)
        reports += venue.on_tick(trade(price, instrument), T)
        reports += venue.advance(at_ns + 2 * SECOND, T)
        due_ms = NOON_MS + number * HOUR_MS
        if linear:
            coming = mark(price, due_ms, due_ms + HOUR_MS, 0.0001, instrument)
            reports += venue.on_tick(coming, T)
        assert all(venue.account.total(asset) >= 0 for asset in ("BTC",))
    for instrument in (PERP, ETH):
        held = venue.account.signed_qty(instrument.id)
        if held:
            side = SELL if held > 0 else BUY
            closing = order(
                f"end{instrument.base}", side, abs(held), instrument=instrument, reduce_only=True
            )
            venue.submit(closing, 10**15, T)
            reports += venue.on_tick(quote(100, 100, 10**16, instrument, 1e6), T)
    fills = fills_of(reports)
    assert fills == venue.new_fills
    assert len({fill.venue_trade_id for fill in fills}) == len(fills)
    expected = {"USDT": D(10_000), "BTC": D(0), "ETH": D(0)}
    for asset, moved in flows(fills).items():
        expected[asset] += moved
    for fill in fills:
        if fill.instrument is not SPOT:
            expected["USDT"] -= (1 if fill.side is BUY else -1) * fill.qty * fill.price
    expected["USDT"] -= sum((p.amount for p in reports if isinstance(p, FundingPaid)), D(0))
    assert venue.account.positions == {}
    assert {asset: venue.account.total(asset) for asset in expected} == expected
    for known in venue.orders.values():
        assert known.filled_qty == sum((fill.qty for fill in known.fills), D(0)) <= known.order.qty
        assert known.status is not OrderStatus.ACKNOWLEDGED


@given(price=st.decimals("0.01", 10_000, places=2), size=st.decimals("0.001", 5, places=3))
def test_touch_and_size_keep_every_digit_of_the_venue(price: Decimal, size: Decimal):
    venue = model("10000000")
    venue.submit(order("a", BUY, "6", instrument=replace(SPOT, min_notional=D(0))), 0, T)
    reports = venue.on_tick(quote(float(price), float(price), SECOND, size=float(size)), T)
    assert prices_of(reports)[0] == (price, size) == (exact(float(price)), exact(float(size)))
