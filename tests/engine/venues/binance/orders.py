"""Orders of ours on Binance, and what a test says of the answers to them."""

from decimal import Decimal

import pytest

from engine.model.events import OrderFilled
from engine.model.ids import Purpose
from engine.model.order import OrderSide
from engine.venues.account import RequestFailed
from tests.engine.venues.binance.venue import LINEAR, error, order

NO_SUCH_ORDER = (400, error(-2013, "Order does not exist."))
UNKNOWN_ORDER = (400, error(-2011, "Unknown order sent."))
STOP = Decimal("40000.0")


def entry(instrument=LINEAR):
    return order(instrument)


def close(instrument=LINEAR, side=OrderSide.SELL):
    return order(instrument, Purpose.EXIT, side)


def backstop(instrument=LINEAR):
    return order(instrument, Purpose.BACKSTOP, OrderSide.SELL, trigger_price=STOP)


async def place(account, placed):
    sent = []
    events = await account.place(placed, sent.append)
    assert len(sent) == 1
    return events


async def failure(awaitable):
    with pytest.raises(RequestFailed) as caught:
        await awaitable
    return caught.value


def essence(events):
    return [
        ("fill", each.fill.venue_trade_id, each.fill.qty)
        if isinstance(each, OrderFilled)
        else (each.status, each.filled_qty)
        for each in events
    ]
