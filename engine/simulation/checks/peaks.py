"""Invariant 4 for trailing stops: the peak that is written down never goes back."""

from engine.model.effects import SavePosition
from engine.model.position import Position
from engine.simulation.checks.case import Case

KEPT = "peak_kept"


def judge_peaks(case: Case) -> None:
    """Judge every position that was written with the rules and the entry it had before."""
    before: dict[str, Position] = {}
    for at_ns, _, record in case.records():
        if isinstance(record, SavePosition):
            position = record.position
            old = before.get(position.id)
            before[position.id] = position
            if old is not None:
                _judge(case, at_ns, old, position)


def _judge(case: Case, at_ns: int, old: Position, new: Position) -> None:
    had, has = old.progress.peak, new.progress.peak
    same = (old.exits, old.trigger, old.qty) == (new.exits, new.trigger, new.qty)
    if had is None or new.exits.trailing is None or not same:
        return
    case.judged(KEPT)
    if has is None or (has - had) * new.side.sign < 0:
        case.blame(4, KEPT, at_ns, f"the peak of {new.id} went back from {had} to {has}")
