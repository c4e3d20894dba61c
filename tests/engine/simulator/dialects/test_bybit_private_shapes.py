"""What the simulator writes has the fields and types of the venue's recorded and example rows."""

import json
from pathlib import Path
from typing import Any

from tests.engine.simulator.dialects.bybit_rig import LINEAR, Trader, events, trading

STATES = {
    "rest/GET_v5_order_realtime.json": ("order/realtime", {**LINEAR, "openOnly": "1"}),
    "rest/example_http_get_orders_realtime_tp_sl.json": ("order/realtime", LINEAR),
    "rest/GET_v5_order_history.json": ("order/history", LINEAR),
    "rest/GET_v5_execution_list.json": ("execution/list", LINEAR),
    "rest/example_http_get_executions.json": ("execution/list", LINEAR),
    "rest/GET_v5_position_list.json": ("position/list", LINEAR),
    "rest/GET_v5_account_fee-rate.json": ("account/fee-rate", LINEAR),
    "rest/example_http_get_fee_rate.json": ("account/fee-rate", LINEAR),
    "rest/GET_v5_account_wallet-balance.json": (
        "account/wallet-balance",
        {"accountType": "UNIFIED"},
    ),
    "rest/example_http_get_wallet_balance.json": (
        "account/wallet-balance",
        {"accountType": "UNIFIED"},
    ),
}
SETTINGS = {
    "rest/GET_v5_account_info.json": "account/info",
    "rest/GET_v5_user_query-api.json": "user/query-api",
}


async def live(trader: Trader) -> None:
    """An account with a position, a resting stop and closed orders."""
    await trader.filled("Buy", "0.5", orderLinkId="one")
    stop = {"triggerPrice": "950", "triggerDirection": 2, "triggerBy": "MarkPrice"}
    await trader.market("Sell", "0.5", reduceOnly=True, **stop)


def kind(value: Any) -> str:
    """The JSON type; null and an empty text say the same in some examples."""
    return "text" if value is None else type(value).__name__.replace("str", "text")


def differences(wanted: Any, got: Any, where: str) -> list[str]:
    """Fields of ``wanted`` that ``got`` lacks or has with another type; lists by first row."""
    if isinstance(wanted, list) and isinstance(got, list):
        return differences(wanted[0], got[0], where) if wanted and got else []
    if not isinstance(wanted, dict) or not isinstance(got, dict):
        return [] if kind(wanted) == kind(got) else [f"{where}: {kind(wanted)} not {kind(got)}"]
    found = [f"{where}.{name} is missing" for name in wanted if name not in got]
    for name in wanted.keys() & got.keys():
        found += differences(wanted[name], got[name], f"{where}.{name}")
    return found


def example(recordings: Path, name: str) -> Any:
    return json.loads((recordings / "bybit" / name).read_text(encoding="utf-8"))


async def test_rows_of_rest_are_the_venues(tmp_path: Path, recordings: Path) -> None:
    found: list[str] = []
    async with trading(tmp_path) as trader:
        await live(trader)
        for name, (path, params) in STATES.items():
            got = await trader.get(f"/v5/{path}", **params)
            wanted = example(recordings, name)["result"]
            assert wanted["list"]
            assert got["result"]["list"], name
            found += differences(wanted, got["result"], path)
        for name, path in SETTINGS.items():
            got = await trader.get(f"/v5/{path}")
            found += differences(example(recordings, name)["result"], got["result"], path)
        shape = await trader.get("/v5/account/info")
        found += differences(
            example(recordings, "rest/GET_v5_order_realtime.json") | {"result": {}}, shape, "reply"
        )
    # Misspelt in one recorded reply, and written rightly in the others.
    assert found == ["position/list.list.mmrSysUpdateTime is missing"]


async def test_frames_of_the_stream_are_the_venues(tmp_path: Path, recordings: Path) -> None:
    lines = (recordings / "bybit/examples/user_data.jsonl").read_text().splitlines()
    more = (recordings / "bybit/examples/subscriptions_recv.jsonl").read_text().splitlines()
    frames = [json.loads(line) for line in (*lines, *more)]
    async with trading(tmp_path) as trader, trader.stream() as client:
        await live(trader)
        await client.drain(0.3)
    found: list[str] = []
    for topic in ("order", "execution", "position", "wallet"):
        texts = [json.loads(text) for text in client.texts]
        mine = next(frame for frame in texts if frame["topic"] == topic)
        theirs = [frame for frame in frames if frame.get("topic") == topic]
        assert theirs
        row = events(client, topic)[-1]
        for frame in theirs:
            assert set(mine) >= set(frame)
            found += differences(frame["data"][0], row, topic)
    # The wallet's total is spelt in two ways by the examples.
    assert set(found) == {"wallet.totalPerpUpl is missing"}
