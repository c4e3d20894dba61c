"""The venue's own client, unchanged, lives through a position on the private side."""

import time
from pathlib import Path
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError

from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, trading


def until(session: Any, scope: dict[str, str], link_id: str, status: str) -> dict[str, Any]:
    """Ask for an order until it has a status."""
    end_s = time.monotonic() + 5
    while time.monotonic() < end_s:
        rows = session.get_open_orders(**scope, orderLinkId=link_id)["result"]["list"]
        if rows and rows[0]["orderStatus"] == status:
            return rows[0]
        time.sleep(0.05)
    raise AssertionError(f"{link_id} did not become {status}: {rows}")


def a_life_on_linear(session: Any) -> dict[str, Any]:
    session.set_leverage(**LINEAR, buyLeverage="3", sellLeverage="3")
    with pytest.raises(InvalidRequestError) as unchanged:
        session.set_leverage(**LINEAR, buyLeverage="3", sellLeverage="3")
    assert unchanged.value.status_code == 110043
    market = {**LINEAR, "orderType": "Market", "positionIdx": 0}
    session.place_order(**market, side="Buy", qty="0.02", orderLinkId="in")
    entry = until(session, LINEAR, "in", "Filled")
    stop = {"triggerPrice": "800.00", "triggerDirection": 2, "triggerBy": "MarkPrice"}
    reduce = {"reduceOnly": True, "closeOnTrigger": False}
    session.place_order(**market, **stop, **reduce, side="Sell", qty="0.02", orderLinkId="stop")
    until(session, LINEAR, "stop", "Untriggered")
    session.cancel_order(**LINEAR, orderLinkId="stop")
    until(session, LINEAR, "stop", "Deactivated")
    held = session.get_positions(**LINEAR)["result"]["list"][0]
    session.place_order(**market, **reduce, side="Sell", qty="0.02", orderLinkId="out")
    until(session, LINEAR, "out", "Filled")
    fills = session.get_executions(category="linear", limit=1)["result"]
    more = session.get_executions(category="linear", limit=1, cursor=fills["nextPageCursor"])
    return {
        "entry": entry,
        "held": held,
        "fills": fills["list"] + more["result"]["list"],
        "flat": session.get_positions(category="linear", settleCoin="USDT")["result"]["list"],
        "info": session.get_account_info()["result"],
        "key": session.get_api_key_information()["result"],
        "fee": session.get_fee_rates(**LINEAR)["result"]["list"],
        "wallet": session.get_wallet_balance(accountType="UNIFIED", coin="USDT")["result"]["list"],
    }


async def test_linear(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        found = await trader.with_pybit(a_life_on_linear)
        trader_key = trader.key
    assert (found["held"]["size"], found["held"]["leverage"]) == ("0.02", "3")
    assert [fill["orderLinkId"] for fill in found["fills"]] == ["out", "in"]
    assert found["flat"] == []
    assert found["key"]["apiKey"] == trader_key
    fees = sum(float(fill["execFee"]) for fill in found["fills"])
    spread = 0.02 * 0.1
    total = float(found["wallet"][0]["coin"][0]["walletBalance"])
    assert total == pytest.approx(100_000 - fees - spread)


def a_life_on_spot(session: Any) -> dict[str, Any]:
    market = {**SPOT, "orderType": "Market", "isLeverage": 0}
    session.place_order(**market, side="Buy", qty="500", marketUnit="quoteCoin", orderLinkId="in")
    bought = until(session, SPOT, "in", "Filled")
    stop = {"triggerPrice": "900", "orderFilter": "StopOrder"}
    session.place_order(**market, **stop, side="Sell", qty="0.1", orderLinkId="stop")
    until(session, SPOT, "stop", "Untriggered")
    session.cancel_order(**SPOT, orderLinkId="stop", orderFilter="StopOrder")
    session.place_order(**market, side="Sell", qty="0.1", orderLinkId="out")
    until(session, SPOT, "out", "Filled")
    coins = session.get_wallet_balance(accountType="UNIFIED", coin="BTC")["result"]["list"]
    return {"bought": bought, "btc": coins[0]["coin"][0]}


async def test_spot(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        found = await trader.with_pybit(a_life_on_spot)
    kept = float(found["bought"]["cumExecQty"]) * 0.999 - 0.1
    assert float(found["btc"]["walletBalance"]) == pytest.approx(kept)


async def test_its_own_retry_waits_for_the_limit(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault("rate_limit", path="/v5/account/fee-rate")
        assert await trader.with_pybit(lambda s: s.get_fee_rates(**LINEAR)["retCode"]) == 0
