"""Invariant 12: at most one writer.

The lease's epochs tell who is the newer one. From a newer holder's first commit on an older one
commits nothing, and from its first request on an older one sends nothing. FAULTS.md lets a stale
holder close after a look-up; this is read as: only while nobody newer has begun to send.
"""

from engine.simulation.checks.case import Case

COMMITS, SENDS, NO_LEASE = "stale_commits", "stale_requests", "writes_with_lease"


def judge_writers(case: Case) -> None:
    """Judge every commit and request by the epoch of its life."""
    epochs = {life.number: life.epoch for life in case.history.lives}
    commits = [(at_ns, epochs.get(life, 0)) for at_ns, life, _ in case.history.commits]
    requests = [(at_ns, epochs.get(life, 0)) for at_ns, life, _ in case.history.requests]
    for name, moments in ((COMMITS, commits), (SENDS, requests)):
        newest = 0
        case.judged(name, len(moments))
        for at_ns, epoch in moments:
            if epoch < newest:
                text = f"a writer of epoch {epoch} was still at it after epoch {newest} had begun"
                case.blame(12, name, at_ns, text)
            newest = max(newest, epoch)
    for life in case.history.lives:
        if life.epoch == 0 and any(each.life == life.number for each in case.history.commits):
            case.blame(12, NO_LEASE, life.began_ns, f"life {life.number} wrote without a lease")
    case.judged(NO_LEASE, len(case.history.lives))
