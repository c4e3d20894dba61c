"""What a reached rule does, for both sides and every source, and what becomes of the others."""

from decimal import Decimal
from typing import Any

import pytest

from engine.core.book.codes import Hit, Watched
from engine.core.hits import on_hit
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent, Points
from engine.model.instrument import Instrument
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from engine.model.ticks import PriceSource
from tests.engine.core.ladders import rungs
from tests.engine.core.restarts import KEY
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, SECOND, Rig

D = Decimal
NONE = Disarmed()
ALL_RULES: dict[str, Any] = {
    "take_profit": Percent(D(10)),
    "stop_loss": Percent(D(5)),
    "trailing": Percent(D(4)),
    "trailing_activation": Percent(D(6)),
    "break_even": Percent(D(3)),
    "ladder": rungs("4:0.25"),
    "max_hold_ns": 60 * SECOND,
}


@pytest.mark.parametrize(
    ("action", "instrument", "prices", "reason"),
    [
        ("buy", BTC_PERP, [109.9, 110.0], ExitReason.TAKE_PROFIT),
        ("buy", BTC_PERP, [95.1, 95.0], ExitReason.STOP_LOSS),
        ("buy", BTC_SPOT, [109.99, 110.0], ExitReason.TAKE_PROFIT),
        ("buy", BTC_SPOT, [95.01, 95.0], ExitReason.STOP_LOSS),
        ("sell", BTC_PERP, [90.1, 90.0], ExitReason.TAKE_PROFIT),
        ("sell", BTC_PERP, [104.9, 105.0], ExitReason.STOP_LOSS),
    ],
)
def test_a_limit_closes_at_its_threshold_exactly(
    action: str, instrument: Instrument, prices: list[float], reason: ExitReason
) -> None:
    rig = Rig()
    position = rig.open(action, instrument=instrument)
    rig.trade(prices[0], instrument)
    assert rig.exits() == []
    rig.trade(prices[1], instrument)
    order = rig.exits()[0]
    assert (order.reason, order.trigger_price, order.qty) == (reason, D(str(prices[1])), D(1))
    assert order.reduce_only is (instrument is BTC_PERP)
    rig.filled(order, str(prices[1]))
    assert rig.position(position).exit_reason is reason


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ([110.0], ExitReason.TAKE_PROFIT),
        ([95.0], ExitReason.STOP_LOSS),
        ([107.0, 102.8], ExitReason.TRAILING),
        ([103.0, 100.2], ExitReason.BREAK_EVEN),
    ],
)
def test_a_full_exit_disarms_all_other_rules(prices: list[float], reason: ExitReason) -> None:
    rig = Rig()
    position = rig.open(**ALL_RULES)
    for price in prices:
        rig.trade(price)
    closing = [o for o in rig.exits() if o.reason is reason]
    assert len(closing) == 1
    count = len(rig.exits())
    for price in (90.0, 120.0, 100.0):
        rig.trade(price)
    rig.wait(61)
    assert len(rig.exits()) == count
    for order in rig.exits():
        rig.filled(order, "100")
    assert (rig.position(position).status, rig.position(position).exit_reason) == (
        PositionStatus.CLOSED,
        reason,
    )
    rig.trade(95.0)
    assert len(rig.exits()) == count


def test_a_rung_disarms_only_itself() -> None:
    rig = Rig()
    position = rig.open(**ALL_RULES)
    rig.trade(104.0)
    rig.filled(rig.exits()[0], "104")
    left = rig.position(position)
    assert (left.status, left.qty_open) == (PositionStatus.OPEN, D("0.75"))
    rig.trade(110.0)
    assert (rig.exits()[1].reason, rig.exits()[1].qty) == (ExitReason.TAKE_PROFIT, D("0.75"))


def test_time_closes_what_no_price_did() -> None:
    rig = Rig()
    rig.open(**ALL_RULES)
    rig.wait(60)
    rig.trade(95.0)
    assert [o.reason for o in rig.exits()] == [ExitReason.TIME]


def test_rules_hold_for_what_is_left_after_a_close_was_filled_in_part() -> None:
    rig = Rig()
    position = rig.open(**ALL_RULES)
    rig.trade(95.0)
    rig.fill(rig.exits()[0], "95", "0.4")
    rig.update(rig.exits()[0], OrderStatus.CANCELLED, filled_qty=D("0.4"))
    assert (rig.exits()[1].qty, rig.exits()[1].reason) == (D("0.6"), ExitReason.STOP_LOSS)
    rig.filled(rig.exits()[1], "94")
    assert rig.position(position).exit_price == D("94.4")


# Sources


def test_a_position_on_the_mark_closes_at_the_mark_alone() -> None:
    rig = Rig()
    rig.open(trigger=PriceSource.MARK)
    rig.trade(90.0)
    rig.quote(90.0, 90.1)
    assert rig.exits() == []
    rig.mark(94.9876)
    assert rig.exits()[0].trigger_price == D("94.9876")


@pytest.mark.parametrize(("action", "quote"), [("buy", (95.0, 99.0)), ("sell", (99.0, 105.0))])
def test_a_position_on_the_book_closes_at_the_side_it_is_sold_to(
    action: str, quote: tuple[float, float]
) -> None:
    rig = Rig()
    rig.open(action, trigger=PriceSource.BOOK)
    rig.trade(quote[0])
    rig.trade(quote[1])
    assert rig.exits() == []
    rig.quote(*quote)
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


# Confirmation


def test_a_wick_does_not_close_a_stop_that_wants_prices_in_a_row() -> None:
    rig = Rig()
    rig.open(confirm_ticks=3)
    for price in (94.0, 94.0, 96.0, 94.0, 94.0):
        rig.trade(price)
    assert rig.exits() == []
    rig.trade(93.0)
    assert (rig.exits()[0].reason, rig.exits()[0].trigger_price) == (ExitReason.STOP_LOSS, D(93))


def test_a_stop_that_wants_time_is_closed_by_the_clock_without_a_price() -> None:
    rig = Rig()
    rig.open(confirm_ms=500)
    rig.trade(94.0, received_ns=rig.monotonic_ns)
    rig.wait(0.4)
    assert rig.exits() == []
    rig.wait(0.1)
    order = rig.exits()[0]
    assert (order.reason, order.trigger_price, order.trigger_received_ns) == (
        ExitReason.STOP_LOSS,
        D(94),
        0,
    )


def test_a_price_that_recovers_in_time_does_not_close() -> None:
    rig = Rig()
    rig.open(confirm_ms=500)
    rig.trade(94.0, received_ns=rig.monotonic_ns)
    rig.trade(95.1, received_ns=rig.monotonic_ns)
    rig.wait(1)
    assert rig.exits() == []


@pytest.mark.parametrize(
    ("fields", "prices"),
    [
        ({"take_profit": Percent(D(2))}, [102.0]),
        ({"take_profit": NONE, "ladder": rungs("2:0.5")}, [102.0]),
    ],
    ids=["take_profit", "ladder"],
)
def test_a_profit_is_taken_at_its_first_touch(fields: dict[str, Any], prices: list[float]) -> None:
    rig = Rig()
    rig.open(confirm_ms=60_000, confirm_ticks=100, **fields)
    for price in prices:
        rig.trade(price)
    assert len(rig.exits()) == 1


@pytest.mark.parametrize(
    ("fields", "peak"),
    [({"trailing": Points(D(2))}, 103.0), ({"break_even": Percent(D(2))}, 102.0)],
    ids=["trailing", "break_even"],
)
def test_moved_and_trailing_stops_are_confirmed_too(fields: dict[str, Any], peak: float) -> None:
    rig = Rig()
    rig.open(confirm_ticks=2, **fields)
    rig.trade(peak)
    rig.trade(100.0)
    assert rig.exits() == []
    rig.trade(100.0)
    assert len(rig.exits()) == 1


# Late


def test_a_rule_reached_by_a_position_that_is_closing_or_gone_does_nothing() -> None:
    rig = Rig()
    rig.open(stop_loss=AtPrice(D(95)))
    rig.trade(95.0)
    state = rig.guardian._state
    for position_id in (KEY, "gone"):
        on_hit(state, Hit(position_id, Watched.TARGET, 0, 110.0, 110.0), 7)
    assert len(state.take_effects()) == 0


def test_a_rung_means_nothing_before_the_entry() -> None:
    rig = Rig()
    rig.signal("buy", take_profit=NONE, ladder=rungs("2:0.5"))
    rig.trade(100.0)
    state = rig.guardian._state
    on_hit(state, Hit(KEY, Watched.RUNG, 0, 102.0, 102.0), 7)
    assert state.take_effects() == ()


def test_time_that_is_over_for_a_position_being_closed_does_nothing() -> None:
    rig = Rig()
    rig.open(max_hold_ns=SECOND)
    rig.close(KEY)
    rig.guardian._state.time_stops.set(KEY, rig.now)
    rig.guardian._state.time_stops.set("gone", rig.now)
    rig.wait(1)
    assert len(rig.exits()) == 1
