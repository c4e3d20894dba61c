"""Budgets by an injected clock: for any course of requests, and the cases that matter by hand."""

import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.ids import Purpose
from engine.venues.account import Outcome, RequestFailed, Urgency
from engine.venues.pacing import SHARES, Budget, Pacer, urgency_of
from tests.engine.venues.orders import order

SECOND = 1_000_000_000
BUDGETS = (Budget("weight", 100, 60 * SECOND), Budget("orders", 10, SECOND))


@dataclasses.dataclass
class Watch:
    """A clock that a test moves; ``sleep`` moves it too."""

    at_ns: int = 5 * SECOND
    slept: list[float] = dataclasses.field(default_factory=list)

    def now_ns(self) -> int:
        raise AssertionError("UTC may jump: budgets go by monotonic time")

    def monotonic_ns(self) -> int:
        return self.at_ns

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at_ns += round(seconds * SECOND)


def make(watch: Watch) -> Pacer:
    return Pacer("venue", BUDGETS, watch, watch.sleep)


def refusal(pacer: Pacer, urgency: Urgency, costs: Mapping[str, int]) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        pacer.charge(urgency, costs)
    return caught.value


def spend(pacer: Pacer, urgency: Urgency, name: str, cost: int) -> int:
    """Send requests of one until they are refused; returns what was spent."""
    spent = 0
    while True:
        try:
            pacer.charge(urgency, {name: cost})
        except RequestFailed:
            return spent
        spent += cost


steps = st.lists(
    st.tuples(
        st.sampled_from(list(Urgency)),
        st.integers(1, 20),
        st.integers(0, 1),
        st.integers(0, 20 * SECOND),
    ),
    max_size=60,
)


@given(steps)
def test_in_no_window_more_is_spent_than_allowed_and_each_keeps_to_its_share(course):
    watch = Watch()
    pacer = make(watch)
    sent: list[tuple[int, Urgency, dict[str, int]]] = []
    for urgency, weight, orders, pause_ns in course:
        watch.at_ns += pause_ns
        costs = {"weight": weight, "orders": orders}
        try:
            pacer.charge(urgency, costs)
        except RequestFailed:
            continue
        sent.append((watch.at_ns, urgency, costs))
        for budget in BUDGETS:
            within = [each[budget.name] for at, _, each in sent
                      if at > watch.at_ns - budget.window_ns]  # fmt: skip
            part, whole = SHARES[urgency]
            assert sum(within) <= max(budget.limit * part // whole, costs[budget.name])


@given(steps)
def test_a_refused_request_fits_when_its_wait_is_over_and_not_before(course):
    watch = Watch()
    pacer = make(watch)
    for urgency, weight, orders, pause_ns in course:
        watch.at_ns += pause_ns
        costs = {"weight": weight, "orders": orders}
        verdict = None
        try:
            pacer.charge(urgency, costs)
        except RequestFailed as error:
            verdict = error.verdict
        if verdict is not None:
            assert verdict.outcome is Outcome.RETRY
            assert verdict.wait_ns > 0
            watch.at_ns += verdict.wait_ns - 1
            assert refusal(pacer, urgency, costs).verdict.wait_ns == 1
            watch.at_ns += 1
            pacer.charge(urgency, costs)


@given(st.lists(st.tuples(st.sampled_from(list(Urgency)[1:]), st.integers(1, 20)), max_size=80))
def test_whatever_others_spend_a_fifth_is_left_for_closes(course):
    watch = Watch()
    pacer = make(watch)
    for urgency, weight in course:
        try:
            pacer.charge(urgency, {"weight": weight})
        except RequestFailed:
            continue
    assert spend(pacer, Urgency.CLOSE, "weight", 1) >= 20


@pytest.mark.parametrize(
    ("urgency", "share"),
    [(Urgency.LOOK_UP, 60), (Urgency.HOUSEKEEPING, 80), (Urgency.ORDER, 80), (Urgency.CLOSE, 100)],
)
def test_each_urgency_has_its_share(urgency, share):
    assert spend(make(Watch()), urgency, "weight", 1) == share


def test_a_request_heavier_than_its_share_goes_when_nothing_else_was_spent():
    watch = Watch()
    pacer = make(watch)
    pacer.charge(Urgency.HOUSEKEEPING, {"weight": 90})
    assert refusal(pacer, Urgency.HOUSEKEEPING, {"weight": 1}).verdict.wait_ns == 60 * SECOND


def test_a_request_that_one_budget_refuses_is_charged_to_none():
    pacer = make(Watch())
    pacer.charge(Urgency.CLOSE, {"orders": 10})
    failed = refusal(pacer, Urgency.CLOSE, {"weight": 90, "orders": 1})
    assert "orders" in str(failed)
    assert spend(pacer, Urgency.CLOSE, "weight", 10) == 100


def test_the_venue_s_own_count_is_believed_until_it_begins_anew():
    watch = Watch()
    pacer = make(watch)
    pacer.note_used("weight", 95, resets_in_ns=7 * SECOND)
    assert refusal(pacer, Urgency.ORDER, {"weight": 1}).verdict.wait_ns == 7 * SECOND
    assert spend(pacer, Urgency.CLOSE, "weight", 1) == 5
    watch.at_ns += 7 * SECOND
    pacer.charge(Urgency.HOUSEKEEPING, {"weight": 40})


def test_without_a_time_the_venue_s_count_holds_for_a_window():
    watch = Watch()
    pacer = make(watch)
    pacer.note_used("orders", 10)
    assert refusal(pacer, Urgency.CLOSE, {"orders": 1}).verdict.wait_ns == SECOND


def test_a_lower_count_of_the_venue_is_the_later_one():
    pacer = make(Watch())
    pacer.note_used("weight", 100)
    pacer.note_used("weight", 3)
    assert spend(pacer, Urgency.CLOSE, "weight", 1) == 97


def test_what_is_left_tells_what_is_used():
    pacer = make(Watch())
    pacer.note_left("orders", 2, resets_in_ns=SECOND)
    assert spend(pacer, Urgency.CLOSE, "orders", 1) == 2


def test_a_venue_that_tells_a_time_gone_by_holds_up_nothing():
    pacer = make(Watch())
    pacer.note_used("orders", 10, resets_in_ns=-5)
    pacer.charge(Urgency.CLOSE, {"orders": 1})


def test_a_ban_ends_every_request_closes_too_until_it_passes():
    watch = Watch()
    pacer = make(watch)
    pacer.ban(3 * SECOND, "banned by the venue")
    watch.at_ns += SECOND
    for urgency in Urgency:
        failed = refusal(pacer, urgency, {"weight": 1})
        assert (failed.verdict.outcome, failed.verdict.wait_ns) == (Outcome.WAIT, 2 * SECOND)
        assert str(failed) == "banned by the venue"
    watch.at_ns += 2 * SECOND
    pacer.charge(Urgency.HOUSEKEEPING, {"weight": 1})


def test_a_shorter_ban_does_not_end_a_longer_one():
    pacer = make(Watch())
    pacer.ban(10 * SECOND, "long")
    pacer.ban(SECOND, "short")
    assert refusal(pacer, Urgency.CLOSE, {"weight": 1}).verdict.wait_ns == 10 * SECOND


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "7", 7),
        (429, None, 60),
        (429, "soon", 60),
        (418, " 120 ", 120),
        (418, None, 300),
        (403, None, 600),
        (200, "7", 0),
        (500, None, 0),
        (503, "9", 0),
    ],
)
def test_an_answer_s_status_bans_as_long_as_it_says(status, header, seconds):
    pacer = make(Watch())
    assert pacer.note_status(status, header) == seconds * SECOND
    if seconds:
        failed = refusal(pacer, Urgency.CLOSE, {"weight": 1})
        assert failed.verdict.wait_ns == seconds * SECOND
        assert f"HTTP {status}" in str(failed)
    else:
        pacer.charge(Urgency.CLOSE, {"weight": 1})


async def test_a_reading_waits_for_its_turn():
    watch = Watch()
    pacer = make(watch)
    pacer.charge(Urgency.CLOSE, {"orders": 10})
    await pacer.take(Urgency.HOUSEKEEPING, {"orders": 1})
    assert watch.slept == [pytest.approx(1.0)]


async def test_an_entry_waits_for_a_moment_only():
    watch = Watch()
    pacer = make(watch)
    pacer.charge(Urgency.CLOSE, {"orders": 10})
    await pacer.take(Urgency.ORDER, {"orders": 1})
    assert sum(watch.slept) == pytest.approx(1.0)
    pacer.charge(Urgency.CLOSE, {"weight": 100})
    with pytest.raises(RequestFailed):
        await pacer.take(Urgency.ORDER, {"weight": 1})


async def test_of_many_closes_each_leaves_as_soon_as_there_is_room():
    watch = Watch()
    pacer = make(watch)
    for _ in range(30):
        await pacer.take(Urgency.CLOSE, {"orders": 1})
    assert sum(watch.slept) == pytest.approx(2.0)


async def test_a_close_does_not_wait_here_for_the_end_of_a_ban():
    watch = Watch()
    pacer = make(watch)
    pacer.ban(2 * SECOND, "banned")
    with pytest.raises(RequestFailed) as caught:
        await pacer.take(Urgency.CLOSE, {"orders": 1})
    assert caught.value.verdict.outcome is Outcome.WAIT
    assert watch.slept == []


async def test_a_look_up_whose_turn_comes_too_late_is_refused():
    watch = Watch()
    pacer = make(watch)
    pacer.charge(Urgency.CLOSE, {"weight": 100})
    with pytest.raises(RequestFailed):
        await pacer.take(Urgency.LOOK_UP, {"weight": 1})
    assert watch.slept == []


@pytest.mark.parametrize(
    ("purpose", "urgency"),
    [
        (Purpose.ENTRY, Urgency.ORDER),
        (Purpose.ADD, Urgency.ORDER),
        (Purpose.EXIT, Urgency.CLOSE),
        (Purpose.BACKSTOP, Urgency.CLOSE),
    ],
)
def test_what_ends_or_guards_a_position_is_a_close(purpose, urgency):
    assert urgency_of(order(purpose=purpose)) is urgency
