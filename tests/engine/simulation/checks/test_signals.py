from msgspec.structs import replace

from engine.model.exits import ExitReason
from engine.model.ids import Purpose
from engine.model.signal import Action, Outcome
from engine.simulation.history import Delivery, Request
from engine.simulation.plan import PlannedSignal
from tests.engine.simulation.checks.cases import BTC, MS, SIGNAL, closed, order


def repeated(signal_id: str | None, at_ms: int = 2000, *, has_id: bool = True):
    lifetime = closed()
    planned = PlannedSignal(1, BTC, Action.BUY, (10, at_ms), has_id=has_id)
    lifetime.history.deliveries[0].signal = planned
    lifetime.history.deliveries.append(Delivery(at_ms * MS, 0, planned, at_ms * MS, 200, signal_id))
    return lifetime


def test_a_repetition_is_answered_with_the_first_id():
    assert repeated(SIGNAL.id).names() == set()
    assert "one_id_a_signal" in repeated("t" * 26).names()


def test_a_repetition_without_an_id_is_one_for_a_minute_only():
    assert "one_id_a_signal" in repeated("t" * 26, has_id=False).names()
    assert "one_id_a_signal" not in repeated("t" * 26, 70_000, has_id=False).names()


def test_a_signal_in_between_ends_repetitions_without_an_id():
    lifetime = repeated("t" * 26, has_id=False)
    other = PlannedSignal(2, BTC, Action.SELL, (1000,))
    lifetime.history.deliveries.append(Delivery(1000 * MS, 0, other))
    assert "one_id_a_signal" not in lifetime.names()


def test_an_answer_before_its_row_is_durable_is_found():
    lifetime = closed()
    lifetime.history.deliveries[0].answered_ns = 19 * MS
    assert lifetime.names() == {"answered_is_durable"}


def test_a_signal_without_an_outcome_is_found():
    lifetime = closed()
    lifetime.signals[0] = replace(lifetime.signals[0], outcome=Outcome.PENDING)
    assert lifetime.names() == {"answered_is_durable", "signals_settled"}


def test_two_positions_of_one_signal_are_found():
    lifetime = closed()
    lifetime.positions.append(replace(lifetime.positions[0], id="b" * 26))
    assert "one_position_a_signal" in lifetime.names()


def test_orders_without_a_cause_are_found():
    for changes in (
        {"signal_id": "x"}, {"actor": "stranger"}, {"position_id": "b" * 26}, {"signal_id": None},
    ):  # fmt: skip
        lifetime = closed()
        sent = order(Purpose.ENTRY, **changes)
        lifetime.history.requests.append(Request(900 * MS, 0, sent))
        assert "order_has_cause" in lifetime.names(), changes


def test_a_close_by_somebody_unknown_is_found():
    lifetime = closed(actor="stranger", reason=ExitReason.MANUAL, trigger_price=None)
    assert {"order_has_cause", "close_has_cause"} == lifetime.names()


def test_an_order_at_the_venue_that_nobody_asked_for_is_found():
    lifetime = closed()
    lifetime.history.requests.pop()
    assert "order_has_cause" in lifetime.names()
