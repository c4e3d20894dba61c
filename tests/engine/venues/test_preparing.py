"""Leverage is set where nothing is open, once; and again looked at where something was."""

import asyncio
from decimal import Decimal

import pytest

from engine.model.events import VenuePosition
from engine.model.exits import Side
from engine.model.instrument import Market
from engine.venues.account import Outcome, RequestFailed
from engine.venues.preparing import Preparing
from tests.engine.venues.accounts import ScriptedAccount, failed
from tests.engine.venues.frames import instrument

BTC = instrument("bybit", Market.LINEAR, "BTCUSDT")


def told(account: ScriptedAccount) -> list[bool]:
    return [is_alone for _, is_alone in account.made("prepare")]


async def test_an_instrument_is_made_ready_once() -> None:
    account = ScriptedAccount()
    preparing = Preparing(account)
    await asyncio.gather(*(preparing.ready(BTC) for _ in range(3)))
    await preparing.ready(BTC)
    assert told(account) == [True]


async def test_what_was_open_there_may_be_gone_by_the_next_entry() -> None:
    account = ScriptedAccount()
    account.held = [VenuePosition(BTC.id, Side.LONG, Decimal(1), Decimal(5))]
    preparing = Preparing(account)
    await preparing.ready(BTC)
    account.held = []
    await preparing.ready(BTC)
    await preparing.ready(BTC)
    assert told(account) == [False, True]


async def test_what_failed_is_tried_again_by_the_next_entry() -> None:
    account = ScriptedAccount()
    account.scripts["prepare"] = [failed(Outcome.RETRY), None]
    preparing = Preparing(account)
    with pytest.raises(RequestFailed):
        await preparing.ready(BTC)
    await preparing.ready(BTC)
    assert told(account) == [True, True]


async def test_who_waits_no_longer_does_not_end_it() -> None:
    account = ScriptedAccount()
    go_on = asyncio.Event()
    account.scripts["prepare"] = [go_on]
    preparing = Preparing(account)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await preparing.ready(BTC)
    go_on.set()
    await preparing.ready(BTC)
    await preparing.ready(BTC)
    assert told(account) == [True]
