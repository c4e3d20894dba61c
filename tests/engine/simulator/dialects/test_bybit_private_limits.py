"""Rate limits of the account and of the address."""

from pathlib import Path

from engine.simulator.dialects.bybit_private_rest import ADDRESS_LIMIT
from tests.engine.simulator.dialects.bybit_rig import LINEAR, SPOT, Trader, trading

BODY = {"side": "Buy", "orderType": "Market", "qty": "bad"}


async def burst(trader: Trader, scope: dict[str, str], times: int) -> list[int]:
    return [(await trader.create(**scope, **BODY))["retCode"] for _ in range(times)]


async def test_each_category_has_its_own_limit_in_a_second(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        linear = await burst(trader, LINEAR, 21)
        spot = await burst(trader, SPOT, 20)
        reading = (await trader.get("/v5/order/realtime", **LINEAR))["retCode"]
    # A burst may lie across the end of a second, never across two.
    assert 1 <= linear.count(10006) <= 11
    assert linear[:10] == [10001] * 10
    assert spot == [10001] * 20
    assert reading == 0


async def test_the_headers_tell_what_is_left(tmp_path: Path) -> None:
    text = '{"category":"linear"}'
    async with trading(tmp_path) as trader:
        heads = [(await trader.raw_post("/v5/order/create", text)).headers for _ in range(21)]
    first, last = heads[0], next(h for h in heads if h["x-bapi-limit-status"] == "0")
    assert first["x-bapi-limit"] == last["x-bapi-limit"] == "10"
    assert first["x-bapi-limit-status"] == "9"
    over = max(int(head["x-bapi-limit-reset-timestamp"]) for head in heads)
    assert over > int(first["x-bapi-limit-reset-timestamp"])


async def test_an_address_that_asks_too_often_is_banned(tmp_path: Path) -> None:
    async with trading(tmp_path) as trader:
        statuses = []
        for _ in range(2 * ADDRESS_LIMIT):
            answer = await trader.raw_get("/v5/account/info", **{"X-BAPI-API-KEY": ""})
            statuses.append(answer.status_code)
            if answer.status_code == 403:
                break
        again = await trader.raw_get("/v5/account/info")
    assert statuses.count(401) >= ADDRESS_LIMIT
    assert (statuses[-1], again.status_code) == (403, 403)
