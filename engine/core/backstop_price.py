"""Where the backstop of a position belongs, and for how much of it."""

from decimal import Decimal

from msgspec import Struct

from engine.core.state import State
from engine.model.exit_lines import GUARDED, LineState, average_entry, exit_lines
from engine.model.exits import ExitReason, Percent, Side
from engine.model.ids import MAX_GENERATION
from engine.model.money import HUNDRED, ZERO, percent_of, plain
from engine.model.position import Position

LIQUIDATION_MARGIN = Decimal("0.005")
"""How far before the liquidation price it lies, as a fraction of that, where there is room."""

DEFAULT_STOP_PERCENT = Decimal(15)
STOPS = (ExitReason.STOP_LOSS, ExitReason.BREAK_EVEN, ExitReason.TRAILING)


class Wanted(Struct, frozen=True):
    """The backstop that a position should have.

    Attributes:
        qty: base asset. trigger: quote asset, on the tick.
        follows: whether the trigger follows prices, so that its small moves say nothing.
        problem: why it does not protect all of the position.
    """

    qty: Decimal
    trigger: Decimal
    follows: bool = False
    problem: str | None = None


def wanted(state: State, position: Position) -> Wanted | str | None:
    """Return the backstop that a position should have, or why there can be none.

    None where none is wanted: it is off, nothing is held, or the position is being closed.
    """
    instrument, qty = position.instrument, position.closable
    guarded = instrument.id.market in state.config.backstops and position.status in GUARDED
    if not guarded or qty <= ZERO or qty < instrument.min_qty:
        return None
    if position.backstop_generation >= MAX_GENERATION:
        return "no_id: too many were placed for this position"
    stop, follows = _stop(state, position)
    trigger = _beyond(state, position, stop)
    bounded = _before_liquidation(state, position, stop, trigger)
    if bounded <= ZERO:
        return "no_price: BACKSTOP_EXTRA_PERCENT leaves no price above zero"
    liquidation = _liquidation(state, position)
    if liquidation is not None and (bounded - liquidation) * position.side.sign <= ZERO:
        return (
            f"no_room: the venue liquidates at {plain(liquidation)}, before the stop"
            f" {plain(stop)} can be reached"
        )
    follows = follows or bounded != trigger
    most = instrument.max_market_qty
    if most is None or qty <= most:
        return Wanted(qty, bounded, follows)
    problem = f"too_large: the venue takes {plain(most)} {instrument.base} in one order"
    return Wanted(instrument.floor_qty(most), bounded, follows, problem)


def _stop(state: State, position: Position) -> tuple[Decimal, bool]:
    """The stop that is reached first, and whether it follows prices.

    Without one, the default stop from the entry.
    """
    levels = {
        line.threshold: line.rule is ExitReason.TRAILING
        for line in exit_lines(state.with_live_peak(position))
        if line.rule in STOPS and line.state is LineState.ARMED
        if line.threshold is not None
    }
    sign = position.side.sign
    if levels:
        stop = max(levels, key=lambda price: price * sign)
        return stop, levels[stop]
    entry = average_entry(position) or ZERO
    return entry - sign * percent_of(entry, _default_percent(state)), False


def _default_percent(state: State) -> Decimal:
    """The distance of the default stop; one that a long could reach."""
    limit = state.config.exits.stop_loss
    if isinstance(limit, Percent) and limit.value < HUNDRED:
        return limit.value
    return DEFAULT_STOP_PERCENT


def _beyond(state: State, position: Position, stop: Decimal) -> Decimal:
    extra = percent_of(stop, state.config.backstop_extra_percent)
    return _away(position, stop - position.side.sign * extra)


def _before_liquidation(
    state: State, position: Position, stop: Decimal, trigger: Decimal
) -> Decimal:
    """Move a trigger nearer to the stop if the venue would liquidate before it.

    Where the usual distance from the liquidation does not fit in between, the tick after the stop
    is as near as it may be: the guard's own close comes first.
    """
    liquidation = _liquidation(state, position)
    if liquidation is None:
        return trigger
    sign = position.side.sign
    nearest = _away(position, stop - sign * position.instrument.tick_size)
    usual = _away(position, liquidation * (1 + sign * LIQUIDATION_MARGIN))
    bound = min(nearest, usual, key=lambda price: price * sign)
    return max(trigger, bound, key=lambda price: price * sign)


def _liquidation(state: State, position: Position) -> Decimal | None:
    return state.backstops.liquidations.get((position.instrument.id, position.side))


def _away(position: Position, price: Decimal) -> Decimal:
    """Round to the tick, away from the stop."""
    instrument = position.instrument
    long = position.side is Side.LONG
    return instrument.floor_price(price) if long else instrument.ceil_price(price)
