import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.clock import SystemClock
from engine.model.errors import Misconfigured
from engine.simulator.server import SimulatorServer, make_keys
from tests.engine.simulator.rig import quiet, refusal, script, simulator

NAMES = {
    "BYBIT_REST_URL",
    "BYBIT_WS_PUBLIC_URL",
    "BYBIT_WS_PRIVATE_URL",
    "BINANCE_SPOT_REST_URL",
    "BINANCE_SPOT_WS_URL",
    "BINANCE_SPOT_WS_API_URL",
    "BINANCE_USDM_REST_URL",
    "BINANCE_USDM_WS_URL",
}


async def test_urls_are_on_loopback_and_named_as_the_environment(tmp_path: Path) -> None:
    async with quiet(tmp_path) as rig:
        urls = rig.server.urls
        assert set(urls) == NAMES
        assert urls["BYBIT_WS_PUBLIC_URL"].endswith("/v5/public")
        hosts = {urlsplit(url).hostname for url in (*urls.values(), rig.server.control_url)}
    assert hosts == {"127.0.0.1"}


def four_free_ports() -> int:
    """The first of four free ports in a row, below those that systems give out themselves."""
    for port in range(15_000 + os.getpid() % 1000 * 10, 32_000, 10):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in range(4):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port + number))
            return port
    raise AssertionError("no four free ports in a row")


async def test_a_port_can_be_chosen_and_used_again_at_once(tmp_path: Path) -> None:
    port = four_free_ports()
    for _ in range(2):
        async with quiet(tmp_path, port=port) as rig, rig.spot() as client:
            assert urlsplit(rig.server.control_url).port == port
            await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = SimulatorServer(SystemClock(), prices=script(tmp_path), port=port)
        with refusal(Misconfigured, str(port), "not free"):
            await server.start()


def test_bad_arguments_name_the_remedy(tmp_path: Path) -> None:
    clock = SystemClock()
    for speed in (0.0, -1.0, float("inf"), float("nan")):
        with refusal(Misconfigured, "speed", "above 0"):
            SimulatorServer(clock, speed=speed)
    with refusal(Misconfigured, "TICKGUARD_RECORDED"):
        SimulatorServer(clock, prices="recorded")
    with refusal(Misconfigured, "TICKGUARD_RECORDED"):
        SimulatorServer(clock, prices="recorded", recordings=tmp_path / "nowhere")
    with refusal(Misconfigured, "missing.csv"):
        SimulatorServer(clock, prices=str(tmp_path / "missing.csv"))


def test_keys_come_from_the_seed() -> None:
    assert make_keys(1) == make_keys(1) != make_keys(2)
    keys = make_keys(1)
    assert set(keys) == {"bybit", "binance"}
    assert len(keys["binance"]["secret"]) == 64


async def test_the_same_seed_sends_the_same_prices() -> None:
    paths = []
    for _ in range(2):
        async with simulator(prices="seeded", seed=5, speed=5) as rig:
            await asyncio.sleep(0.8)
            trades = await rig.get("/api/v3/trades", symbol="ETHUSDT")
            paths.append([(t["price"], t["qty"], t["isBuyerMaker"]) for t in trades.json()])
    shorter = min(map(len, paths))
    assert shorter >= 3
    assert paths[0][:shorter] == paths[1][:shorter]


async def test_a_script_file_is_played(tmp_path: Path) -> None:
    rows = ("0,binance:spot:BTCUSDT,100", "0.6,binance:spot:BTCUSDT,101.5")
    path = script(tmp_path, *rows)
    async with simulator(prices=path) as rig, rig.spot("/ws/btcusdt@trade") as client:
        trade = await client.until(lambda m: m["p"].startswith("101"))
    assert trade["p"] == "101.50000000"


async def test_a_crash_inside_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = SimulatorServer(SystemClock(), prices=script(tmp_path))

    async def crash() -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(server._binance.spot, "run", crash)
    await server.start()
    with pytest.raises(ExceptionGroup):
        await server.wait()


async def test_a_server_that_never_started_stops(tmp_path: Path) -> None:
    await SimulatorServer(SystemClock(), prices=script(tmp_path)).stop()


async def test_stopping_closes_connections_and_writes_the_log(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    async with quiet(tmp_path, sent_log=path) as rig:
        async with rig.spot("/ws/btcusdt@trade") as client:
            body = {"instrument": "binance:spot:BTCUSDT", "prices": [1, 2], "interval_ms": 60000}
            await rig.ask("path", body)
            frame = await client.text()
            await rig.server.stop()
            await client.socket.wait_closed()
            assert client.socket.close_code == 1001
        lines = path.read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [frame]


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_recorded_time_passes_at_the_chosen_speed(recordings: Path, speed: float) -> None:
    async with (
        simulator(prices="recorded", recordings=recordings, speed=speed) as rig,
        rig.usdm("/market/ws/btcusdt@markPrice@1s") as client,
    ):
        await client.drain(2.2)
    assert abs(len(client.texts) - 2.2 * speed) <= 2
