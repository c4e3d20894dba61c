"""What a venue holds that is not ours: one figure an instrument, or one a leg in hedge mode.

Where the venue nets, long and short of a linear instrument are one signed quantity; where it keeps
both apart, each leg has its own, and what happens on one says nothing of the other. An execution
may tell its leg; one that does not waits for the report.
"""

from decimal import Decimal

from engine.core.accounting import base_fee
from engine.core.accounts import Holding, holdings
from engine.core.state import State
from engine.model.exits import Side
from engine.model.instrument import InstrumentId, Market
from engine.model.money import ZERO
from engine.model.order import Fill, OrderSide
from engine.model.position import Position

Figures = tuple[Decimal, ...]
"""What is not ours of an instrument: signed where the venue nets, else long leg and short leg."""


def sharing(state: State, holding: Holding) -> list[Position]:
    """Positions that are parts of one figure: of an instrument, on spot of an asset."""
    parts = (
        key
        for key in state.instruments_held()
        if holdings(state.markets[key].instrument)[0] == holding
    )
    return [position for key in parts for position in state.active_on(key)]


def keeps_legs(state: State, instrument: InstrumentId) -> bool:
    """Tell whether the venue keeps long and short of an instrument apart."""
    return instrument.market is Market.LINEAR and instrument.venue in state.accounts.hedged


def others_on(state: State, instrument: InstrumentId, side: Side) -> Decimal:
    """What is held on a side and not ours, base asset."""
    if keeps_legs(state, instrument):
        return state.accounts.legs.get((instrument, side), ZERO)
    return max(state.foreign.get(instrument, ZERO) * side.sign, ZERO)


def figures(state: State, instrument: InstrumentId) -> Figures:
    """Return what is counted as not ours."""
    if keeps_legs(state, instrument):
        return tuple(others_on(state, instrument, side) for side in Side)
    return (state.foreign.get(instrument, ZERO),)


def count_figures(state: State, instrument: InstrumentId, counted: Figures) -> None:
    """Keep what is held and not ours."""
    if keeps_legs(state, instrument):
        for side, qty in zip(Side, counted, strict=True):
            count_leg(state, instrument, side, qty)
    else:
        count_net(state, instrument, counted[0])


def count_net(state: State, instrument: InstrumentId, foreign: Decimal) -> None:
    """Keep what is held and not ours where the venue nets, base asset (signed on linear)."""
    if foreign:
        state.foreign[instrument] = foreign
    else:
        state.foreign.pop(instrument, None)


def count_leg(state: State, instrument: InstrumentId, side: Side, qty: Decimal) -> None:
    """Keep what is held of a leg and not ours, base asset."""
    if qty > ZERO:
        state.accounts.legs[instrument, side] = qty
    else:
        state.accounts.legs.pop((instrument, side), None)


def reducible(state: State, fill: Fill) -> Decimal:
    """What is held besides ours that a fill may have reduced."""
    side = fill.reduced_side
    return ZERO if side is None else others_on(state, fill.instrument.id, side)


def waits_for_leg(state: State, fill: Fill) -> bool:
    """Tell whether only a report can say which leg a fill changed, or one that it follows."""
    key = fill.instrument.id
    return keeps_legs(state, key) and (fill.leg is None or key in state.accounts.held_back)


def count_fill(state: State, fill: Fill, qty: Decimal) -> None:
    """Count what ``qty`` of a fill did to what is not ours, where a report has told that.

    An execution of long ago may be told again after a start. A balance cannot be negative.
    """
    instrument = fill.instrument.id
    if qty == ZERO or not _is_known(state, instrument):
        return
    if fill.leg is not None and keeps_legs(state, instrument):
        change = qty if fill.reduced_side is None else -qty
        held = others_on(state, instrument, fill.leg)
        count_leg(state, instrument, fill.leg, held + change)
        return
    foreign = state.foreign.get(instrument, ZERO)
    foreign += qty if fill.side is OrderSide.BUY else -qty
    if instrument.market is Market.SPOT:
        foreign = max(foreign - base_fee(fill), ZERO)
    count_net(state, instrument, foreign)


def _is_known(state: State, instrument: InstrumentId) -> bool:
    """Tell whether it is known what is held besides ours: nothing, where a report told nothing."""
    if instrument in state.accounts.based or any(figures(state, instrument)):
        return True
    was_read = instrument.venue in state.accounts_read
    is_ours = any(position.qty_open for position in state.active_on(instrument))
    return was_read and instrument.market is Market.LINEAR and not is_ours


def known_on(state: State, venue: str) -> set[InstrumentId]:
    """Return a venue's instruments of which something is counted that is not ours."""
    counted = {*state.foreign, *(instrument for instrument, _ in state.accounts.legs)}
    return {instrument for instrument in counted if instrument.venue == venue}


def forget_linear(state: State, venue: str) -> None:
    """Count nothing more of a venue's linear market: it keeps its positions another way now."""
    accounts = state.accounts
    for instrument in known_on(state, venue) | accounts.instruments():
        if instrument.venue == venue and instrument.market is Market.LINEAR:
            state.foreign.pop(instrument, None)
            for side in Side:
                accounts.legs.pop((instrument, side), None)
            accounts.based.discard(instrument)
            accounts.seen.pop(instrument, None)
