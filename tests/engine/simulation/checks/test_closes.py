import pytest
from msgspec.structs import replace

from engine.model.events import (
    CloseRequested,
    ExitsAmended,
    FeedLost,
    LeaseChanged,
    OrderDeferred,
    OrderUpdated,
    PricesChecked,
)
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent
from engine.model.ids import Purpose, client_order_id
from engine.model.order import OrderStatus
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Rung
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.simulation.history import Struck
from engine.simulation.plan import EPOCH_NS, Fault
from tests.engine.simulation.checks.cases import (
    BTC,
    CROSSED_AT,
    EXITS,
    MS,
    PLAN,
    POSITION,
    D,
    begun,
    closed,
    leave,
    order,
    position,
)


def test_a_stop_that_was_reached_and_closed_nothing_is_found():
    lifetime = begun()
    lifetime.tick(CROSSED_AT, 94.0)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == {"crossing_closes"}


@pytest.mark.parametrize(("close_at", "found"), [(1900, set()), (2001, {"crossing_closes"})])
def test_a_close_has_a_second(close_at: int, found: set[str]):
    assert closed(close_at=close_at).names() == found


def test_a_process_that_ended_in_time_need_not_have_closed():
    lifetime = begun()
    lifetime.tick(CROSSED_AT, 94.0)
    lifetime.positions.append(position(lifetime))
    lifetime.history.lives[0].ended_ns = 1500 * MS
    assert lifetime.names() == set()


def test_a_price_that_the_market_never_made_asks_for_nothing():
    lifetime = begun()
    lifetime.tick(CROSSED_AT, 94.0, is_true=False)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == set()


def test_a_close_by_a_bad_print_that_others_contradicted_is_found():
    lifetime = begun()
    lifetime.tick(CROSSED_AT, 40.0, is_true=False)
    lifetime.tick(1100, 100.0)
    leave(lifetime, 1150, trigger_price=D(40))
    assert lifetime.names() == {"close_has_cause"}


def test_a_bad_print_that_nothing_contradicts_is_a_cause():
    lifetime = begun()
    lifetime.tick(CROSSED_AT, 40.0, is_true=False)
    leave(lifetime, 3100, trigger_price=D(40))
    assert "close_has_cause" not in lifetime.names()


@pytest.mark.parametrize(
    "changes",
    [
        {"trigger_price": D("95.1")},
        {"trigger_price": D(93)},
        {"reason": ExitReason.TAKE_PROFIT},
        {"reason": ExitReason.TRAILING},
        {"reason": ExitReason.BREAK_EVEN},
        {"reason": ExitReason.TIME, "trigger_price": None},
        {"reason": ExitReason.MANUAL, "trigger_price": None},
        {"reason": ExitReason.SIGNAL, "trigger_price": None},
        {"reason": ExitReason.BACKSTOP, "trigger_price": None},
    ],
)
def test_a_close_without_its_cause_is_found(changes: dict[str, object]):
    assert "close_has_cause" in closed(**changes).names()


def test_a_close_that_the_owner_asked_for_has_its_cause():
    lifetime = begun()
    lifetime.tell(900, CloseRequested(POSITION, "owner", EPOCH_NS))
    leave(lifetime, 901, reason=ExitReason.MANUAL, trigger_price=None, actor="owner")
    assert lifetime.names() == set()


def test_a_price_before_the_limit_was_there_is_no_cause():
    lifetime = begun()
    lifetime.history.told.insert(1, lifetime.history.told[-1])
    first = lifetime.history.told[1]
    event = replace(first.event, price=94.0)
    lifetime.history.told[1] = first._replace(at_ns=5 * MS, event=event)
    lifetime.tick(900, 100.0)
    leave(lifetime, 1000)
    # it was told before anything was filled
    assert lifetime.names() == {"close_has_cause"}


@pytest.mark.parametrize(("second", "found"), [("0.6", False), ("0.5", True)])
def test_parts_in_flight_that_ask_for_all_close_it(second: str, found: bool):
    lifetime = begun()
    lifetime.tell(900, CloseRequested(POSITION, "owner", EPOCH_NS, D("0.4")))
    for generation, qty in enumerate(("0.4", second)):
        part = order(Purpose.EXIT, generation, qty=D(qty), reason=ExitReason.MANUAL, actor="owner")
        lifetime.send(910 + generation, part)
    key = client_order_id(POSITION, Purpose.EXIT, 1)
    lifetime.tell(950, OrderUpdated(key, OrderStatus.REJECTED, EPOCH_NS))
    lifetime.tick(CROSSED_AT, 94.0)
    lifetime.positions.append(position(lifetime))
    assert ("crossing_closes" in lifetime.names()) is found


@pytest.mark.parametrize(("stalled_at", "found"), [(6300, set()), (6600, {"crossing_closes"})])
def test_a_process_may_stand_still_as_soon_as_a_pause_is_over(stalled_at: int, found: set[str]):
    lifetime = begun()
    key = client_order_id(POSITION, Purpose.ENTRY, 0)
    lifetime.tell(900, OrderDeferred(key, EPOCH_NS + 900 * MS, 4_000 * MS))
    stall = Fault("stall", stalled_at, 5000)
    lifetime.history.struck.append(Struck(stalled_at * MS, stall))
    lifetime.history.lives[0].ended_ns = 7000 * MS
    lifetime.tick(CROSSED_AT, 94.0)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == found


def test_a_price_by_rest_closes_while_the_stream_is_lost():
    for is_lost, found in ((True, {"crossing_closes"}), (False, set())):
        lifetime = begun()
        if is_lost:
            lifetime.tell(900, FeedLost((BTC.id,), "silent", EPOCH_NS))
        lifetime.tell(1000, PricesChecked(BTC.id, EPOCH_NS, 0, last=94.0))
        lifetime.positions.append(position(lifetime))
        assert lifetime.names() == found


@pytest.mark.parametrize(
    ("began", "ended", "found"),
    [
        (300, 600, {"crossing_closes"}),
        (300, 900, set()),
        (1900, 2500, set()),
        (2800, 3000, {"crossing_closes"}),
    ],
)
def test_past_its_lease_a_process_closes_later(began: int, ended: int, found: set[str]):
    lifetime = begun()
    lifetime.tell(began, LeaseChanged(False, EPOCH_NS))
    lifetime.tell(ended, LeaseChanged(True, EPOCH_NS))
    lifetime.tick(1700, 94.0)
    lifetime.positions.append(position(lifetime))
    lifetime.history.told.sort(key=lambda told: told.at_ns)
    assert lifetime.names() == found


@pytest.mark.parametrize(("amended_at", "found"), [(1050, set()), (1150, {"crossing_closes"})])
def test_a_price_is_compared_with_the_rules_of_when_it_is_believed(
    amended_at: int, found: set[str]
):
    lifetime = begun()
    changes = ExitChanges(stop_loss=Disarmed())
    lifetime.tick(1000, 60.0)
    lifetime.tell(amended_at, ExitsAmended(POSITION, changes, "owner", EPOCH_NS))
    lifetime.tick(1100, 60.0)
    lifetime.positions.append(position(lifetime))
    lifetime.history.told.sort(key=lambda told: told.at_ns)
    assert lifetime.names() == found


# Rules


@pytest.mark.parametrize(("is_lost", "found"), [(True, set()), (False, {"close_has_cause"})])
def test_prices_by_rest_confirm_a_stop_while_the_stream_is_lost(is_lost: bool, found: set[str]):
    lifetime = begun(plan_with(confirmation=Confirmation(ticks=2)))
    lifetime.tick(CROSSED_AT, 94.0)
    if is_lost:
        lifetime.tell(1100, FeedLost((BTC.id,), "silent", EPOCH_NS))
    lifetime.tell(1200, PricesChecked(BTC.id, EPOCH_NS, 0, last=94.0))
    leave(lifetime, 1201)
    assert lifetime.names() == found


def test_a_close_that_is_sent_later_may_name_no_price_where_one_by_rest_reached_its_rule():
    for is_lost, found in ((True, set()), (False, {"close_has_cause"})):
        lifetime = begun()
        if is_lost:
            lifetime.tell(900, FeedLost((BTC.id,), "silent", EPOCH_NS))
        lifetime.tell(1000, PricesChecked(BTC.id, EPOCH_NS, 0, last=94.0))
        leave(lifetime, 1100, trigger_price=None)
        assert lifetime.names() == found


@pytest.mark.parametrize(("fraction", "found"), [("0.5", {"rung_closes"}), ("0.0005", set())])
def test_a_rung_closes_unless_it_is_too_small(fraction: str, found: set[str]):
    lifetime = begun(plan_with(ladder=(Rung(Percent(D(2)), D(fraction)),)))
    lifetime.tick(CROSSED_AT, 102.0)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == found


def plan_with(**changes: object):
    return replace(PLAN, exits=replace(EXITS, **changes))


def test_a_trailing_stop_follows_the_best_price():
    plan = plan_with(trailing=Trailing(Percent(D(2))))
    lifetime = begun(plan)
    lifetime.tick(500, 110.0)
    lifetime.tick(1000, 107.8)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == {"crossing_closes"}
    lifetime = begun(plan)
    lifetime.tick(500, 110.0)
    lifetime.tick(1000, 107.9)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == set()


def test_a_trailing_close_above_its_stop_is_found():
    plan = plan_with(trailing=Trailing(Percent(D(2))))
    for price, found in (("107.8", set()), ("107.9", {"close_has_cause"})):
        lifetime = begun(plan)
        lifetime.tick(500, 110.0)
        lifetime.tick(1000, float(price))
        leave(lifetime, 1001, reason=ExitReason.TRAILING, trigger_price=D(price))
        assert lifetime.names() == found


def test_a_target_closes_at_its_first_touch():
    plan = plan_with(take_profit=AtPrice(D(105)))
    for price, found in ((105.0, {"crossing_closes"}), (104.9, set())):
        lifetime = begun(plan)
        lifetime.tick(1000, price)
        lifetime.positions.append(position(lifetime))
        assert lifetime.names() == found


def test_a_stop_that_is_to_be_confirmed_waits_for_it():
    plan = plan_with(confirmation=Confirmation(ms=1000))
    assert closed(plan).names() == {"close_has_cause"}
    lifetime = begun(plan)
    lifetime.tick(1000, 94.0)
    lifetime.tick(1500, 94.0)
    leave(lifetime, 2100)
    assert lifetime.names() == set()


def test_a_deadline_that_closed_nothing_is_found():
    plan = plan_with(time=TimeStop(max_hold_ns=1000 * MS))
    lifetime = begun(plan)
    lifetime.tick(3000, 100.0)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == {"deadline_closes"}


def test_a_close_at_its_deadline_has_its_cause():
    plan = plan_with(time=TimeStop(max_hold_ns=1000 * MS))
    over_ns = EPOCH_NS + 1150 * MS
    lifetime = begun(plan)
    leave(lifetime, 1150, reason=ExitReason.TIME, trigger_price=None, created_at_ns=over_ns)
    assert lifetime.names() == set()


def test_a_signal_that_is_not_durable_in_time_is_found():
    lifetime = begun()
    lifetime.positions.append(position(lifetime))
    commit = lifetime.history.commits[0]
    lifetime.history.commits[0] = commit._replace(at_ns=1100 * MS)
    assert {"entry_durable", "answered_is_durable", "intent_first"} == lifetime.names()


def test_a_stop_that_an_amendment_took_back_from_break_even_does_not_move_again():
    plan = plan_with(break_even=BreakEven(Percent(D(2))))
    for amended, found in ((False, {"crossing_closes"}), (True, set())):
        lifetime = begun(plan)
        lifetime.tick(500, 102.0)
        if amended:
            changes = ExitChanges(stop_loss=AtPrice(D(90)))
            lifetime.tell(600, ExitsAmended(POSITION, changes, "owner", EPOCH_NS))
        lifetime.tick(700, 102.0)
        lifetime.tick(1000, 100.0)
        lifetime.positions.append(position(lifetime))
        assert lifetime.names() == found
