"""Makes a failing plan smaller while it still fails, so that a person can follow it.

Parts are left out by halves, then quarters, down to single ones (delta debugging: Zeller and
Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002); then what is left is made
shorter. Each part of a plan draws from a generator of its own, so leaving one out changes no other.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from engine.simulation.plan import Fault, Plan, PlannedSignal

MAX_RUNS = 400

T = TypeVar("T")

PARTS = ("crashes", "faults", "signals", "acts")


class _Judge:
    """Asks whether a plan still fails, and remembers the smallest that did."""

    def __init__(self, plan: Plan, fails: Callable[[Plan], bool], max_runs: int) -> None:
        self.plan = plan
        self._fails = fails
        self._runs_left = max_runs

    @property
    def is_over(self) -> bool:
        return self._runs_left <= 0

    def keeps(self, smaller: Plan) -> bool:
        """Take a smaller plan if it fails too."""
        if self.is_over:
            return False
        self._runs_left -= 1
        if not self._fails(smaller):
            return False
        self.plan = smaller
        return True


def shrink(plan: Plan, fails: Callable[[Plan], bool], max_runs: int = MAX_RUNS) -> Plan:
    """Return the smallest plan found that fails as ``plan`` does.

    Args:
        fails: runs a plan and tells whether it fails in the same way.
        max_runs: how many plans are run at most.
    """
    judge, size = _Judge(plan, fails, max_runs), -1
    while not judge.is_over and size != weight(judge.plan):
        size = weight(judge.plan)
        for part in PARTS:
            _leave_out(judge, part)
        _deliver_once(judge)
        _shorten(judge)
    return judge.plan


def weight(plan: Plan) -> int:
    """How much there is to follow: what can be left out, with every delivery and strike."""
    deliveries = sum(len(signal.deliveries_ms) for signal in plan.signals)
    strikes = sum(fault.times for fault in plan.faults)
    return deliveries + strikes + len(plan.acts) + len(plan.crashes)


def _leave_out(judge: _Judge, part: str) -> None:
    """Leave out runs of one part's items, ever shorter ones."""
    size = max(len(getattr(judge.plan, part)), 1)
    while size >= 1:
        begin = 0
        while begin < len(items := getattr(judge.plan, part)):
            fewer = (*items[:begin], *items[begin + size :])
            if not judge.keeps(replace(judge.plan, **{part: fewer})):
                begin += size
        size //= 2


def _deliver_once(judge: _Judge) -> None:
    """Leave out repeated deliveries of a signal."""
    for number in range(len(judge.plan.signals)):
        for nth in reversed(range(len(judge.plan.signals[number].deliveries_ms))):
            signal = judge.plan.signals[number]
            times = _without(signal.deliveries_ms, nth)
            if times:
                smaller: PlannedSignal = replace(signal, deliveries_ms=times)
                judge.keeps(replace(judge.plan, signals=_with(judge.plan.signals, number, smaller)))


def _shorten(judge: _Judge) -> None:
    """Let faults strike once, and halve how long they last, as long as it still fails."""
    for number in range(len(judge.plan.faults)):
        fault = judge.plan.faults[number]
        if fault.times > 1:
            _keeps_fault(judge, number, replace(fault, times=1))
        while judge.plan.faults[number].for_ms > 1:
            fault = judge.plan.faults[number]
            if not _keeps_fault(judge, number, replace(fault, for_ms=fault.for_ms // 2)):
                break


def _keeps_fault(judge: _Judge, number: int, fault: Fault) -> bool:
    return judge.keeps(replace(judge.plan, faults=_with(judge.plan.faults, number, fault)))


def _without(items: Sequence[T], nth: int) -> tuple[T, ...]:
    return (*items[:nth], *items[nth + 1 :])


def _with(items: Sequence[T], nth: int, item: T) -> tuple[T, ...]:
    return (*items[:nth], item, *items[nth + 1 :])


def told_plan(plan: Plan) -> Iterator[str]:
    """Write what is left of a plan, in lines for people."""
    yield f"seed {plan.seed}, healed at {_seconds(plan.heal_ms)}"
    for path in plan.paths:
        kinds = " ".join(path.kinds)
        yield f"prices   {path.instrument.id}: {len(path.prints)} prints, {kinds}"
    for signal in plan.signals:
        times = ", ".join(map(_seconds, signal.deliveries_ms))
        size = "" if signal.size is None else f" {signal.size.kind} {signal.size.value}"
        yield f"signal   {signal.number} {signal.action}{size} {signal.instrument.id} at {times}"
    for act in plan.acts:
        yield f"owner    {act.kind} {act.fraction} of position {act.nth} at {_seconds(act.at_ms)}"
    for fault in plan.faults:
        where = fault.instrument or fault.venue or "anywhere"
        yield (
            f"fault    {fault.kind} on {where} from {_seconds(fault.at_ms)} for {fault.for_ms} ms,"
            f" {fault.times} times, {fault.amount:g}"
        )
    for crash in plan.crashes:
        when = "after" if crash.after else "before"
        yield (
            f"crash    life {crash.life} {when} its effect {crash.call}, by {_seconds(crash.by_ms)}"
            f" at last; down for {crash.down_ms} ms"
        )


def _seconds(at_ms: int) -> str:
    return f"{at_ms / 1000:.3f} s"
