"""The accounts as the control side shows and changes them."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.dialects.bybit_rig import Trader, trading

TRADE = {"venue": "bybit", "market": "linear", "action": "trade", "symbol": "BTCUSDT"}

BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "action"),
    ({"action": "steal"}, "action"),
    ({"action": "trade"}, "venue"),
    ({"action": "trade", "venue": "kraken"}, "venue"),
    ({"action": "trade", "venue": "bybit"}, "market"),
    ({**TRADE, "symbol": "NOPE"}, "symbol"),
    ({**TRADE}, "side"),
    ({**TRADE, "side": "up", "qty": "1"}, "side"),
    ({**TRADE, "side": "buy"}, "qty"),
    ({**TRADE, "side": "buy", "qty": "1", "price": "x"}, "price"),
    ({**TRADE, "side": "buy", "qty": "1", "leg": "left"}, "leg"),
    ({**TRADE, "side": "buy", "qty": "1", "kind": "liquidation"}, "kind"),
    ({**TRADE, "side": "buy", "qty": "10000"}, "action"),
    ({**TRADE, "amount_of": 1}, "amount_of"),
    ({**TRADE, "action": "hedge_mode"}, "hedged"),
    ({**TRADE, "action": "partial_fills", "on": "yes"}, "on"),
    ({**TRADE, "action": "deposit", "asset": "USDT"}, "amount"),
    ({**TRADE, "action": "deposit", "amount": "1"}, "amount"),
    ({**TRADE, "action": "deposit", "asset": "USDT", "amount": "much"}, "amount"),
    ({**TRADE, "action": "fund", "rate": "x"}, "rate"),
    ({"action": "permissions", "key": {"withdraw": True}}, "venue"),
    ({"action": "permissions", "venue": "bybit", "key": {"wings": True}}, "key"),
    ({"action": "permissions", "venue": "bybit", "key": {"withdraw": "yes"}}, "key"),
]


async def test_bad_requests_name_the_field(tmp_path: Path) -> None:
    found = []
    async with trading(tmp_path) as trader:
        for body, _ in BAD:
            answer = await trader.rig.ask("account", body)
            assert answer.status_code == 422
            found.append(answer.json()["errors"][0]["field"])
    assert found == [field for _, field in BAD]


async def shown(trader: Trader, **params: str) -> dict[str, Any]:
    url = f"{trader.rig.server.control_url}/account"
    answer = await trader.rig.http.get(url, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_the_books_hold_what_was_traded(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.filled("Buy", "0.1", orderLinkId="one")
        await trader.control(**TRADE, side="buy", qty="0.2", client_order_id="web")
        await trader.control(**{**TRADE, "action": "fund"}, rate="0.0001")
        await trader.control(market="spot", action="deposit", asset="BTC", amount="2")
        books = await shown(trader, venue="bybit", market="linear")
        every = await shown(trader)
    assert (books["venue"], books["markets"]) == ("bybit", ["spot", "linear"])
    assert books["opening"] == {"USDT": "100000", "USDC": "100000", "BTC": "2"}
    assert [fill["qty"] for fill in books["executions"]] == ["0.1", "0.2"]
    assert [fill["client_order_id"] for fill in books["executions"]] == ["one", "web"]
    assert [each["record"]["filled_qty"] for each in books["orders"]] == ["0.1", "0.2"]
    assert len(books["settlements"]) == 1
    ((side, qty),) = [(row["side"], row["qty"]) for row in books["positions"]]
    assert (side, qty) == ("long", "0.3")
    totals = {row["asset"]: row["total"] for row in books["balances"]}
    assert totals["BTC"] == "2"
    assert [(each["venue"], each["markets"]) for each in every["accounts"]] == [
        ("bybit", ["spot", "linear"]),
        ("binance", ["spot"]),
        ("binance", ["linear"]),
    ]


async def test_actions_change_the_account(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        hedge = {"market": "linear", "action": "hedge_mode"}
        assert await trader.control(**hedge, hedged=True) == {"hedged": True}
        sold = await trader.control(**TRADE, side="sell", qty="0.2", leg="short", price="1001")
        assert (sold["fill"]["leg"], sold["fill"]["price"]) == ("short", "1001")
        gone = await trader.control(**{**TRADE, "action": "liquidate"}, leg="short")
        assert [fill["kind"] for fill in gone["fills"]] == ["liquidation"]
        paid = await trader.control(market="spot", action="fee_asset", asset="USDC", rate="1")
        assert paid == {"asset": "USDC", "rate": "1"}
        fee = await trader.filled("Buy", "100", category="spot")
        assert set(fee["cumFeeDetail"]) == {"USDC"}
        ended = await trader.control(market="spot", action="fee_asset", asset=None)
        assert ended["asset"] is None


@pytest.mark.parametrize("share", [0, 1.5, "half", True])
async def test_a_share_lies_between_nothing_and_all(tmp_path: Path, share: Any) -> None:
    async with trading(tmp_path) as trader:
        answer = await trader.rig.ask("fault", {"kind": "drop_reply", "share": share})
    assert answer.json()["errors"][0]["field"] == "share"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "drop_reply", "path": "order"}, "path"),
        ({"kind": "skew"}, "skew_ms"),
        ({"kind": "delay", "delay_ms": 0}, "delay_ms"),
        ({"kind": "error_after", "code": "x"}, "code"),
        ({"kind": "drop_reply", "share": 0.5, "seed": -1}, "seed"),
    ],
)
async def test_a_bad_fault_names_the_field(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    async with trading(tmp_path) as trader:
        answer = await trader.rig.ask("fault", body)
    assert answer.json()["errors"][0]["field"] == field
