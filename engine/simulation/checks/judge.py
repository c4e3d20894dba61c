"""The judge of a lifetime: every invariant of FAULTS.md section 2, and what each had to judge."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from engine.simulation.checks.alarms import judge_alarms
from engine.simulation.checks.backstops import judge_backstops
from engine.simulation.checks.blindness import judge_blindness
from engine.simulation.checks.case import Case, Violation
from engine.simulation.checks.closes import judge_closes
from engine.simulation.checks.entries import judge_entries_sent
from engine.simulation.checks.foreign import judge_foreign
from engine.simulation.checks.ledger import judge_ledger
from engine.simulation.checks.peaks import judge_peaks
from engine.simulation.checks.quantities import judge_quantities
from engine.simulation.checks.remainders import judge_remainders
from engine.simulation.checks.resting import judge_rest
from engine.simulation.checks.sending import judge_sending
from engine.simulation.checks.signals import judge_signals
from engine.simulation.checks.writers import judge_writers
from engine.simulation.history import Facts, History, Venue
from engine.simulation.plan import Plan

JUDGES = (
    judge_quantities,
    judge_remainders,
    judge_rest,
    judge_closes,
    judge_backstops,
    judge_peaks,
    judge_ledger,
    judge_foreign,
    judge_signals,
    judge_entries_sent,
    judge_sending,
    judge_writers,
    judge_alarms,
    judge_blindness,
)


class Verdict(Struct):
    """What was found, and how many subjects each check had, by name."""

    violations: list[Violation]
    checks: Counter[str]


def judge(plan: Plan, history: History, venues: Mapping[str, Venue], facts: Facts) -> Verdict:
    """Judge a lifetime. A check that found no subject is not counted."""
    case = Case(plan, history, venues, facts)
    for each in JUDGES:
        each(case)
    return Verdict(case.violations, +case.checks)
