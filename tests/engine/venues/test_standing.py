"""When trading stops at a venue, when it resumes, and that a look at the key decides the rest."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog

from engine.clock import SystemClock
from engine.model.events import OrderUpdated, TradingResumed, TradingStopped
from engine.model.ids import Purpose
from engine.model.instrument import Market
from engine.model.order import OrderStatus
from engine.venues.account import AccountFacts, Outcome
from engine.venues.standing import Cause, Standing
from tests.engine.venues.accounts import (
    GOOD_KEY,
    ScriptedAccount,
    Told,
    broker,
    failed,
    running,
)
from tests.engine.venues.orders import order
from tests.engine.venues.venue_server import until


def make(told: Told, *, risky_allowed: bool = False) -> Standing:
    fees = {Market.SPOT: Decimal("0.001"), Market.LINEAR: Decimal("0.00055")}
    return Standing("bybit", SystemClock(), told, risky_allowed=risky_allowed, fee_rates=fees)


def key(**fields: Any) -> AccountFacts:
    return msgspec.structs.replace(GOOD_KEY, **fields)


def test_a_stop_is_told_once_and_again_when_it_says_something_else():
    told = Told()
    standing = make(told)
    standing.stop(Cause.ACCOUNT, "one")
    standing.stop(Cause.ACCOUNT, "one")
    standing.stop(Cause.ACCOUNT, "two")
    assert [event.message for event in told] == ["one", "two"]


def test_trading_resumes_only_when_nothing_stops_it_any_more():
    told = Told()
    standing = make(told)
    standing.stop(Cause.KEY, "it may withdraw")
    standing.stop(Cause.ORDER, "not from this address")
    standing.clear(Cause.ORDER)
    assert told.of(TradingResumed) == []
    assert told[-1].message == "it may withdraw"  # what the owner has still to do
    standing.clear(Cause.ORDER, Cause.ACCOUNT)
    assert len(told) == 3
    standing.clear(Cause.KEY)
    assert len(told.of(TradingResumed)) == 1
    standing.clear(Cause.KEY)
    assert len(told) == 4


@pytest.mark.parametrize(
    ("rights", "named"),
    [
        ({"may_withdraw": True}, "withdraw"),
        ({"may_transfer": True}, "transfer"),
        ({"may_withdraw": True, "may_transfer": True}, "withdraw and transfer"),
    ],
)
def test_a_dangerous_key_stops_trading_with_the_remedy(rights, named):
    told = Told()
    make(told).judge(key(**rights))
    [stopped] = told
    assert f"the key may {named}:" in stopped.message
    assert "ALLOW_RISKY_KEYS=yes" in stopped.message


def test_a_dangerous_key_is_the_owner_s_choice():
    told = Told()
    make(told, risky_allowed=True).judge(key(may_withdraw=True, may_transfer=True))
    assert told == []


def test_a_key_that_is_put_right_resumes_whatever_stopped_before():
    told = Told()
    standing = make(told)
    standing.judge(key(may_withdraw=True))
    standing.stop(Cause.ORDER, "no")
    standing.judge(key())
    assert told.of(TradingResumed)
    assert not standing.is_stopped


def test_a_key_without_any_right_stops_trading():
    told = Told()
    make(told).judge(key(may_trade=()))
    assert "may not trade" in told.of(TradingStopped)[0].message


def test_a_market_that_the_key_may_not_trade_is_barred_alone():
    told = Told()
    standing = make(told)
    standing.judge(key(may_trade=(Market.SPOT,)))
    assert told == []
    assert standing.barred(Market.SPOT) == ""
    assert "may not trade linear: allow it at bybit" in standing.barred(Market.LINEAR)
    standing.judge(key())
    assert standing.barred(Market.LINEAR) == ""


def test_other_fees_than_sizes_are_computed_with_are_logged():
    with structlog.testing.capture_logs() as logs:
        make(Told()).judge(key(taker_fees=(("spot", "0.1"), ("linear", "0.04"), ("option", "1"))))
    [line] = [line for line in logs if line["event"] == "venue.fee_differs"]
    assert (line["market"], line["told_percent"], line["used_percent"]) == (
        "linear",
        "0.04",
        "0.055",
    )


# The look at the key, by a broker


async def test_a_dangerous_key_is_found_at_the_start_and_asked_for_until_it_is_right():
    account, told = ScriptedAccount(), Told()
    account.scripts["examine"] = [key(may_withdraw=True), key(may_withdraw=True), GOOD_KEY]
    async with running(broker(account, told)):
        await until(lambda: told.of(TradingResumed))
        assert len(account.made("examine")) == 3
        await asyncio.sleep(0.1)
        assert len(account.made("examine")) == 3  # the next look is tomorrow
    assert len(told.of(TradingStopped)) == 1


async def test_a_key_that_is_not_told_about_stops_nothing_and_is_asked_for_again():
    account, told = ScriptedAccount(), Told()
    account.scripts["examine"] = [failed(Outcome.STOP), ValueError("odd"), GOOD_KEY]
    async with running(broker(account, told)):
        await until(lambda: len(account.made("examine")) == 3)
    assert told == []


async def test_an_order_refused_for_the_key_has_it_looked_at_soon():
    account, told = ScriptedAccount(), Told()
    account.scripts["place"] = [failed(Outcome.STOP, "10005", remedy="allow trading"), []]
    made = broker(account, told)
    async with running(made):
        await until(lambda: account.made("examine"))
        made.submit(order())
        await until(lambda: told.of(TradingStopped))
        assert told.of(TradingStopped)[0].message == "allow trading"
        made.read_account(())  # that we may read says nothing of orders
        await until(lambda: account.made("read"))
        assert told.of(TradingResumed) == []
        await until(lambda: told.of(TradingResumed))
    assert len(account.made("examine")) == 2


async def test_an_order_that_is_taken_resumes_trading():
    account, told = ScriptedAccount(), Told()
    account.scripts["examine"] = [failed(Outcome.UNKNOWN)]
    account.scripts["place"] = [failed(Outcome.STOP), []]
    made = broker(account, told)
    async with running(made):
        made.submit(order())
        await until(lambda: told.of(TradingStopped))
        made.submit(order(generation=1))
        await until(lambda: told.of(TradingResumed))


async def test_an_entry_on_a_barred_market_is_refused_with_the_remedy_and_a_close_is_tried():
    account, told = ScriptedAccount(), Told()
    account.scripts["examine"] = [key(may_trade=(Market.LINEAR,))]
    made = broker(account, told)
    async with running(made):
        await until(lambda: account.made("examine"))
        await asyncio.sleep(0.01)
        made.submit(order(purpose=Purpose.ENTRY, market=Market.SPOT))
        await until(lambda: told.of(OrderUpdated))
        made.submit(order(market=Market.SPOT))
        await until(lambda: account.made("place"))
    refused = told.of(OrderUpdated)[0]
    assert refused.status is OrderStatus.REJECTED
    assert "allow it at bybit" in refused.message
