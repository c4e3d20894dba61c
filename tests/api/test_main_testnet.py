"""The composition root with a venue's own account, in this process, at the exchange simulator."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from api.main import build, serve
from engine.clock import SystemClock
from engine.settings import Settings, TradingMode
from engine.simulator.paper import PaperBroker
from engine.simulator.server import SimulatorServer
from engine.venues.broker import VenueBroker
from storage.keys import ApiKeys
from storage.queries import Queries
from storage.tables import Scope
from tests.api.service import SECRET
from tests.api.test_main import engine  # noqa: F401  # a fixture


@contextlib.asynccontextmanager
async def on_testnet(folder: Path, **fields: Any) -> AsyncIterator[Settings]:
    """Settings by what the simulator tells: addresses and keys."""
    async with SimulatorServer(SystemClock()) as simulator:
        places = {name.lower(): url for name, url in simulator.urls.items()}
        keys = {f"bybit_api_{part}": text for part, text in simulator.keys["bybit"].items()}
        given = {"data_dir": folder, "api_port": 0, "webhook_secret": SECRET, "venues": ("bybit",)}
        mode = {"trading_mode": TradingMode.TESTNET}
        yield Settings(**(places | keys | given | mode | fields))


async def test_the_account_is_known_when_the_service_says_ready(
    tmp_path: Path,
    engine: Engine,  # noqa: F811
) -> None:
    stop = asyncio.Event()
    told: asyncio.Queue[str] = asyncio.Queue()
    key = ApiKeys(engine, SystemClock()).create("test", Scope.READ).key
    async with on_testnet(tmp_path) as settings, asyncio.timeout(20):
        task = asyncio.create_task(serve(settings, engine, SystemClock(), stop, told.put_nowait))
        url = await told.get()
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
            bot = (await client.get("/bot")).json()
        stop.set()
        async with asyncio.timeout(5):
            await task
    assert bot["mode"] == "testnet"
    held = {(each.venue, each.asset): each.total for each in Queries(engine).balances()}
    assert held["bybit", "USDT"] == 100_000
    assert not (tmp_path / "paper.sqlite").exists()
    lists = sorted(path.name for path in (tmp_path / "instruments").iterdir())
    assert lists == ["bybit.linear.json", "bybit.spot.json"]


async def test_an_account_that_fails_at_the_end_leaves_the_journal_written(
    tmp_path: Path,
    engine: Engine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drained: list[str] = []

    async def fail(_: object) -> None:
        raise RuntimeError("boom")

    async def drain(_: object) -> None:
        drained.append("journal")

    monkeypatch.setattr(VenueBroker, "drain", fail)
    monkeypatch.setattr("api.main.Flow.drain", drain)
    stop = asyncio.Event()
    stop.set()
    async with on_testnet(tmp_path) as settings, asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="boom"):
            await serve(settings, engine, SystemClock(), stop, pytest.fail)
    assert drained == ["journal"]


async def test_in_testnet_the_account_is_the_venue_s_and_on_paper_it_is_not(
    tmp_path: Path,
    engine: Engine,  # noqa: F811
) -> None:
    kinds: list[type] = []
    for mode in (TradingMode.TESTNET, TradingMode.PAPER):
        async with (
            on_testnet(tmp_path, trading_mode=mode) as settings,
            build(settings, engine, SystemClock()) as parts,
        ):
            kinds.append(type(parts.brokers["bybit"]))
    assert kinds == [VenueBroker, PaperBroker]
