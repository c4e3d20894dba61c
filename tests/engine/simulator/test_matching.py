import pytest

from engine.model.events import (
    BalancesReported,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
)
from engine.model.order import TRANSITIONS, Fill, OrderSide, OrderStatus
from engine.simulator.matching import IOC_REST, REDUCED
from tests.engine.simulator.paper_parts import (
    BUY,
    ETH,
    MS,
    PERP,
    SECOND,
    SELL,
    SPOT,
    D,
    model,
    order,
    quote,
    trade,
)
from tests.engine.simulator.reports import (
    T,
    execute,
    fills_of,
    final_of,
    position,
    prices_of,
    refused,
)

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
    assert venue.look_up("a", T) == OrderLookedUp("a", T, found=False, certain=True)
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
