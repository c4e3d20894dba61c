"""Signature, time window, key and its rights."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, Trader, trading

WALLET = ("/v5/account/wallet-balance", "accountType=UNIFIED")


async def code(trader: Trader, **spoilt: str) -> int:
    answer = await trader.raw_get(*WALLET, **spoilt)
    assert answer.status_code == 200
    return answer.json()["retCode"]


async def test_a_request_that_is_signed_well_is_answered(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        assert await code(trader) == 0
        answer = await trader.get("/v5/account/wallet-balance", accountType="UNIFIED")
    assert set(answer) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
    assert isinstance(answer["time"], int)


async def test_the_body_is_signed_byte_for_byte(tmp_path: Path) -> None:
    wanted = {**LINEAR, "side": "Buy", "orderType": "Market", "qty": "0.01"}
    async with trading(tmp_path) as trader:
        for text in (json.dumps(wanted), json.dumps(wanted, separators=(",", ":"), indent=1)):
            answer = await trader.raw_post("/v5/order/create", text)
            assert answer.json()["retCode"] == 0
        sign = trader.headers(json.dumps(wanted, separators=(",", ":")))["X-BAPI-SIGN"]
        other = {"X-BAPI-SIGN": sign}
        answer = await trader.raw_post("/v5/order/create", json.dumps(wanted), **other)
        assert answer.json()["retCode"] == 10004
        assert len((await trader.result("/v5/execution/list", **LINEAR))["list"]) == 2


async def test_a_bad_key_or_signature_is_named(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        assert await code(trader, **{"X-BAPI-SIGN": "00" * 32}) == 10004
        trader.key = "another"
        assert await code(trader) == 10003


@pytest.mark.parametrize("name", ["API-KEY", "SIGN", "TIMESTAMP"])
async def test_a_missing_header_is_unauthorised(tmp_path: Path, name: str) -> None:
    async with trading(tmp_path) as trader:
        answer = await trader.raw_get(*WALLET, **{f"X-BAPI-{name}": ""})
    assert answer.status_code == 401


async def test_the_clock_may_be_a_window_behind_and_a_second_ahead(tmp_path: Path) -> None:
    found: dict[int, int] = {}
    async with trading(tmp_path) as trader:
        for ahead_ms in (-5500, -4000, 500, 1500):
            trader.ahead_ms = ahead_ms
            found[ahead_ms] = await code(trader)
        trader.window, trader.ahead_ms = "8000", -5500
        assert await code(trader) == 0
        trader.window = "soon"
        assert await code(trader) == 10001
    assert found == {-5500: 10002, -4000: 0, 500: 0, 1500: 10002}


async def test_a_skewed_clock_is_seen_in_answers_and_in_the_window(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        before = int((await trader.result("/v5/market/time"))["timeNano"])
        await trader.rig.fault("skew", venue="bybit", skew_ms=60_000)
        assert await code(trader) == 10002
        now = await trader.get("/v5/market/time")
        assert 60 <= (int(now["result"]["timeNano"]) - before) / 1e9 < 65
        trader.ahead_ms = 60_000
        assert await code(trader) == 0


KEYS: list[tuple[dict[str, Any], int, int, int]] = [
    ({"read_only": True}, 0, 10005, 10005),
    ({"trade_linear": False}, 0, 10005, 0),
    ({"trade_spot": False}, 0, 0, 10005),
    ({"expired": True}, 33004, 33004, 33004),
    ({"ip_elsewhere": True}, 10010, 10010, 10010),
    ({"ip_bound": False, "withdraw": True}, 0, 0, 0),
]


@pytest.mark.parametrize(("changes", "reads", "linear", "spot"), KEYS)
async def test_a_key_does_what_it_may(
    tmp_path: Path, changes: dict[str, Any], reads: int, linear: int, spot: int
) -> None:
    async with trading(tmp_path) as trader:
        await trader.control(action="permissions", key=changes)
        assert await code(trader) == reads
        rest = {"side": "Buy", "orderType": "Market", "qty": "10"}
        assert (await trader.create(**LINEAR, **rest))["retCode"] == linear
        assert (await trader.create(**SPOT, **rest))["retCode"] == spot


async def test_the_key_tells_its_rights_and_bindings(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        good = await trader.result("/v5/user/query-api")
        changes = {"withdraw": True, "transfer": True, "ip_bound": False, "read_only": True}
        await trader.control(action="permissions", key=changes)
        bad = await trader.result("/v5/user/query-api")
        ended = (await trader.control(action="permissions", key={"expired": True}))["key"]
    assert good["permissions"]["Wallet"] == []
    assert good["permissions"]["Spot"] == ["SpotTrade"]
    assert (good["ips"], good["readOnly"], good["deadlineDay"]) == (["127.0.0.1"], 0, 90)
    assert bad["permissions"]["Wallet"] == ["AccountTransfer", "SubMemberTransfer", "Withdraw"]
    assert (bad["ips"], bad["readOnly"]) == (["*"], 1)
    assert ended["expiredAt"] < good["expiredAt"]
