"""Failing plans made smaller."""

from decimal import Decimal

from msgspec.structs import replace

from engine.model.exit_set import Exits
from engine.model.exits import Percent
from engine.model.signal import Action, Size, SizeKind
from engine.model.ticks import PriceSource
from engine.simulation.plan import (
    ActKind,
    Crash,
    Fault,
    OwnerAct,
    Plan,
    PlannedSignal,
    PricePath,
    Print,
)
from engine.simulation.shrink import shrink, told_plan, weight
from tests.engine.core.rig import BTC_PERP

PLAN = Plan(
    seed=7,
    heal_ms=60_000,
    exits=Exits(Percent(Decimal(10)), Percent(Decimal(5))),
    trigger=PriceSource.LAST,
    gap_strict=False,
    add_on_same=False,
    paths=(PricePath(BTC_PERP, (Print(0, 100.0, 99.9, 100.1, 100.01),), ("calm",)),),
    signals=tuple(
        PlannedSignal(number, BTC_PERP, Action.BUY, (number * 1000, number * 1000 + 50))
        for number in range(9)
    ),
    acts=tuple(OwnerAct(number * 500, ActKind.CLOSE, number) for number in range(5)),
    faults=tuple(Fault(kind, 1000, 1024, 3) for kind in "abcdefg"),
    crashes=(Crash(0, 5, True, 9000, 100), Crash(1, 9, False, 20_000, 200)),
)


def needs(plan: Plan) -> bool:
    """Fails with fault ``c`` for at least 100 ms, signals 4 and 8, and a crash of life 1."""
    faults = [fault for fault in plan.faults if fault.kind == "c" and fault.for_ms >= 100]
    signals = {signal.number for signal in plan.signals}
    return bool(faults) and {4, 8} <= signals and any(crash.life == 1 for crash in plan.crashes)


def test_only_what_the_failure_needs_is_left() -> None:
    small = shrink(PLAN, needs)
    assert [fault.kind for fault in small.faults] == ["c"]
    assert [signal.number for signal in small.signals] == [4, 8]
    assert [crash.life for crash in small.crashes] == [1]
    assert small.acts == ()
    assert all(len(signal.deliveries_ms) == 1 for signal in small.signals)
    assert (small.faults[0].times, small.faults[0].for_ms) == (1, 128)
    assert needs(small)
    assert weight(small) == 4


def test_a_delivery_that_the_failure_needs_stays() -> None:
    def fails(plan: Plan) -> bool:
        return any(1050 in signal.deliveries_ms for signal in plan.signals)

    (signal,) = shrink(PLAN, fails).signals
    assert signal.deliveries_ms == (1050,)


def test_nothing_but_the_world_itself_may_be_left() -> None:
    small = shrink(PLAN, lambda _: True)
    assert weight(small) == 0
    assert small.paths == PLAN.paths


def test_a_plan_that_needs_everything_stays() -> None:
    assert shrink(PLAN, lambda plan: plan == PLAN) == PLAN


def test_the_runs_are_bounded() -> None:
    runs = []

    def fails(plan: Plan) -> bool:
        runs.append(plan)
        return needs(plan)

    small = shrink(PLAN, fails, max_runs=10)
    assert len(runs) == 10
    assert needs(small)


def test_what_is_left_is_told_in_lines() -> None:
    small = shrink(PLAN, needs)
    act = OwnerAct(500, ActKind.PART, 1, Decimal("0.5"))
    sized = replace(small.signals[0], size=Size(SizeKind.QTY, Decimal(2)))
    after = Crash(0, 3, True, 9000, 50)
    placed = replace(small.faults[0], instrument=BTC_PERP.id)
    plan = replace(
        small,
        acts=(act,),
        signals=(sized,),
        crashes=(*small.crashes, after),
        faults=(*small.faults, placed),
    )
    assert list(told_plan(plan)) == [
        "seed 7, healed at 60.000 s",
        "prices   bybit:linear:BTCUSDT: 1 prints, calm",
        "signal   4 buy qty 2 bybit:linear:BTCUSDT at 4.000 s",
        "owner    part 0.5 of position 1 at 0.500 s",
        "fault    c on anywhere from 1.000 s for 128 ms, 1 times, 0",
        "fault    c on bybit:linear:BTCUSDT from 1.000 s for 128 ms, 1 times, 0",
        "crash    life 1 before its effect 9, by 20.000 s at last; down for 200 ms",
        "crash    life 0 after its effect 3, by 9.000 s at last; down for 50 ms",
    ]
