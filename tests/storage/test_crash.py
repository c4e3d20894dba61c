"""No acknowledged row is lost by SIGKILL, and no step is kept in part."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.database import open_database
from storage.ledger import SqlLedger
from tests.storage.structs import NOON_NS

ROOT = Path(__file__).parents[2]
TABLES = ("signals", "positions", "orders", "trades", "events", "outbox")


def run_until_killed(path: Path, first: int, life_s: float) -> int:
    """Let a child commit from ``first`` on; kill it ``life_s`` after its first acknowledgement.

    Returns the last acknowledged number.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.crash_child", f"sqlite:///{path}", str(first)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    told = child.stdout.readline()
    time.sleep(life_s)
    os.kill(child.pid, signal.SIGKILL)
    told += child.communicate()[0]
    assert child.returncode == -signal.SIGKILL
    # A line that was cut off by the kill has no line end and was not acknowledged.
    return int(told[: told.rindex("\n")].splitlines()[-1])


def check(path: Path, acknowledged: int) -> int:
    """Check the database after a kill; return the number of the last step that is in it."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    rows = {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES
    }
    connection.close()
    assert len(set(rows.values())) == 1, f"a step is there in part: {rows}"
    # At most the one step that was committed and could not be told any more.
    assert acknowledged <= rows["events"] <= acknowledged + 1
    return rows["events"]


def kill_and_check(path: Path, lives_s: list[float]) -> None:
    last = 0
    for life_s in lives_s:
        last = check(path, run_until_killed(path, last + 1, life_s))
    engine = open_database(f"sqlite:///{path}")
    started = SqlLedger(engine).load(NOON_NS)
    engine.dispose()
    assert len(started.positions) == len(started.orders) == len(started.booked) == last


def test_five_sigkills_lose_nothing_acknowledged(database_path: Path):
    kill_and_check(database_path, [0.0, 0.01, 0.05, 0.1, 0.2])


@pytest.mark.prove
def test_fifty_sigkills_lose_nothing_acknowledged(database_path: Path):
    dice = random.Random(50)
    kill_and_check(database_path, [dice.uniform(0, 0.5) for _ in range(50)])
