"""What goes wrong with signed requests, as the venue's own client meets it."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError

from engine.simulator.dialects.calls import CallLog, Limits
from tests.engine.simulator.dialects.bybit_rig import LINEAR, Trader, trading

CREATE = "/v5/order/create"
ORDER = {**LINEAR, "side": "Buy", "orderType": "Market", "qty": "0.01"}


async def outcome(trader: Trader, link_id: str, **options: Any) -> Any:
    """Place an order through pybit; returns its answer, or what it raised."""

    def place(session: Any) -> Any:
        try:
            return session.place_order(**ORDER, orderLinkId=link_id)["retCode"]
        except (requests.RequestException, FailedRequestError, InvalidRequestError) as error:
            return error

    return await trader.with_pybit(place, **options)


async def known(trader: Trader, link_id: str) -> bool:
    await asyncio.sleep(0.05)
    found = await trader.result("/v5/order/realtime", **LINEAR, orderLinkId=link_id)
    return bool(found["list"])


async def test_a_dropped_reply_leaves_an_order_behind(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault("drop_reply", venue="bybit", market="linear", path=CREATE)
        lost = await outcome(trader, "one")
        assert isinstance(lost, requests.ConnectionError)
        assert await known(trader, "one")
        assert await outcome(trader, "two") == 0


@pytest.mark.parametrize(("kind", "taken"), [("error_before", False), ("error_after", True)])
async def test_a_server_error_may_have_taken_the_order(
    tmp_path: Path, kind: str, taken: bool
) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault(kind, path=CREATE)
        failed = await outcome(trader, "one")
        assert isinstance(failed, FailedRequestError)
        assert failed.status_code == 502
        assert await known(trader, "one") is taken
        await trader.rig.fault(kind, path=CREATE, code=10016)
        refused = await outcome(trader, "two")
        assert isinstance(refused, InvalidRequestError)
        assert refused.status_code == 10016
        assert await known(trader, "two") is taken


async def test_a_delay_outlasts_the_client_and_the_order_is_taken(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault("delay", path=CREATE, delay_ms=1500)
        late = await outcome(trader, "one", timeout=0.5)
        assert isinstance(late, requests.ReadTimeout)
        assert not await known(trader, "one")
        await asyncio.sleep(1.2)
        assert await known(trader, "one")


async def test_a_ban_lasts_until_it_is_cleared(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault("ban", venue="bybit")
        for _ in range(2):
            banned = await outcome(trader, "one")
            assert isinstance(banned, FailedRequestError)
            assert banned.status_code == 403
        await trader.rig.fault("clear")
        assert await outcome(trader, "one") == 0


async def test_a_rate_limit_and_maintenance_take_nothing(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault("rate_limit", path=CREATE)
        limited = await trader.raw_post(CREATE, "{}")
        assert limited.json()["retCode"] == 10006
        reset_ms = int(limited.headers["x-bapi-limit-reset-timestamp"])
        assert 0 < reset_ms - time.time() * 1000 < 2000
        await trader.rig.fault("maintenance", venue="bybit", duration_ms=300)
        closed = await outcome(trader, "one")
        assert isinstance(closed, InvalidRequestError)
        assert closed.status_code == 10016
        await asyncio.sleep(0.4)
        assert not await known(trader, "one")


async def test_a_fault_meets_only_what_it_is_aimed_at(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        await trader.rig.fault("ban", venue="binance")
        await trader.rig.fault("ban", market="spot")
        await trader.rig.fault("ban", path="/v5/order/cancel")
        assert await outcome(trader, "one") == 0
        info = await trader.raw_get("/v5/account/info")
        assert info.status_code == 200


async def test_a_share_of_requests_is_struck_the_same_way_by_the_same_seed(
    tmp_path: Path,
) -> None:
    async def struck(seed: int) -> list[int]:
        async with trading(tmp_path) as trader:
            await trader.rig.fault("error_before", share=0.3, seed=seed)
            return [(await trader.raw_get("/v5/account/info")).status_code for _ in range(40)]

    one, same, other = await struck(1), await struck(1), await struck(2)
    assert one == same != other
    assert 4 <= one.count(502) <= 20


async def test_requests_are_remembered_with_their_time_and_answer(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        before_ns = time.monotonic_ns()
        await outcome(trader, "one")
        await trader.rig.fault("drop_reply", path=CREATE)
        await outcome(trader, "two")
        await trader.create(**ORDER, orderLinkId="one")
        await trader.rig.fault("delay", path="/v5/account/info", delay_ms=400)
        hanging = asyncio.create_task(trader.raw_get("/v5/account/info"))
        await asyncio.sleep(0.1)
        url = f"{trader.rig.server.control_url}/requests"
        found = (await trader.rig.http.get(url, params={"venue": "bybit"})).json()
        later = (await trader.rig.http.get(url, params={"since": found["next"] - 1})).json()
        none = (await trader.rig.http.get(url, params={"venue": "binance"})).json()
        bad = await trader.rig.http.get(url, params={"since": "x"})
        await hanging
    got = [(each["path"], each["client_order_id"], each["status"]) for each in found["items"]]
    assert got == [
        (CREATE, "one", 200),
        (CREATE, "two", 0),
        (CREATE, "one", 110072),
        ("/v5/account/info", None, None),
    ]
    times = [each["at_ns"] for each in found["items"]]
    assert before_ns < times[0] < times[-1] < time.monotonic_ns()
    assert times == sorted(times)
    assert [each["number"] for each in later["items"]] == [4]
    assert (none["items"], bad.status_code) == ([], 422)


def test_the_log_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.dialects.calls.NOTED_CALLS", 3)
    log = CallLog()
    for _ in range(5):
        log.add("bybit", None, None)  # type: ignore[arg-type]
    assert [noted.number for noted in log.since(0)] == [3, 4, 5]
    assert [noted.number for noted in log.since(4)] == [5]
    assert log.since(9) == []


def test_a_limit_is_given_back_with_its_window() -> None:
    limits = Limits()
    used = [limits.take("a", now, 2, 1000) for now in (1000, 1500, 1999, 2000)]
    assert [each.is_over for each in used] == [False, False, True, False]
    assert [each.left for each in used] == [1, 0, 0, 1]
    assert used[0].reset_ms == 2000
    assert not limits.take("b", 1999, 2, 1000, weight=2).is_over
