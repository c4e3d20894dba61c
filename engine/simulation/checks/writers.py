"""Invariant 12: at most one writer.

The lease's epochs tell who is the newer one. From a newer holder's first commit on an older one
commits nothing, and from its first request on an older one sends nothing. FAULTS.md lets a stale
holder close after a look-up; this is read as: only while nobody newer has begun to send. Whoever
takes over from another host sends and asks nothing while the former one's requests may arrive.
"""

from engine.simulation.checks.case import Case
from engine.simulation.history import Life

COMMITS, SENDS, NO_LEASE, WAITS = (
    "stale_commits", "stale_requests", "writes_with_lease", "taker_waits"
)  # fmt: skip
WAIT_NS = 14_000_000_000
"""The lease of 4 s, the venue's window for requests of 5 s, and 5 s on the way."""


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
    _judge_takers(case)


def _judge_takers(case: Case) -> None:
    hosts = {life.epoch: life.host for life in case.history.lives if life.epoch}
    for life in case.history.lives:
        if hosts.get(life.epoch - 1, life.host) != life.host:
            case.judged(WAITS)
            _judge_taker(case, life)


def _judge_taker(case: Case, life: Life) -> None:
    sent = [(each.at_ns, each.life, "sent an order") for each in case.history.requests]
    asked = [(*each, "looked an order up") for each in case.history.look_ups]
    for at_ns, number, word in (*sent, *asked):
        if number == life.number and at_ns < life.began_ns + WAIT_NS:
            early_ms = (life.began_ns + WAIT_NS - at_ns) // 1_000_000
            text = f"life {number} {word} {early_ms} ms before all that another sent had arrived"
            case.blame(12, WAITS, at_ns, text)
            return
