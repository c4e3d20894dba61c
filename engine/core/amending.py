"""Exit rules of an open position changed by its owner: checked as a set, then armed."""

from collections.abc import Iterator

from msgspec.structs import replace

from engine.core.arming import arm, note_rules, with_peak, with_thresholds
from engine.core.closing import in_flight
from engine.core.state import State
from engine.model.events import ExitsAmended
from engine.model.exit_checks import ExitProblem, Situation, exit_problems, orphans
from engine.model.exit_lines import average_entry, profit_price
from engine.model.exit_set import ExitChanges, Exits, amended
from engine.model.exits import AtPrice, ExitReason
from engine.model.money import ZERO, exact
from engine.model.position import Position, PositionStatus, Progress


def amendment_problems(state: State, event: ExitsAmended) -> list[ExitProblem]:
    """Return why an amendment cannot be made; empty when it can, or when nothing is open."""
    position = state.positions.get(event.position_id)
    if position is None:
        return []
    exits = _exits_after(position, event.changes)
    trigger = event.changes.trigger or position.trigger
    channel = state.markets[position.instrument.id].book.channel(trigger, position.side)
    now = Situation(
        side=position.side,
        instrument=position.instrument.id,
        trigger=trigger,
        at_ns=event.at_ns,
        entry_price=average_entry(position),
        price=None if channel.price is None else exact(channel.price),
        rungs_done=_progress_after(state, position, event.changes).rungs_done,
        fee_rate=state.config.fee_rate(position.instrument),
    )
    found = [*orphans(exits, event.changes), *exit_problems(exits, now)]
    found += _over_already(position, event.changes, exits, now)
    if position.progress.at_break_even and event.changes.stop_loss is None:
        # The stop that was asked for is not the one that holds.
        found = [problem for problem in found if not problem.field.startswith("stop_loss")]
    return found


def _over_already(
    position: Position, changes: ExitChanges, exits: Exits, now: Situation
) -> Iterator[ExitProblem]:
    """What the amendment asks for and has come and gone."""
    held_until = replace(exits.time, close_at_ns=None).deadline_ns(position.entry_time_ns)
    if changes.max_hold_ns and held_until is not None and held_until <= now.at_ns:
        yield ExitProblem("max_hold_seconds", "it was held that long; give more, or close it")
    rung = changes.break_even_after_rung or 0
    if 0 < rung <= now.rungs_done:
        remedy = f"rung {rung} was reached already; name a later one, or give stop_loss"
        yield ExitProblem("break_even_after_rung", remedy)


def on_exits_amended(state: State, event: ExitsAmended) -> None:
    """Change the rules of an open position; a set that cannot hold changes nothing."""
    position = state.positions.get(event.position_id)
    if position is None or position.status is not PositionStatus.OPEN:
        return
    problems = amendment_problems(state, event)
    if problems:
        words = [str(problem) for problem in problems]
        state.log("position.amendment_refused", event.actor, position_id=position.id, why=words)
        return
    changes = event.changes
    position = replace(
        position,
        exits=_exits_after(position, changes),
        progress=_progress_after(state, position, changes),
        trigger=changes.trigger or position.trigger,
    )
    position = state.put_position(_with_trailing(state, with_thresholds(position)))
    state.log("position.amended", event.actor, position_id=position.id)
    arm(state, position)
    note_rules(state, position)


def _exits_after(position: Position, changes: ExitChanges) -> Exits:
    """The set after the changes. A stop moved to break-even stays, unless it is named."""
    exits = amended(position.exits, changes)
    if not position.progress.at_break_even:
        return exits
    if changes.stop_loss is not None:
        return replace(exits, break_even=None)
    if _asks_break_even(changes) and position.stop_loss is not None:
        return replace(exits, stop_loss=AtPrice(position.stop_loss))
    return exits


def _asks_break_even(changes: ExitChanges) -> bool:
    return changes.break_even is not None or changes.break_even_after_rung is not None


def _progress_after(state: State, position: Position, changes: ExitChanges) -> Progress:
    progress = position.progress
    if changes.stop_loss is not None or _asks_break_even(changes):
        progress = replace(progress, at_break_even=False)
    if changes.ladder is not None:
        # What the ladder before has in flight counts for that, not for the new one.
        asked = in_flight(state, position, ExitReason.LADDER)
        progress = replace(progress, rungs_done=0, rung_qty=asked, rung_filled=ZERO)
    live = state.with_live_peak(position).progress.peak
    peak = live if position.exits.trailing else None
    return replace(progress, peak=peak, armed_ns=state.at_ns)


def _with_trailing(state: State, position: Position) -> Position:
    """A trailing stop that is new follows from the price now, not from the entry."""
    trailing = position.exits.trailing
    before = state.positions[position.id].progress.peak
    if trailing is None or average_entry(position) is None:
        return replace(position, progress=replace(position.progress, peak=None))
    waits = profit_price(position, trailing.activation)
    channel = state.markets[position.instrument.id].book.channel(position.trigger, position.side)
    if waits is None and before is None and channel.price is not None:
        return with_peak(position, exact(channel.price))
    return position
