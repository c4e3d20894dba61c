"""The story of a lifetime as people read it."""

from decimal import Decimal

from engine.model.effects import LookUpOrder, SaveOrder, SendNotice, SubmitOrder
from engine.model.events import (
    ClockAdvanced,
    CloseRequested,
    FeedLost,
    FundingPaid,
    LeaseChanged,
    MissedPrice,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
    PricesMissed,
)
from engine.model.exits import ExitReason
from engine.model.ids import Purpose, client_order_id
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.model.ticks import PriceSource
from engine.simulation.trace import Trace, short, told_event
from tests.engine.core.rig import BTC_PERP

D = Decimal
POSITION = "q7fe" + "a" * 22
EXIT_ID = client_order_id(POSITION, Purpose.EXIT, 0)
ORDER = Order(
    EXIT_ID, POSITION, BTC_PERP, OrderSide.SELL, Purpose.EXIT, 0, D("0.5"), True, 1, "guard",
    reason=ExitReason.STOP_LOSS,
)  # fmt: skip
FILL = Fill("t9", BTC_PERP, OrderSide.SELL, D("0.5"), D("100.20"), D("0.05"), "USDT", 7, EXIT_ID)


def test_a_line_tells_when_what_was_told_and_what_was_answered() -> None:
    trace = Trace()
    effects = (SaveOrder(ORDER), SendNotice("position.stuck", 1, {}), SubmitOrder(ORDER, False))
    trace.event(12_345_000_000, 1, OrderFilled(FILL, 7), effects)
    trace.world(13_000_000_000, "life 1 is killed: before commit")
    assert trace.lines() == [
        "   12.345 s  life 1  OrderFilled sell 0.5 BTCUSDT @ 100.2, q7fe x0, trade t9 -> "
        "SaveOrder q7fe x0 intended, SendNotice position.stuck, "
        "SubmitOrder q7fe x0: sell 0.5 BTCUSDT by stop_loss",
        "   13.000 s  world   life 1 is killed: before commit",
    ]


def test_a_clock_that_changes_nothing_is_left_out() -> None:
    trace = Trace()
    trace.event(1, 0, ClockAdvanced(1, 1), ())
    assert trace.lines() == []
    trace.event(1, 0, ClockAdvanced(1, 1), (LookUpOrder(ORDER),))
    assert trace.lines() == ["    0.000 s  life 0  ClockAdvanced -> LookUpOrder q7fe x0"]


def test_an_entry_that_waits_for_its_commit_says_so() -> None:
    trace = Trace()
    entry = Order(
        "x" * 27, POSITION, BTC_PERP, OrderSide.BUY, Purpose.ENTRY, 0, D(1), False, 1, "g"
    )
    trace.event(1, 0, LeaseChanged(True, 1), (SubmitOrder(entry, True),))
    (line,) = trace.lines()
    assert line.endswith("LeaseChanged held -> SubmitOrder xxxx: buy 1 BTCUSDT after the commit")


def test_ids_are_shortened_with_what_they_are_for() -> None:
    assert short(client_order_id(POSITION, Purpose.ENTRY, 0)) == "q7fe e0"
    assert short(client_order_id(POSITION, Purpose.ADD, 12)) == "q7fe a12"
    assert short(POSITION) == "q7fe"


def test_answers_are_told_in_words() -> None:
    miss = OrderLookedUp(EXIT_ID, 1, found=False)
    assert told_event(miss) == "OrderLookedUp q7fe x0: not there"
    certain = OrderLookedUp(EXIT_ID, 1, found=False, certain=True)
    assert told_event(certain) == "OrderLookedUp q7fe x0: not there for certain"
    found = OrderLookedUp(EXIT_ID, 1, True, OrderStatus.FILLED, fills=(FILL,))
    assert told_event(found) == "OrderLookedUp q7fe x0: filled, filled 0.5"
    refused = OrderUpdated(EXIT_ID, OrderStatus.REJECTED, 1, message="too much")
    assert told_event(refused) == "OrderUpdated q7fe x0: rejected (too much)"
    later = OrderDeferred(EXIT_ID, 1, 1_500_000_000)
    assert told_event(later) == "OrderDeferred q7fe x0: for 1500 ms"
    assert told_event(CloseRequested(POSITION, "owner", 1)) == "CloseRequested q7fe: 1 by owner"


def test_prices_and_feeds_are_told_by_instrument() -> None:
    lost = FeedLost((BTC_PERP.id,), "silent", 1)
    assert told_event(lost) == "FeedLost bybit:linear:BTCUSDT (silent)"
    prices = (MissedPrice(1, 1, 99.5, 99.5), MissedPrice(2, 3, 98.0, 101.0))
    missed = PricesMissed(BTC_PERP.id, PriceSource.LAST, prices, True, 1)
    assert told_event(missed) == "PricesMissed bybit:linear:BTCUSDT last: 2 from 98.0 to 101.0"
    none = PricesMissed(BTC_PERP.id, PriceSource.LAST, (), True, 1)
    assert told_event(none) == "PricesMissed bybit:linear:BTCUSDT last: none"


def test_what_has_no_words_of_its_own_is_told_by_name() -> None:
    assert told_event(FundingPaid("f1", BTC_PERP, D(1), 1)) == "FundingPaid"
