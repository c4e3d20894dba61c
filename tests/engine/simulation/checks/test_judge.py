from msgspec.structs import replace

from engine.model.effects import SendNotice
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import Lifetime, begun, closed, position


def test_a_clean_lifetime_is_found_clean():
    verdict = closed().judge()
    assert verdict.violations == []


def test_what_had_no_subject_is_not_counted():
    verdict = Lifetime().judge()
    assert verdict.checks["close_has_cause"] == 0
    assert "close_has_cause" not in verdict.checks


def test_a_position_that_is_open_and_armed_at_the_end_is_fine():
    lifetime = begun()
    lifetime.positions.append(position(lifetime))
    assert lifetime.judge().violations == []


def test_each_judge_has_subjects_in_a_clean_lifetime():
    checks = closed().judge().checks
    for name in (
        "no_oversell", "one_net_close", "guarded_at_rest", "crossing_closes", "close_has_cause",
        "fills_equal", "sums_equal", "orders_equal", "holdings_equal", "answered_is_durable",
        "order_has_cause", "one_position_a_signal", "intent_first", "in_flight_within_held",
        "stale_commits", "comes_to_rest", "no_secrets", "entry_durable",
    ):  # fmt: skip
        assert checks[name] > 0, name


def test_a_secret_that_was_written_down_is_found():
    lifetime = closed()
    lifetime.notices.append(SendNotice("a", EPOCH_NS, {"b": "x canary-secret y"}))
    assert lifetime.names() == {"no_secrets"}
    lifetime = closed()
    record = lifetime.signals[0]
    lifetime.signals[0] = replace(record, signal=replace(record.signal, raw="canary-secret"))
    assert lifetime.names() == {"no_secrets"}
