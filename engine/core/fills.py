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

from engine.core.accounting import apply_exit, split_fill
from engine.core.closing import BEING_CLOSED, in_flight
from engine.core.finishing import finish_if_flat, finish_if_nothing_left
from engine.core.orders import book_fill
from engine.core.others import count_fill, keeps_legs, others_on, reducible, waits_for_leg
from engine.core.state import State
from engine.model.effects import SaveFill
from engine.model.events import FundingPaid, OrderFilled
from engine.model.exits import ExitReason, Side
from engine.model.ids import Purpose, parse_client_order_id
from engine.model.instrument import InstrumentId, Market
from engine.model.money import ZERO, plain, ratio
from engine.model.order import Fill, FillKind, Order, OrderSide, OrderStatus
from engine.model.position import Position

MAX_UNCLAIMED = 200
"""How many foreign executions of an instrument are kept to explain a difference by."""


def on_order_filled(state: State, event: OrderFilled) -> None:
    """Book a fill, once; under an id that is not ours it is a reduction by somebody else."""
    fill = event.fill
    key = fill.client_order_id or ""
    order = state.order(key)
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
        of_others = min(fill.qty, reducible(state, fill))
    wanted = fill.qty - of_others
    waits = _may_lack_entries(state, fill, wanted) or _may_be_sold(state, fill, wanted)
    if instrument in state.accounts.unsure or waits or waits_for_leg(state, fill):
        state.accounts.held_back.setdefault(instrument, []).append(fill)
        state.accounts.wanted.add(instrument.venue)
        return
    taken = _take_from_ours(state, fill, wanted)
    _log_foreign(state, fill, fill.qty - taken)
    count_fill(state, fill, fill.qty - taken)
    keep_unclaimed(state, fill, fill.qty - taken, of_others)


def book_surplus(state: State) -> None:
    """Book what exits of ours sold beyond their position: of others', or of ours elsewhere."""
    surplus, state.backstops.surplus = state.backstops.surplus, []
    for fill in surplus:
        _book_foreign(state, fill)


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
        and _opened_side(order) is fill.reduced_side
        for order in state.orders.values()
    )


def _opened_side(order: Order) -> Side:
    return Side.LONG if order.side is OrderSide.BUY else Side.SHORT


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

    It first undoes what earlier ones did the other way. Where legs stand apart nothing of ours is
    met by an entry.
    """
    if keeps_legs(state, fill.instrument.id):
        return
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
        p.side is fill.reduced_side and not state.is_booked((p.id, fill.venue_trade_id))
        for p in held
    )


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
    return held and position.side is fill.reduced_side


def _was_held(position: Position, at_ns: int) -> bool:
    """Tell whether a position had begun at a moment of the venue's clock.

    What happened before it may be told after it, when an account is read.
    """
    since_ns = position.entry_time_ns
    return since_ns is not None and at_ns >= since_ns


def _log_foreign(state: State, fill: Fill, qty: Decimal) -> None:
    if qty > ZERO:
        state.log(
            "venue.foreign_fill",
            instrument=str(fill.instrument.id),
            venue_trade_id=fill.venue_trade_id,
            qty=plain(qty),
        )


def _reduce(state: State, position: Position, fill: Fill) -> None:
    """Take a foreign fill, no more than is held, from a position, and tell its owner of it."""
    by_venue = fill.kind in (FillKind.LIQUIDATION, FillKind.ADL)
    reason = ExitReason.LIQUIDATION if by_venue else ExitReason.EXTERNAL
    state.book((position.id, fill.venue_trade_id))
    state.save(SaveFill(fill, position.id))
    position = state.put_position(apply_exit(position, fill))
    data = {"qty": plain(fill.qty), "price": plain(fill.price), "left": plain(position.qty_open)}
    state.tell(f"position.{_class_of(position, fill)}", position_id=position.id, **data)
    if position.status in BEING_CLOSED:
        finish_if_flat(state, position)
    else:
        finish_if_nothing_left(state, position, reason)


def _class_of(position: Position, fill: Fill) -> str:
    """Name what a foreign execution did to a position, which is as it is after it.

    By hand is whoever is neither we nor the venue: the owner, or another program.
    """
    if fill.kind is not FillKind.TRADE:
        return str(fill.kind)
    return "reduced" if position.closable > ZERO else "external"


def on_funding(state: State, event: FundingPaid) -> None:
    """Split a funding settlement over what was held then, by quantity; others bear their share."""
    key = (str(event.instrument.id), event.venue_trade_id)
    positions = state.active_on(event.instrument.id)
    held = [p for p in positions if p.qty_open > ZERO and _was_held(p, event.time_ns)]
    if state.is_booked(key) or not held:
        return
    state.book(key)
    total = sum((position.qty_open for position in held), ZERO)
    rest = ours = _share_of_ours(state, event, held[0].side, total)
    for position in held[:-1]:
        share = ratio(ours * position.qty_open, total)
        state.put_position(replace(position, funding=position.funding + share))
        rest -= share
    state.put_position(replace(held[-1], funding=held[-1].funding + rest))
    state.log(
        "funding.paid",
        instrument=str(event.instrument.id),
        venue_trade_id=event.venue_trade_id,
        amount=plain(event.amount),
        ours=plain(ours),
    )


def _share_of_ours(state: State, event: FundingPaid, side: Side, qty: Decimal) -> Decimal:
    """The part of a settlement that ``qty`` of ours bears beside what others hold on its side."""
    others = others_on(state, event.instrument.id, side)
    return ratio(event.amount * qty, qty + others) if others else event.amount
