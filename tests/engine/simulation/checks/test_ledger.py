from msgspec.structs import replace

from engine.model.exits import ExitReason
from engine.model.order import OrderStatus
from tests.engine.simulation.checks.cases import POSITION, D, closed, position


def test_an_execution_that_is_not_booked_is_found():
    lifetime = closed()
    lifetime.booked.pop()
    assert lifetime.names() == {"fills_equal"}


def test_a_booking_that_was_never_executed_is_found():
    lifetime = closed()
    fill, owner = lifetime.booked[-1]
    lifetime.booked.append((replace(fill, venue_trade_id="other"), owner))
    assert lifetime.names() == {"fills_equal"}


def test_an_execution_that_is_booked_twice_is_found():
    lifetime = closed()
    lifetime.booked.append(lifetime.booked[-1])
    assert lifetime.names() == {"fills_equal"}


def test_a_wrong_sum_is_found():
    for name in ("qty", "entry_value", "exit_qty", "exit_value", "fees", "dust"):
        lifetime = closed()
        before = lifetime.positions[0]
        lifetime.positions[0] = replace(before, **{name: getattr(before, name) + D("0.001")})
        assert "sums_equal" in lifetime.names(), name


def test_funding_is_no_profit():
    lifetime = closed()
    lifetime.positions[0] = position(lifetime, funding=D(1))
    assert lifetime.names() == set()


def test_a_fee_that_nobody_can_value_is_to_be_flagged():
    lifetime = closed()
    lifetime.positions[0] = replace(lifetime.positions[0], fees_unvalued=True)
    assert lifetime.names() == {"sums_equal"}


def test_an_order_that_ended_otherwise_at_the_venue_is_found():
    lifetime = closed()
    lifetime.orders[-1] = replace(lifetime.orders[-1], status=OrderStatus.CANCELLED)
    assert lifetime.names() == {"orders_equal"}


def test_an_order_with_another_filled_quantity_is_found():
    lifetime = closed()
    lifetime.orders[-1] = replace(lifetime.orders[-1], filled_qty=D("0.5"))
    assert lifetime.names() == {"orders_equal"}


def test_an_order_that_only_the_venue_has_is_found():
    lifetime = closed()
    lifetime.orders.pop()
    assert lifetime.names() == {"orders_equal"}


def test_holdings_that_nobody_counts_are_found():
    lifetime = closed()
    lifetime.held = D("0.3")
    assert lifetime.names() == {"holdings_equal"}


def by_hand(qty: str, booked: str, price: str | None = None):
    """A lifetime in which the owner sold by hand what was booked as a reduction."""
    lifetime = closed()
    own, taken = lifetime.fills.pop(), lifetime.booked.pop()
    lifetime.orders.pop()
    lifetime.kept.pop()
    foreign = replace(own, client_order_id=None, qty=D(qty))
    lifetime.fills.append(foreign)
    part = replace(foreign, qty=D(booked), price=D(price or "94"))
    lifetime.booked.append((part, taken[1]))
    lifetime.history.requests.pop()
    lifetime.history.arrivals.pop()
    lifetime.held = D(1) - D(qty)
    closed_position = position(lifetime, exit_reason=ExitReason.EXTERNAL)
    lifetime.positions[0] = replace(
        closed_position,
        exit_qty=D(booked),
        exit_value=D(booked) * part.price,
        dust=D(1) - D(booked),
    )
    return lifetime


def test_what_others_took_is_booked_from_their_executions():
    assert by_hand("1", "1").names() == set()


def test_more_than_others_took_is_found():
    assert "foreign_fills_exist" in by_hand("0.5", "1").names()
    assert "foreign_fills_exist" in by_hand("1", "1", "95").names()


def test_a_reduction_that_nobody_made_is_found():
    lifetime = by_hand("1", "1")
    lifetime.fills.pop()
    assert "foreign_fills_exist" in lifetime.names()


def test_too_much_taken_from_a_position_is_found():
    assert "no_oversell" in by_hand("2", "2").names()
    assert POSITION in by_hand("2", "2").judge().violations[0].message
