"""Invariant 4 for prices that arrived late: a limit that they crossed closes, or is told.

A limit counts as crossed for sure by a price that was made after the rules were as they are, and
after the last one that any process had seen. Nothing is claimed of trailing stops that follow in
steps, of jumps that the next price does not confirm, and where the host's UTC was ever wrong.
"""

from collections.abc import Iterator
from dataclasses import replace

from engine.model.effects import SendNotice
from engine.model.events import ExitsAmended, PricesChecked, PricesMissed, Started
from engine.model.exits import ExitReason
from engine.simulation.checks.case import Case
from engine.simulation.checks.detection import WHOLE, _go_over, _is_excused, _path, is_closed
from engine.simulation.checks.guarded import Guarded
from engine.simulation.history import Told
from engine.simulation.oracle.asked import Asked
from engine.simulation.oracle.paths import Path
from engine.simulation.oracle.prices import JUMP, TICK_OF, Track
from engine.simulation.oracle.stretches import Stretch, is_entry
from engine.simulation.plan import EPOCH_NS

TOLD = "missed_limit_told"
MISSED = "position.limit_missed"
DURABLE_NS = 15_000_000_000
"""How long storage may be ill, so that what is told is not durable yet when a process ends."""
NS_PER_MS = 1_000_000
CONFIRM_NS = 50 * NS_PER_MS


def judge_gaps(case: Case, guarded: Guarded) -> None:
    """Judge one position, life by life."""
    if any(struck.fault.kind == "jump" for struck in case.history.struck):
        return
    for life in dict.fromkeys(stretch.life for stretch in guarded.stretches):
        _judge_life(case, guarded, [each for each in guarded.stretches if each.life == life])


def _judge_life(case: Case, guarded: Guarded, stretches: list[Stretch]) -> None:
    places = case.by_rest.get((stretches[0].life, guarded.instrument.id), ())
    if not places:
        return
    path = _path(guarded, stretches[0])
    for stretch in stretches:
        _go_over(path, stretch, is_first=stretch is stretches[0], guarded=guarded)
        for place in places:
            told = case.history.told[place]
            if stretch.begin < place < stretch.end and isinstance(told.event, PricesMissed):
                _judge_missed(case, guarded, stretch, path, told)
        track = guarded.sure_prices(stretch)
        if path.walk(track, *track.span(stretch.begin + 1, stretch.end)) is not None:
            return  # closed by a price that came in time


def _judge_missed(case: Case, guarded: Guarded, stretch: Stretch, path: Path, told: Told) -> None:
    event = told.event
    if not isinstance(event, PricesMissed) or event.source is not stretch.asked.trigger:
        return
    track = _missed(case, guarded, stretch, event)
    found = replace(path).walk(track, 0, len(track.price))
    if found is None or not _is_sure(stretch.asked, found[1]):
        return
    if _is_excused(case, guarded, stretch, told.at_ns, None):
        return
    case.judged(TOLD)
    must_be_told = not _may_be_closing(case, guarded, stretch, path, told)
    is_told = _is_told(case, guarded, told)
    was_closed = is_closed(case, guarded, stretch.life, told.at_ns)
    if is_told and (was_closed or not case.plan.gap_strict):
        return
    if must_be_told or not was_closed:
        word = "told" if not is_told else "closed"
        text = f"{found[2]} in a gap reached {found[1]} of {guarded.position.id}, not {word}"
        case.blame(4, TOLD, told.at_ns, text)


def _may_be_closing(case: Case, guarded: Guarded, stretch: Stretch, path: Path, told: Told) -> bool:
    """Whether a close may have been under way: then nothing is told any more."""
    for request in guarded.exits:
        if request.life == stretch.life and request.at_ns <= told.at_ns:
            held = guarded.instrument.floor_qty(guarded.held(request.at_ns))
            if request.order.reason in WHOLE or request.order.qty >= held:
                return True
    return _is_withheld(case, guarded, stretch, told) and not _is_calm(
        case, guarded, stretch, path, told
    )


def _is_withheld(case: Case, guarded: Guarded, stretch: Stretch, told: Told) -> bool:
    """Whether closes may have waited: for the position to be armed, or for a pause to end."""
    armed_ns = case.armed.get((stretch.life, guarded.position.id), told.at_ns + 1)
    if stretch.durable is not None and armed_ns > told.at_ns:
        return True
    deferrals = (case.history.told[place] for place in case.deferrals)
    return any(each.life == stretch.life and each.at_ns <= told.at_ns for each in deferrals)


def _is_calm(case: Case, guarded: Guarded, stretch: Stretch, path: Path, told: Told) -> bool:
    """Whether no price of this process, nor the time, can have begun a close."""
    deadline_ns = stretch.asked.deadline_ns(stretch.entry_ns)
    is_over = deadline_ns is not None and deadline_ns - EPOCH_NS <= told.at_ns
    if is_over or any(
        s.life == stretch.life and s.begin < stretch.begin for s in guarded.stretches
    ):
        return False
    track = guarded.told_prices(stretch)
    prices = [p for p, at_ns in zip(track.price, track.at_ns, strict=True) if at_ns <= told.at_ns]
    for place in case.by_rest.get((stretch.life, guarded.instrument.id), ()):
        event = case.history.told[place].event
        if isinstance(event, PricesChecked):
            prices += [p for p in (event.last, event.bid, event.ask, event.mark) if p is not None]
    mirrored = [guarded.sign * price for price in prices]
    return not mirrored or path.is_quiet(min(mirrored), max(mirrored))


def _is_sure(asked: Asked, reason: ExitReason) -> bool:
    """Where peaks follow in steps, the trailing stop may lie elsewhere; it waits as stops do."""
    if asked.step is None or reason is ExitReason.TAKE_PROFIT:
        return True
    return reason is ExitReason.STOP_LOSS and asked.confirm_ms == 0 and asked.confirm_ticks <= 1


def _missed(case: Case, guarded: Guarded, stretch: Stretch, event: PricesMissed) -> Track:
    """Those of the missed prices that count for the rules of a stretch, and that nobody doubts."""
    since_ns = _since(case, guarded, stretch)
    made = [(p.from_ms * NS_PER_MS - EPOCH_NS, p.low) for p in event.prices]
    sure = [(at_ns, price) for at_ns, price in _believed(made) if at_ns > since_ns]
    return Track(list(range(len(sure))), [at_ns for at_ns, _ in sure], [price for _, price in sure])


def _since(case: Case, guarded: Guarded, stretch: Stretch) -> int:
    """Since when the rules of a stretch are surely as they are, and their prices unseen."""
    told = case.history.told[stretch.begin]
    if isinstance(told.event, ExitsAmended):
        return told.at_ns
    if isinstance(told.event, Started):
        return _unseen_since(case, guarded, stretch, told.at_ns)
    entries = (fill for fill in case.executions[guarded.position.id] if is_entry(fill))
    moments = (fill.time_ns - EPOCH_NS for fill in entries)
    return max(at_ns for at_ns in moments if at_ns <= told.at_ns)


def _unseen_since(case: Case, guarded: Guarded, stretch: Stretch, start_ns: int) -> int:
    """When the last process that had the position ended, or was told of its last price.

    What follows prices is saved a while after them, so that nothing older counts for it.
    """
    lives = [life for life in case.history.lives if life.number < stretch.life]
    if stretch.asked.distance is not None or stretch.asked.moves_to_even:
        return max((life.ended_ns or start_ns for life in lives), default=start_ns)
    told = case.history.told
    seen = [told[s.begin].at_ns for s in guarded.stretches if s.begin < stretch.begin]
    for life in lives:
        places = case.ticks.get(
            (life.number, guarded.instrument.id, TICK_OF[stretch.asked.trigger]), ()
        )
        seen += [told[place].at_ns for place in places[-1:]]
    return max(seen, default=start_ns)


def _believed(made: list[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Leave out what jumps, unless the next price that was made 50 ms later is nearer to it."""
    last: float | None = None
    held: tuple[int, float] | None = None
    for at_ns, price in made:
        if held is not None and last is not None:
            if abs(price - last) < abs(price - held[1]):
                held = None
            elif at_ns - held[0] >= CONFIRM_NS:
                yield held
                last, held = held[1], None
        if last is None or abs(price - last) <= last * JUMP:
            yield at_ns, price
            last = price
        elif held is None:
            held = at_ns, price


def _is_told(case: Case, guarded: Guarded, told: Told) -> bool:
    """Whether the owner was told, or the process ended before that was durable."""
    ended_ns = case.alive_until(told.life)
    if ended_ns is not None and ended_ns <= told.at_ns + DURABLE_NS:
        return True
    return any(
        isinstance(record, SendNotice)
        and record.kind == MISSED
        and record.data.get("position_id") == guarded.position.id
        for _, _, record in case.records()
    )
