"""Start-up: what the ledger knows is compared with the venue before a position is armed.

A close is sent before it is journalled, so besides the orders in the ledger the exit ids that may
follow the last journalled one are asked for, until four in a row are proved absent: that takes as
long as the venue may still take them. Arming is per position: each waits only for its own orders,
and closes asked for or limits crossed meanwhile wait with it. The entry is asked for first: an exit
that is not in the ledger may have closed fills that are not there either. What is absent is sent
again only when all is answered.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.core.arming import arm, disarm
from engine.core.asking import look_up, look_up_first, note_submitted
from engine.core.close_signals import close_by_signal, closes_only
from engine.core.closing import (
    BEFORE_CLOSE,
    BEING_CLOSED,
    MAX_EXITS_IN_FLIGHT,
    close,
    continue_closing,
    exit_order,
)
from engine.core.entries import enter
from engine.core.gaps import note_downtime
from engine.core.ladder import (
    move_stop_after_rung,
    reach_rungs,
    rungs_closed_by,
    send_rungs,
    with_rungs,
)
from engine.core.orders import guard_of
from engine.core.outcomes import settle_close_signal
from engine.core.resend import resend_or_drop
from engine.core.resolving import Resolving
from engine.core.state import Cause, State, Wish
from engine.model.events import OrderLookedUp, Started
from engine.model.exit_lines import LineState, exit_lines
from engine.model.exits import ExitReason
from engine.model.ids import Purpose
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.signal import Signal, SignalRecord

ASK_AGAIN_NS = 1_000_000_000
TELL_SILENCE_NS = 5_000_000_000
TELL_NS = 30_000_000_000


def on_started(state: State, event: Started) -> None:
    """Take up what the ledger holds and ask the venues about everything unfinished."""
    state.accepting, state.since_ns = event.accepting, event.since_ns
    state.balances = {(b.venue, b.market, b.asset): b for b in event.balances}
    for key in event.booked:
        state.book(key)
    state.signals = {record.signal.id: record for record in event.signals}
    for order in event.orders:
        if not order.is_final:
            state.take_order(order)
            note_submitted(state, order)  # the process that died may have sent it until now
    for position in event.positions:
        _take_up(state, position)
    acted = {order.signal_id for order in event.orders}
    for record in event.signals:
        _take_up_signal(state, record, acted)
    note_downtime(state)
    state.log("service.started", positions=len(event.positions), orders=len(event.orders))


def _take_up(state: State, position: Position) -> None:
    state.watch(position.instrument)
    position = state.put_position(replace(position, guard=GuardStatus.RESOLVING))
    if position.status in BEFORE_CLOSE:
        arm(state, position)
    now_ns = state.elapsed_ns
    state.resolving[position.id] = Resolving(now_ns, now_ns + ASK_AGAIN_NS, now_ns)
    state.accounts.unsure.add(position.instrument.id)
    for order in state.orders_of(position.id):
        if order.purpose is not Purpose.EXIT:
            _ask_known(state, order)
    backstop = state.backstops.live.get(position.id)
    if backstop is not None:  # nothing waits for it but the next one, and a close on spot
        look_up_first(state, backstop)
    _go_on(state, position.id)


def _go_on(state: State, position_id: str) -> None:
    """Ask for the exits once the entry is accounted for; arm once everything is."""
    resolving = state.resolving[position_id]
    position = state.positions[position_id]
    if resolving.asked:
        return
    if not resolving.exits_asked and position.qty > ZERO:
        resolving.exits_asked = True
        for order in state.orders_of(position_id):
            if order.purpose is Purpose.EXIT:
                resolving.latest = max(resolving.latest, order.generation)
                _ask_known(state, order)
        ask_ahead(state, position, position.exit_generation)
    else:
        _arm(state, position_id)


def ask_ahead(state: State, position: Position, last: int) -> None:
    """Ask for the exits that may have been sent after generation ``last`` without a journal."""
    resolving = state.resolving[position.id]
    resolving.latest = max(resolving.latest, last)
    for generation in range(last + 1, resolving.latest + 1 + MAX_EXITS_IN_FLIGHT):
        order = possible_exit(position, generation)
        if order.client_order_id not in resolving.asked:
            _ask(state, order)


def possible_exit(position: Position, generation: int) -> Order:
    """The exit order that may exist under a derived id although the ledger has no row of it."""
    return exit_order(position, generation, position.closable, position.created_at_ns)


def _ask_known(state: State, order: Order) -> None:
    state.resolving[order.position_id].known.add(order.client_order_id)
    _ask(state, order)


def _ask(state: State, order: Order) -> None:
    state.resolving[order.position_id].asked[order.client_order_id] = order
    look_up(state, order)


def ask_again(state: State) -> None:
    """Ask each second for what the venue has not answered, and tell the owner after a while."""
    for position_id, resolving in state.resolving.items():
        if state.elapsed_ns < resolving.due_ns:
            continue
        resolving.due_ns = state.elapsed_ns + ASK_AGAIN_NS
        for order in resolving.asked.values():
            look_up(state, order)
        silent = state.elapsed_ns - resolving.heard_ns >= TELL_SILENCE_NS
        if not resolving.told and (silent or state.elapsed_ns - resolving.since_ns >= TELL_NS):
            resolving.told = True
            state.notify("position.unresolved", position_id=position_id)


def _take_up_signal(state: State, record: SignalRecord, acted: set[str | None]) -> None:
    """Go on with a signal that was accepted and not settled when the process ended.

    An entry without a position was never sent, since its position would have been on disk before.
    It is made now unless it is too old; its position takes the signal's id, which is as random.
    """
    signal = record.signal
    if record.position_id is None and not closes_only(signal):
        enter(state, signal, signal.id)
    elif record.position_id is None:
        close_by_signal(state, signal, again=True)
    elif record.position_id not in state.positions or (closes_only(signal) and signal.id in acted):
        settle_close_signal(state, signal.id)
    elif _is_forgotten(state.positions[record.position_id], signal, acted):
        size = signal.size if closes_only(signal) else None
        close_by_signal(state, replace(signal, size=size), again=True)


def _is_forgotten(position: Position, signal: Signal, acted: set[str | None]) -> bool:
    """Tell whether a close waited for answers when the process ended, and nothing was made of it.

    A signal that has a position and neither opened it nor added to it was to close it, as an
    opposite one does.
    """
    return signal.id not in {*acted, position.signal_id, position.closing_signal_id}


def discover(state: State, position: Position, generation: int, event: OrderLookedUp) -> Order:
    """An exit that was sent and never journalled: its reason is inferred from its price."""
    qty = event.qty or sum((fill.qty for fill in event.fills), ZERO) or position.closable
    whole = _closes_whole(position, qty)
    rungs = None
    if not whole:
        filled_at = event.fills[0].price if event.fills else None
        rungs = rungs_closed_by(state, position, qty, filled_at)
    reason = _infer_reason(position, event, whole=whole, is_rung=rungs is not None)
    order = replace(
        possible_exit(position, generation),
        status=OrderStatus.SENT,
        qty=qty,
        reason=reason,
        created_at_ns=state.at_ns,
    )
    state.put_order(order)
    if rungs is not None:
        position = with_rungs(position, rungs)
    elif not whole:
        state.resolving[position.id].parts.append(qty)
    if position.status in BEFORE_CLOSE and whole:
        disarm(state, position)
        position = replace(position, status=PositionStatus.CLOSING, exit_reason=reason)
    position = state.put_position(position)
    state.log(
        "position.exit_recovered",
        position_id=position.id,
        client_order_id=order.client_order_id,
        reason=str(reason),
    )
    if rungs is not None and position.status in BEFORE_CLOSE:
        arm(state, position)
        position = move_stop_after_rung(state, position)
    ask_ahead(state, position, generation)
    return order


def _closes_whole(position: Position, qty: Decimal) -> bool:
    """Tell whether an exit of ``qty`` closes all, or as much as the venue takes in one order."""
    largest = position.instrument.max_market_qty
    whole = position.closable if largest is None else min(position.closable, largest)
    return qty >= position.instrument.floor_qty(whole)


def _infer_reason(
    position: Position, event: OrderLookedUp, *, whole: bool, is_rung: bool
) -> ExitReason:
    """The limit nearer to the price at which the exit was filled; manual when that says nothing.

    Of the rules only the ladder closes parts.
    """
    if is_rung:
        return ExitReason.LADDER
    if not event.fills or not whole:
        return ExitReason.MANUAL
    filled_at = event.fills[0].price
    distances = {
        line.rule: distance
        for line in reversed(exit_lines(position))
        if line.state is LineState.ARMED and (distance := line.distance(filled_at)) is not None
    }
    return min(distances, default=ExitReason.MANUAL, key=lambda reason: distances[reason])


def note_answered(state: State, position_id: str, key: str) -> None:
    """An order is accounted for."""
    resolving = state.resolving.get(position_id)
    if resolving is not None and resolving.asked.pop(key, None) is not None:
        state.looking.discard(key)
        state.path.misses.pop(key, None)
        _go_on(state, position_id)


def note_absent(state: State, position_id: str, key: str) -> None:
    """The venue does not have an exit of ours; what follows is decided when all is answered."""
    absent = state.resolving[position_id].absent
    if key not in absent:  # an answer to another look-up
        absent.append(key)
    note_answered(state, position_id, key)


def _arm(state: State, position_id: str) -> None:
    """All orders of a position are accounted for: guard it, and do what waited for that."""
    resolving = state.resolving.pop(position_id)
    position = state.positions[position_id]
    latest = max(position.exit_generation, resolving.latest)
    guard = guard_of(state, position)
    state.put_position(replace(position, exit_generation=latest, guard=guard))
    state.log("position.armed", position_id=position_id)
    if resolving.told:
        state.notify("position.resolved", position_id=position_id)
    wishes = state.deferred.pop(position_id, [])
    for key in resolving.absent:
        resend_or_drop(state, state.orders[key])
    _continue(state, position_id, resolving, wishes)
    for wish in wishes:
        live = state.positions.get(position_id)
        if live is not None and not _is_made(resolving, wish):
            close(state, live, wish)
    for wish in wishes:
        settle_close_signal(state, wish.cause.signal_id)


def _is_made(resolving: Resolving, wish: Wish) -> bool:
    """Tell whether a part that an earlier process was asked for is among the exits found."""
    if not wish.again or wish.part not in resolving.parts:
        return False
    resolving.parts.remove(wish.part)
    return True


def _continue(state: State, position_id: str, resolving: Resolving, wishes: Sequence[Wish]) -> None:
    position = state.positions.get(position_id)
    if position is None:
        return
    if position.status in BEING_CLOSED:
        causes = [wish.cause for wish in wishes if wish.part is None]
        continue_closing(state, position, causes[0] if causes else None)
        return
    if resolving.reached is not None:
        reach_rungs(state, position, resolving.reached)
    live = state.positions.get(position_id)
    if live is not None:
        send_rungs(state, live, Cause(ExitReason.LADDER))
