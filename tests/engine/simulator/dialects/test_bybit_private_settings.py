"""Leverage, modes, positions and the wallet."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, trading

LEVER = "/v5/position/set-leverage"
MODE = "/v5/position/switch-mode"
MARGIN = "/v5/account/set-margin-mode"


def levers(buy: str, sell: str | None = None) -> dict[str, Any]:
    return {**LINEAR, "buyLeverage": buy, "sellLeverage": buy if sell is None else sell}


async def test_leverage_is_set_once_and_told_by_the_position(tmp_path: Path) -> None:
    asked = [
        (levers("5"), 0),
        (levers("5"), 110043),
        (levers("5", "6"), 10001),
        (levers("101"), 110013),
        (levers("0.5"), 110013),
        (levers("5.001"), 10001),
        (levers("4.5"), 0),
        ({**levers("3"), **SPOT}, 10001),
        ({**LINEAR, "buyLeverage": "3"}, 10001),
    ]
    async with trading(tmp_path) as trader:
        codes = [(await trader.post(LEVER, **body))["retCode"] for body, _ in asked]
        held = await trader.position()
    assert codes == [wanted for _, wanted in asked]
    assert (held["leverage"], held["size"], held["side"]) == ("4.5", "0", "")


async def test_leverage_that_needs_more_margin_than_is_free_is_refused(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "10")
        await trader.control(market="linear", action="deposit", asset="USDT", amount="-98900")
        answer = await trader.post(LEVER, **levers("1"))
    assert answer["retCode"] == 110045


async def test_the_position_mode_is_switched_while_nothing_is_open(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        codes = [
            (await trader.post(MODE, category="linear", **body))["retCode"]
            for body in (
                {"coin": "USDT", "mode": 0},
                {"coin": "USDT", "mode": 3},
                {"symbol": "BTCUSDT", "mode": 3},
                {"coin": "USDT", "mode": 1},
                {"mode": 0},
                {"coin": "USDT", "mode": 0},
            )
        ]
        await trader.filled("Buy", "0.1")
        codes.append((await trader.post(MODE, category="linear", coin="USDT", mode=3))["retCode"])
    assert codes == [110025, 0, 110025, 10001, 10001, 0, 110024]


async def test_open_orders_hold_the_position_mode(tmp_path: Path) -> None:
    stop = {"triggerPrice": "1100", "triggerDirection": 1}
    async with trading(tmp_path) as trader:
        await trader.market("Buy", "0.1", **stop)
        answer = await trader.post(MODE, category="linear", coin="USDT", mode=3)
    assert answer["retCode"] == 110028


async def test_the_margin_mode_is_of_the_account_and_shown_by_it(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        shown = []
        for word in ("ISOLATED_MARGIN", "REGULAR_MARGIN"):
            assert (await trader.post(MARGIN, setMarginMode=word))["retCode"] == 0
            info = await trader.result("/v5/account/info")
            wallet = await trader.result("/v5/account/wallet-balance", accountType="UNIFIED")
            shown.append((info["marginMode"], bool(wallet["list"][0]["totalAvailableBalance"])))
        bad = await trader.post(MARGIN, setMarginMode="NONE")
        await trader.filled("Buy", "0.1")
        held = await trader.post(MARGIN, setMarginMode="ISOLATED_MARGIN")
    assert shown == [("ISOLATED_MARGIN", False), ("REGULAR_MARGIN", True)]
    assert bad["retCode"] == 10001
    assert held["retCode"] == 3400045
    assert held["result"]["reasons"][0]["reasonCode"]


async def test_the_wallet_adds_up(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "0.5")
        await trader.filled("Buy", "1000", **SPOT)
        await trader.rig.price("bybit:linear:BTCUSDT", 1100)
        (whole,) = (await trader.result("/v5/account/wallet-balance", accountType="UNIFIED"))[
            "list"
        ]
        (some,) = (
            await trader.result("/v5/account/wallet-balance", accountType="UNIFIED", coin="BTC")
        )["list"]
        held = await trader.position()
    coins = {row["coin"]: row for row in whole["coin"]}
    assert set(coins) == {"USDT", "USDC", "BTC"}
    usdt = coins["USDT"]
    assert float(usdt["walletBalance"]) == pytest.approx(100_000 - 1000 - 500.05 * 0.00055, abs=0.1)
    assert float(usdt["unrealisedPnl"]) == pytest.approx(0.5 * (1100 - 1000.1))
    assert usdt["totalPositionIM"] == held["positionIM"]
    equity = float(usdt["walletBalance"]) + float(usdt["unrealisedPnl"])
    assert float(usdt["equity"]) == pytest.approx(equity)
    assert float(whole["totalEquity"]) == pytest.approx(
        sum(float(row["usdValue"]) for row in whole["coin"])
    )
    assert [row["coin"] for row in some["coin"]] == ["BTC"]
    assert some["totalEquity"] == whole["totalEquity"]


async def test_only_open_positions_are_listed_by_their_coin(tmp_path: Path) -> None:
    path, coin = "/v5/position/list", {"category": "linear", "settleCoin": "USDT"}
    async with trading(tmp_path) as trader:
        assert (await trader.result(path, **coin))["list"] == []
        await trader.filled("Sell", "0.1")
        (row,) = (await trader.result(path, **coin))["list"]
    assert (row["symbol"], row["side"], row["size"]) == ("BTCUSDT", "Sell", "0.1")
    assert float(row["liqPrice"]) > float(row["avgPrice"])
