"""What the venue holds against what our books say (DESIGN.md 2.7).

A difference alone books nothing. A report is compared only where nothing of ours is under way and
nothing was executed since it was asked for. What the venue holds beyond ours is not ours; where it
holds less, three such reports in a row make it an alarm, and entries on that instrument wait.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from engine.core.accounts import holdings
from engine.core.admission import LIQUIDATION_MARGIN
from engine.core.asking import look_up
from engine.core.closing import BEFORE_CLOSE
from engine.core.fills import book_held_back, book_unclaimed, keep_unclaimed
from engine.core.others import Figures, count_figures, figures, keeps_legs, known_on, sharing
from engine.core.position_mode import note_mode
from engine.core.state import State
from engine.model.effects import ReadAccount, SaveBalance
from engine.model.events import (
    AccountReported,
    AccountResumed,
    Balance,
    BalancesReported,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO, plain
from engine.model.order import OrderStatus
from engine.model.position import Position

SOON_NS = 5_000_000_000
"""Pause before an account is read again while something about it is open."""

DIFFERENCES_UNTIL_TOLD = 3


class _Leg(Struct, frozen=True):
    """One side of what is held of an instrument, in base asset.

    Attributes:
        ours: what our books say. sellable: the part of it in whole steps.
        held: what the venue holds on this side.
    """

    side: Side
    ours: Decimal
    sellable: Decimal
    held: Decimal

    @property
    def lacks(self) -> bool:
        """Whether the venue holds less than ours; less than a step cannot be sold anyway."""
        return self.held < self.sellable


# Asked for


def read_due(state: State) -> None:
    """Have the accounts read whose time has come."""
    _let_go_of_idle(state)
    accounts = state.accounts
    for venue in sorted({venue for venue, _ in state.config.fee_rates}):
        read_ns = accounts.read_ns.get(venue)
        if read_ns is None or state.elapsed_ns >= read_ns + _pause_ns(state, venue):
            _read(state, venue)


def _pause_ns(state: State, venue: str) -> int:
    interval_ns = state.config.monitor_interval_ns
    accounts = state.accounts
    is_open = venue in accounts.unsettled or venue in accounts.wanted
    new = any(i.venue == venue and i not in accounts.based for i in state.instruments_held())
    return min(SOON_NS, interval_ns) if is_open or new else interval_ns


def _read(state: State, venue: str) -> None:
    state.accounts.wanted.discard(venue)
    state.accounts.read_ns[venue] = state.elapsed_ns
    state.command(ReadAccount(venue))


def _let_go_of_idle(state: State) -> None:
    """Compare nothing more on instruments of which nothing of ours is open."""
    kept = state.accounts.instruments() | state.unexplained.keys()
    if not kept:
        return
    for instrument in sorted(kept - state.instruments_held()):
        for fill in state.accounts.held_back.get(instrument, ()):
            keep_unclaimed(state, fill, fill.qty, ZERO)
        state.accounts.forget(instrument)
        _explain(state, instrument)


def on_account_resumed(state: State, event: AccountResumed) -> None:
    """Account events may have been missed: read the account, and ask for what is in flight.

    A request that has not left us yet would be found absent, which would prove nothing.
    """
    every = (*state.orders.values(), *state.backstops.live.values())
    orders = [order for order in every if order.instrument.id.venue == event.venue]
    for order in orders:
        if order.status is not OrderStatus.INTENDED:
            look_up(state, order)
    _read(state, event.venue)


# Told


def on_balances_reported(state: State, event: BalancesReported) -> None:
    """Take balances; assets not named are unchanged."""
    for balance in event.balances:
        key = (balance.venue, balance.market, balance.asset)
        if state.balances.get(key) != balance:
            state.balances[key] = balance
            state.save(SaveBalance(balance, event.at_ns))


def on_account_reported(state: State, event: AccountReported) -> None:
    """Compare a report with our books; one that a later one has overtaken is nothing."""
    venue = event.venue
    if event.as_of_ns <= state.accounts_read.get(venue, -1):
        return
    state.accounts_read[venue] = event.as_of_ns
    state.accounts.rows[venue] = event.positions
    note_mode(state, event)
    _take_balances(state, event)
    settled = True
    for instrument in sorted(state.instruments_held()):
        if instrument.venue == venue:
            settled = _compare(state, instrument, event) and settled
    _count_others(state, event)
    (state.accounts.unsettled.discard if settled else state.accounts.unsettled.add)(venue)
    _check_liquidations(state, event.positions)


def _take_balances(state: State, event: AccountReported) -> None:
    """Take all balances, unless something was executed since: then what was told later counts."""
    venue = event.venue
    moved = (at for (where, _), at in state.accounts.moved_ns.items() if where == venue)
    if max(moved, default=-1) >= event.as_of_ns:
        return
    told = {(balance.market, balance.asset) for balance in event.balances}
    held = [(market, asset) for where, market, asset in state.balances if where == venue]
    empty = tuple(
        Balance(venue, asset, ZERO, ZERO, ZERO, market)
        for market, asset in held
        if (market, asset) not in told
    )
    on_balances_reported(state, BalancesReported((*event.balances, *empty), event.at_ns))


# Compared


def _compare(state: State, key: InstrumentId, event: AccountReported) -> bool:
    """Compare what is held of an instrument; returns whether nothing about it is open."""
    instrument = state.markets[key].instrument
    if not _counts(state, instrument, event):
        return False
    rows = [row for row in event.positions if row.instrument == key]
    legs = _legs(state, instrument, rows, event.balances)
    held_back = state.accounts.held_back.pop(key, None)
    if held_back:
        lacking = sum((leg.ours - leg.held for leg in legs if leg.lacks), ZERO)
        book_held_back(state, held_back, lacking)
        if keeps_legs(state, key):
            state.accounts.based.discard(key)  # what they did to others' is not counted yet
        legs = _legs(state, instrument, rows, event.balances)
    apart = keeps_legs(state, key)
    is_unsure = len(rows) > 1 and not apart
    (state.accounts.unsure.add if is_unsure else state.accounts.unsure.discard)(key)
    lacking_legs = [leg for leg in legs if leg.lacks]
    if lacking_legs:
        nets = len(rows) <= 1 and not apart
        if not (nets and _is_explained_by_older(state, key, lacking_legs[0])):
            _count_difference(state, key, lacking_legs[0])
            return False
        legs = _legs(state, instrument, rows, event.balances)
        state.accounts.based.discard(key)
    state.accounts.differences.pop(key, None)
    _explain(state, key)
    return _count_rest(state, key, legs)


def _counts(state: State, instrument: Instrument, event: AccountReported) -> bool:
    """Tell whether what a report says of an instrument can be compared with our books."""
    holding = holdings(instrument)[0]
    under_way = any(holding in holdings(order.instrument) for order in state.orders.values())
    resolving = any(p.id in state.resolving for p in sharing(state, holding))
    return not (under_way or resolving or state.accounts.has_moved(instrument, event.as_of_ns))


def _legs(
    state: State,
    instrument: Instrument,
    rows: list[VenuePosition],
    balances: Iterable[Balance],
) -> list[_Leg]:
    """Return what is held on each side on which something is ours, in hedge mode on both.

    Where the venue nets, one row has the sum of both sides; where it keeps two, each is its own.
    """
    positions = sharing(state, holdings(instrument)[0])
    apart = keeps_legs(state, instrument.id)
    legs = []
    for side in Side:
        on_side = [position for position in positions if position.side is side]
        if not on_side and not apart:
            continue
        if instrument.id.market is Market.SPOT:
            held = sum((b.total for b in balances if _is_of(b, instrument)), ZERO)
        else:
            held = sum((row.qty for row in rows if row.side is side), ZERO)
        ours = sum((position.qty_open for position in on_side), ZERO)
        sellable = ours
        if instrument.id.market is Market.SPOT:
            sellable = sum((position.closable for position in on_side), ZERO)
        legs.append(_Leg(side, ours, sellable, held))
    return legs


def _is_of(balance: Balance, instrument: Instrument) -> bool:
    """Tell whether a balance holds what a spot instrument bought; futures may have their own."""
    return balance.asset == instrument.base and balance.market in (None, Market.SPOT)


def _is_explained_by_older(state: State, key: InstrumentId, leg: _Leg) -> bool:
    """Take what ours lacks by executions from before it, when none that explains it has come."""
    count = state.accounts.differences.get(key, 0) + 1
    lacking = leg.ours - leg.held
    return count >= DIFFERENCES_UNTIL_TOLD and book_unclaimed(state, key, leg.side, lacking)


def _count_difference(state: State, key: InstrumentId, leg: _Leg) -> None:
    """Count a report that holds less than ours; what is not ours stays as the executions told it.

    An execution that explains the difference may still come.
    """
    state.accounts.seen.pop(key, None)
    count = state.accounts.differences.get(key, 0) + 1
    state.accounts.differences[key] = count
    if count < DIFFERENCES_UNTIL_TOLD:
        return
    if key not in state.unexplained:
        data = {"instrument": str(key), "ours": plain(leg.ours), "venue": plain(leg.held)}
        state.tell("account.unexplained", **data)
    state.unexplained[key] = leg.held


def _explain(state: State, key: InstrumentId) -> None:
    if state.unexplained.pop(key, None) is not None:
        state.tell("account.explained", instrument=str(key))


def _count_rest(state: State, key: InstrumentId, legs: list[_Leg]) -> bool:
    """Count what is held beyond ours as not ours.

    The first report tells it. Later it follows the executions, and only what two reports in a row
    say overrules them: an execution that a report has overtaken would otherwise be taken from ours.
    """
    accounts = state.accounts
    rest = _rest(state, key, legs)
    known = key not in accounts.based or accounts.seen.get(key) == rest
    if known or figures(state, key) == rest:
        accounts.based.add(key)
        accounts.seen.pop(key, None)
        count_figures(state, key, rest)
        return True
    accounts.seen[key] = rest
    return False


def _rest(state: State, key: InstrumentId, legs: list[_Leg]) -> Figures:
    if keeps_legs(state, key):
        return tuple(leg.held - leg.ours for leg in legs)
    rest = sum(((leg.held - leg.ours) * leg.side.sign for leg in legs), ZERO)
    return (max(rest, ZERO) if key.market is Market.SPOT else rest,)


def _count_others(state: State, event: AccountReported) -> None:
    """Count what the venue holds on instruments on which nothing is ours."""
    held: dict[InstrumentId, list[VenuePosition]] = {}
    for row in event.positions:
        held.setdefault(row.instrument, []).append(row)
    ours = state.instruments_held()
    for key in (known_on(state, event.venue) | held.keys()) - ours:
        if state.accounts.moved_ns.get((key.venue, str(key)), -1) < event.as_of_ns:
            count_figures(state, key, _figures_of(state, key, held.get(key, [])))
        # else what was executed since is not in the report


def _figures_of(state: State, key: InstrumentId, rows: list[VenuePosition]) -> Figures:
    """What the rows of an instrument come to; two of one that should net stand apart."""
    if keeps_legs(state, key):
        return tuple(sum((row.qty for row in rows if row.side is side), ZERO) for side in Side)
    return (rows[0].qty * rows[0].side.sign if len(rows) == 1 else ZERO,)


# Liquidation


def _check_liquidations(state: State, rows: Iterable[VenuePosition]) -> None:
    """Alarm positions that would be liquidated before their stop, as the venue tells it now."""
    at = {(row.instrument, row.side): row.liquidation_price for row in rows}
    beyond = state.accounts.beyond_liquidation
    beyond.intersection_update(state.positions)
    for position in state.positions.values():
        liquidation = at.get((position.instrument.id, position.side))
        if liquidation is None or position.status not in BEFORE_CLOSE:
            continue
        is_beyond = _is_beyond(position, liquidation)
        if is_beyond is (position.id in beyond):
            continue
        (beyond.add if is_beyond else beyond.discard)(position.id)
        kind = (
            "position.stop_beyond_liquidation" if is_beyond else "position.stop_before_liquidation"
        )
        data = {"position_id": position.id, "liquidation_price": plain(liquidation)}
        state.tell(kind, **data)


def _is_beyond(position: Position, liquidation: Decimal) -> bool:
    """Tell whether the stop lies nearer to the liquidation price than it may, or beyond it."""
    stop, entry_price = position.stop_loss, position.entry_price
    if stop is None or entry_price is None:
        return False
    return (stop - liquidation) * position.side.sign < LIQUIDATION_MARGIN * entry_price
