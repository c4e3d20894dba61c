from collections.abc import Sequence
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
    OrderLookedUp,
    OrderUpdated,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument
from engine.model.money import exact
from engine.model.order import TRANSITIONS, Fill, FillKind, Order, OrderSide, OrderStatus
from engine.simulator.matching import IOC_REST, REDUCED, VenueModel
from tests.engine.simulator.paper_parts import (
    BUY,
    ETH,
    MS,
    NOON_MS,
    NOON_NS,
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

T = NOON_NS
HOUR_MS = 3_600_000


def fills_of(reports: Sequence[Any]) -> list[Fill]:
    return [report.fill for report in reports if isinstance(report, OrderFilled)]


def prices_of(reports: Sequence[Any]) -> list[tuple[Decimal, Decimal]]:
    return [(fill.price, fill.qty) for fill in fills_of(reports)]


def final_of(reports: Sequence[Any]) -> OrderUpdated:
    """The last report, which must be an order's end."""
    assert isinstance(reports[-1], OrderUpdated)
    return reports[-1]


def execute(venue: VenueModel, wanted: Order, price: float, size: float = 1e6) -> list[Any]:
    """Submit an order and let it meet a quote at one price."""
    venue.submit(wanted, 0, T)
    due_ns = venue.rules.latency_ns
    return venue.on_tick(quote(price, price, due_ns, wanted.instrument, size), T)


def position(venue: VenueModel, side: OrderSide, qty: str, price: float) -> None:
    key = f"open{venue.next_id}"
    reports = execute(venue, order(key, side, qty, instrument=PERP), price)
    assert final_of(reports).status is OrderStatus.FILLED


# Matching


def test_an_accepted_order_is_acknowledged_and_waits():
    venue = model()
    reports = venue.submit(order("a", BUY, "1"), 0, T)
    assert reports == [
        OrderUpdated("a", OrderStatus.ACKNOWLEDGED, T, D(0), venue_order_id="1001"),
    ]
    assert venue.has_pending


def test_an_order_meets_the_first_quote_at_its_due_time_not_one_before():
    venue = model()
    venue.submit(order("a", BUY, "1"), 5 * MS, T)
    assert venue.on_tick(quote(99, 100, 5 * MS), T) == []
    assert venue.on_tick(quote(99, 100, 105 * MS - 1), T) == []
    reports = venue.on_tick(quote(199, 200, 105 * MS), T + 7)
    assert prices_of(reports) == [(D(200), D(1))]
    assert not venue.has_pending
    assert venue.on_tick(quote(299, 300, 106 * MS), T) == []


def test_a_quote_standing_before_the_order_was_due_does_not_count():
    venue = model()
    venue.on_tick(quote(99, 100, 0), T)
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.advance(999 * MS, T) == []
    assert venue.has_pending


def test_without_latency_the_quote_of_the_same_instant_counts():
    venue = model(latency_ns=0)
    venue.submit(order("a", BUY, "1"), 7, T)
    assert venue.on_tick(quote(99, 100, 6), T) == []
    assert prices_of(venue.on_tick(quote(99, 100, 7), T)) == [(D(100), D(1))]


def test_quotes_of_other_instruments_are_no_business_of_an_order():
    venue = model()
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.on_tick(quote(1, 2, SECOND, PERP), T) == []
    assert venue.on_tick(quote(1, 2, SECOND, ETH), T) == []
    assert prices_of(venue.on_tick(quote(99, 100, SECOND), T)) == [(D(100), D(1))]


@pytest.mark.parametrize(("size", "ask"), [(0.0, 100.0), (5.0, 0.0), (float("nan"), 100.0)])
def test_an_order_waits_on_where_nothing_is_offered(size: float, ask: float):
    venue = model()
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.on_tick(quote(99, ask, SECOND, ask_size=size), T) == []
    assert venue.has_pending


def test_a_buy_takes_the_displayed_size_and_pays_more_for_each_further_one():
    venue = model(slippage_bps=D(10))
    venue.submit(order("a", BUY, "2.5"), 0, T)
    reports = venue.on_tick(quote(99, 100, SECOND, ask_size=1.0009), T)
    assert prices_of(reports) == [
        (D("100"), D(1)),
        (D("100.1"), D(1)),
        (D("100.2"), D("0.5")),
    ]
    kinds = [type(report) for report in reports]
    assert kinds == [OrderFilled] * 3 + [BalancesReported, OrderUpdated]
    assert final_of(reports) == OrderUpdated("a", OrderStatus.FILLED, T, D("2.5"), "1001")


def test_a_displayed_size_below_the_step_counts_as_one_step():
    venue = model(slippage_bps=D(10))
    venue.submit(order("a", BUY, "0.1"), 0, T)
    reports = venue.on_tick(quote(99, 100, SECOND, ask_size=0.0001), T)
    assert fills_of(reports)[0].qty == D("0.001")
    assert final_of(reports).status is OrderStatus.FILLED


def test_without_slippage_the_whole_order_is_met_at_the_touch():
    venue = model(slippage_bps=D(0))
    venue.submit(order("a", BUY, "50"), 0, T)
    assert prices_of(venue.on_tick(quote(99, 100, SECOND, size=0.01), T)) == [(D(100), D(50))]


def test_what_the_book_does_not_hold_is_cancelled():
    venue = model(slippage_bps=D(1))
    venue.submit(order("a", BUY, "0.3"), 0, T)
    reports = venue.on_tick(quote(99, 100, SECOND, ask_size=0.002), T)
    assert len(fills_of(reports)) == 100
    assert final_of(reports) == OrderUpdated(
        "a", OrderStatus.CANCELLED, T, D("0.2"), "1001", IOC_REST
    )


def test_two_orders_do_not_take_the_same_displayed_size():
    venue = model(slippage_bps=D(10))
    for key in "ab":
        venue.submit(order(key, BUY, "1"), 0, T)
    venue.submit(order("c", SELL, "1", instrument=PERP), 0, T)
    reports = venue.on_tick(quote(99, 100, SECOND, size=1), T)
    assert prices_of(reports) == [(D(100), D(1)), (D("100.1"), D(1))]
    assert prices_of(venue.on_tick(quote(99, 100, SECOND, PERP, size=1), T)) == [(D(99), D(1))]


def test_a_fill_says_all_that_the_venue_knows():
    venue = model()
    (fill,) = fills_of(execute(venue, order("a", BUY, "0.3"), 100.01))
    assert fill == Fill(
        venue_trade_id="1002",
        instrument=SPOT,
        side=BUY,
        qty=D("0.3"),
        price=D("100.01"),
        fee=D("0.0003"),
        fee_asset="BTC",
        time_ns=T,
        client_order_id="a",
        venue_order_id="1001",
    )
    assert venue.account.wallet == {"USDT": D("9969.997"), "BTC": D("0.2997")}


# Without quotes


def test_without_a_quote_for_a_second_an_order_meets_the_last_trade_at_a_loss():
    venue = model(slippage_bps=D(10))
    venue.on_tick(trade(100.0), T)
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.advance(100 * MS + SECOND - 1, T) == []
    reports = venue.advance(100 * MS + SECOND, T + 1)
    assert prices_of(reports) == [(D("100.1"), D(1))]
    venue.submit(order("b", SELL, "0.5"), 0, T)
    assert prices_of(venue.advance(2 * SECOND, T)) == [(D("99.9"), D("0.5"))]


def test_a_trade_alone_does_not_fill_before_the_second_is_over():
    venue = model()
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.on_tick(trade(100.0), T) == []
    assert prices_of(venue.advance(1100 * MS, T)) == [(D("100.05"), D(1))]


def test_without_any_price_for_ten_seconds_an_order_is_rejected():
    venue = model()
    venue.on_tick(trade(100.0, PERP), T)
    venue.submit(order("a", BUY, "1"), 0, T)
    assert venue.advance(100 * MS + 10 * SECOND - 1, T) == []
    (told,) = venue.advance(100 * MS + 10 * SECOND, T)
    assert isinstance(told, OrderUpdated)
    assert told.status is OrderStatus.REJECTED
    assert told.message == "no_price: no price of bybit:spot:BTCUSDT within 10 s"
    assert not venue.has_pending


# Refusals


def refused(reports: Sequence[Any]) -> str:
    """The reason of a refusal that changed nothing else."""
    (told,) = reports
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty) == (OrderStatus.REJECTED, 0)
    return told.message or ""


def test_an_order_outside_the_filters_is_rejected_at_once():
    venue = model()
    assert refused(venue.submit(order("a", BUY, "0.0015"), 0, T)).startswith("lot_size")
    assert not venue.has_pending
    assert venue.look_up("a", T).status is OrderStatus.REJECTED


def test_an_order_worth_too_little_is_rejected_at_its_price():
    assert refused(execute(model(), order("a", BUY, "0.004"), 100)).startswith("min_notional")


def test_a_spot_buy_needs_the_money_for_all_its_levels():
    venue = model("200.05", slippage_bps=D(10))
    venue.submit(order("a", BUY, "2"), 0, T)
    told = refused(venue.on_tick(quote(99, 100, SECOND, ask_size=1), T))
    assert told == "insufficient_balance: needs 200.1 USDT, 200.05 is free"
    assert venue.account.wallet == {"USDT": D("200.05")}


def test_a_spot_sell_needs_the_base_asset():
    venue = model()
    execute(venue, order("a", BUY, "1"), 100)
    told = refused(execute(venue, order("b", SELL, "1"), 100))
    assert told == "insufficient_balance: needs 1 BTC, 0.999 is free"
    assert final_of(execute(venue, order("c", SELL, "0.999"), 100)).status is OrderStatus.FILLED
    assert venue.account.total("BTC") == 0


def test_a_linear_entry_needs_margin_and_fee():
    venue = model("10", leverage=D(10))
    told = refused(execute(venue, order("a", BUY, "1", instrument=PERP), 100))
    assert told == "insufficient_balance: needs 10.055 USDT, 10 is free"
    assert venue.account.positions == {}


def test_reduce_only_takes_no_more_than_the_position():
    venue = model()
    position(venue, BUY, "0.4", 100)
    reports = execute(venue, order("x", SELL, "1", instrument=PERP, reduce_only=True), 110)
    assert prices_of(reports) == [(D(110), D("0.4"))]
    assert final_of(reports).status is OrderStatus.CANCELLED
    assert final_of(reports).message == REDUCED
    assert venue.venue_positions() == []


@pytest.mark.parametrize("held", [None, SELL])
def test_reduce_only_is_rejected_where_it_reduces_nothing(held: OrderSide | None):
    venue = model()
    if held is not None:
        position(venue, held, "0.4", 100)
    closing = order("x", SELL, "0.4", instrument=PERP, reduce_only=True)
    assert refused(execute(venue, closing, 100)).startswith("reduce_only")


def test_of_two_closes_in_flight_the_second_finds_nothing():
    venue = model()
    position(venue, BUY, "0.4", 100)
    for key in ("x0", "x1"):
        venue.submit(order(key, SELL, "0.4", instrument=PERP, reduce_only=True), 0, T)
    reports = venue.on_tick(quote(100, 101, SECOND, PERP), T)
    assert [fill.client_order_id for fill in fills_of(reports)] == ["x0"]
    assert final_of(reports).status is OrderStatus.REJECTED
    assert venue.venue_positions() == []


# Ids


@pytest.mark.parametrize("unique", [True, False])
def test_a_repetition_while_the_first_waits_is_told_unknown_and_trades_once(unique: bool):
    venue = model(ids_unique_for_ever=unique)
    venue.submit(order("a", BUY, "1"), 0, T)
    (told,) = venue.submit(order("a", BUY, "1"), 0, T + 1)
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty) == (OrderStatus.UNKNOWN, 0)
    assert told.message == "duplicate_id: an order under this id exists"
    assert told.status in TRANSITIONS[OrderStatus.SENT]
    assert venue.look_up("a", T).status is OrderStatus.ACKNOWLEDGED
    reports = venue.on_tick(quote(99, 100, SECOND), T)
    assert prices_of(reports) == [(D(100), D(1))]


def test_a_repetition_of_a_filled_order_tells_its_quantity_where_ids_are_unique_for_ever():
    venue = model()
    execute(venue, order("a", BUY, "1"), 100)
    (told,) = venue.submit(order("a", BUY, "1"), 0, T)
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty) == (OrderStatus.UNKNOWN, 1)
    assert not venue.has_pending


def test_an_id_is_taken_again_after_its_order_is_final_where_the_venue_does_so():
    venue = model(ids_unique_for_ever=False)
    execute(venue, order("a", BUY, "1"), 100)
    execute(venue, order("a", BUY, "2"), 100)
    found = venue.look_up("a", T)
    assert (found.qty, found.venue_order_id) == (2, "1003")
    assert venue.account.total("BTC") == D("2.997")
    assert set(venue.changed_orders) == {"1001", "1003"}


def test_ids_rise_over_orders_and_trades():
    venue = model()
    execute(venue, order("a", BUY, "1"), 100)
    execute(venue, order("b", SELL, "0.5"), 100)
    ids = [int(known.venue_order_id) for known in venue.orders.values()]
    assert [*ids, *(int(fill.venue_trade_id) for fill in venue.new_fills)] == [
        1001,
        1003,
        1002,
        1004,
    ]


def test_a_look_up_tells_the_order_as_it_is():
    venue = model()
    assert venue.look_up("a", T) == OrderLookedUp("a", T, found=False)
    reports = execute(venue, order("a", BUY, "1"), 100)
    assert venue.look_up("a", T + 1) == OrderLookedUp(
        "a",
        T + 1,
        found=True,
        status=OrderStatus.FILLED,
        qty=D(1),
        fills=tuple(fills_of(reports)),
        venue_order_id="1001",
    )


def test_restored_orders_that_wait_are_matched_at_the_next_quote():
    before, after = model(), model()
    before.submit(order("a", BUY, "1"), 0, T)
    execute(before, order("b", BUY, "1", instrument=PERP), 100)
    after.restore(list(before.orders.values()), 50 * SECOND)
    assert after.look_up("b", T).status is OrderStatus.FILLED
    assert after.on_tick(quote(99, 100, 50 * SECOND - 1), T) == []
    assert prices_of(after.on_tick(quote(99, 100, 50 * SECOND), T)) == [(D(100), D(1))]
    assert not after.has_pending


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
