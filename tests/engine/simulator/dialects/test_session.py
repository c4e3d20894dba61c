"""A client that stops reading is cut off; others go on."""

import asyncio
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from engine.simulator.dialects import session
from tests.engine.simulator.rig import Rig, quiet


async def test_a_client_that_does_not_read_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SLOW_CLIENT_BYTES", 200_000)
    async with quiet(tmp_path) as rig:
        url = rig.server.urls["BINANCE_SPOT_WS_URL"] + "/ws/btcusdt@trade"
        async with websockets.connect(url, max_queue=1) as lazy:
            body = {"instrument": "binance:spot:BTCUSDT", "prices": [1] * 40_000, "interval_ms": 0}
            await rig.ask("path", body)
            async with asyncio.timeout(20):
                await gone(rig)
            with pytest.raises(websockets.ConnectionClosed):
                await read_all(lazy)


async def gone(rig: Rig) -> None:
    while (await rig.state())["connections"]:  # noqa: ASYNC110 - in the server, not in this task
        await asyncio.sleep(0.05)


async def read_all(socket: ClientConnection) -> None:
    while True:
        await socket.recv()
