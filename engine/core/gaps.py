"""Prices that did not arrive when they were made (DESIGN.md 2.9), and prices while none arrive.

A gap begins when prices of an instrument are lost, or with the time the process was down. While it
lasts the venue is asked each second what the instrument costs. When prices arrive again the venue
is asked what was missed, and that is compared with the positions as they were before
(``replay``): peaks, activations and break-even moves follow; a limit that was crossed closes under
``GAP_POLICY=strict``, and is told otherwise.
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from engine.core.arming import arm, move_stop, with_thresholds
from engine.core.closing import BEFORE_CLOSE, close
from engine.core.market_view import Gap, MarketView
from engine.core.replay import Crossing, Replay, Replayed, points
from engine.core.resolving import Trigger
from engine.core.state import Cause, State, Wish
from engine.model.effects import CheckPrices, FetchMissed
from engine.model.events import FeedLost, FeedResumed, PricesMissed
from engine.model.exits import Side
from engine.model.money import plain
from engine.model.position import Position
from engine.model.ticks import PriceSource

CHECK_EVERY_NS = 1_000_000_000

NOTICE_NS = 5_000_000_000
"""Silence is told at most so long after ``stale_feed_ns``: the venue is asked about it before."""

LONGEST_DOWNTIME_NS = 86_400_000_000_000
"""How far back a process that comes up asks what it missed: one day."""

ANSWER_NS = 15_000_000_000
"""After so long no answer comes to what was asked for."""


# While no prices arrive


def ask_while_blind(state: State) -> None:
    """Have the venue asked each second for prices that do not arrive."""
    for instrument in sorted(state.blind):
        view = state.markets[instrument]
        if state.elapsed_ns >= view.check_due_ns and state.active_on(instrument):
            view.check_due_ns = state.elapsed_ns + CHECK_EVERY_NS
            state.command(CheckPrices(view.instrument))


# The beginning and the end of a gap


def note_lost(state: State, event: FeedLost) -> None:
    """Remember the positions as their last prices left them; ``blind`` is not set yet.

    When prices are lost again before it is known what was missed, it is one gap.
    """
    for instrument in event.instruments:
        view = state.markets.get(instrument)
        if view is None or instrument in state.blind:
            continue
        if view.gap is not None and _is_open(state, view.gap):
            view.gap.asked_ns = None
        else:
            since_ns = state.at_ns - state.config.stale_feed_ns - NOTICE_NS
            view.gap = Gap(since_ns, _as_they_are(state, view))


def _is_open(state: State, gap: Gap) -> bool:
    return gap.asked_ns is None or state.elapsed_ns - gap.asked_ns < ANSWER_NS


def _as_they_are(state: State, view: MarketView) -> dict[str, Position]:
    """The positions with the peaks in the book; where these differ they have just moved."""
    found = {}
    for position in state.active_on(view.instrument.id):
        shown = state.with_live_peak(position)
        if shown.progress.peak != position.progress.peak:
            shown = replace(shown, progress=replace(shown.progress, moved_ns=state.at_ns))
        found[position.id] = shown
    return found


def note_downtime(state: State) -> None:
    """After a start: what was made since the positions were saved was perhaps not seen."""
    for instrument, view in state.markets.items():
        positions = {position.id: position for position in state.active_on(instrument)}
        held_ns = [position.progress.holds_since_ns for position in positions.values()]
        since_ns = max(min(held_ns, default=0), state.at_ns - LONGEST_DOWNTIME_NS)
        view.gap = Gap(since_ns, positions)


def ask_missed(state: State, event: FeedResumed) -> None:
    """Prices arrive again: ask what was missed of each source that positions are guarded by."""
    for instrument in event.instruments:
        view = state.markets.get(instrument)
        if view is None or view.gap is None or view.gap.asked_ns is not None:
            continue
        guarded = (p for p in state.active_on(instrument) if p.status in BEFORE_CLOSE)
        sources = {position.trigger for position in guarded} - {PriceSource.BOOK}
        gap = view.gap if sources else None
        view.gap = gap
        if gap is not None:
            gap.asked_ns, gap.awaited = state.elapsed_ns, set(sources)
            for source in sorted(sources):
                since_ms = gap.since_ns // 1_000_000
                state.command(FetchMissed(view.instrument, source, since_ms))


# What was missed


def on_prices_missed(state: State, event: PricesMissed) -> None:
    """Take what traded in a gap, for the positions of its source."""
    view = state.markets.get(event.instrument)
    if view is None or view.gap is None:
        return
    gap = view.gap
    data = {"instrument": str(event.instrument), "source": str(event.source)}
    state.log("gap.checked", **data, prices=len(event.prices))
    if not event.complete and not gap.incomplete:
        gap.incomplete = True
        state.tell("gap.incomplete", **data)
    for side in Side:
        _compare(state, view, gap, event, side)
    gap.awaited.discard(event.source)
    if gap.asked_ns is not None and not gap.awaited:
        view.gap = None


def _compare(state: State, view: MarketView, gap: Gap, event: PricesMissed, side: Side) -> None:
    positions = [
        position
        for position in state.active_on(event.instrument)
        if (position.trigger, position.side) == (event.source, side)
        and position.status in BEFORE_CLOSE
        and position.id not in gap.told
    ]
    if not positions:
        return
    bound = float(state.config.max_tick_jump_percent) / 100
    rate = state.config.fee_rate(view.instrument)
    replay = Replay(view.instrument, _as_before(gap, positions), rate, bound)
    for price, from_ms in points(event.prices, side):
        replay.take(price, from_ms)
    replay.end(view.book.channel(event.source, side).price)
    for position in positions:
        replayed = replay.found.get(position.id)
        if replayed is not None:
            _follow(state, gap, position, replay, replayed)


def _as_before(gap: Gap, positions: Iterable[Position]) -> list[Position]:
    """The positions as they were when their last prices were taken.

    Of one that was filled in the gap only the fill is known: it begins from its entry price.
    """
    found = []
    for position in positions:
        before = gap.before.get(position.id)
        if before is None or before.progress.armed_ns != position.progress.armed_ns:
            progress = replace(position.progress, peak=None, at_break_even=False, moved_ns=0)
            before = with_thresholds(replace(position, progress=progress))
        found.append(before)
    return found


def _follow(state: State, gap: Gap, position: Position, replay: Replay, replayed: Replayed) -> None:
    """Have a position take over what its missed prices moved, and what they crossed."""
    position = _with_peak(state, position, replay, replayed)
    if replayed.past_break_even:
        position = move_stop(state, position)
    if replayed.crossing is not None:
        gap.told.add(position.id)
        _tell_crossed(state, position, replayed.crossing)


def _with_peak(state: State, position: Position, replay: Replay, replayed: Replayed) -> Position:
    """The better peak counts, that of the gap or the one that it has."""
    peak, known = replay.peak(replayed), state.with_live_peak(position).progress.peak
    if peak is None or position.exits.trailing is None:
        return position
    if known is not None and (peak - known) * position.side.sign <= 0:
        return position
    progress = replace(position.progress, peak=peak, moved_ns=state.at_ns)
    position = state.put_position(replace(position, progress=progress))
    if known is None:
        state.log("position.trailing_activated", position_id=position.id, price=plain(peak))
    arm(state, position)
    return position


def _tell_crossed(state: State, position: Position, crossing: Crossing) -> None:
    data: dict[str, Any] = {
        "position_id": position.id,
        "instrument": str(position.instrument.id),
        "reason": str(crossing.reason),
        "threshold": plain(crossing.threshold),
        "price": plain(crossing.price),
        "time_ms": crossing.time_ms,
    }
    state.tell("position.limit_missed", **data)
    if state.config.gap_strict:
        trigger = Trigger(crossing.reason, crossing.price, 0)
        close(state, position, Wish(Cause(crossing.reason, trigger=trigger)))
