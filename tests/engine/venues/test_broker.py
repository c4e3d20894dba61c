"""What becomes of orders and readings, whatever an account does."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
import structlog

from engine.model.events import (
    AccountReported,
    AccountResumed,
    InstrumentRefreshed,
    OrderDeferred,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    TradingResumed,
    TradingStopped,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument, Market
from engine.model.order import OrderStatus, Refusal
from engine.venues.account import Outcome
from tests.engine.venues.accounts import (
    HANG,
    ScriptedAccount,
    Told,
    broker,
    failed,
    report,
    running,
)
from tests.engine.venues.frames import instrument
from tests.engine.venues.orders import order
from tests.engine.venues.venue_server import until

KEY = order().client_order_id


@pytest.fixture
def account() -> ScriptedAccount:
    return ScriptedAccount()


@pytest.fixture
def told() -> Told:
    return Told()


async def test_an_order_is_sent_and_its_answer_is_told_after_that(account, told):
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: len(told) == 2)
    sent, answer = told
    assert isinstance(sent, OrderSent)
    assert (sent.client_order_id, sent.sent_ns) == (KEY, 77)
    assert answer == OrderUpdated(KEY, OrderStatus.ACKNOWLEDGED, 1)


async def test_an_order_before_the_start_waits_for_it(account, told):
    made = broker(account, told)
    made.submit(order())
    made.look_up(order(generation=1))
    await asyncio.sleep(0.02)
    assert account.calls == []
    async with running(made):
        await until(lambda: account.made("place") and account.made("find"))
        assert account.made("place") == [KEY]


async def test_an_order_is_tried_though_the_account_could_not_be_opened(account, told):
    account.scripts["open"] = [failed(Outcome.UNKNOWN)]
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: account.made("place"))


@pytest.mark.parametrize(
    ("outcome", "fields", "expected"),
    [
        (Outcome.REJECTED, {"refusal": Refusal.FILTERS}, ("rejected", Refusal.FILTERS)),
        (Outcome.UNKNOWN, {}, ("unknown", Refusal.OTHER)),
        (Outcome.STOP, {"remedy": "make a new key"}, ("rejected", Refusal.OTHER)),
    ],
)
async def test_an_error_says_where_the_order_stands(account, told, outcome, fields, expected):
    account.scripts["place"] = [failed(outcome, "because", **fields)]
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: told.of(OrderUpdated))
        [update] = told.of(OrderUpdated)
    assert (str(update.status), update.refusal) == expected
    assert update.message == "because"


@pytest.mark.parametrize(
    ("outcome", "wait_ns", "told_ns"),
    [(Outcome.RETRY, 0, 0), (Outcome.RETRY, 5, 0), (Outcome.WAIT, 5, 5)],
)
async def test_only_a_venue_that_wants_silence_has_its_time_told(
    account, told, outcome, wait_ns, told_ns
):
    account.scripts["place"] = [failed(outcome, "later", wait_ns=wait_ns)]
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: told.of(OrderDeferred))
    [deferred] = told.of(OrderDeferred)
    assert (deferred.retry_after_ns, deferred.message) == (told_ns, "later")
    assert account.made("place") == [KEY]


async def test_a_request_that_hangs_ends_as_unknown_and_holds_up_no_other(account, told):
    account.scripts["place"] = [HANG, [OrderUpdated("other", OrderStatus.FILLED, 1)]]
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: account.made("place"))
        made.submit(order(generation=1))
        await until(lambda: told.of(OrderUpdated))
        assert told.of(OrderUpdated)[0].client_order_id == "other"
        await until(lambda: len(told.of(OrderUpdated)) == 2)
    assert told.of(OrderUpdated)[1].status is OrderStatus.UNKNOWN
    assert told.of(OrderUpdated)[1].client_order_id == KEY


async def test_a_defect_of_an_adapter_leaves_the_order_unknown_and_a_trace(account, told):
    account.scripts["place"] = [ValueError("a field is missing")]
    made = broker(account, told)
    with structlog.testing.capture_logs() as logs:
        async with running(made) as task:
            made.submit(order())
            await until(lambda: told.of(OrderUpdated))
            assert not task.done()
    [update] = told.of(OrderUpdated)
    assert update.status is OrderStatus.UNKNOWN
    assert "a field is missing" in update.message
    [crash] = [line for line in logs if line["event"] == "order.request_crashed"]
    assert crash["exc_info"]


async def test_a_core_that_fails_ends_the_service_and_not_the_order(account, told):
    made = broker(account, told)
    told.refuse = RuntimeError("the books contradict themselves")
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    made.submit(order())
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(2):
            await task
    assert "books" in repr(caught.value.exceptions)
    await made.drain()  # it was raised once


async def test_a_core_that_fails_while_the_account_tells_ends_the_service(account, told):
    made = broker(account, told)
    task = asyncio.create_task(made.run())
    await until(lambda: account.sink)
    told.refuse = RuntimeError("boom")
    with pytest.raises(RuntimeError):
        account.sink(AccountResumed("bybit", 1))  # as from a callback of the loop
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(2):
            await task


# Look-ups and readings


async def test_a_look_up_is_not_made_twice_at_a_time(account, told):
    go_on = asyncio.Event()
    account.scripts["find"] = [go_on]
    made = broker(account, told)
    async with running(made):
        for _ in range(3):
            made.look_up(order())
        made.look_up(order(generation=1))
        await until(lambda: len(account.made("find")) == 2)
        go_on.set()
        await until(lambda: len(told.of(OrderLookedUp)) == 2)
        made.look_up(order())
        await until(lambda: len(told.of(OrderLookedUp)) == 3)


@pytest.mark.parametrize("failure", [failed(Outcome.UNKNOWN), HANG, KeyError("orderId")])
async def test_a_look_up_that_fails_is_no_answer_and_may_be_made_again(account, told, failure):
    account.scripts["find"] = [failure, OrderLookedUp(KEY, 1, found=True)]
    made = broker(account, told)
    async with running(made):
        made.look_up(order())
        await until(lambda: account.made("find"))
        await asyncio.sleep(0.25 if failure == HANG else 0.02)
        assert told == []
        made.look_up(order())
        await until(lambda: told.of(OrderLookedUp))


async def test_a_reading_asked_for_while_one_is_under_way_is_made_once_after_it(account, told):
    go_on = asyncio.Event()
    account.scripts["read"] = [go_on, [report()]]
    made = broker(account, told)
    first, second, third = (instrument("bybit", Market.SPOT, name) for name in ("A", "B", "C"))
    async with running(made):
        made.read_account([first])
        await until(lambda: account.made("read"))
        made.read_account([first, second])
        made.read_account([third])
        go_on.set()
        await until(lambda: len(told.of(AccountReported)) == 2)
        await asyncio.sleep(0.02)
    assert account.made("read") == [("A",), ("A", "B", "C")]


async def test_an_account_is_not_read_before_it_is_open(account, told):
    go_on = asyncio.Event()
    account.scripts["open"] = [failed(Outcome.UNKNOWN), go_on]
    made = broker(account, told)
    async with running(made):
        made.read_account(())
        await until(lambda: len(account.made("open")) == 2)
        assert account.made("read") == []
        assert not made.is_read
        go_on.set()
        await until(lambda: told.of(AccountReported))
        assert made.is_read


async def test_a_reading_that_fails_is_no_answer(account, told):
    account.scripts["read"] = [failed(Outcome.WAIT, wait_ns=5), [report()]]
    made = broker(account, told)
    async with running(made):
        made.read_account(())
        await until(lambda: account.made("read"))
        await asyncio.sleep(0.02)
        assert told == []
        made.read_account(())
        await until(lambda: told.of(AccountReported))


async def test_filters_that_were_read_again_reach_the_core_and_the_lists(account, told):
    kept: list[Instrument] = []
    made = broker(account, told, on_refreshed=kept.append)
    btc = instrument("bybit", Market.LINEAR, "BTCUSDT")
    account.scripts["filters"] = [failed(Outcome.RETRY), btc]
    async with running(made):
        made.refresh(btc)
        made.refresh(btc)
        await until(lambda: account.made("filters"))
        await asyncio.sleep(0.02)
        assert told == kept == []
        made.refresh(btc)
        await until(lambda: told.of(InstrumentRefreshed))
    assert kept == [btc]
    assert len(account.made("filters")) == 2


async def test_a_cancellation_tells_how_the_order_ended(account, told):
    made = broker(account, told)
    async with running(made):
        made.cancel(order())
        await until(lambda: told.of(OrderUpdated))
    assert told == [OrderUpdated(KEY, OrderStatus.CANCELLED, 1)]


async def test_a_cancellation_that_fails_is_no_answer(account, told):
    account.scripts["cancel"] = [failed(Outcome.UNKNOWN)]
    made = broker(account, told)
    async with running(made):
        made.cancel(order())
        await until(lambda: account.made("cancel"))
    assert told == []


# The account


async def test_an_account_that_cannot_be_opened_is_tried_again(account, told):
    account.scripts["open"] = [failed(Outcome.UNKNOWN), HANG, OSError("odd"), None]
    made = broker(account, told)
    async with running(made):
        await until(lambda: account.sink)
    assert len(account.made("open")) == 4
    assert len(account.made("run")) == 1


async def test_streams_that_end_by_a_defect_are_begun_anew(account, told):
    account.scripts["run"] = [ExceptionGroup("streams", [ValueError("odd")]), None]
    made = broker(account, told)
    async with running(made) as task:
        await until(lambda: len(account.made("run")) == 2)
        account.sink(AccountResumed("bybit", 1))
        assert told.of(AccountResumed)
        assert not task.done()


async def test_positions_are_the_account_s(account, told):
    btc = instrument("bybit", Market.LINEAR, "BTCUSDT")
    account.held = [VenuePosition(btc.id, Side.LONG, Decimal(1), Decimal(5))]
    assert broker(account, told).positions() == account.held


async def test_what_the_account_tells_by_itself_is_told(account, told):
    made = broker(account, told)
    filled = OrderUpdated(KEY, OrderStatus.FILLED, 1)
    async with running(made):
        await until(lambda: account.sink)
        account.sink(filled)
    assert told == [filled]


async def test_an_order_is_told_as_sent_once(account, told):
    async def place(order: Any, sent: Any) -> list[Any]:
        sent(5)
        sent(6)
        return []

    account.place = place
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: told)
    assert [event.sent_ns for event in told.of(OrderSent)] == [5]


# Trading stopped


async def test_a_key_that_is_refused_stops_trading_and_a_reading_that_succeeds_resumes(
    account, told
):
    account.scripts["read"] = [failed(Outcome.STOP, "10003", remedy="make a new key"), [report()]]
    made = broker(account, told)
    async with running(made):
        await until(lambda: account.made("examine"))
        made.read_account(())
        await until(lambda: told.of(TradingStopped))
        assert told.of(TradingStopped)[0].message == "make a new key"
        made.read_account(())
        await until(lambda: told.of(TradingResumed))


async def test_a_stream_that_is_refused_stops_trading_until_it_logs_in(account, told):
    account.scripts["examine"] = [failed(Outcome.UNKNOWN)]
    made = broker(account, told)
    async with running(made):
        await until(lambda: account.sink)
        account.sink(TradingStopped("bybit", "make a new key", 1))
        assert len(told.of(TradingStopped)) == 1
        account.sink(AccountResumed("bybit", 1))
        assert told.of(TradingResumed)
        assert told.of(AccountResumed)


async def test_an_account_that_says_so_resumes_trading(account, told):
    account.scripts["examine"] = [failed(Outcome.UNKNOWN)]
    async with running(broker(account, told)):
        await until(lambda: account.sink)
        account.sink(TradingResumed("bybit", 1))
        assert told == []  # nothing was stopped
        account.sink(TradingStopped("bybit", "make a new key", 1))
        account.sink(TradingResumed("bybit", 2))
        assert len(told.of(TradingResumed)) == 1
