"""Adoption: what a venue holds and is not ours becomes a position, guarded like any other.

Nothing is ordered and nothing moves at the venue. What was bought before is booked by one fill that
says so (``FillKind.ADOPTED``), at the venue's own average price, so that fills still add up to
positions. Whether it can be done is judged by the last account report, which must be younger than
everything that may have changed what is held.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from engine.core.accounting import apply_entry
from engine.core.accounts import holdings
from engine.core.admission import exits_of
from engine.core.arming import arm, with_peak, with_thresholds
from engine.core.finishing import meets_minimums
from engine.core.orders import guard_of
from engine.core.others import count_figures, figures, keeps_legs, others_on, sharing
from engine.core.state import State
from engine.model.effects import SaveFill
from engine.model.events import AdoptionWanted, PositionAdopted
from engine.model.exit_checks import Situation, exit_problems, orphans
from engine.model.exit_lines import profit_price
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO, exact, plain
from engine.model.order import Fill, FillKind, OrderSide
from engine.model.position import Position, PositionStatus
from engine.model.ticks import PriceSource

GLANCE_NS = 60_000_000_000
"""How long an instrument is watched for an adoption that does not come."""


class ObstacleKind(StrEnum):
    """What stands in the way of an adoption.

    ``wrong``: what was asked for. ``absent``: what is there. ``later``: it is not known yet.
    """

    WRONG = "wrong"
    ABSENT = "absent"
    LATER = "later"


class Obstacle(Struct, frozen=True):
    """Why an adoption cannot be made: a field, named as the API names it, and what to do."""

    kind: ObstacleKind
    field: str
    remedy: str


class _Found(Struct, frozen=True):
    """What can be adopted; prices in quote asset, ``price`` the one now of the trigger."""

    side: Side
    qty: Decimal
    entry_price: Decimal
    price: Decimal
    trigger: PriceSource


def on_adoption_wanted(state: State, event: AdoptionWanted) -> None:
    """Watch what may be adopted soon, and read the account."""
    key = event.instrument.id
    state.watch(event.instrument)
    state.accounts.glances[key] = state.elapsed_ns + GLANCE_NS
    state.accounts.wanted.add(key.venue)


def end_glances(state: State) -> None:
    """Watch no longer what was not adopted."""
    glances = state.accounts.glances
    for instrument in [key for key, end_ns in glances.items() if state.elapsed_ns >= end_ns]:
        del glances[instrument]
        state.unwatch_unused(instrument)


# Judged


def adoption_obstacles(state: State, event: PositionAdopted) -> Sequence[Obstacle]:
    """Return why an adoption cannot be made; empty when it can."""
    found = _find(state, event)
    return [found] if isinstance(found, Obstacle) else _exit_obstacles(state, event, found)


def _find(state: State, event: PositionAdopted) -> _Found | Obstacle:
    instrument = event.instrument
    side = _unsettled(state, instrument) or _wrong(state, event) or _side(state, event)
    if isinstance(side, Obstacle):
        return side
    price = _price(state, instrument.id, side, _trigger(state, event))
    if price is None:
        remedy = f"no price of {instrument.id} is known yet; send it again in a few seconds"
        return Obstacle(ObstacleKind.LATER, "symbol", remedy)
    qty = instrument.floor_qty(_qty(state, instrument, side))
    if not meets_minimums(state, instrument, qty):
        remedy = (
            f"{plain(qty)} {instrument.base} is less than the venue sells; there is no guarding it"
        )
        return Obstacle(ObstacleKind.ABSENT, "symbol", remedy)
    entry_price = event.entry_price or _entry_price(state, instrument.id, side) or price
    return _Found(side, qty, entry_price, price, _trigger(state, event))


def _unsettled(state: State, instrument: Instrument) -> Obstacle | None:
    """Say what has to be known first: an account read after all that may have changed it."""
    accounts, key = state.accounts, instrument.id
    read_ns = state.accounts_read.get(key.venue)
    if read_ns is None:
        remedy = f"the account of {key.venue} was not read yet; send it again in a few seconds"
        return Obstacle(ObstacleKind.LATER, "venue", remedy)
    holding = holdings(instrument)[0]
    is_open = (
        any(holding in holdings(order.instrument) for order in state.orders.values())
        or any(position.id in state.resolving for position in sharing(state, holding))
        or any(key in known for known in (accounts.held_back, accounts.seen, state.unexplained))
        or accounts.has_moved(instrument, read_ns)
    )
    if is_open:
        remedy = "orders or executions of it are not accounted for yet; send it again in a while"
        return Obstacle(ObstacleKind.LATER, "symbol", remedy)
    return None


def _wrong(state: State, event: PositionAdopted) -> Obstacle | None:
    on_spot = event.instrument.id.market is Market.SPOT
    if event.entry_price is not None and not on_spot:
        remedy = "leave it out: on linear the venue's own entry price is taken"
        return Obstacle(ObstacleKind.WRONG, "entry_price", remedy)
    if on_spot and _trigger(state, event) is PriceSource.MARK:
        remedy = "spot has no mark price; give last or book"
        return Obstacle(ObstacleKind.WRONG, "trigger", remedy)
    return None


def _side(state: State, event: PositionAdopted) -> Side | Obstacle:
    """The side that is adopted; of two legs the one that is named."""
    key = event.instrument.id
    there = [side for side in Side if _qty(state, event.instrument, side) > ZERO]
    wanted = [side for side in there if event.side in (None, side)]
    if len(wanted) > 1:
        remedy = "the venue holds a long and a short there; give long or short"
        return Obstacle(ObstacleKind.WRONG, "side", remedy)
    if not wanted:
        what = "nothing" if event.side is None else f"no {event.side}"
        remedy = (
            f"{key.venue} holds {what} of {key} that is not guarded already; what was bought just"
            " now shows with the next reading of the account, within MONITOR_INTERVAL seconds"
        )
        return Obstacle(ObstacleKind.ABSENT, "symbol", remedy)
    against = wanted[0].opposite
    if any(position.side is against for position in state.active_on(key)):
        remedy = f"a {against} of ours is open on it, and positions there have one side; close it"
        return Obstacle(ObstacleKind.ABSENT, "side", remedy)
    return wanted[0]


def _qty(state: State, instrument: Instrument, side: Side) -> Decimal:
    """What is held of a side and not ours; on spot what is free, of all that no position bought."""
    if instrument.id.market is Market.LINEAR:
        return others_on(state, instrument.id, side)
    balance = state.balance(instrument.id, instrument.base)
    if balance is None or side is Side.SHORT:
        return ZERO
    ours = sum((p.qty_open for p in sharing(state, holdings(instrument)[0])), ZERO)
    return min(balance.free, balance.total - ours)


def _trigger(state: State, event: PositionAdopted) -> PriceSource:
    return event.exits.trigger or state.config.trigger


def _price(state: State, key: InstrumentId, side: Side, trigger: PriceSource) -> Decimal | None:
    """The price that the limits will be compared with; None while it is not known or doubted."""
    view = state.markets.get(key)
    if view is None or view.doubted or key in state.blind:
        return None
    price = view.book.channel(trigger, side).price
    return None if price is None else exact(price)


def _entry_price(state: State, key: InstrumentId, side: Side) -> Decimal | None:
    """The venue's average entry price of a linear position; None where it tells none."""
    rows = state.accounts.rows.get(key.venue, ())
    prices = (row.entry_price for row in rows if (row.instrument, row.side) == (key, side))
    return next(prices, None)


def _exit_obstacles(state: State, event: PositionAdopted, found: _Found) -> Sequence[Obstacle]:
    """Rules that cannot hold: among them those that would close at once what is handed over."""
    exits = exits_of(event.exits, state.config)
    now = Situation(
        side=found.side,
        instrument=event.instrument.id,
        trigger=found.trigger,
        at_ns=event.at_ns,
        entry_price=found.entry_price,
        price=found.price,
        fee_rate=state.config.fee_rate(event.instrument),
    )
    problems = [*orphans(exits, event.exits), *exit_problems(exits, now)]
    return [Obstacle(ObstacleKind.WRONG, each.field, each.remedy) for each in problems]


# Done


def on_position_adopted(state: State, event: PositionAdopted) -> None:
    """Make a position of what the venue holds, and guard it from this step on."""
    found, instrument = _find(state, event), event.instrument
    if isinstance(found, Obstacle) or _exit_obstacles(state, event, found):
        state.log("position.adoption_refused", event.actor, instrument=str(instrument.id))
        return
    fill = Fill(
        venue_trade_id=f"adopted-{event.position_id}",
        instrument=instrument,
        side=OrderSide.BUY if found.side is Side.LONG else OrderSide.SELL,
        qty=found.qty,
        price=found.entry_price,
        fee=ZERO,
        fee_asset=instrument.quote,
        time_ns=state.at_ns,
        kind=FillKind.ADOPTED,
    )
    bare = Position(
        id=event.position_id,
        instrument=instrument,
        side=found.side,
        exits=exits_of(event.exits, state.config),
        trigger=found.trigger,
        created_at_ns=state.at_ns,
        status=PositionStatus.OPEN,
    )
    position = _with_first_peak(with_thresholds(apply_entry(bare, fill)), found.price)
    position = state.put_position(replace(position, guard=guard_of(state, position)))
    state.book((position.id, fill.venue_trade_id))
    state.save(SaveFill(fill, position.id))
    arm(state, position)
    _take_from_others(state, position)
    _tell(state, position, event.actor)


def _with_first_peak(position: Position, price: Decimal) -> Position:
    """A trailing stop follows from the price now; what the price did before was nobody's to use."""
    trailing = position.exits.trailing
    if trailing is None or profit_price(position, trailing.activation) is not None:
        return position
    return with_peak(position, price)


def _take_from_others(state: State, position: Position) -> None:
    """What is ours now is not counted as others' any more."""
    key, qty = position.instrument.id, position.qty
    state.accounts.glances.pop(key, None)
    state.accounts.unclaimed.pop(key, None)
    counted = figures(state, key)
    if keeps_legs(state, key):
        left = tuple(
            held - qty if side is position.side else held
            for side, held in zip(Side, counted, strict=True)
        )
    elif key.market is Market.SPOT:
        left = (max(counted[0] - qty, ZERO),)
    else:
        left = (counted[0] - qty * position.side.sign,)
    count_figures(state, key, left)


def _tell(state: State, position: Position, actor: str) -> None:
    data = {
        "position_id": position.id,
        "instrument": str(position.instrument.id),
        "side": str(position.side),
        "qty": plain(position.qty),
        "entry_price": plain(position.entry_price or ZERO),
    }
    state.log("position.adopted", actor, **data)
    state.notify("position.adopted", **data)
