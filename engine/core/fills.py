"""Executions: of our orders, of others that reduce what we guard, and funding.

A foreign reduction is taken first from what is not ours, then from ours, oldest first (DESIGN.md
2.6). A liquidation takes ours whatever else is held. While it is not known what else is held, that
is after a start and where the venue keeps a leg for each side, executions wait for a report; so do
those that took more than we know of while an entry of ours is on its way, or what an exit may sell.
What an execution took neither from ours nor from what was known to be others' is kept: it may be
what an entry of ours met (docs/decisions/0014-reconciliation.md).
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from engine.core.accounting import apply_exit, base_fee, split_fill
from engine.core.closing import BEING_CLOSED, in_flight
from engine.core.finishing import finish_if_flat, finish_if_nothing_left
from engine.core.orders import book_fill
from engine.core.state import State
from engine.model.effects import SaveFill
from engine.model.events import FundingPaid, OrderFilled
from engine.model.exits import ExitReason, Side
from engine.model.ids import Purpose, parse_client_order_id
from engine.model.instrument import InstrumentId, Market
from engine.model.money import ZERO, plain, ratio
from engine.model.order import Fill, FillKind, OrderSide, OrderStatus
from engine.model.position import Position

MAX_UNCLAIMED = 200
"""How many foreign executions of an instrument are kept to explain a difference by."""


def on_order_filled(state: State, event: OrderFilled) -> None:
    """Book a fill, once; under an id that is not ours it is a reduction by somebody else."""
    fill = event.fill
    key = fill.client_order_id or ""
    order = state.orders.get(key)
    ours = parse_client_order_id(key)
    if order is not None:
        book_fill(state, order, fill)
    elif ours is None:
        _book_foreign(state, fill)
    elif ours[0] in state.positions and not state.is_booked((key, fill.venue_trade_id)):
        _unexpected(state, fill, key, position_id=ours[0])


def _unexpected(state: State, fill: Fill, key: str, position_id: str) -> None:
    """A fill of what is open under an id that is not in flight: final already, or not known (yet).

    Fills of closed positions are told again after a start, all of the last day.
    """
    data = {"client_order_id": key, "venue_trade_id": fill.venue_trade_id}
    state.log("order.unexpected_fill", **data)
    if position_id not in state.resolving:
        state.notify("order.unexpected_fill", **data, position_id=position_id)


def _book_foreign(state: State, fill: Fill) -> None:
    """Book an execution that was not ours, once, or hold it back until a report is there.

    One step books all of a fill, so where the ledger has it for one position it is done with.
    """
    instrument = fill.instrument.id
    once = (str(instrument), fill.venue_trade_id)
    of_ledger = [(p.id, fill.venue_trade_id) for p in state.active_on(instrument)]
    if any(state.is_booked(key) for key in (once, *of_ledger)):
        return
    state.book(once)
    state.accounts.note_moved(fill.instrument, state.clock_ns)
    state.accounts.seen.pop(instrument, None)  # the report before may not have had it
    of_others = ZERO
    if fill.kind is FillKind.TRADE:
        of_others = min(fill.qty, _reducible_of_others(state, fill))
    wanted = fill.qty - of_others
    waits = _may_lack_entries(state, fill, wanted) or _may_be_sold(state, fill, wanted)
    if instrument in state.accounts.unsure or waits:
        state.accounts.held_back.setdefault(instrument, []).append(fill)
        state.accounts.wanted.add(instrument.venue)
        return
    taken = _take_from_ours(state, fill, wanted)
    _count_foreign(state, fill, taken)
    keep_unclaimed(state, fill, fill.qty - taken, of_others)


def _may_lack_entries(state: State, fill: Fill, wanted: Decimal) -> bool:
    """Tell whether a fill may have reduced what we were not told yet that we bought.

    It would be booked in part, and the same execution is not booked twice to one position.
    """
    if wanted <= _reducible_of_ours(state, fill):
        return False
    return any(
        order.instrument.id == fill.instrument.id
        and order.purpose is not Purpose.EXIT
        and order.status is not OrderStatus.INTENDED
        and order.side is not fill.side
        for order in state.orders.values()
    )


def _may_be_sold(state: State, fill: Fill, wanted: Decimal) -> bool:
    """Tell whether exits in flight may sell what a fill took: ours elsewhere, or others' on spot.

    What reduces a derivative only is cut by the venue to what is there.
    """
    positions = state.active_on(fill.instrument.id)
    held = [p for p in positions if _can_reduce(p, fill)]
    asked = {p.id: in_flight(state, p) for p in held}
    free = sum((max(p.qty_open - asked[p.id], ZERO) for p in held), ZERO)
    more = len(positions) > 1 or fill.instrument.id.market is Market.SPOT
    return more and any(asked.values()) and wanted > free


def book_held_back(state: State, fills: Iterable[Fill], lacking: Decimal) -> None:
    """Take from our positions what executions that were held back did, ``lacking`` base asset.

    What is not ours is reduced first, so what a report finds missing of ours went last.
    """
    parts: list[tuple[Fill, Decimal]] = []
    for fill in reversed(sorted(fills, key=lambda fill: fill.time_ns)):  # noqa: C413 - ties too
        part = min(fill.qty, lacking, _reducible_of_ours(state, fill))
        parts.append((fill, part))
        lacking -= part
    for fill, part in reversed(parts):
        rest = fill.qty - _take_from_ours(state, fill, part)
        _log_foreign(state, fill, rest)
        keep_unclaimed(state, fill, rest, ZERO)


def keep_unclaimed(state: State, fill: Fill, qty: Decimal, of_others: Decimal) -> None:
    """Keep what a fill did besides, ``qty``, less what was known to be others'.

    It first undoes what earlier ones did the other way.
    """
    kept = state.accounts.unclaimed.setdefault(fill.instrument.id, [])
    rest = qty
    while kept and rest > ZERO and kept[0].side is not fill.side:
        first = kept.pop(0)
        if first.qty > rest:
            kept.insert(0, split_fill(first, rest)[1])
        rest -= min(first.qty, rest)
    rest = min(rest, qty - of_others)
    if rest > ZERO:
        kept.append(fill if rest == fill.qty else split_fill(fill, rest)[0])
    del kept[:-MAX_UNCLAIMED]


def book_unclaimed(state: State, instrument: InstrumentId, side: Side, needed: Decimal) -> bool:
    """Take ``needed`` from ours on ``side`` by executions that are older than what is held.

    An entry of ours closes what others hold on the other side where the venue nets, so that much of
    it was never held; and an exit may have sold what was bought after the reduction that it did not
    know of. Either way the latest executions that nothing else explains took it.

    Returns:
        Whether they explain all of it; if not, nothing is taken.
    """
    kept = state.accounts.unclaimed.get(instrument, [])
    held = [p for p in state.active_on(instrument) if p.side is side and p.qty_open > ZERO]
    usable = [fill for fill in kept if _may_explain(state, fill, held)]
    ours = sum((position.qty_open for position in held), ZERO)  # on spot others share the asset
    if min(sum((fill.qty for fill in usable), ZERO), ours) < needed:
        return False
    while needed > ZERO:
        fill = usable.pop()
        part = min(fill.qty, needed)
        needed -= _take_from_ours(state, fill, part, is_older=True)
        place = kept.index(fill)
        kept[place : place + 1] = [split_fill(fill, part)[1]] if part < fill.qty else []
    return True


def _may_explain(state: State, fill: Fill, held: Iterable[Position]) -> bool:
    """Tell whether a fill may have reduced what is held, each once."""
    return all(
        p.exit_side is fill.side and not state.is_booked((p.id, fill.venue_trade_id)) for p in held
    )


def _reducible_of_others(state: State, fill: Fill) -> Decimal:
    """What is held besides ours that a fill may have reduced."""
    foreign = state.foreign.get(fill.instrument.id, ZERO)
    return max(foreign if fill.side is OrderSide.SELL else -foreign, ZERO)


def _reducible_of_ours(state: State, fill: Fill) -> Decimal:
    positions = state.active_on(fill.instrument.id)
    return sum((p.qty_open for p in positions if _can_reduce(p, fill)), ZERO)


def _take_from_ours(state: State, fill: Fill, qty: Decimal, *, is_older: bool = False) -> Decimal:
    """Take up to ``qty`` of a fill from our positions; returns what was taken."""
    rest = fill
    shares = _shares(state, fill, qty, is_older=is_older)
    for position, part in shares:
        piece = rest
        if part < rest.qty:
            piece, rest = split_fill(rest, part)
        _reduce(state, position, piece)
    return sum((part for _, part in shares), ZERO)


def _shares(
    state: State, fill: Fill, qty: Decimal, *, is_older: bool
) -> list[tuple[Position, Decimal]]:
    """Share ``qty`` of a fill among our positions, oldest first.

    What exits in flight ask for comes last: they may get it of what the others bought.
    """
    positions = state.active_on(fill.instrument.id)
    able = [p for p in positions if _can_reduce(p, fill, is_older=is_older)]
    shares = {p.id: ZERO for p in able}
    for asked in ({p.id: in_flight(state, p) for p in able}, shares):
        for position in able:
            part = min(qty, max(position.qty_open - asked[position.id], ZERO))
            shares[position.id] += part
            qty -= part
    return [(p, shares[p.id]) for p in able if shares[p.id] > ZERO]


def _can_reduce(position: Position, fill: Fill, *, is_older: bool = False) -> bool:
    held = position.qty_open > ZERO and (is_older or _was_held(position, fill.time_ns))
    return held and position.exit_side is fill.side


def _was_held(position: Position, at_ns: int) -> bool:
    """Tell whether a position had begun at a moment of the venue's clock.

    What happened before it may be told after it, when an account is read.
    """
    since_ns = position.entry_time_ns
    return since_ns is not None and at_ns >= since_ns


def _count_foreign(state: State, fill: Fill, taken: Decimal) -> None:
    """Count what a fill did to what is not ours, where a report has told that.

    An execution of long ago may be told again after a start. A balance cannot be negative.
    """
    instrument, rest = fill.instrument.id, fill.qty - taken
    _log_foreign(state, fill, rest)
    if rest == ZERO or not _is_counted(state, instrument):
        return
    foreign = state.foreign.get(instrument, ZERO)
    foreign += rest if fill.side is OrderSide.BUY else -rest
    if instrument.market is Market.SPOT:
        foreign = max(foreign - base_fee(fill), ZERO)
    count_foreign(state, instrument, foreign)


def _is_counted(state: State, instrument: InstrumentId) -> bool:
    """Tell whether it is known what is held besides ours: nothing, where a report told nothing."""
    if instrument in state.foreign or instrument in state.accounts.based:
        return True
    was_read = instrument.venue in state.accounts_read
    is_ours = any(position.qty_open for position in state.active_on(instrument))
    return was_read and instrument.market is Market.LINEAR and not is_ours


def count_foreign(state: State, instrument: InstrumentId, foreign: Decimal) -> None:
    """Keep what is held and not ours, base asset (signed on linear)."""
    if foreign:
        state.foreign[instrument] = foreign
    else:
        state.foreign.pop(instrument, None)


def _log_foreign(state: State, fill: Fill, qty: Decimal) -> None:
    if qty > ZERO:
        state.log(
            "venue.foreign_fill",
            instrument=str(fill.instrument.id),
            venue_trade_id=fill.venue_trade_id,
            qty=plain(qty),
        )


def _reduce(state: State, position: Position, fill: Fill) -> None:
    """Take a foreign fill, no more than is held, from a position."""
    liquidated = fill.kind is FillKind.LIQUIDATION
    reason = ExitReason.LIQUIDATION if liquidated else ExitReason.EXTERNAL
    state.book((position.id, fill.venue_trade_id))
    state.save(SaveFill(fill, position.id))
    position = state.put_position(apply_exit(position, fill))
    state.notify(f"position.{reason}", position_id=position.id, qty=plain(fill.qty))
    if position.status in BEING_CLOSED:
        finish_if_flat(state, position)
    else:
        finish_if_nothing_left(state, position, reason)


def on_funding(state: State, event: FundingPaid) -> None:
    """Split a funding settlement over the positions that were held then, by quantity."""
    key = (str(event.instrument.id), event.venue_trade_id)
    positions = state.active_on(event.instrument.id)
    held = [p for p in positions if p.qty_open > ZERO and _was_held(p, event.time_ns)]
    if state.is_booked(key) or not held:
        return
    state.book(key)
    total = sum((position.qty_open for position in held), ZERO)
    rest = event.amount
    for position in held[:-1]:
        share = ratio(event.amount * position.qty_open, total)
        state.put_position(replace(position, funding=position.funding + share))
        rest -= share
    state.put_position(replace(held[-1], funding=held[-1].funding + rest))
    state.log(
        "funding.paid",
        instrument=str(event.instrument.id),
        venue_trade_id=event.venue_trade_id,
        amount=plain(event.amount),
    )
