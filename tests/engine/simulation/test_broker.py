"""The way to a venue: what each fault of it does to a request, and that it counts when it does."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.events import (
    AccountReported,
    BalancesReported,
    InstrumentRefreshed,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
)
from engine.model.instrument import Market
from engine.model.order import OrderStatus, Refusal
from engine.model.position import PositionStatus
from engine.simulation.broker import DEFERRALS, REFUSALS
from engine.simulation.plan import BackstopPlan, Fault
from engine.simulation.world import World
from tests.engine.simulation.rig import (
    ENTRY_MS,
    MS,
    PERP,
    SECOND,
    Lived,
    calm,
    killed_at,
    moved,
    plan,
)

CLOSE_MS = 6000

ON_THE_WAY_S = 0.06
"""No message takes longer, unless a fault says so."""

ACKNOWLEDGED, FILLED = OrderStatus.ACKNOWLEDGED, OrderStatus.FILLED
REJECTED, UNKNOWN = OrderStatus.REJECTED, OrderStatus.UNKNOWN

TO_REQUESTS = (
    "drop_req", "late_req", "drop_rsp", "5xx_after", "late_vis", "late_rej", "limit", "overload",
    "skew", "ban", "outage", "drop_evt", "dup_evt", "late_evt", "err_pos", "err_look", "partial",
    *REFUSALS,
)  # fmt: skip


def at_entry(kind: str, for_ms: int = 500, times: int = 1, amount: float = 0.0) -> Fault:
    """A fault that begins when the signal arrives."""
    return Fault(kind, ENTRY_MS, for_ms, times, amount=amount)


def between(times: list[int], from_ms: int, to_ms: int) -> list[int]:
    return [at_ns for at_ns in times if from_ms * MS <= at_ns < to_ms * MS]


def times_of(told: list[tuple[int, object]]) -> list[int]:
    return [at_ns for at_ns, _ in told]


def test_a_request_arrives_once_and_is_acknowledged_then_filled() -> None:
    lived = Lived(plan())
    ((arrived_s, taken),) = lived.arrivals
    (acknowledged_s, _), (filled_s, _) = lived.outcomes
    assert taken
    assert 0 < arrived_s <= ON_THE_WAY_S
    assert arrived_s < acknowledged_s <= arrived_s + ON_THE_WAY_S < filled_s
    assert [status for _, status in lived.outcomes] == [ACKNOWLEDGED, FILLED]
    assert lived.history.struck == []


def test_an_adapter_that_comes_up_tells_the_balances() -> None:
    lived = Lived(plan(signals=()))
    ((at_ns, event),) = lived.told(BalancesReported)
    assert at_ns < SECOND
    assert {each.asset: each.total for each in event.balances} == {"BNB": 100, "USDT": 10_000}


@pytest.mark.parametrize("kind", TO_REQUESTS)
def test_a_fault_whose_window_meets_nothing_does_not_strike(kind: str) -> None:
    quiet = Lived(plan())
    lived = Lived(plan(Fault(kind, 1000, 500, 9, amount=100.0)))
    assert lived.history.struck == []
    assert lived.history.told == quiet.history.told


@pytest.mark.parametrize("kind", ["drop_req", "outage"])
def test_a_request_that_is_lost_never_arrives_and_is_unknown_after_two_seconds(kind: str) -> None:
    lived = Lived(plan(at_entry(kind)))
    assert lived.outcomes[0] == (2.0, UNKNOWN)
    assert lived.strikes(kind) == [lived.entry.at_ns]
    # What arrives is the same request, sent again once it was proved absent.
    again = lived.history.requests[1]
    assert again.order.client_order_id == lived.entry.order.client_order_id
    assert again.at_ns > lived.entry.at_ns + 5 * SECOND
    ((arrived_s, taken),) = lived.arrivals
    assert taken
    assert arrived_s > (again.at_ns - lived.entry.at_ns) / SECOND


def test_a_late_request_is_given_up_and_arrives_all_the_same() -> None:
    lived = Lived(plan(at_entry("late_req", amount=3000)))
    assert lived.outcomes[0] == (2.0, UNKNOWN)
    ((arrived_s, taken),) = lived.arrivals
    assert taken
    assert 3.0 < arrived_s <= 3.0 + ON_THE_WAY_S
    assert ACKNOWLEDGED not in {status for _, status in lived.outcomes}
    assert lived.strikes("late_req") == [lived.entry.at_ns]


def test_an_answer_that_is_lost_leaves_a_taken_order_unknown_after_two_seconds() -> None:
    lived = Lived(plan(at_entry("drop_rsp")))
    ((arrived_s, taken),) = lived.arrivals
    assert taken
    assert arrived_s <= ON_THE_WAY_S
    assert (2.0 + arrived_s, UNKNOWN) in lived.outcomes
    assert ACKNOWLEDGED not in {status for _, status in lived.outcomes}
    assert len(lived.strikes("drop_rsp")) == 1


def test_an_error_after_it_was_taken_is_told_at_once_as_unknown() -> None:
    lived = Lived(plan(at_entry("5xx_after")))
    ((arrived_s, taken),) = lived.arrivals
    told_s, status = lived.outcomes[0]
    assert taken
    assert status is UNKNOWN
    assert arrived_s < told_s <= arrived_s + ON_THE_WAY_S
    assert "503" in str(lived.told(OrderUpdated)[0][1].message)
    assert len(lived.strikes("5xx_after")) == 1


@pytest.mark.parametrize("kind", ["drop_rsp", "5xx_after"])
def test_what_happens_after_an_order_was_taken_does_not_strike_one_that_was_not(kind: str) -> None:
    lived = Lived(plan(at_entry("rej_other"), at_entry(kind)))
    assert lived.strikes("rej_other")
    assert lived.strikes(kind) == []
    assert [status for _, status in lived.outcomes] == [REJECTED]


@pytest.mark.parametrize(("kind", "refusal"), REFUSALS.items())
def test_a_refusal_is_told_with_its_class_and_nothing_is_taken(kind: str, refusal: Refusal) -> None:
    lived = Lived(plan(at_entry(kind)))
    ((arrived_s, taken),) = lived.arrivals
    update = lived.told(OrderUpdated)[0][1]
    assert not taken
    assert (update.status, update.refusal) == (REJECTED, refusal)
    assert lived.outcomes[0][0] <= arrived_s + ON_THE_WAY_S
    assert lived.strikes(kind) == [lived.history.arrivals[0].at_ns]
    assert lived.entry.order not in [each.order for each in lived.ends["bybit"].orders]


@pytest.mark.parametrize("kind", DEFERRALS)
def test_a_request_that_was_not_taken_names_when_to_come_back(kind: str) -> None:
    lived = Lived(plan(at_entry(kind, amount=1500)))
    ((told_ns, deferred),) = lived.told(OrderDeferred)
    assert (deferred.retry_after_ns, deferred.message) == (1500 * MS, DEFERRALS[kind])
    assert told_ns - lived.entry.at_ns <= ON_THE_WAY_S * SECOND
    assert lived.strikes(kind) == [lived.entry.at_ns]
    assert lived.arrivals[0][0] >= 1.5


def test_a_ban_takes_no_request_and_answers_nothing_until_its_end() -> None:
    lived = Lived(plan(at_entry("ban", for_ms=6000, times=99)))
    end_ms = ENTRY_MS + 6000
    deferred = lived.told(OrderDeferred)[0][1]
    assert deferred.retry_after_ns == end_ms * MS - lived.entry.at_ns
    assert deferred.message == "banned"
    assert lived.history.arrivals[0].at_ns >= end_ms * MS
    late_ms = ENTRY_MS + 200
    assert not between(times_of(lived.told(AccountReported)), late_ms, end_ms)
    assert len(lived.strikes("ban")) > 1


def test_an_outage_answers_no_reading() -> None:
    lived = Lived(plan(at_entry("outage", for_ms=6000, times=99)))
    told = times_of(lived.told(AccountReported, OrderLookedUp, InstrumentRefreshed))
    assert not between(told, ENTRY_MS + 200, ENTRY_MS + 6000)
    assert between(told, ENTRY_MS + 6000, 20_000)


def test_look_ups_miss_an_order_until_it_is_visible() -> None:
    unheard = (at_entry("drop_rsp"), at_entry("drop_evt", 5000, 50))
    lived = Lived(plan(*unheard, at_entry("late_vis", 9000, 50, amount=3500)))
    taken_ns = lived.history.arrivals[0].at_ns
    found = [(at_ns - taken_ns, answer.found) for at_ns, answer in lived.told(OrderLookedUp)]
    assert {was_found for age_ns, was_found in found if age_ns < 3500 * MS} == {False}
    assert found[-1][1]
    assert len(lived.strikes("late_vis")) == sum(not was_found for _, was_found in found)


def test_late_visibility_does_not_strike_look_ups_of_what_never_came() -> None:
    lived = Lived(plan(at_entry("drop_req"), at_entry("late_vis", 9000, 50, amount=9000)))
    assert lived.strikes("late_vis") == []
    answers = [answer for _, answer in lived.told(OrderLookedUp)]
    assert answers
    assert not any(answer.found or answer.certain for answer in answers)


def test_an_order_may_be_refused_after_it_was_acknowledged() -> None:
    lived = Lived(plan(at_entry("late_rej", 2000)))
    assert [status for _, status in lived.outcomes] == [ACKNOWLEDGED, REJECTED]
    assert lived.told(OrderUpdated)[1][1].refusal is Refusal.OTHER
    assert lived.ends["bybit"].fills == []
    assert len(lived.strikes("late_rej")) == 1


def test_events_of_the_account_stream_are_lost() -> None:
    healthy, lived = Lived(plan()), Lived(plan(at_entry("drop_evt", 1000, 50)))
    filled = healthy.told(OrderFilled)[0][0]
    struck = lived.strikes("drop_evt")
    assert len(struck) == 4  # two fills, the balances, the order's end
    assert max(struck) < filled
    # The first to tell of the fills is an answer to a question.
    assert lived.told(OrderFilled)[0][0] > filled + 300 * MS
    assert FILLED not in {status for _, status in lived.outcomes}


def test_an_event_is_told_twice() -> None:
    lived = Lived(plan(at_entry("dup_evt", 1000)))
    first, *others = lived.told(OrderFilled)
    assert (first[0] + 700 * MS, first[1]) in others
    assert len(lived.strikes("dup_evt")) == 1


def test_a_late_event_is_overtaken() -> None:
    lived = Lived(plan(at_entry("late_evt", 1000, amount=400)))
    healthy = Lived(plan())
    (first_ns, first), (second_ns, second), *_ = healthy.told(OrderFilled)
    (second_too_ns, overtaking), (late_ns, late), *_ = lived.told(OrderFilled)
    assert (overtaking, late) == (second, first)
    assert second_too_ns == second_ns
    assert late_ns == first_ns + 400 * MS
    assert len(lived.strikes("late_evt")) == 1


def test_the_account_stream_keeps_the_order_of_the_venue() -> None:
    lived = Lived(plan())
    fills = [each.fill.venue_trade_id for _, each in lived.told(OrderFilled)]
    assert list(dict.fromkeys(fills)) == [f.venue_trade_id for f in lived.ends["bybit"].fills]
    streamed = times_of(lived.told(OrderFilled))[:2]
    assert streamed[0] < streamed[1]


def test_an_account_that_cannot_be_read_is_not_flat() -> None:
    lived = Lived(plan(at_entry("err_pos", 6000, 99)))
    told = times_of(lived.told(AccountReported))
    assert not between(told, ENTRY_MS, ENTRY_MS + 6000)
    assert between(told, ENTRY_MS + 6000, 20_000)
    assert between(lived.strikes("err_pos"), ENTRY_MS, ENTRY_MS + 6000)
    assert lived.history.calls["0.read_account"] > len(told)


def test_a_look_up_that_fails_is_no_answer() -> None:
    lived = Lived(plan(at_entry("drop_req"), at_entry("err_look", 4000, 99)))
    told = times_of(lived.told(OrderLookedUp))
    assert not between(told, ENTRY_MS, ENTRY_MS + 4000)
    assert told
    assert len(lived.strikes("err_look")) == lived.history.calls["0.look_up"] - len(told)


def test_readings_tell_each_execution_once_and_then_what_is_held() -> None:
    lived = Lived(plan())
    told = [event for _, event in lived.told(OrderFilled, AccountReported)]
    first = lived.ends["bybit"].fills[0].venue_trade_id
    mine = [isinstance(e, OrderFilled) and e.fill.venue_trade_id == first for e in told]
    assert sum(mine) == 2  # by the stream, and by the first reading after it
    reported = told[mine.index(True, mine.index(True) + 1) :]
    after = next(event for event in reported if isinstance(event, AccountReported))
    assert [(each.instrument, each.qty) for each in after.positions] == [
        (PERP.id, lived.entry.order.qty)
    ]


def closing(*faults: Fault) -> Lived:
    """A life in which the price falls through the stop, and the first close is refused."""
    falls = moved(calm(), CLOSE_MS, 940.0)
    return Lived(plan(Fault("rej_filters", CLOSE_MS, 150), *faults, paths=(falls,)))


def test_the_filters_are_read_as_the_venue_has_them_now() -> None:
    lived = closing()
    assert [event.instrument for _, event in lived.told(InstrumentRefreshed)] == [PERP]
    delisted = closing(Fault("delist", CLOSE_MS + 104, 2000))
    (_, refreshed) = delisted.told(InstrumentRefreshed)[0]
    assert refreshed.instrument == replace(PERP, trading=False)


def test_filters_are_not_told_while_the_venue_is_out() -> None:
    lived = closing(Fault("outage", CLOSE_MS + 104, 900, 99))
    assert lived.history.calls["0.refresh"] == 1
    assert len(lived.strikes("outage")) >= 1
    assert lived.told(InstrumentRefreshed) == []


def test_the_venues_positions_can_be_seen() -> None:
    seen = []

    def look(world: World) -> None:
        assert world.process is not None
        seen.extend(world.process.brokers["bybit"].positions())

    Lived(plan(), {10_000: look})
    assert [(each.instrument, each.qty) for each in seen] == [(PERP.id, Decimal("0.1"))]


def test_a_request_that_has_left_goes_on_when_its_process_has_died() -> None:
    lived = killed_at("after submit")
    assert lived.arrivals[0][1]
    assert lived.history.arrivals[0].at_ns > (lived.history.lives[0].ended_ns or 0)
    assert lived.facts.positions[0].status is PositionStatus.CLOSED


def stopped_out(*faults: Fault, price: float = 945.0) -> Lived:
    """A position with a stop order at the venue, closed by the guard at 7 s."""
    path = moved(calm(), 7000, price)
    return Lived(plan(*faults, paths=(path,), backstop=BackstopPlan((Market.LINEAR,), Decimal(1))))


def backstop_ends(lived: Lived) -> list[tuple[float, OrderStatus]]:
    """Seconds and statuses that were told of the stop order after its acknowledgement."""
    return [
        (at_ns / SECOND, event.status)
        for at_ns, event in lived.told(OrderUpdated)
        if event.client_order_id[26] == "b" and event.status is not ACKNOWLEDGED
    ]


def test_a_cancellation_is_answered_and_told_by_the_stream() -> None:
    lived = stopped_out()
    assert [status for _, status in backstop_ends(lived)] == [OrderStatus.CANCELLED] * 2
    assert lived.history.calls["0.cancel"] == 1


@pytest.mark.parametrize("kind", ["drop_req", "outage", "ban"])
def test_a_cancellation_that_is_lost_is_asked_for_again(kind: str) -> None:
    lived = stopped_out(Fault(kind, 7090, 600, 99))
    assert lived.history.calls["0.cancel"] > 1
    assert backstop_ends(lived)[0][1] is OrderStatus.CANCELLED


def test_a_late_cancellation_is_overtaken_by_the_next_one() -> None:
    lived = stopped_out(Fault("late_req", 7090, 500, 2, amount=2000))
    assert backstop_ends(lived)[0][0] > 8.0
    assert lived.history.calls["0.cancel"] == 2


def test_a_cancellation_whose_answer_is_lost_is_told_by_the_stream() -> None:
    lived = stopped_out(Fault("drop_rsp", 7090, 500, 9))
    assert [s for _, s in backstop_ends(lived)].count(OrderStatus.CANCELLED) == 1
