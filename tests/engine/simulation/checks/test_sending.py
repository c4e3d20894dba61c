from msgspec.structs import replace

from engine.model.effects import SaveOrder
from engine.model.events import OrderDeferred, OrderLookedUp
from engine.model.ids import Purpose
from engine.model.order import OrderStatus
from engine.simulation.history import Arrival, Request
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import MS, POSITION, D, begun, closed, order, position


def opened():
    lifetime = begun()
    lifetime.positions.append(position(lifetime))
    return lifetime


def test_an_entry_that_left_before_its_commit_is_found():
    lifetime = closed()
    lifetime.history.requests[0] = lifetime.history.requests[0]._replace(at_ns=19 * MS)
    assert lifetime.names() == {"intent_first"}


def test_an_exit_that_skips_its_sequence_is_found():
    lifetime = opened()
    skipped = order(Purpose.EXIT, 4, signal_id=None)
    lifetime.history.requests.append(Request(1000 * MS, 0, skipped))
    assert "exit_sequence" in lifetime.names()
    lifetime.commit(999, SaveOrder(skipped))
    assert "exit_sequence" not in lifetime.names()


def test_an_order_that_comes_after_it_was_written_off_is_found():
    for at_ms, found in ((1200, True), (1100, False)):
        lifetime = closed()
        off = replace(order(Purpose.EXIT, 1), status=OrderStatus.REJECTED)
        lifetime.commit(1150, SaveOrder(off))
        lifetime.history.arrivals.append(Arrival(at_ms * MS, 0, "bybit", off, True))
        assert ("never_after_final" in lifetime.names()) is found


def test_a_second_close_of_what_is_being_closed_is_found():
    lifetime = opened()
    for generation in (0, 1):
        sent = order(Purpose.EXIT, generation)
        lifetime.history.requests.append(Request(1000 * MS, 0, sent))
    assert "in_flight_within_held" in lifetime.names()


def test_parts_that_add_up_to_what_is_held_may_be_in_flight_together():
    lifetime = opened()
    for generation in range(4):
        part = order(Purpose.EXIT, generation, qty=D("0.25"))
        lifetime.history.requests.append(Request(1000 * MS, 0, part))
    assert "in_flight_within_held" not in lifetime.names()
    fifth = order(Purpose.EXIT, 4, qty=D("0.001"))
    lifetime.history.requests.append(Request(1000 * MS, 0, fifth))
    assert "in_flight_within_held" in lifetime.names()


def test_a_second_add_by_one_signal_is_found():
    lifetime = opened()
    for generation in (0, 1):
        add = order(Purpose.ADD, generation)
        lifetime.commit(900, SaveOrder(add))
        lifetime.history.requests.append(Request(1000 * MS, 0, add))
    assert lifetime.names() == {"in_flight_within_held"}


def test_requests_without_bound_are_found():
    lifetime = closed()
    lifetime.history.calls["0.submit"] = 2 * 240
    assert "requests_bounded" in lifetime.names()
    lifetime.history.calls["0.submit"] = 240
    assert lifetime.names() == set()


def deferred(at_ms: int, message: str = "busy"):
    lifetime = opened()
    event = OrderDeferred(f"{POSITION}a0", EPOCH_NS + 900 * MS, 500 * MS, message)
    for generation, sent_ms in ((0, 890), (0, at_ms)):
        add = order(Purpose.ADD, generation)
        lifetime.commit(880, SaveOrder(add))
        lifetime.history.requests.append(Request(sent_ms * MS, 0, add))
    lifetime.tell(910, event)
    return lifetime


def test_a_request_inside_the_pause_is_found():
    assert deferred(1399).names() == {"retry_after_kept"}
    assert deferred(1400).names() == set()


def test_another_entry_inside_the_pause_of_a_whole_venue_is_found():
    for message, found in (("banned", {"venue_pause_kept"}), ("busy", set())):
        lifetime = deferred(1400, message)
        lifetime.history.requests[-1] = Request(1000 * MS, 0, order(Purpose.ENTRY))
        assert lifetime.names() - {"in_flight_within_held"} == found


def test_what_the_venue_did_not_take_or_does_not_have_is_not_in_flight():
    key = order(Purpose.EXIT).client_order_id
    miss = OrderLookedUp(key, EPOCH_NS, False)
    for told, found in (
        ((OrderDeferred(key, EPOCH_NS),), False),
        ((miss, miss), True),
        ((miss, miss, miss), False),
        ((replace(miss, certain=True),), False),
    ):
        lifetime = opened()
        lifetime.history.requests.append(Request(900 * MS, 0, order(Purpose.EXIT)))
        for event in told:
            lifetime.tell(950, event)
        lifetime.history.requests.append(Request(1000 * MS, 0, order(Purpose.EXIT, 1)))
        assert ("in_flight_within_held" in lifetime.names()) is found, told
