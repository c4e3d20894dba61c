"""What a closing signal means."""

from decimal import Decimal

import pytest

from engine.model.exits import ExitReason
from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from engine.model.signal import Outcome, Size, SizeKind
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, SECOND, Rig

D = Decimal


def qty(value: str) -> Size:
    return Size(SizeKind.QTY, D(value))


def two(rig: Rig) -> tuple[str, str]:
    """Two longs of one unit on one instrument, of strategies ``a`` (older) and ``b``."""
    first = rig.open(strategy="a").id
    rig.now += 10 * SECOND
    return first, rig.open(strategy="b").id


def asked(rig: Rig) -> dict[str, Decimal]:
    return {order.position_id: order.qty for order in rig.exits()}


def test_a_close_takes_everything_on_the_instrument() -> None:
    rig = Rig()
    a, b = two(rig)
    other = rig.open(instrument=BTC_SPOT).id
    close = rig.signal("close")
    assert asked(rig) == {a: D(1), b: D(1)}
    rig.filled(rig.exits()[0], "100")
    assert rig.outcome(close).outcome is Outcome.PENDING
    rig.filled(rig.exits()[1], "100")
    assert (rig.outcome(close).outcome, rig.outcome(close).position_id) == (Outcome.CLOSED, a)
    assert rig.position(a).exit_reason is ExitReason.SIGNAL
    assert rig.position(other).status is PositionStatus.OPEN


def test_a_close_of_a_strategy_takes_only_its_own() -> None:
    rig = Rig()
    _, b = two(rig)
    rig.signal("close", strategy="b")
    assert asked(rig) == {b: D(1)}


def test_a_late_close_leaves_what_was_opened_after_it_was_sent() -> None:
    rig = Rig()
    a, _ = two(rig)
    rig.signal("close", sent_at_ns=rig.now - 5 * SECOND)
    assert asked(rig) == {a: D(1)}
    late = rig.signal("close", strategy="b", sent_at_ns=rig.now - 5 * SECOND)
    assert rig.outcome(late).outcome is Outcome.IGNORED


def test_a_close_of_nothing_is_ignored() -> None:
    rig = Rig()
    assert str(rig.outcome(rig.signal("close")).reason).startswith("nothing_open")


def test_a_sell_of_nothing_on_spot_is_rejected_and_told() -> None:
    rig = Rig()
    signal = rig.signal("sell", BTC_SPOT)
    assert rig.outcome(signal).outcome is Outcome.REJECTED
    assert str(rig.outcome(signal).reason).startswith("no_position")
    assert rig.notices() == ["signal.rejected"]


def test_a_sell_on_spot_closes_the_longs_of_every_strategy() -> None:
    rig = Rig()
    position = rig.open(instrument=BTC_SPOT, strategy="a")
    rig.signal("sell", BTC_SPOT, strategy="b")
    assert asked(rig) == {position.id: D(1)}


def test_a_quantity_is_taken_from_the_oldest_on() -> None:
    rig = Rig()
    a, b = two(rig)
    rig.signal("close", size=qty("1.25"))
    assert asked(rig) == {a: D(1), b: D("0.25")}
    assert rig.position(a).status is PositionStatus.CLOSING
    assert rig.position(b).status is PositionStatus.OPEN


def test_a_quantity_that_the_oldest_bears_leaves_the_others() -> None:
    rig = Rig()
    a, _ = two(rig)
    close = rig.signal("close", size=qty("1"))
    assert asked(rig) == {a: D(1)}
    rig.filled(rig.exits()[0], "100")
    assert rig.outcome(close).outcome is Outcome.CLOSED


def test_a_percentage_is_of_what_remains_of_each() -> None:
    rig = Rig()
    a, b = two(rig)
    rig.close(a, "0.5")
    rig.signal("close", size=Size(SizeKind.PERCENT, D(40)))
    assert [(o.position_id, o.qty) for o in rig.exits()[1:]] == [(a, D("0.2")), (b, D("0.4"))]


@pytest.mark.parametrize("kind", [SizeKind.QUOTE_QTY, SizeKind.RISK_PERCENT])
def test_sizes_that_say_nothing_of_a_close_close_the_whole(kind: SizeKind) -> None:
    rig = Rig()
    position = rig.open(instrument=BTC_SPOT)
    rig.signal("sell", BTC_SPOT, size=Size(kind, D(1)))
    assert asked(rig) == {position.id: D(1)}


def test_a_part_too_small_to_sell_is_ignored_with_the_reason() -> None:
    rig = Rig()
    rig.open()
    close = rig.signal("close", size=qty("0.0001"))
    assert rig.outcome(close).outcome is Outcome.IGNORED
    assert str(rig.outcome(close).reason).startswith("part_too_small")


def test_a_part_close_is_settled_when_it_is_filled() -> None:
    rig = Rig()
    position = rig.open()
    close = rig.signal("close", size=qty("0.4"))
    assert rig.outcome(close).outcome is Outcome.PENDING
    rig.filled(rig.exits()[0], "100")
    assert rig.outcome(close).outcome is Outcome.CLOSED
    assert rig.position(position).status is PositionStatus.OPEN


def test_a_refused_part_close_is_a_rejected_signal() -> None:
    rig = Rig()
    rig.open()
    close = rig.signal("close", size=qty("0.4"))
    rig.update(rig.exits()[0], OrderStatus.REJECTED, message="busy")
    assert rig.outcome(close).outcome is Outcome.REJECTED
    assert rig.outcome(close).reason == "refused: busy"
    other = rig.signal("close", size=qty("0.4"))
    rig.update(rig.exits()[1], OrderStatus.REJECTED)
    assert rig.outcome(other).reason == "refused: the venue gave no reason"


@pytest.mark.parametrize("status", [OrderStatus.FILLED, OrderStatus.REJECTED])
def test_a_part_close_is_settled_when_its_position_is_closed_whole_meanwhile(
    status: OrderStatus,
) -> None:
    rig = Rig()
    rig.open()
    part = rig.signal("close", size=qty("0.4"))
    rig.trade(95.0)
    first, rest = rig.exits()
    rig.filled(rest, "95")
    if status is OrderStatus.FILLED:
        rig.filled(first, "95")
    else:
        rig.update(first, status, message="busy")
    assert rig.outcome(part).outcome is Outcome.CLOSED


def test_a_part_close_that_sells_the_last_step_is_settled() -> None:
    rig = Rig()
    position = rig.open()
    part = rig.signal("close", size=qty("0.4"))
    rig.foreign(BTC_PERP, "sell", "0.6", "100")
    rig.filled(rig.exits()[0], "100")
    assert rig.position(position).status is PositionStatus.CLOSED
    assert rig.outcome(part).outcome is Outcome.CLOSED


def test_a_close_of_what_is_being_closed_already_succeeds() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    close = rig.signal("close")
    assert rig.outcome(close).outcome is Outcome.CLOSED
    assert len(rig.exits()) == 1


def test_a_buy_closes_a_short() -> None:
    rig = Rig()
    position = rig.open("sell", instrument=BTC_PERP)
    rig.signal("buy")
    assert asked(rig) == {position.id: D(1)}
    assert rig.exits()[0].side == "buy"
