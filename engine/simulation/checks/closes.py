"""Invariants 4 and 5 for every position: what must close did, and what closed had a reason."""

from engine.simulation.checks.case import Case
from engine.simulation.checks.causes import judge_causes
from engine.simulation.checks.detection import judge_detection, judge_entries
from engine.simulation.checks.gaps import judge_gaps
from engine.simulation.checks.guarded import watch_all
from engine.simulation.checks.rungs import judge_rungs


def judge_closes(case: Case) -> None:
    """Judge both with one reading of each position's story."""
    for guarded in watch_all(case):
        judge_detection(case, guarded)
        judge_causes(case, guarded)
        judge_gaps(case, guarded)
        judge_rungs(case, guarded)
    judge_entries(case)
