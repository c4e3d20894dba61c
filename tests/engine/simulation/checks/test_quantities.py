from engine.model.ids import Purpose
from engine.simulation.history import Arrival, Request
from tests.engine.simulation.checks.cases import MS, D, closed, fill, order


def test_closing_more_than_was_opened_is_found():
    lifetime = closed()
    again = order(Purpose.EXIT, 1)
    lifetime.fills.append(fill(again, 1500, "94"))
    names = lifetime.names()
    assert {"no_oversell", "net_side", "fills_equal"} <= names


def test_a_rest_of_a_closed_position_that_is_no_dust_is_found():
    assert "one_net_close" in closed(qty=D("0.9")).names()


def test_one_id_for_two_quantities_is_found_where_one_process_asks_so():
    lifetime = closed()
    other = order(Purpose.EXIT, qty=D("0.5"))
    lifetime.history.requests.append(Request(1500 * MS, 0, other))
    assert "id_bound_to_request" in lifetime.names()


def test_an_id_that_the_venue_never_had_may_be_made_anew_after_a_restart():
    lifetime = closed()
    lost = order(Purpose.EXIT, qty=D("0.5"))
    lifetime.history.requests.insert(1, Request(900 * MS, -1, lost))
    assert "id_bound_to_request" not in lifetime.names()
    lifetime.history.arrivals.insert(1, Arrival(901 * MS, -1, "bybit", lost, True))
    assert "id_bound_to_request" in lifetime.names()


def test_an_id_that_was_taken_again_after_it_had_filled_is_found():
    lifetime = closed()
    out = order(Purpose.EXIT)
    lifetime.history.arrivals.append(Arrival(1400 * MS, 0, "bybit", out, True))
    assert "id_taken_once" in lifetime.names()


def test_an_id_that_was_refused_the_first_time_may_be_taken():
    lifetime = closed()
    out = order(Purpose.EXIT)
    lifetime.history.arrivals.insert(1, Arrival(1001 * MS, 0, "bybit", out, False))
    assert lifetime.names() == set()


def test_a_close_of_more_than_is_held_is_found():
    lifetime = closed()
    more = order(Purpose.EXIT, 1, qty=D(2))
    lifetime.history.arrivals.append(Arrival(1050 * MS, 0, "bybit", more, True))
    assert "close_within_held" in lifetime.names()
