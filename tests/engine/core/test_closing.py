"""One owner of the closing, from the first trigger until the position is flat."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.effects import SubmitOrder, Unwatch
from engine.model.exit_lines import exit_lines
from engine.model.exits import AtPrice, ExitReason
from engine.model.order import Order, OrderStatus
from engine.model.position import Position, PositionStatus
from tests.engine.core.ladders import opened
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig, position_id

D = Decimal


def closing(rig: Rig, price: float = 95.0) -> tuple[Position, Order]:
    """A long whose stop was reached, and the exit that was sent for it."""
    position = rig.open()
    rig.trade(price)
    return rig.position(position), rig.exits()[-1]


def refuse(rig: Rig, order: Order, message: str = "busy") -> None:
    rig.update(order, OrderStatus.REJECTED, message=message)


def test_a_stop_closes_all_of_it_at_once_and_cites_the_price() -> None:
    rig = Rig()
    position, order = closing(rig, 94.7)
    assert position.status is PositionStatus.CLOSING
    assert (order.qty, order.side, order.reduce_only) == (D(1), "sell", True)
    assert (order.reason, order.trigger_price) == (ExitReason.STOP_LOSS, D("94.7"))
    assert SubmitOrder(order, after_commit=False) in rig.last


def test_the_reaction_is_measured_from_the_frame_to_the_socket() -> None:
    rig = Rig()
    position = rig.open()
    rig.trade(110.0, received_ns=5_000_000)
    rig.sent(rig.exits()[-1], sent_ns=5_250_000)
    assert rig.position(position).reaction_ms == 0.25


def test_the_reaction_of_the_last_close_counts_not_that_of_a_rung_before() -> None:
    rig, position = opened("5:0.5")
    rig.trade(105.0, received_ns=1_000_000)
    rung = rig.exits()[-1]
    rig.sent(rung, sent_ns=1_100_000)
    rig.filled(rung, "105")
    assert rig.position(position).reaction_ms == 0.1
    rig.trade(95.0, received_ns=5_000_000)
    assert rig.position(position).reaction_ms is None
    rig.sent(rig.exits()[-1], sent_ns=5_250_000)
    assert rig.position(position).reaction_ms == 0.25


def test_a_position_that_is_being_closed_shows_no_rules() -> None:
    rig = Rig()
    position = rig.open()
    assert exit_lines(rig.position(position))
    rig.trade(95.0)
    assert exit_lines(rig.position(position)) == []


def test_a_close_that_no_frame_caused_has_no_reaction_time() -> None:
    rig = Rig()
    position = rig.open()
    rig.close(position)
    rig.sent(rig.exits()[-1], sent_ns=5_250_000)
    assert rig.position(position).reaction_ms is None


def test_a_second_trigger_and_a_second_request_change_nothing() -> None:
    rig = Rig()
    position, order = closing(rig)
    rig.trade(90.0)
    rig.close(position)
    rig.signal("close")
    assert rig.exits() == [order]


def test_take_profit_and_stop_reached_by_one_price_come_to_one_close() -> None:
    rig = Rig()
    rig.signal("buy", take_profit=AtPrice(D(101)))
    rig.trade(100.0)
    rig.filled(rig.submitted()[0], "110")  # so far above that the stop lies over the take-profit
    rig.trade(102.0)
    assert [o.reason for o in rig.exits()] == [ExitReason.STOP_LOSS]


def test_two_limits_reached_by_one_price_end_a_position_of_dust_once() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT, take_profit=AtPrice(D(101)))
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[0]
    rig.fill(entry, "110", "0.000005")
    rig.update(entry, OrderStatus.CANCELLED)
    rig.trade(102.0, BTC_SPOT)
    assert rig.exits() == []
    assert rig.notices() == ["position.opened", "position.closed"]


def test_a_filled_exit_closes_the_position_and_stops_the_prices() -> None:
    rig = Rig()
    position, order = closing(rig)
    rig.filled(order, "94.9", fee=D("0.05"))
    closed = rig.position(position)
    assert (closed.status, closed.qty_open) == (PositionStatus.CLOSED, D(0))
    assert (closed.exit_price, closed.realized_pnl, closed.net_pnl) == (
        D("94.9"),
        D("-5.1"),
        D("-5.15"),
    )
    assert rig.notices()[-1] == "position.closed"
    assert rig.last[-1] == Unwatch(BTC_PERP.id)
    assert rig.guardian.positions() == []
    assert rig.guardian.position(position.id) is None


def test_a_partly_filled_exit_is_continued_under_a_new_id() -> None:
    rig = Rig()
    position, order = closing(rig)
    rig.fill(order, "95", "0.4")
    rig.update(order, OrderStatus.CANCELLED, filled_qty=D("0.4"))
    again = rig.exits()[-1]
    assert (again.generation, again.qty, again.reason) == (1, D("0.6"), ExitReason.STOP_LOSS)
    rig.filled(again, "94")
    assert rig.position(position).exit_price == D("94.4")


def test_more_than_the_largest_order_is_closed_in_several() -> None:
    rig = Rig()
    small = replace(BTC_PERP, max_market_qty=D("1.0005"))
    rig.signal("buy", small)
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.filled(entry, "40")  # the venue gave a better price than was asked for
    position = rig.position(entry.position_id)
    big = replace(position, instrument=replace(small, max_market_qty=D("0.4005")))
    rig.guardian._state.positions[position.id] = big
    rig.close(position)
    assert [order.qty for order in rig.exits()] == [D("0.4"), D("0.4"), D("0.2")]
    for order in rig.exits():
        rig.filled(order, "40")
    assert rig.position(position).status is PositionStatus.CLOSED


def test_a_refused_exit_is_tried_again_until_stuck_is_alarmed_and_still_tried() -> None:
    rig = Rig()
    position, order = closing(rig)
    for pause in (1, 1, 5, 10, 20):
        refuse(rig, rig.exits()[-1])
        tried = len(rig.exits())
        rig.wait(pause - 0.1)
        assert len(rig.exits()) == tried
        rig.wait(0.2)
        assert len(rig.exits()) == tried + 1
    assert rig.notices().count("position.stuck") == 1
    assert rig.position(position).status is PositionStatus.STUCK
    rig.filled(rig.exits()[-1], "95")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert order.generation == 0


def test_a_stuck_position_that_sells_a_part_is_closing_again() -> None:
    rig = Rig()
    position, _ = closing(rig)
    for _ in range(3):
        refuse(rig, rig.exits()[-1])
        rig.wait(6)
    rig.fill(rig.exits()[-1], "95", "0.5")
    rig.update(rig.exits()[-1], OrderStatus.CANCELLED)
    assert rig.position(position).status is PositionStatus.CLOSING
    assert rig.exits()[-1].qty == D("0.5")


def test_the_owner_can_have_a_stuck_exit_tried_at_once() -> None:
    rig = Rig()
    position, _ = closing(rig)
    for _ in range(2):
        refuse(rig, rig.exits()[-1])
        rig.wait(1.1)
    refuse(rig, rig.exits()[-1])
    tried = len(rig.exits())
    rig.close(position)
    assert len(rig.exits()) == tried + 1
    assert rig.exits()[-1].actor == "owner"
    rig.close(position)  # one is in flight
    assert len(rig.exits()) == tried + 1


def test_a_retry_waits_by_elapsed_time_whatever_is_done_to_the_wall_clock() -> None:
    rig = Rig()
    closing(rig)
    rig.set_wall_clock(3600)  # an hour ahead,
    rig.set_wall_clock(-3600)  # and put right
    refuse(rig, rig.exits()[-1])
    rig.wait(1.1)
    assert len(rig.exits()) == 2


def test_closing_an_unknown_position_is_nothing() -> None:
    assert Rig().close(position_id(9)) == ()


@pytest.mark.parametrize("price", [95.0, 110.0])
def test_reaching_a_threshold_exactly_triggers(price: float) -> None:
    rig = Rig()
    closing(rig, price)
    assert len(rig.exits()) == 1


def test_a_close_bears_the_time_of_the_frame_that_caused_it() -> None:
    rig = Rig()
    position = rig.open()
    rig.trade(110.0, received_ns=rig.monotonic_ns + 30_000_000)
    assert rig.exits()[-1].created_at_ns == rig.now + 30_000_000
    assert rig.position(position).exit_reason is ExitReason.TAKE_PROFIT


COARSE_PERP = replace(ETH_PERP, qty_step=D("0.1"), min_qty=D("0.5"))


def test_a_part_that_leaves_less_than_a_derivative_can_be_closed_by_closes_the_whole() -> None:
    rig = Rig()
    position = rig.open(instrument=COARSE_PERP)
    rig.close(position, "0.6")
    assert rig.position(position).status is PositionStatus.CLOSING
    assert [order.qty for order in rig.exits()] == [D(1)]


def test_a_rest_that_no_order_can_close_on_a_derivative_is_dust_and_told() -> None:
    rig = Rig()
    position = rig.open(instrument=COARSE_PERP)
    rig.foreign(COARSE_PERP, "sell", "0.7", "100")
    rig.close(position)
    closed = rig.position(position)
    assert (closed.status, closed.dust, closed.exit_qty) == (
        PositionStatus.CLOSED,
        D("0.3"),
        D("0.7"),
    )
    assert not rig.exits()
    assert "position.closed" in rig.notices()
