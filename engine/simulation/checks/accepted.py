"""Invariant 7 for the owner and for closing signals: what was accepted is done, whatever dies.

A close of all that was answered as accepted is sent within X, in the process that took it or in the
next one that lives long enough; an amendment that was answered as done is in the ledger that the
next process starts with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import NamedTuple

from engine.model.events import CloseRequested, ExitsAmended, SignalReceived
from engine.model.instrument import Market
from engine.model.position import Position
from engine.model.signal import Action, Signal, SizeKind
from engine.simulation.checks.case import Case
from engine.simulation.checks.detection import deadline_of, is_closed, is_hindered, is_sellable
from engine.simulation.checks.guarded import Guarded
from engine.simulation.checks.signals import TAKEN
from engine.simulation.oracle.asked import Asked, written
from engine.simulation.oracle.stretches import WATCHED

CLOSES, LASTS = "accepted_closes", "amendments_last"
PARTS = (SizeKind.QTY, SizeKind.PERCENT)
MOVED = frozenset(("even_at", "even_offset", "even_rung"))
"""Rules that are done with once they have moved the stop."""


class Accepted(NamedTuple):
    """A close of all that somebody was told will be done; ``place`` is where it was told."""

    place: int
    guarded: Guarded
    who: str


def judge_accepted(case: Case, all_guarded: Mapping[str, Guarded]) -> None:
    """Judge every close of all and every amendment that was accepted."""
    for accepted in _closes(case, all_guarded):
        _judge_close(case, accepted)
    for acted in case.history.acts:
        event = acted.event
        guarded = all_guarded.get(acted.position_id or "")
        if acted.done and isinstance(event, ExitsAmended) and guarded is not None:
            _judge_amendment(case, guarded, event, acted.life)


# Closes


def _closes(case: Case, all_guarded: Mapping[str, Guarded]) -> Iterator[Accepted]:
    for acted in case.history.acts:
        event = acted.event
        guarded = all_guarded.get(acted.position_id or "")
        is_whole = isinstance(event, CloseRequested) and event.fraction == 1
        if acted.done and is_whole and guarded is not None:
            yield Accepted(_place_of(case, guarded, event), guarded, "the owner")
    answered = {d.signal_id for d in case.history.deliveries if d.status in TAKEN}
    for place in case.signals_told:
        told = case.history.told[place].event
        if isinstance(told, SignalReceived) and told.signal.id in answered:
            for guarded in all_guarded.values():
                if _closes_whole(told.signal, guarded.position):
                    yield Accepted(place, guarded, f"signal {told.signal.id}")


def _place_of(case: Case, guarded: Guarded, event: object) -> int:
    """Where an event about a position was told first."""
    places = case.told_of[guarded.position.id]
    return next(place for place in places if case.history.told[place].event is event)


def _closes_whole(signal: Signal, position: Position) -> bool:
    """Tell whether a signal can mean nothing but to close all of a position."""
    if signal.instrument.id != position.instrument.id:
        return False
    if signal.size is not None and signal.size.kind in PARTS:
        return False
    if signal.sent_at_ns is not None and position.created_at_ns > signal.sent_at_ns:
        return False
    if signal.action is Action.CLOSE:
        return signal.strategy is None or signal.strategy == position.strategy
    return signal.action is Action.SELL and signal.instrument.id.market is Market.SPOT


def _judge_close(case: Case, accepted: Accepted) -> None:
    """Follow a close through the lives until one lives long enough to have sent it."""
    place, guarded, who = accepted
    at_ns, life, *_ = case.history.told[place]
    if not any(each.life == life and each.begin <= place for each in guarded.stretches):
        return  # nothing was known to be held
    for each, (start, started) in case.starts.items():
        if each < life:
            continue
        if each > life:
            durable = next((p for p in started.positions if p.id == guarded.position.id), None)
            if durable is None or durable.qty_open <= 0:
                return
            at_ns = case.history.told[start].at_ns
        until_ns = deadline_of(case, guarded, each, at_ns)
        ended_ns = case.alive_until(each)
        if ended_ns is not None and ended_ns <= until_ns:
            continue
        if _can_be_sent(case, guarded, each, at_ns):
            case.judged(CLOSES)
            if not is_closed(case, guarded, each, at_ns):
                text = f"{guarded.position.id}: {who} asked for a close and nothing was sent"
                case.blame(7, CLOSES, at_ns, text)
        return


def _can_be_sent(case: Case, guarded: Guarded, life: int, at_ns: int) -> bool:
    if is_hindered(case, guarded, life, at_ns):
        return False
    until_ns = deadline_of(case, guarded, life, at_ns)
    prices = case.track(life, guarded.position, guarded.position.trigger, sure=False)
    known = [p for p, told_ns in zip(prices.price, prices.at_ns, strict=True) if told_ns < until_ns]
    least = min(known, default=0.0)
    held: Decimal = guarded.held(at_ns)
    return is_sellable(guarded, held, least)


# Amendments


def _judge_amendment(case: Case, guarded: Guarded, event: ExitsAmended, life: int) -> None:
    """What an amendment changed is in the ledger, or what a later one changed instead."""
    place = _place_of(case, guarded, event)
    stretches = [each for each in guarded.stretches if each.life == life]
    before = [each.asked for each in stretches if each.begin < place]
    after = [each.asked for each in stretches if each.begin >= place]
    durable = _next_durable(case, guarded, life)
    if not before or not after or durable is None:
        return
    case.judged(LASTS)
    kept = written(durable.exits, durable.trigger)
    for name in _differences(before[-1], after[0]):
        if not any(getattr(kept, name) == getattr(asked, name) for asked in after):
            text = f"{guarded.position.id}: the amendment of {name} is not in the next start"
            case.blame(7, LASTS, case.history.told[place].at_ns, text)


def _next_durable(case: Case, guarded: Guarded, life: int) -> Position | None:
    """The position as the next process found it, if it was guarded still."""
    later = [started for each, (_, started) in case.starts.items() if each > life]
    found = (p for p in (later[0].positions if later else ()) if p.id == guarded.position.id)
    position = next(found, None)
    return position if position is not None and position.status in WATCHED else None


def _differences(one: Asked, other: Asked) -> list[str]:
    names = (field.name for field in fields(Asked) if field.name not in MOVED)
    return [name for name in names if getattr(one, name) != getattr(other, name)]
