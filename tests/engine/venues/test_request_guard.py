"""Refusals are written down once a second of a kind, and none is forgotten."""

import structlog

from engine.clock import NS_PER_SECOND
from engine.venues.account import Outcome, RequestFailed, Verdict
from engine.venues.request_guard import KINDS_KEPT, Failures


class Watch:
    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns


def refusal(reason: str = "no answer", code: str = "") -> RequestFailed:
    return RequestFailed(Verdict(Outcome.RETRY), reason, code)


def test_of_many_alike_one_line_is_written_and_the_next_tells_how_many_there_were():
    watch = Watch()
    failures = Failures("bybit", watch)
    with structlog.testing.capture_logs() as lines:
        for _ in range(20):
            failures.note("look_up", refusal())
        watch.at_ns = NS_PER_SECOND - 1
        failures.note("look_up", refusal())
        assert [line["unwritten_before"] for line in lines] == [0]
        watch.at_ns = NS_PER_SECOND
        failures.note("look_up", refusal())
    assert [line["unwritten_before"] for line in lines] == [0, 20]
    assert {line["reason"] for line in lines} == {"no answer"}


def test_what_is_of_another_kind_is_written_at_once():
    failures = Failures("bybit", Watch())
    with structlog.testing.capture_logs() as lines:
        failures.note("look_up", refusal())
        failures.note("read", refusal())
        failures.note("look_up", refusal("banned"))
        failures.note("look_up", refusal(code="10006"))
    assert [(line["request"], line["reason"], line["code"]) for line in lines] == [
        ("look_up", "no answer", ""),
        ("read", "no answer", ""),
        ("look_up", "banned", ""),
        ("look_up", "no answer", "10006"),
    ]


def test_kinds_without_end_take_no_memory_without_end():
    failures = Failures("bybit", Watch())
    with structlog.testing.capture_logs() as lines:
        for number in range(5 * KINDS_KEPT):
            failures.note("look_up", refusal(f"order {number}"))
    assert len(lines) == 5 * KINDS_KEPT
    assert len(failures._unwritten) <= KINDS_KEPT
