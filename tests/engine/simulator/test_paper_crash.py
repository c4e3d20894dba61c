"""A SIGKILL of the process that holds the paper account loses nothing that was told."""

import os
import random
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.simulator.paper_parts import (
    D,
    rows,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper.sqlite"


def run_until_killed(path: Path, life_s: float) -> list[list[str]]:
    """Let a child trade; kill it ``life_s`` after its first fill. Returns the fills it was told."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.simulator.paper_child", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    told = child.stdout.readline()
    time.sleep(life_s)
    os.kill(child.pid, signal.SIGKILL)
    told += child.communicate()[0]
    assert child.returncode == -signal.SIGKILL
    # A line that was cut off by the kill has no line end.
    return [line.split() for line in told[: told.rindex("\n")].splitlines()]


def check(path: Path, told: list[list[str]]) -> None:
    """Every fill told is on record as told, and the fills on record explain the balances."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    fills = {row[0]: row for row in rows(path, FILLS)}
    for trade_id, *amounts in told:
        assert [Decimal(text) for text in fills[trade_id][4:7]] == [D(text) for text in amounts]
    base, money = D(0), D(10_000)
    for _, market, side, fee_asset, qty, price, fee in fills.values():
        sign = 1 if side == "buy" else -1
        money -= sign * D(qty) * D(price)
        if market == "spot":
            base += sign * D(qty)
        if fee_asset == "BTC":
            base -= D(fee)
        else:
            money -= D(fee)
    money += sum((D(value) for (value,) in rows(path, "SELECT value FROM positions")), D(0))
    money -= sum((D(paid) for (paid,) in rows(path, "SELECT amount FROM funding")), D(0))
    wallet = {asset: D(total) for asset, total in rows(path, "SELECT asset, total FROM wallets")}
    assert wallet.get("BTC", D(0)) == base
    assert wallet["USDT"] == money
    held = sum(
        (
            D(q) * (1 if s == "buy" else -1)
            for _, m, s, _, q, _, _ in fills.values()
            if m == "linear"
        ),
        D(0),
    )
    assert held == sum((D(qty) for (qty,) in rows(path, "SELECT qty FROM positions")), D(0))


FILLS = "SELECT venue_trade_id, market, side, fee_asset, qty, price, fee FROM fills"


def kill_and_check(path: Path, lives_s: list[float]) -> None:
    told: list[list[str]] = []
    for life_s in lives_s:
        told += run_until_killed(path, life_s)
        check(path, told)
    ids = [int(line[0]) for line in told]
    assert ids == sorted(set(ids))
    assert len(ids) > 20 * len(lives_s), "the account hardly traded: nothing is proved"


def test_five_sigkills_lose_no_fill_that_was_told(path: Path):
    kill_and_check(path, [0.0, 0.01, 0.05, 0.1, 0.3])


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_fifty_sigkills_lose_no_fill_that_was_told(path: Path):
    dice = random.Random(50)
    kill_and_check(path, [dice.uniform(0, 0.8) for _ in range(50)])
