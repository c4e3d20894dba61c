"""Invariants 4, 5 and 7 for every position: what must close did, and what closed had a reason."""

from engine.simulation.checks.accepted import judge_accepted
from engine.simulation.checks.case import Case
from engine.simulation.checks.causes import judge_causes
from engine.simulation.checks.detection import judge_detection, judge_entries
from engine.simulation.checks.gaps import judge_gaps
from engine.simulation.checks.guarded import watch_all
from engine.simulation.checks.rungs import judge_rungs


def judge_closes(case: Case) -> None:
    """Judge all with one reading of each position's story."""
    all_guarded = {guarded.position.id: guarded for guarded in watch_all(case)}
    for guarded in all_guarded.values():
        judge_detection(case, guarded)
        judge_causes(case, guarded)
        judge_gaps(case, guarded)
        judge_rungs(case, guarded)
    judge_accepted(case, all_guarded)
    judge_entries(case)
