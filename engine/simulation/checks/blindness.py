"""Invariant 15 for feeds: the owner is told when no prices arrive of what he holds."""

from engine.model.effects import SavePosition, SendNotice
from engine.model.events import FeedLost, FeedResumed
from engine.model.instrument import InstrumentId
from engine.model.position import PositionStatus
from engine.simulation.checks.case import Case
from engine.simulation.history import Told

TOLD = "blindness_told"
DURABLE_NS = 15_000_000_000
"""How long storage may be ill, so that what is told is not durable yet when a process ends."""

Spans = dict[InstrumentId, list[tuple[int, int]]]


def judge_blindness(case: Case) -> None:
    """Judge each loss of prices that had arrived, of an instrument with an open position."""
    seen: dict[tuple[int, InstrumentId], int] = {}
    spans: Spans | None = None
    for told in case.history.told:
        if isinstance(told.event, FeedResumed):
            seen.update({(told.life, each): told.at_ns for each in told.event.instruments})
        elif isinstance(told.event, FeedLost):
            spans = _open_spans(case) if spans is None else spans
            for each in told.event.instruments:
                since_ns = seen.pop((told.life, each), None)
                if since_ns is not None and _is_open(spans, each, since_ns, told.at_ns):
                    _judge(case, told, each)


def _open_spans(case: Case) -> Spans:
    """By instrument: from when to when a position was open, as it became durable."""
    begun: dict[str, int] = {}
    spans: Spans = {}
    for at_ns, _, record in case.records():
        if isinstance(record, SavePosition):
            position = record.position
            if position.status is PositionStatus.OPEN:
                begun.setdefault(position.id, at_ns)
            elif position.id in begun:
                span = (begun.pop(position.id), at_ns)
                spans.setdefault(position.instrument.id, []).append(span)
    for position in case.facts.positions:
        if position.id in begun:
            spans.setdefault(position.instrument.id, []).append((begun[position.id], 1 << 62))
    return spans


def _is_open(spans: Spans, instrument: InstrumentId, since_ns: int, until_ns: int) -> bool:
    return any(
        begin_ns <= since_ns and until_ns < end_ns for begin_ns, end_ns in spans.get(instrument, ())
    )


def _judge(case: Case, told: Told, instrument: InstrumentId) -> None:
    ended_ns = case.alive_until(told.life)
    if ended_ns is not None and ended_ns <= told.at_ns + DURABLE_NS:
        return
    case.judged(TOLD)
    if not any(
        at_ns >= told.at_ns
        and life == told.life
        and isinstance(record, SendNotice)
        and record.kind == "feed.lost"
        and str(instrument) in record.data.get("instruments", ())
        for at_ns, life, record in case.records()
    ):
        case.blame(15, TOLD, told.at_ns, f"nobody was told that {instrument} is blind")
