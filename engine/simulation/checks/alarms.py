"""Invariant 15: each degradation is told once and cleared, and nothing secret is ever written.

What is told counts when it is durable. Beginning and end alternate within a life; a crash may
swallow either, so a new life may begin again what an earlier one began, or end it.
"""

from collections.abc import Iterator

import msgspec

from engine.model.effects import SaveFill, SavePosition, SendNotice
from engine.model.position import Position, PositionStatus
from engine.simulation.checks.case import Case

ALTERNATES, CLEARS, STUCK, SECRET = (
    "alarm_alternates", "alarm_clears", "stuck_told_once", "no_secrets"
)  # fmt: skip
CANARY = b"canary-secret"

BEGINS = {
    "feed.lost": ("feed", "instruments"),
    "position.unresolved": ("resolving", "position_id"),
    "order.unresolved": ("order", "client_order_id"),
    "account.unexplained": ("account", "instrument"),
    "guard.fenced": ("fence", ""),
}
ENDS = {
    "feed.resumed": ("feed", "instruments"),
    "position.resolved": ("resolving", "position_id"),
    "order.resolved": ("order", "client_order_id"),
    "account.explained": ("account", "instrument"),
    "guard.unfenced": ("fence", ""),
}
OVER = (PositionStatus.CLOSED, PositionStatus.REJECTED)
Subject = tuple[str, str]


def judge_alarms(case: Case) -> None:
    """Judge every notice, and the words of everything that was written."""
    begun: dict[Subject, tuple[int, int]] = {}
    last: dict[tuple[int, str, str], bool] = {}
    active: dict[str, set[str]] = {}
    for at_ns, life, record in case.records():
        if isinstance(record, SavePosition):
            _follow(record.position, life, active, last)
        if not isinstance(record, SendNotice):
            continue
        for subject, begins in _steps(record):
            case.judged(ALTERNATES)
            is_watched = subject[0] != "feed" or bool(active.get(subject[1]))
            before = last.get((life, *subject))
            is_new = before is None and (begins or subject in begun)
            if is_watched and (before is begins or not (is_new or before is not None)):
                word = "begun" if begins else "ended"
                case.blame(15, ALTERNATES, at_ns, f"{record.kind} of {subject[1]}: {word} already")
            last[life, *subject] = begins
            if begins:
                begun[subject] = (life, at_ns)
            else:
                begun.pop(subject, None)
    _judge_cleared(case, begun)
    _judge_stuck(case)
    _judge_secrets(case)


def _follow(
    position: Position,
    life: int,
    active: dict[str, set[str]],
    last: dict[tuple[int, str, str], bool],
) -> None:
    """Prices are watched while a position needs them: afterwards a feed begins anew."""
    instrument = str(position.instrument.id)
    on = active.setdefault(instrument, set())
    if position.status in OVER:
        on.discard(position.id)
        if not on:
            last.pop((life, "feed", instrument), None)
    elif position.id not in on:
        if not on:
            last.pop((life, "feed", instrument), None)
        on.add(position.id)


def _steps(notice: SendNotice) -> Iterator[tuple[Subject, bool]]:
    for table, begins in ((BEGINS, True), (ENDS, False)):
        found = table.get(notice.kind)
        if found is not None:
            subjects = notice.data.get(found[1], "") if found[1] else ""
            for each in [subjects] if isinstance(subjects, str) else subjects:
                yield (found[0], str(each)), begins


def _judge_cleared(case: Case, begun: dict[Subject, tuple[int, int]]) -> None:
    """What the last life began is ended, unless its subject is over. No life clears another's."""
    newest = max((life.number for life in case.history.lives if not life.refused), default=0)
    active = {p.id: p for p in case.facts.positions if p.status not in OVER}
    guarded = {str(position.instrument.id) for position in active.values()}
    for (kind, subject), (life, at_ns) in begun.items():
        case.judged(CLEARS)
        is_over = kind != "fence" and subject[:26] not in active and subject not in guarded
        if life == newest and not is_over:
            case.blame(15, CLEARS, at_ns, f"{kind} of {subject} was told and never taken back")


def _judge_stuck(case: Case) -> None:
    """A position is told stuck again only after something of it was closed, or by a new life."""
    stuck: dict[tuple[int, str], bool] = {}
    for at_ns, life, record in case.records():
        if isinstance(record, SaveFill) and record.position_id is not None:
            stuck.pop((life, record.position_id), None)
        elif isinstance(record, SavePosition) and record.position.status is PositionStatus.CLOSING:
            stuck.pop((life, record.position.id), None)
        elif isinstance(record, SendNotice) and record.kind == "position.stuck":
            key = (life, str(record.data.get("position_id")))
            case.judged(STUCK)
            if key in stuck:
                case.blame(15, STUCK, at_ns, f"{key[1]} was told stuck twice in a row")
            stuck[key] = True


def _judge_secrets(case: Case) -> None:
    facts = case.facts
    case.judged(SECRET)
    raw = [record.signal.raw for record in facts.signals]
    written = msgspec.msgpack.encode((raw, facts.events, facts.notices))
    if CANARY in written:
        case.blame(15, SECRET, 0, "a secret was written down")
