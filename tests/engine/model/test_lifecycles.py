"""The two life cycles, against tables written here a second time."""

import pytest

from engine.model.errors import IllegalTransition, InvariantBroken
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, Side
from engine.model.ids import Purpose
from engine.model.money import ZERO
from engine.model.order import Order, OrderSide, OrderStatus, check_order_transition
from engine.model.position import Position, PositionStatus, check_position_transition
from engine.model.ticks import PriceSource
from tests.engine.core.rig import BTC_PERP, position_id

ENDS = {"filled", "rejected", "cancelled"}
ORDER_STEPS = {
    "intended": {"sent", "acknowledged", "partially_filled", "unknown"} | ENDS,
    "sent": {"sent", "acknowledged", "partially_filled", "unknown"} | ENDS,
    "acknowledged": {"acknowledged", "partially_filled", "unknown"} | ENDS,
    "partially_filled": {"partially_filled", "unknown"} | ENDS,
    "unknown": {"sent", "acknowledged", "partially_filled", "unknown"} | ENDS,
}
POSITION_STEPS = {
    "opening": {"open", "closing", "closed", "rejected"},
    "open": {"closing", "closed"},
    "closing": {"stuck", "closed", "rejected"},
    "stuck": {"closing", "closed"},
}


def order(status: OrderStatus) -> Order:
    return Order(
        client_order_id="x",
        position_id=position_id(1),
        instrument=BTC_PERP,
        side=OrderSide.SELL,
        purpose=Purpose.EXIT,
        generation=0,
        qty=ZERO,
        reduce_only=True,
        created_at_ns=0,
        actor="guard",
        status=status,
    )


def position(status: PositionStatus) -> Position:
    exits = Exits(Disarmed(), Disarmed())
    key = position_id(1)
    return Position(key, BTC_PERP, Side.LONG, exits, PriceSource.LAST, 0, status=status)


@pytest.mark.parametrize("before", OrderStatus)
@pytest.mark.parametrize("after", OrderStatus)
def test_an_order_goes_only_where_its_table_lets_it(
    before: OrderStatus, after: OrderStatus
) -> None:
    if after in ORDER_STEPS.get(before, set()):
        check_order_transition(order(before), after)
        return
    with pytest.raises(IllegalTransition, match=f"from {before} to {after}"):
        check_order_transition(order(before), after)


@pytest.mark.parametrize("before", PositionStatus)
@pytest.mark.parametrize("after", PositionStatus)
def test_a_position_goes_only_where_its_table_lets_it(
    before: PositionStatus, after: PositionStatus
) -> None:
    if after in POSITION_STEPS.get(before, set()):
        check_position_transition(position(before), after)
        return
    with pytest.raises(IllegalTransition, match=f"from {before} to {after}"):
        check_position_transition(position(before), after)


def test_what_has_ended_is_final_and_nothing_else() -> None:
    assert {s for s in OrderStatus if order(s).is_final} == ENDS
    assert {s for s in PositionStatus if position(s).is_active} == set(POSITION_STEPS)


def test_an_illegal_step_says_that_our_books_are_wrong() -> None:
    assert issubclass(IllegalTransition, InvariantBroken)


def test_a_position_of_which_nothing_is_filled_has_no_prices_and_no_result() -> None:
    empty = position(PositionStatus.OPENING)
    assert (empty.entry_price, empty.exit_price) == (None, None)
    assert empty.realized_pnl == empty.net_pnl == empty.unrealized_pnl(empty.qty) == 0
