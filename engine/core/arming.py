"""What a position waits for: its thresholds computed, and put into the book and the calendar."""

from decimal import Decimal
from itertools import islice

from msgspec.structs import replace

from engine.core.state import State
from engine.model.exit_lines import average_entry, profit_price
from engine.model.exits import ExitReason, Side, threshold
from engine.model.position import Position
from engine.model.rules.break_even import break_even_stop


def with_thresholds(position: Position) -> Position:
    """Compute the limits from the exact average entry price, and the first peak.

    A stop that was moved to break-even stays where it is, and so does a peak.
    """
    average = average_entry(position)
    if average is None:
        return position
    instrument, side, exits = position.instrument, position.side, position.exits
    take_profit = profit_price(position, exits.take_profit)
    stop_loss = position.stop_loss
    if not position.progress.at_break_even:
        stop_loss = threshold(exits.stop_loss, side, ExitReason.STOP_LOSS, average, instrument)
    position = replace(position, take_profit=take_profit, stop_loss=stop_loss)
    trailing = exits.trailing
    if trailing is None or position.progress.peak is not None:
        return position
    waits = profit_price(position, trailing.activation) is not None
    return position if waits else with_peak(position, average)


def with_peak(position: Position, price: Decimal) -> Position:
    """Set the trailing stop going from a price, put on the tick that triggers no later."""
    instrument = position.instrument
    long = position.side is Side.LONG
    peak = instrument.ceil_price(price) if long else instrument.floor_price(price)
    return replace(position, progress=replace(position.progress, peak=peak))


def arm(state: State, position: Position) -> None:
    """Have the book and the calendar wait for what a position's rules say now."""
    state.markets[position.instrument.id].book.arm(position)
    state.time_stops.set(position.id, position.exits.time.deadline_ns(position.entry_time_ns))
    if position.exits.trailing is None:
        state.trailing.pop(position.id, None)
    else:
        state.trailing[position.id] = None


def disarm(state: State, position: Position) -> None:
    """Wait for nothing more of a position."""
    state.markets[position.instrument.id].book.disarm(position.id)
    state.time_stops.set(position.id, None)
    state.trailing.pop(position.id, None)


def with_break_even(position: Position, fee_rate: Decimal) -> Position:
    """Return the position with its stop at break-even, unless the one it has protects more.

    Either way its rule is done with. ``fee_rate`` is the taker fee, a fraction.
    """
    rule, average = position.exits.break_even, average_entry(position)
    if rule is None or average is None or position.progress.at_break_even:
        return position
    side = position.side
    stop = break_even_stop(side, average, rule.offset_percent, fee_rate, position.instrument)
    before = position.stop_loss
    if before is not None and (stop - before) * side.sign <= 0:
        return replace(position, exits=replace(position.exits, break_even=None))
    progress = replace(position.progress, at_break_even=True)
    return replace(position, stop_loss=stop, progress=progress)


def move_stop(state: State, position: Position) -> Position:
    """Move the stop to break-even, unless the one it has protects more; either way, once."""
    moved = with_break_even(position, state.config.fee_rate(position.instrument))
    if moved is position:
        return position
    position = moved
    if position.progress.at_break_even:
        progress = replace(position.progress, moved_ns=state.at_ns)
        position = replace(position, progress=progress)
        stop = str(position.stop_loss)
        state.tell("position.stop_moved", position_id=position.id, stop_loss=stop)
    position = state.put_position(position)
    arm(state, position)
    return position


def note_rules(state: State, position: Position) -> None:
    """Rules that changed while prices are missing: those of the gap are compared with these."""
    gap = state.markets[position.instrument.id].gap
    if gap is not None:
        gap.before[position.id] = position


def save_peaks(state: State, most: int) -> None:
    """Save the peaks that have moved since they were saved, of at most so many positions a call.

    The book moves peaks without a step; after a crash those of the last moments are missing.
    """
    for position_id in list(islice(state.trailing, most)):
        del state.trailing[position_id]
        state.trailing[position_id] = None  # to the end of the line
        position = state.positions[position_id]
        shown = state.with_live_peak(position)
        if shown.progress.peak != position.progress.peak:
            progress = replace(shown.progress, moved_ns=state.at_ns)
            state.put_position(replace(shown, progress=progress))
