"""How a position is closed: one owner of the closing, from the first trigger until it is flat.

Every exit order is a generation of one sequence per position. What is asked for is never more than
what is held less what exits in flight already ask for, so any number of triggers, signals and
requests come to one net close. While a position's orders are being asked for after a start,
closes wait: an exit that is not in the ledger may be under way.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.core.arming import disarm
from engine.core.asking import LONGEST_ASK_NS, ask_in, look_up_first, note_submitted
from engine.core.backstop_orders import locks
from engine.core.finishing import finish_if_flat, finish_if_nothing_left, meets_minimums
from engine.core.outcomes import reject_close_signal, settle_close_signal
from engine.core.refusals import (
    ask_why,
    count_refusal,
    is_counted,
    is_due,
    resume_closing,
    retry_pause_ns,
    wait_for_holdings,
)
from engine.core.state import GUARD, Cause, State, Wish
from engine.core.submitting import submit
from engine.model.events import CloseRequested
from engine.model.exits import ExitReason
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Market
from engine.model.money import ONE, ZERO, plain
from engine.model.order import Order, Refusal
from engine.model.position import Position, PositionStatus

MAX_EXITS_IN_FLIGHT = 4
"""Recovery looks this many generations ahead (DESIGN.md 2.1)."""

BEFORE_CLOSE = (PositionStatus.OPENING, PositionStatus.OPEN)
BEING_CLOSED = (PositionStatus.CLOSING, PositionStatus.STUCK)


# Asked for


def on_close_requested(state: State, event: CloseRequested) -> None:
    """The owner asked for a close; one that is already under way changes nothing."""
    position = state.positions.get(event.position_id)
    if position is None:
        return
    state.log("position.close_requested", event.actor, position_id=position.id)
    cause = Cause(event.reason, event.actor)
    if position.status is PositionStatus.STUCK:
        state.retries.pop(position.id, None)
        _send_rest(state, position, cause)
        return
    part = None
    if event.fraction < ONE:
        part = position.instrument.floor_qty(remaining(state, position) * event.fraction)
    close(state, position, Wish(cause, part))


def close(state: State, position: Position, wish: Wish) -> bool:
    """Close a position or a part of it, or have it done when its orders are accounted for.

    That all of it is to be closed is saved at once, so that another crash does not forget it.

    Returns:
        Whether a close is under way; not when the part is too small to be sold.
    """
    if position.id in state.resolving:
        state.deferred.setdefault(position.id, []).append(wish)
        if wish.part is None and position.status in BEFORE_CLOSE:
            begin_closing(state, position, wish.cause)
    elif position.status not in BEFORE_CLOSE:
        pass
    elif wish.part is None or _leaves_nothing(state, position, wish.part, wish.cause.reason):
        close_whole(state, position, wish.cause)
    elif locks(state, position):
        if wish.cause.reason is not ExitReason.LADDER:  # rungs keep their own sum
            state.deferred.setdefault(position.id, []).append(wish)
    else:
        return _close_part(state, position, wish.part, wish.cause)
    return True


def remaining(state: State, position: Position) -> Decimal:
    """What is held, in steps, less what exits in flight already ask for."""
    return position.closable - in_flight(state, position)


def in_flight(state: State, position: Position, reason: ExitReason | None = None) -> Decimal:
    """What exits that are not final still ask for, those of one reason or all."""
    exits = [o for o in exits_of(state, position) if reason is None or o.reason is reason]
    if state.backstops.is_executing(position.id) and reason is None:
        exits.append(state.backstops.live[position.id])
    return sum((order.qty - order.filled_qty for order in exits), ZERO)


def exits_of(state: State, position: Position) -> list[Order]:
    """Exit orders of a position that are not final."""
    return [o for o in state.orders_of(position.id) if o.purpose is Purpose.EXIT]


def _leaves_nothing(state: State, position: Position, part: Decimal, reason: ExitReason) -> bool:
    """Tell whether a part leaves nothing sellable, now or with what is still being bought.

    Whoever asks for all that is there means what is still being bought too; a rung does not, nor
    does it mean what others asked for before it and may not get.
    """
    rest, orders = remaining(state, position) - part, state.orders_of(position.id)
    if part <= ZERO:
        return False
    if rest > ZERO and any(order.purpose is not Purpose.EXIT for order in orders):
        return False
    if rest == ZERO and orders and reason is ExitReason.LADDER:
        return False
    return not meets_minimums(state, position.instrument, rest)


def _close_part(state: State, position: Position, part: Decimal, cause: Cause) -> bool:
    """Close a part, in several orders where one is too small; what those leave follows them."""
    bound = spare(state, position)
    part = part if bound is None else min(part, bound)
    rest = part
    while len(exits_of(state, position)) < MAX_EXITS_IN_FLIGHT and meets_minimums(
        state, position.instrument, rest
    ):
        rest -= _send_exit(state, position, rest, cause)
        position = state.positions[position.id]
    if rest == part:
        state.log("position.part_refused", cause.actor, position_id=position.id, qty=plain(part))
        return False
    if rest > ZERO and cause.reason is not ExitReason.LADDER:  # rungs keep their own sum
        state.part_rests[position.id] = Wish(cause, rest)
    return True


def close_whole(state: State, position: Position, cause: Cause) -> None:
    """Take the position out of the book and close all of it, once."""
    position = begin_closing(state, position, cause)
    if not finish_if_flat(state, position):
        _send_rest(state, position, cause)


def begin_closing(state: State, position: Position, cause: Cause) -> Position:
    """Take the position out of the book: from here on all of it is being closed."""
    state.part_rests.pop(position.id, None)
    disarm(state, position)
    return state.put_position(
        replace(
            position,
            status=PositionStatus.CLOSING,
            exit_reason=cause.reason,
            closing_signal_id=cause.signal_id,
            reaction_ms=None,  # a rung before had its own
        )
    )


# Sent


def _send_rest(state: State, position: Position, cause: Cause) -> None:
    """Ask for all that no exit in flight asks for; a rest below the minimums waits for those.

    What is above the venue's largest order goes in several at once. While the venue refuses, one
    is enough to find out whether it still does.
    """
    if position.id in state.resolving:
        return
    if locks(state, position):
        _close_after(state, position, cause)
        return
    room = MAX_EXITS_IN_FLIGHT - len(exits_of(state, position))
    for _ in range(min(room, 1) if position.id in state.retries else room):
        qty = remaining(state, position)
        if qty <= ZERO:
            return
        alone = not (state.orders_of(position.id) or state.backstops.is_executing(position.id))
        bound = spare(state, position)
        if bound is not None:
            qty = min(qty, bound)
        if qty <= ZERO and alone:
            wait_for_holdings(state, position)
        if qty <= ZERO or not (alone or meets_minimums(state, position.instrument, qty)):
            return
        _send_exit(state, position, qty, cause)
        position = state.positions[position.id]


def _close_after(state: State, position: Position, cause: Cause) -> None:
    """Keep why a position is closed until what locks it is gone."""
    wishes = state.deferred.setdefault(position.id, [])
    if all(wish.part is not None for wish in wishes):
        wishes.append(Wish(cause))


def spare(state: State, position: Position) -> Decimal | None:
    """What the venue holds of what a position bought less what exits ask for; None unbounded.

    Bounded are closes of what the venue holds less of than our books, and those on spot that it
    refused because too little is free.
    """
    instrument = position.instrument
    held = state.unexplained.get(instrument.id)
    if held is not None:
        asked = sum((in_flight(state, p) for p in state.active_on(instrument.id)), ZERO)
        return instrument.floor_qty(max(held, ZERO)) - asked
    retry = state.retries.get(position.id)
    if retry is None or retry.refusal is not Refusal.BALANCE:
        return None
    balance = state.balance(instrument.id, instrument.base)
    is_spot = instrument.id.market is Market.SPOT
    return instrument.floor_qty(balance.free) if is_spot and balance is not None else None


def _send_exit(state: State, position: Position, qty: Decimal, cause: Cause) -> Decimal:
    """Make the next exit order and send it at once; returns how much it asks for.

    It asks for no more than the venue's largest market order. Past the lease another process may
    have sent it already: it is looked up first, and sent when it is proved absent.
    """
    instrument = position.instrument
    if instrument.max_market_qty is not None:
        qty = min(qty, instrument.floor_qty(instrument.max_market_qty))
    generation = position.exit_generation + 1
    order = replace(
        exit_order(position, generation, qty, state.at_ns),
        actor=cause.actor,
        reason=cause.reason,
        trigger_price=cause.trigger.price if cause.trigger else None,
        trigger_received_ns=cause.trigger.received_ns if cause.trigger else 0,
        signal_id=cause.signal_id,
    )
    state.put_position(replace(position, exit_generation=generation))
    state.put_order(order)
    note_submitted(state, order)
    if state.fenced:
        look_up_first(state, order)
    else:
        ask_in(state, order, LONGEST_ASK_NS)  # until the adapter tells that it was sent
        submit(state, order)
    state.log(
        "position.close_submitted",
        cause.actor,
        position_id=position.id,
        client_order_id=order.client_order_id,
        reason=str(cause.reason),
    )
    return qty


def exit_order(position: Position, generation: int, qty: Decimal, at_ns: int) -> Order:
    """An exit order of a position, by the guard and without a reason yet."""
    return Order(
        client_order_id=client_order_id(position.id, Purpose.EXIT, generation),
        position_id=position.id,
        instrument=position.instrument,
        side=position.exit_side,
        purpose=Purpose.EXIT,
        generation=generation,
        qty=qty,
        reduce_only=position.instrument.id.market is Market.LINEAR,
        created_at_ns=at_ns,
        actor=GUARD,
    )


# Ended


def after_exit(state: State, position: Position, order: Order, refusal: Refusal) -> None:
    """An exit order came to its end: finish the position, or go on until it is flat."""
    if position.status in BEFORE_CLOSE:
        _after_part(state, position, order, refusal)
        return
    if finish_if_flat(state, position):
        pass
    elif order.filled_qty > ZERO:
        state.retries.pop(position.id, None)
        continue_closing(state, resume_closing(state, position))
    else:
        _log_refused(state, order)
        ask_why(state, order, refusal)
        if not is_counted(state, order):
            count_refusal(state, position, order.message, refusal)
    settle_close_signal(state, order.signal_id)  # a part, whose position is closed whole since


def _after_part(state: State, position: Position, order: Order, refusal: Refusal) -> None:
    """The position goes on, guarded, with what is left of it."""
    rest = state.part_rests.pop(position.id, None)
    if order.filled_qty == ZERO:
        _log_refused(state, order)
        ask_why(state, order, refusal)
        if order.reason is not ExitReason.LADDER or position.id not in state.rung_retries:
            # else it was told already
            state.notify("position.part_refused", position_id=position.id, message=order.message)
        reject_close_signal(state, order.signal_id, order.message)
    else:
        if not finish_if_nothing_left(state, position, order.reason) and rest is not None:
            close(state, position, rest)
        settle_close_signal(state, order.signal_id)


def continue_closing(state: State, position: Position, cause: Cause | None = None) -> None:
    """Send the next exit of a position that is being closed, or finish it when nothing is left."""
    if not finish_if_flat(state, position):
        reason = position.exit_reason or ExitReason.MANUAL
        known = Cause(reason, signal_id=position.closing_signal_id)
        _send_rest(state, position, cause or known)


def _log_refused(state: State, order: Order) -> None:
    state.log(
        "position.close_refused",
        position_id=order.position_id,
        client_order_id=order.client_order_id,
        message=order.message,
    )


def retry_exits(state: State) -> None:
    """Try refused exits again whose pause is over; an exit is never given up."""
    for position_id, retry in list(state.retries.items()):
        position = state.positions[position_id]
        if not is_due(state, position, retry):
            continue
        continue_closing(state, position)
        if state.retries.get(position_id) is retry:  # else it is finished, or counted again
            due_ns = state.elapsed_ns + retry_pause_ns(retry.refusals)
            state.retries[position_id] = replace(retry, due_ns=due_ns, answered=True)
