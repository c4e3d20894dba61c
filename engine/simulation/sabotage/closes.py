"""Defects of closes: how much is sold, how often, and of whom."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.core.closing import in_flight
from engine.core.state import State
from engine.model.events import ExitsAmended
from engine.model.instrument import Market
from engine.model.money import ZERO, ceil_to_step
from engine.model.order import Fill, Order
from engine.model.position import Position, PositionStatus
from engine.simulation.sabotage.defect import Function, Sabotage


def _round_up_a_spot_sell(original: Function) -> Function:
    def remaining(state: State, position: Position) -> Decimal:
        if position.instrument.id.market is not Market.SPOT:
            return Decimal(original(state, position))
        held = ceil_to_step(position.qty_open, position.instrument.qty_step)
        return held - in_flight(state, position)

    return remaining


def _close_the_venues_whole(original: Function) -> Function:
    def remaining(state: State, position: Position) -> Decimal:
        foreign = state.foreign.get(position.instrument.id, ZERO)
        return Decimal(original(state, position)) + abs(foreign)

    return remaining


def _forget_what_is_in_flight(original: Function) -> Function:
    del original

    def in_flight(state: State, position: Position, reason: Any = None) -> Decimal:
        del state, position, reason
        return ZERO

    return in_flight


def _reuse_a_generation(original: Function) -> Function:
    def exit_order(position: Position, generation: int, qty: Decimal, at_ns: int) -> Order:
        order: Order = original(position, max(generation - 1, 0), qty, at_ns)
        return order

    return exit_order


def _slices_of_the_whole(original: Function) -> Function:
    def exit_order(position: Position, generation: int, qty: Decimal, at_ns: int) -> Order:
        largest = position.instrument.max_market_qty
        is_slice = largest is not None and qty == position.instrument.floor_qty(largest)
        asked = position.closable if is_slice else qty
        order: Order = original(position, generation, asked, at_ns)
        return order

    return exit_order


def _retry_dust_for_ever(original: Function) -> Function:
    del original

    def is_dust(state: State, position: Position) -> bool:
        del state
        return position.qty_open <= ZERO

    return is_dust


def _book_a_whole_as_dust(original: Function) -> Function:
    def finish_if_flat(state: State, position: Position) -> bool:
        if position.exit_qty > ZERO:
            position = replace(position, dust=position.dust + position.qty_open)
        return bool(original(state, position))

    return finish_if_flat


def _ask_for_a_rung_twice(original: Function) -> Function:
    del original

    def owed(state: State, position: Position) -> Decimal:
        del state
        progress = position.progress
        return progress.rung_qty - progress.rung_filled

    return owed


def _take_a_hand_from_ours_first(original: Function) -> Function:
    del original

    def reducible_of_others(state: State, fill: Fill) -> Decimal:
        del state, fill
        return ZERO

    return reducible_of_others


def _ignore_other_hands(original: Function) -> Function:
    del original

    def book_foreign(state: State, fill: Fill) -> None:
        del state, fill

    return book_foreign


def _a_difference_is_a_close(original: Function) -> Function:
    def count_difference(state: State, key: Any, leg: Any) -> None:
        original(state, key, leg)
        for position in state.active_on(key):
            if position.status is PositionStatus.OPEN:
                gone = {"dust": position.dust + position.qty_open, "exit_time_ns": state.at_ns}
                closing = state.put_position(replace(position, status=PositionStatus.CLOSING))
                state.put_position(replace(closing, status=PositionStatus.CLOSED, **gone))

    return count_difference


def _an_amendment_disarms(original: Function) -> Function:
    def on_exits_amended(state: State, event: ExitsAmended) -> None:
        original(state, event)
        position = state.positions.get(event.position_id)
        if position is not None:
            state.markets[position.instrument.id].book.disarm(position.id)

    return on_exits_amended


def _a_superseded_entry_opens(original: Function) -> Function:
    def check_before_price(state: State, signal: Any) -> None:
        closed_ns = state.last_close_ns.pop(signal.instrument.id, None)
        try:
            original(state, signal)
        finally:
            if closed_ns is not None:
                state.last_close_ns[signal.instrument.id] = closed_ns

    return check_before_price


CLOSE_DEFECTS = (
    Sabotage(
        "round_up_a_spot_sell",
        "what is sold on spot is rounded up to the step",
        (1, 6, 14),
        "engine.core.closing:remaining",
        _round_up_a_spot_sell,
    ),
    Sabotage(
        "close_the_venues_whole",
        "a close takes along what others hold on the instrument",
        (1, 2),
        "engine.core.closing:remaining",
        _close_the_venues_whole,
    ),
    Sabotage(
        "forget_what_is_in_flight",
        "what exits in flight already ask for is asked for again",
        (1, 2),
        "engine.core.closing:in_flight",
        _forget_what_is_in_flight,
    ),
    Sabotage(
        "reuse_a_generation",
        "the second exit of a position takes the id of the first",
        (2, 6),
        "engine.core.closing:exit_order",
        _reuse_a_generation,
    ),
    Sabotage(
        "slices_of_the_whole",
        "each slice of a close above the venue's largest order asks for all of it",
        (1, 2, 11, 14),
        "engine.core.closing:exit_order",
        _slices_of_the_whole,
    ),
    Sabotage(
        "retry_dust_for_ever",
        "a rest that cannot be sold is never booked as dust",
        (14,),
        "engine.core.finishing:_is_dust",
        _retry_dust_for_ever,
    ),
    Sabotage(
        "book_a_whole_as_dust",
        "what a partly filled close leaves is booked as dust",
        (2, 3, 6),
        "engine.core.finishing:finish_if_flat",
        _book_a_whole_as_dust,
    ),
    Sabotage(
        "ask_for_a_rung_twice",
        "what a rung asks for is asked for again while it is in flight",
        (2,),
        "engine.core.ladder:_owed",
        _ask_for_a_rung_twice,
    ),
    Sabotage(
        "take_a_hand_from_ours_first",
        "what somebody sells by hand is taken from ours before theirs",
        (6,),
        "engine.core.fills:reducible",
        _take_a_hand_from_ours_first,
    ),
    Sabotage(
        "ignore_other_hands",
        "executions that are not ours are not booked",
        (3, 6),
        "engine.core.fills:_book_foreign",
        _ignore_other_hands,
    ),
    Sabotage(
        "a_difference_is_a_close",
        "a position that a report of the account lacks is written off",
        (3, 6),
        "engine.core.reconcile:_count_difference",
        _a_difference_is_a_close,
    ),
    Sabotage(
        "an_amendment_disarms",
        "a position whose rules are amended is not watched any more",
        (4,),
        "engine.core.amending:on_exits_amended",
        _an_amendment_disarms,
    ),
    Sabotage(
        "a_superseded_entry_opens",
        "an entry sent before a close that was received first opens all the same",
        (9,),
        "engine.core.admission:check_before_price",
        _a_superseded_entry_opens,
    ),
)
