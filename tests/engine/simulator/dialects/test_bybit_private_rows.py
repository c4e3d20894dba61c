"""Which words an order's end is told with."""

from decimal import Decimal
from pathlib import Path

import pytest

from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.simulator.desk_rows import DeskOrder
from engine.simulator.dialects.bybit_private_asked import Asked
from engine.simulator.dialects.bybit_private_rows import fill_row, order_row, order_status
from engine.simulator.matching import VenueOrder
from engine.simulator.terms import PLAIN, Terms, Trigger
from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, trading

TRIGGER = Terms(trigger=Trigger(Decimal(900), rises=False, by_mark=True))


def instrument(market: Market) -> Instrument:
    step = Decimal("0.001")
    key = InstrumentId("bybit", market, "BTCUSDT")
    return Instrument(key, "BTC", "USDT", step, step, step, Decimal(5))


def desk_order(
    market: Market,
    status: OrderStatus,
    message: str | None = None,
    filled: str = "0",
    terms: Terms = PLAIN,
    triggered_ns: int | None = None,
) -> DeskOrder:
    order = Order(
        client_order_id="one",
        position_id="",
        instrument=instrument(market),
        side=OrderSide.SELL,
        purpose=Purpose.EXIT,
        generation=0,
        qty=Decimal(2),
        reduce_only=False,
        created_at_ns=0,
        actor="",
    )
    record = VenueOrder(order, "7", status, Decimal(filled), message=message)
    return DeskOrder(record, terms, 0, 0, triggered_ns)


ENDS = [
    (Market.SPOT, "ioc: no more", "1", "PartiallyFilledCanceled", "EC_NoImmediateQtyToFill"),
    (Market.SPOT, "ioc: no more", "0", "Cancelled", "EC_NoImmediateQtyToFill"),
    (Market.LINEAR, "ioc: no more", "1", "Cancelled", "EC_NoImmediateQtyToFill"),
    (Market.LINEAR, "cancelled: so be it", "0", "Cancelled", "EC_PerCancelRequest"),
    (Market.LINEAR, "strange: who knows", "0", "Cancelled", "EC_Others"),
]


@pytest.mark.parametrize(("market", "message", "filled", "status", "reason"), ENDS)
def test_a_cancelled_order_tells_its_reason(
    market: Market, message: str, filled: str, status: str, reason: str
) -> None:
    row = order_row(desk_order(market, OrderStatus.CANCELLED, message, filled), Asked())
    assert (row["orderStatus"], row["rejectReason"]) == (status, reason)
    assert (row["leavesQty"], row["cumExecQty"]) == ("0", filled)


@pytest.mark.parametrize(
    ("message", "status", "cancel_type", "reason"),
    [
        ("reduce_only: flat", "Cancelled", "CancelByReduceOnly", "EC_NoError"),
        ("insufficient_balance: x", "Cancelled", "CancelByCannotAffordOrderCost", "EC_NoError"),
        ("no_price: none", "Cancelled", "UNKNOWN", "EC_NoImmediateQtyToFill"),
        ("not_trading: halted", "Rejected", "UNKNOWN", "EC_InvalidSymbolStatus"),
        ("strange: who knows", "Rejected", "UNKNOWN", "EC_Others"),
    ],
)
def test_a_refused_order_ends_as_the_venue_ends_it(
    message: str, status: str, cancel_type: str, reason: str
) -> None:
    row = order_row(desk_order(Market.LINEAR, OrderStatus.REJECTED, message), Asked())
    got = (row["orderStatus"], row["cancelType"], row["rejectReason"])
    assert got == (status, cancel_type, reason)


def test_a_conditional_order_goes_from_untriggered_to_new() -> None:
    rests = desk_order(Market.LINEAR, OrderStatus.ACKNOWLEDGED, terms=TRIGGER)
    fired = desk_order(Market.LINEAR, OrderStatus.ACKNOWLEDGED, terms=TRIGGER, triggered_ns=1)
    ended = desk_order(Market.LINEAR, OrderStatus.CANCELLED, "cancelled: x", terms=TRIGGER)
    late = desk_order(Market.LINEAR, OrderStatus.CANCELLED, "ioc: x", terms=TRIGGER, triggered_ns=1)
    words = [order_status(order) for order in (rests, fired, ended, late)]
    assert words == ["Untriggered", "New", "Deactivated", "Cancelled"]


def test_what_is_left_counts_down() -> None:
    row = order_row(desk_order(Market.LINEAR, OrderStatus.PARTIALLY_FILLED, filled="0.5"), Asked())
    assert (row["qty"], row["leavesQty"], row["orderStatus"]) == ("2", "1.5", "PartiallyFilled")


def test_an_execution_of_an_unknown_order_carries_its_own_size() -> None:
    one = Decimal(1)
    fill = Fill("9", instrument(Market.LINEAR), OrderSide.BUY, one, one, one, "USDT", 1_000_000)
    row = fill_row(fill, None, Asked(), "", Decimal("0.001"), Decimal(0))
    assert (row["orderId"], row["orderQty"], row["leavesQty"]) == ("9", "1", "0")
    assert (row["execTime"], row["seq"]) == ("1", 9)


async def test_a_limit_order_keeps_what_it_got(tmp_path: Path) -> None:
    limit = {"orderType": "Limit", "qty": "30", "timeInForce": "IOC", "side": "Buy"}
    async with trading(tmp_path) as trader:
        rows = []
        for scope, word in ((LINEAR, "Cancelled"), (SPOT, "PartiallyFilledCanceled")):
            answer = await trader.create(**scope, **limit, price="1000.1")
            rows.append(await trader.order(answer["result"]["orderId"], word, **scope))
    assert [(row["cumExecQty"], row["leavesQty"]) for row in rows] == [("10", "0"), ("10", "0")]
