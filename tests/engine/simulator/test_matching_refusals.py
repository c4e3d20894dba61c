"""Why a venue refuses: the class that goes with each message, and refusals that a test asks for."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.events import OrderUpdated
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderSide, OrderStatus, Refusal
from tests.engine.simulator.paper_parts import (
    BUY,
    PERP,
    SECOND,
    SELL,
    SPOT,
    D,
    model,
    order,
    quote,
)
from tests.engine.simulator.reports import T, execute, fills_of, refused

NARROW = replace(SPOT, max_market_qty=D(1))
HALTED = replace(SPOT, trading=False)


def told(reports: list[Any]) -> OrderUpdated:
    """The refusal that changed nothing else."""
    assert refused(reports)
    (update,) = reports
    assert isinstance(update, OrderUpdated)
    return update


@pytest.mark.parametrize(
    ("qty", "instrument", "message", "refusal"),
    [
        ("0.0015", SPOT, "lot_size", Refusal.FILTERS),
        ("2", NARROW, "max_market_qty", Refusal.FILTERS),
        ("1", HALTED, "not_trading", Refusal.OTHER),
    ],
)
def test_an_arriving_order_is_refused_by_class(
    qty: str, instrument: Instrument, message: str, refusal: Refusal
):
    update = told(model().submit(order("a", BUY, qty, instrument=instrument), 0, T))
    assert (update.message or "").startswith(message)
    assert update.refusal is refusal


@pytest.mark.parametrize(
    ("side", "qty", "changes", "refusal"),
    [
        (BUY, "0.004", {}, Refusal.FILTERS),
        (BUY, "200", {"instrument": PERP}, Refusal.BALANCE),
        (SELL, "1", {}, Refusal.BALANCE),
        (SELL, "1", {"instrument": PERP, "reduce_only": True}, Refusal.REDUCE_ONLY),
    ],
)
def test_an_order_that_meets_its_price_is_refused_by_class(
    side: OrderSide, qty: str, changes: dict[str, Any], refusal: Refusal
):
    assert told(execute(model(), order("a", side, qty, **changes), 100)).refusal is refusal


def test_an_order_without_a_price_is_refused_for_no_class_of_ours():
    venue = model()
    venue.submit(order("a", BUY, "1"), 0, T)
    assert told(venue.advance(20 * SECOND, T)).refusal is Refusal.OTHER


def overload(wanted: Order) -> tuple[Refusal, str] | None:
    return (Refusal.OTHER, "overload: -1008") if wanted.client_order_id == "a" else None


def test_an_order_is_refused_on_arrival_where_a_test_asks_for_it():
    venue = model()
    venue.refusal = overload
    update = told(venue.submit(order("a", BUY, "1"), 0, T))
    assert (update.message, update.refusal) == ("overload: -1008", Refusal.OTHER)
    assert not venue.has_pending
    assert venue.look_up("a", T).status is OrderStatus.REJECTED
    assert fills_of(execute(venue, order("b", BUY, "1"), 100))


def test_an_accepted_order_is_refused_later_where_a_test_asks_for_it():
    venue = model()
    venue.late_refusal = lambda _: (Refusal.FILTERS, "price_band: -4131")
    (accepted,) = venue.submit(order("a", BUY, "1"), 0, T)
    assert isinstance(accepted, OrderUpdated)
    assert accepted.status is OrderStatus.ACKNOWLEDGED
    update = told(venue.on_tick(quote(99, 100, SECOND), T))
    assert (update.message, update.refusal) == ("price_band: -4131", Refusal.FILTERS)
    assert venue.account.wallet == {"USDT": D(10_000)}


def test_a_refusal_of_a_rest_leaves_what_was_filled():
    venue = model(rests=True)
    venue.submit(order("a", BUY, "2"), 0, T)
    venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    venue.late_refusal = lambda _: (Refusal.OTHER, "delisted")
    (update,) = venue.on_tick(quote(99, 100, SECOND, ask_size=1), T)
    assert isinstance(update, OrderUpdated)
    assert (update.status, update.filled_qty, update.message) == (
        OrderStatus.CANCELLED,
        1,
        "delisted",
    )
    assert not venue.has_pending
