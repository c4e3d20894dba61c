"""What has to be done before an entry is sent, and what becomes of it when that fails."""

from decimal import Decimal
from typing import Any

import pytest

from engine.model.events import (
    AccountReported,
    OrderDeferred,
    OrderSent,
    OrderUpdated,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Market
from engine.model.order import OrderStatus
from engine.venues.account import Outcome
from tests.engine.venues.accounts import HANG, ScriptedAccount, Told, broker, failed, running
from tests.engine.venues.frames import instrument
from tests.engine.venues.orders import order
from tests.engine.venues.venue_server import until


@pytest.fixture
def account() -> ScriptedAccount:
    return ScriptedAccount()


@pytest.fixture
def told() -> Told:
    return Told()


def entry(**fields: Any):
    return order(purpose=Purpose.ENTRY, **fields)


async def test_before_the_first_entry_on_an_instrument_leverage_is_set_once(account, told):
    made = broker(account, told)
    async with running(made):
        made.read_account(())
        await until(lambda: told.of(AccountReported))
        made.submit(entry())
        made.submit(entry(generation=1))
        await until(lambda: len(account.made("place")) == 2)
        made.submit(entry(generation=2))
        made.submit(entry(generation=3, symbol="ETHUSDT"))
        await until(lambda: len(account.made("place")) == 4)
    prepared = [str(about[0]) for about in account.made("prepare")]
    assert prepared == ["bybit:linear:BTCUSDT", "bybit:linear:ETHUSDT"]
    assert all(is_alone for _, is_alone in account.made("prepare"))


async def test_what_is_open_there_already_is_told_to_whom_sets_the_leverage(account, told):
    made = broker(account, told)
    btc = instrument("bybit", Market.LINEAR, "BTCUSDT")
    account.held = [VenuePosition(btc.id, Side.LONG, Decimal(1), Decimal(5))]
    async with running(made):
        made.read_account(())
        await until(lambda: told.of(AccountReported))
        made.submit(entry())
        await until(lambda: account.made("place"))
    assert account.made("prepare") == [(btc.id, False)]


@pytest.mark.parametrize("purpose", [Purpose.EXIT, Purpose.BACKSTOP])
async def test_a_close_is_never_kept_waiting_by_preparations(account, told, purpose):
    made = broker(account, told)
    async with running(made):
        made.submit(order(purpose=purpose))
        await until(lambda: account.made("place"))
    assert account.made("prepare") == []


async def test_spot_has_no_leverage(account, told):
    made = broker(account, told)
    async with running(made):
        made.submit(entry(market=Market.SPOT))
        await until(lambda: account.made("place"))
    assert account.made("prepare") == []


async def test_an_entry_waits_until_it_is_known_what_else_is_open(account, told):
    made = broker(account, told)
    async with running(made):
        made.submit(entry())
        await until(lambda: told.of(OrderDeferred))
    assert account.made("prepare") == account.made("place") == []
    assert told.of(OrderDeferred)[0].retry_after_ns == 0


@pytest.mark.parametrize(
    "failure", [failed(Outcome.UNKNOWN, "lost"), failed(Outcome.REJECTED), HANG, ValueError("odd")]
)
async def test_an_entry_whose_leverage_is_not_set_is_refused_and_not_sent(account, told, failure):
    account.scripts["prepare"] = [failure, None]
    made = broker(account, told)
    async with running(made):
        made.read_account(())
        await until(lambda: told.of(AccountReported))
        made.submit(entry())
        await until(lambda: told.of(OrderUpdated))
        assert told.of(OrderUpdated)[0].status is OrderStatus.REJECTED
        assert account.made("place") == []
        assert told.of(OrderSent) == []
        if failure != HANG:  # that one is still under way
            made.submit(entry(generation=1))
            await until(lambda: account.made("place"))
            assert len(account.made("prepare")) == 2
