"""Stop orders at the venue: small lifetimes that have them, and what their judge finds wrong."""

from functools import cache
from typing import Any

from msgspec.structs import replace

from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, ExitReason
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, Market
from engine.model.position import Position, PositionStatus
from engine.simulation.checks.judge import judge
from engine.simulation.history import Request, Rest
from engine.simulation.plan import ActKind, BackstopPlan, Crash, Fault, OwnerAct
from engine.simulation.sabotage.defect import Sabotage, spoiled
from engine.simulation.sabotage.registry import SABOTAGES
from tests.engine.simulation.checks.cases import D, closed, fill, order
from tests.engine.simulation.rig import PERP, SPOT, Lived, assert_clean, calm, moved, plan, signal

FALL_MS = 7000


def protected(instrument: Instrument = PERP, price: float | None = None, **changes: Any) -> Lived:
    """An entry at 1,000 with its stop at 950 and a stop order at the venue 1 % below that."""
    path = calm(instrument)
    if price is not None:
        path = moved(path, FALL_MS, price)
    fields = {"paths": (path,), "signals": (signal(instrument=instrument),)} | changes
    return Lived(plan(**{"backstop": BackstopPlan(tuple(Market), D(1))} | fields))


@cache
def rested() -> Lived:
    return protected()


def names(lived: Lived, rest: Rest | None = None) -> set[str]:
    """The checks that find something, with another world at rest."""
    kept = lived.history.rest
    lived.history.rest = rest or kept
    try:
        found = judge(lived.world.plan, lived.history, lived.ends, lived.facts)
    finally:
        lived.history.rest = kept
    return {violation.name for violation in found.violations}


def rest_of(lived: Lived) -> Rest:
    assert lived.history.rest is not None
    return lived.history.rest


def only_position(lived: Lived) -> Position:
    (position,) = lived.facts.positions
    return position


def test_a_position_at_rest_has_one_stop_order_of_its_quantity_beyond_its_stop() -> None:
    lived = rested()
    assert_clean(lived)
    (kept,) = rest_of(lived).resting
    position = next(p for p in rest_of(lived).positions if p.status is PositionStatus.OPEN)
    assert kept.order.qty == position.qty_open
    assert kept.order.trigger_price is not None
    assert 0 <= position.stop_loss * D("0.99") - kept.order.trigger_price < PERP.tick_size  # type: ignore[operator]
    checks = judge(lived.world.plan, lived.history, lived.ends, lived.facts).checks
    assert checks["backstop_rests"] == checks["backstop_beyond_stop"] == 1


def test_a_position_without_one_is_found_unless_it_says_why() -> None:
    lived = rested()
    bare = rest_of(lived)._replace(resting=())
    assert names(lived, bare) == {"backstop_rests"}
    said = [replace(p, backstop_problem="refused: too near") for p in bare.positions]
    assert names(lived, bare._replace(positions=said)) == set()


def test_two_of_one_position_are_found() -> None:
    lived = rested()
    rest = rest_of(lived)
    said = [replace(p, backstop_problem="refused: too near") for p in rest.positions]
    twice = Rest(rest.at_ns, said, [*rest.resting, *rest.resting])
    assert names(lived, twice) == {"backstop_rests"}


def test_one_of_another_quantity_or_at_another_price_is_found() -> None:
    lived = rested()
    (kept,) = rest_of(lived).resting
    for changes, name in (
        ({"qty": kept.order.qty / 2}, "backstop_rests"),
        ({"trigger_price": D(960)}, "backstop_beyond_stop"),
        ({"trigger_price": D(900)}, "backstop_beyond_stop"),
    ):
        wrong = replace(kept, order=replace(kept.order, **changes))
        assert names(lived, rest_of(lived)._replace(resting=[wrong])) == {name}


def test_where_none_is_wanted_none_is_missed() -> None:
    lived = Lived(plan())
    assert rest_of(lived).resting == []
    assert_clean(lived)


# While nobody is there


def test_while_the_host_is_dead_the_venue_closes_the_position() -> None:
    crash = Crash(life=0, call=10_000, after=False, by_ms=5000, down_ms=9000)
    lived = protected(price=900.0, crashes=(crash,))
    assert_clean(lived)
    position = only_position(lived)
    assert position.exit_reason is ExitReason.BACKSTOP
    assert position.exit_time_ns is not None
    assert [r.order.purpose for r in lived.history.requests] == [Purpose.ENTRY, Purpose.BACKSTOP]


def test_one_that_closed_without_a_price_is_found() -> None:
    crash = Crash(life=0, call=10_000, after=False, by_ms=5000, down_ms=9000)
    lived = protected(price=900.0, crashes=(crash,))
    lived.history.prints = {PERP.id: lived.history.prints[PERP.id][:1]}
    assert names(lived) == {"backstop_had_price"}


def test_a_position_closed_by_one_that_closed_nothing_is_found() -> None:
    lived = protected(price=945.0)
    assert only_position(lived).exit_reason is ExitReason.STOP_LOSS
    closed_by_it = [replace(p, exit_reason=ExitReason.BACKSTOP) for p in lived.facts.positions]
    lived.facts = lived.facts._replace(positions=closed_by_it)
    assert "backstop_had_price" in names(lived)


# Closes


def test_on_spot_a_close_is_sent_after_its_end_and_that_is_in_time() -> None:
    lived = protected(SPOT, price=945.0)
    assert_clean(lived)
    purposes = [r.order.purpose for r in lived.history.requests]
    assert purposes == [Purpose.ENTRY, Purpose.BACKSTOP, Purpose.EXIT]


def test_on_spot_a_close_waits_for_as_long_as_the_venue_is_cut_off() -> None:
    assert_clean(protected(SPOT, faults=(Fault("outage", 6500, 5000, 99),), price=945.0))


def test_on_spot_a_close_that_nobody_prepares_is_found() -> None:
    idle = Sabotage("idle", "", (), "engine.core.closing:close", lambda _: lambda *_: True)
    with spoiled(idle):
        lived = protected(SPOT, price=945.0)
    assert "crossing_closes" in names(lived)


def test_on_spot_a_close_before_its_end_is_found() -> None:
    with spoiled(SABOTAGES["close_on_spot_without_cancelling"]):
        lived = protected(SPOT, price=945.0)
    assert "close_after_backstop" in names(lived)


def test_a_next_one_before_the_end_of_the_one_before_is_found() -> None:
    changes = ExitChanges(stop_loss=AtPrice(D(980)))
    amend = OwnerAct(8000, ActKind.AMEND, changes=changes)
    lived = protected(acts=(amend,))
    assert_clean(lived)
    sent = [r for r in lived.history.requests if r.order.purpose is Purpose.BACKSTOP]
    assert [r.order.generation for r in sent] == [0, 1]
    early = Request(sent[0].at_ns + 1, 0, sent[1].order)
    lived.history.requests.insert(lived.history.requests.index(sent[1]), early)
    assert "backstop_is_one" in names(lived)


def test_what_a_close_and_a_stop_order_sell_beyond_a_position_is_no_oversell_of_it() -> None:
    lifetime = closed()
    stop = replace(order(Purpose.EXIT), client_order_id=order(Purpose.BACKSTOP).client_order_id)
    lifetime.fills.append(fill(stop, 1200, "93"))
    found = lifetime.names()
    assert "no_oversell" not in found
    assert "sums_equal" not in found
    assert "holdings_equal" in found  # nobody's holdings were taken


def test_of_that_no_more_is_booked_than_was_executed() -> None:
    lifetime = closed()
    stop = replace(order(Purpose.EXIT), client_order_id=order(Purpose.BACKSTOP).client_order_id)
    sold = fill(stop, 1200, "93")
    lifetime.fills.append(sold)
    lifetime.booked.append((replace(sold, qty=D(2)), sold.client_order_id[:26]))  # type: ignore[index]
    assert "fills_equal" in lifetime.names()
