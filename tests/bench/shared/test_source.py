"""The sending process: it ends with its bench, and its failure is told at once."""

import asyncio
import json
import subprocess
import sys

import pytest
from websockets.asyncio.client import connect

from bench.shared import source
from bench.shared.frames import END_PRICE
from bench.shared.report import BenchFailed
from bench.shared.source import ROOT, running


def test_a_source_that_cannot_start_is_an_error_at_once() -> None:
    with pytest.raises(BenchFailed, match="sending process"), running(mode="blast"):
        pass


def test_a_source_that_tells_nothing_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(mode="blast", frames=10) as sending:
        monkeypatch.setattr(source, "START_S", 0.05)
        with pytest.raises(BenchFailed, match="sending process"):
            sending.begun_ns()


async def test_the_address_of_a_raw_stream_is_its_subscription() -> None:
    with running(mode="blast", frames=3, venue="binance") as sending:
        async with connect(f"{sending.root}/ws/btcusdt@trade") as socket, asyncio.timeout(20):
            rows = [json.loads(await socket.recv()) for _ in range(3)]
    assert [row["e"] for row in rows] == ["trade"] * 3
    assert float(rows[-1]["p"]) == END_PRICE


def test_a_source_ends_when_its_bench_is_gone() -> None:
    facts = json.dumps({"mode": "blast", "frames": 10})
    command = [sys.executable, "-m", "bench.shared.source", facts]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0
