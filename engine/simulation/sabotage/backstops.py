"""Defects of the stop orders at the venue."""

from typing import Any

from msgspec.structs import replace

from engine.core.state import State
from engine.model.ids import Purpose
from engine.model.order import Fill, Order
from engine.model.position import Position
from engine.simulation.sabotage.defect import Function, Sabotage


def _book_a_backstop_twice(original: Function) -> Function:
    def book_fill(state: State, order: Order, fill: Fill) -> None:
        original(state, order, fill)
        live = state.order(order.client_order_id)
        if order.purpose is Purpose.BACKSTOP and live is not None:
            again = replace(fill, venue_trade_id=f"{fill.venue_trade_id}again")
            original(state, live, again)

    return book_fill


def _close_on_spot_without_cancelling(original: Function) -> Function:
    del original

    def locks(state: State, position: Position) -> bool:
        del state, position
        return False

    return locks


def _forget_a_backstop(original: Function) -> Function:
    del original

    def place_in_time(state: State, position: Position, found: Any) -> None:
        del state, position, found

    return place_in_time


def _place_another_while_unknown(original: Function) -> Function:
    def take_down(state: State, order: Order) -> None:
        original(state, order)
        state.backstops.live.pop(order.position_id, None)
        state.backstops.cancelling.discard(order.position_id)
        state.asking.pop(order.client_order_id, None)
        state.path.forget(order.client_order_id)

    return take_down


BACKSTOP_DEFECTS = (
    Sabotage(
        "book_a_backstop_twice",
        "what a stop order closed is booked under two trades",
        (6,),
        "engine.core.orders:book_fill",
        _book_a_backstop_twice,
    ),
    Sabotage(
        "close_on_spot_without_cancelling",
        "a close on spot is sent while a stop order locks the asset",
        (2,),
        "engine.core.backstop_orders:locks",
        _close_on_spot_without_cancelling,
    ),
    Sabotage(
        "forget_a_backstop",
        "no stop order is ever placed at the venue",
        (3, 14),
        "engine.core.backstop:_place_in_time",
        _forget_a_backstop,
    ),
    Sabotage(
        "place_another_while_unknown",
        "the next stop order is sent before the end of the one before is known",
        (3, 11, 14),
        "engine.core.backstop_orders:take_down",
        _place_another_while_unknown,
    ),
)
