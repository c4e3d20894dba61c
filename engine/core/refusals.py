"""Exits that the venue does not take: how long is waited, what is read again, who is told.

An exit is never given up. ``stuck`` means that the owner was alarmed, and that it is still tried.
"""

from msgspec.structs import replace

from engine.core.order_path import Retry
from engine.core.state import State
from engine.model.effects import ReadAccount, RefreshInstrument
from engine.model.order import Order, Refusal
from engine.model.position import Position, PositionStatus

REFUSALS_UNTIL_STUCK = 3
RETRY_PAUSE_NS = 1_000_000_000
STUCK_PAUSE_NS = 5_000_000_000
LONGEST_PAUSE_NS = 60_000_000_000

ACCOUNT_REFUSALS = (Refusal.REDUCE_ONLY, Refusal.BALANCE)


def retry_pause_ns(refusals: int) -> int:
    """Pause after so many refusals in a row: 1 s, and from stuck on 5 s doubling to 60 s."""
    beyond = refusals - REFUSALS_UNTIL_STUCK
    return RETRY_PAUSE_NS if beyond < 0 else min(STUCK_PAUSE_NS << min(beyond, 4), LONGEST_PAUSE_NS)


def next_retry(state: State, before: Retry | None, refusal: Refusal, generation: int) -> Retry:
    """Return when to try again after one more refusal."""
    refusals = 1 + (before.refusals if before else 0)
    due_ns = state.elapsed_ns + retry_pause_ns(refusals)
    refused_ns = max(state.elapsed_ns, state.elapsed_at_utc(state.at_ns))
    return Retry(due_ns, refusals, refusal, refused_ns, generation)


def count_refusal(
    state: State, position: Position, message: str | None, refusal: Refusal = Refusal.OTHER
) -> None:
    """Have the close of a position tried again after a pause, and alarm once it is stuck."""
    before = state.retries.get(position.id)
    retry = next_retry(state, before, refusal, position.exit_generation)
    state.retries[position.id] = retry
    if retry.refusals >= REFUSALS_UNTIL_STUCK:
        alarm_stuck(state, position, message)


def wait_for_holdings(state: State, position: Position) -> None:
    """Nothing that could be sold is there: read the account, and try again after a pause."""
    retry = state.retries.get(position.id)
    if retry is not None and retry.due_ns > state.elapsed_ns:
        return
    refusal = Refusal.OTHER if retry is None else retry.refusal
    state.command(ReadAccount(position.instrument.id.venue))
    count_refusal(state, position, "holdings: the venue holds nothing of it that is free", refusal)


def is_counted(state: State, order: Order) -> bool:
    """Tell whether a refusal is of one round with one that was counted: slices are sent at once."""
    before = state.retries.get(order.position_id)
    return before is not None and order.generation <= before.generation


def alarm_stuck(state: State, position: Position, message: str | None) -> None:
    """Tell the owner, once, that the venue does not take a close."""
    if position.status is PositionStatus.CLOSING:
        state.put_position(replace(position, status=PositionStatus.STUCK))
        state.notify("position.stuck", position_id=position.id, message=message)


def resume_closing(state: State, position: Position) -> Position:
    """The venue takes a close (again): nothing is stuck."""
    if position.status is not PositionStatus.STUCK:
        return position
    state.retries.pop(position.id, None)
    return state.put_position(replace(position, status=PositionStatus.CLOSING))


def ask_why(state: State, order: Order, refusal: Refusal) -> None:
    """Have what a refusal contradicts read again: filters, or what the account holds."""
    if refusal is Refusal.FILTERS:
        state.command(RefreshInstrument(order.instrument))
    elif refusal in ACCOUNT_REFUSALS:
        state.command(ReadAccount(order.instrument.id.venue))


def is_due(state: State, position: Position, retry: Retry) -> bool:
    """Tell whether a refused exit may be tried again: after its pause, or the account it wanted.

    What is stuck keeps its pace: an account that is read again and again bounds nothing.
    """
    if state.elapsed_ns >= retry.due_ns:
        return True
    if retry.refusal not in ACCOUNT_REFUSALS or retry.refusals >= REFUSALS_UNTIL_STUCK:
        return False
    read_ns = state.accounts_read.get(position.instrument.id.venue)
    told = read_ns is not None and state.elapsed_at(read_ns) > retry.refused_ns
    return told and not retry.answered
