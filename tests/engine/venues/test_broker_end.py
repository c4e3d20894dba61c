"""How a broker ends: what was sent is waited for, what was not stays unsent."""

import asyncio

import msgspec
import pytest

from engine.model.events import (
    OrderUpdated,
)
from engine.model.order import OrderStatus
from tests.engine.venues.accounts import HANG, QUICK, ScriptedAccount, Told, broker, running
from tests.engine.venues.orders import order
from tests.engine.venues.venue_server import until


@pytest.fixture
def account() -> ScriptedAccount:
    return ScriptedAccount()


@pytest.fixture
def told() -> Told:
    return Told()


async def test_an_order_that_was_sent_is_waited_for_when_the_service_stops(account, told):
    go_on = asyncio.Event()
    account.scripts["place"] = [go_on]
    made = broker(account, told)
    async with running(made) as task:
        made.submit(order())
        await until(lambda: account.made("place"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await made.drain()
        assert [event.status for event in told.of(OrderUpdated)] == [OrderStatus.ACKNOWLEDGED]


async def test_an_order_that_is_never_answered_is_given_up_in_bounded_time(account, told):
    account.scripts["place"] = [HANG]
    made = broker(account, told, timings=msgspec.structs.replace(QUICK, order_seconds=9.0))
    async with running(made) as task:
        made.submit(order())
        await until(lambda: account.made("place"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(1):
            await made.drain()
    assert told.of(OrderUpdated) == []


async def test_an_order_that_was_not_sent_yet_is_not_sent_after_a_stop(account, told):
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    account.before_sending = wait
    made = broker(account, told)
    async with running(made) as task:
        made.submit(order())
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        go_on.set()
        await made.drain()
    assert account.made("place") == []
    assert told == []


async def test_nothing_is_sent_after_a_stop(account, told):
    made = broker(account, told)
    async with running(made) as task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        made.submit(order())
        made.look_up(order())
        made.read_account(())
        await made.drain()
    assert {request for request, _ in account.calls} <= {"open", "examine", "run", "close"}


async def test_a_broker_that_never_ran_ends_without_a_request(account, told):
    made = broker(account, told)
    made.submit(order())
    await made.drain()
    await made.close()
    assert account.calls == [("close", None)]


@pytest.mark.parametrize("failure", [HANG, OSError("odd")])
async def test_an_account_that_does_not_close_does_not_hold_up_the_end(account, told, failure):
    account.scripts["close"] = [failure]
    made = broker(account, told)
    async with asyncio.timeout(1):
        await made.close()
    assert account.closed == 1
