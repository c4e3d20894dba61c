"""Orders that take what a quote shows and wait with the rest, as ``VenueRules.rests`` has it."""

from typing import Any

from engine.model.events import BalancesReported, OrderFilled, OrderUpdated
from engine.model.order import OrderStatus, Refusal
from engine.simulator.matching import CANCELLED, REDUCED, VenueModel
from tests.engine.simulator.paper_parts import (
    BUY,
    MS,
    PERP,
    SECOND,
    SELL,
    D,
    model,
    order,
    quote,
    trade,
)
from tests.engine.simulator.reports import T, fills_of, final_of, position, prices_of, refused


def resting(usdt: str = "10000", **changes: Any) -> VenueModel:
    return model(usdt, rests=True, **changes)


def test_an_order_is_filled_over_several_quotes():
    venue = resting()
    venue.submit(order("a", BUY, "2.5"), 0, T)
    first = venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    assert [type(report) for report in first] == [OrderFilled, BalancesReported, OrderUpdated]
    assert prices_of(first) == [(D(100), D(1))]
    assert final_of(first) == OrderUpdated("a", OrderStatus.PARTIALLY_FILLED, T, D(1), "1001")
    second = venue.on_tick(quote(100, 101, SECOND, ask_size=1), T + 1)
    assert prices_of(second) == [(D(101), D(1))]
    assert final_of(second).filled_qty == 2
    last = venue.on_tick(quote(100, 102, SECOND, ask_size=1), T + 2)
    assert prices_of(last) == [(D(102), D("0.5"))]
    assert final_of(last) == OrderUpdated("a", OrderStatus.FILLED, T + 2, D("2.5"), "1001")
    assert not venue.has_pending
    assert venue.look_up("a", T).fills == tuple(fills_of([*first, *second, *last]))


def test_what_is_filled_so_far_can_be_looked_up():
    venue = resting()
    venue.submit(order("a", BUY, "2"), 0, T)
    reports = venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    found = venue.look_up("a", T)
    assert (found.status, found.qty) == (OrderStatus.PARTIALLY_FILLED, 2)
    assert found.fills == tuple(fills_of(reports))
    assert venue.changed_orders["1001"].filled_qty == 1


def test_two_orders_share_what_a_quote_shows():
    venue = resting()
    for key in "abc":
        venue.submit(order(key, BUY, "0.6"), 0, T)
    reports = venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    taken = [(fill.client_order_id, fill.qty) for fill in fills_of(reports)]
    assert taken == [("a", D("0.6")), ("b", D("0.4"))]
    assert venue.look_up("c", T).status is OrderStatus.ACKNOWLEDGED
    reports = venue.on_tick(quote(99, 100, SECOND, ask_size=0.3), T)
    taken = [(fill.client_order_id, fill.qty) for fill in fills_of(reports)]
    assert taken == [("b", D("0.2")), ("c", D("0.1"))]


def test_a_small_rest_is_filled_though_it_is_worth_less_than_an_order_must():
    venue = resting()
    venue.submit(order("a", BUY, "1.01"), 0, T)
    venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    reports = venue.on_tick(quote(1, 2, SECOND, ask_size=1), T)
    assert prices_of(reports) == [(D(2), D("0.01"))]
    assert final_of(reports).status is OrderStatus.FILLED


def test_a_rest_waits_for_a_quote_however_long():
    venue = resting()
    venue.on_tick(trade(100.0), T)
    venue.submit(order("a", BUY, "2"), 0, T)
    venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    assert venue.advance(100 * SECOND, T) == []
    assert venue.has_pending


def test_an_order_that_meets_no_quote_meets_the_last_trade_whole():
    venue = resting()
    venue.on_tick(trade(100.0), T)
    venue.submit(order("a", BUY, "2"), 0, T)
    reports = venue.advance(1100 * MS, T)
    assert prices_of(reports) == [(D("100.05"), D(2))]
    assert final_of(reports).status is OrderStatus.FILLED


def test_the_rest_is_cancelled_on_request():
    venue = resting()
    venue.submit(order("a", BUY, "2"), 0, T)
    venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    (told,) = venue.cancel_rest("a", T + 1)
    assert told == OrderUpdated("a", OrderStatus.CANCELLED, T + 1, D(1), "1001", CANCELLED)
    assert not venue.has_pending
    assert venue.look_up("a", T).status is OrderStatus.CANCELLED
    assert venue.cancel_rest("a", T) == []
    assert venue.cancel_rest("unknown", T) == []


def test_a_rest_that_reduces_nothing_any_more_is_cancelled():
    venue = resting()
    position(venue, BUY, "2", 100)
    venue.submit(order("x", SELL, "2", instrument=PERP, reduce_only=True), 0, T)
    venue.on_tick(quote(99, 100, SECOND, PERP, size=1), T)
    venue.trade_elsewhere(PERP, SELL, D(1), D(99), T)
    (told,) = venue.on_tick(quote(99, 100, SECOND, PERP, size=1), T)
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty) == (OrderStatus.CANCELLED, 1)
    assert told.refusal is Refusal.REDUCE_ONLY
    assert venue.venue_positions() == []


def test_a_rest_is_cancelled_once_the_position_is_flat():
    venue = resting()
    position(venue, BUY, "2", 100)
    venue.submit(order("x", SELL, "2", instrument=PERP, reduce_only=True), 0, T)
    venue.trade_elsewhere(PERP, SELL, D("0.5"), D(99), T)
    reports = venue.on_tick(quote(99, 100, SECOND, PERP, size=1), T)
    assert final_of(reports).status is OrderStatus.PARTIALLY_FILLED
    reports = venue.on_tick(quote(99, 100, SECOND, PERP, size=1), T)
    assert prices_of(reports) == [(D(99), D("0.5"))]
    assert (final_of(reports).status, final_of(reports).message) == (
        OrderStatus.CANCELLED,
        REDUCED,
    )
    assert venue.venue_positions() == []


def test_a_rest_that_cannot_be_paid_is_cancelled():
    venue = resting(usdt="150")
    venue.submit(order("a", BUY, "2"), 0, T)
    venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    (told,) = venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty, told.refusal) == (
        OrderStatus.CANCELLED,
        1,
        Refusal.BALANCE,
    )


def test_an_order_of_which_nothing_was_filled_is_still_rejected():
    venue = resting(usdt="50")
    venue.submit(order("a", BUY, "1"), 0, T)
    told = refused(venue.on_tick(quote(99, 100, SECOND, ask_size=1), T))
    assert told.startswith("insufficient_balance")


def test_a_restored_rest_waits_on():
    before, after = resting(), resting()
    before.submit(order("a", BUY, "2"), 0, T)
    before.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    after.restore(list(before.orders.values()), 50 * SECOND)
    assert after.on_tick(quote(99, 100, 50 * SECOND - 1), T) == []
    reports = after.on_tick(quote(99, 100, 50 * SECOND), T)
    assert prices_of(reports) == [(D(100), D(1))]
    assert final_of(reports).status is OrderStatus.FILLED
    assert len(after.look_up("a", T).fills) == 2


def test_an_id_is_not_free_again_while_a_rest_waits():
    venue = resting(ids_unique_for_ever=False)
    venue.submit(order("a", BUY, "2"), 0, T)
    venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    (told,) = venue.submit(order("a", BUY, "2"), 0, T)
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty) == (OrderStatus.UNKNOWN, 1)
