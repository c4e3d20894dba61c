"""The lease's row: who may take it, who may write, in one process and in two."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from engine.model.effects import AppendEvent
from engine.model.errors import Fenced, Held, Misconfigured, Retryable
from engine.model.ids import encode_id
from engine.ports import Grant, Lease
from storage.database import read_transaction, write_transaction
from storage.lease import _ROW, HOLDER_FILE, Fence, SqlLease, holder_id
from storage.ledger import SqlLedger
from storage.tables import EVENTS, LEASES
from tests.storage.structs import NOON_NS

ROOT = Path(__file__).parents[2]
SECOND = 10**9
LEASE_NS = 15 * SECOND
SETTLE_NS = 10 * SECOND
HOUR_NS = 3600 * SECOND


@pytest.fixture
def lease(engine: Engine) -> SqlLease:
    return SqlLease(engine, SETTLE_NS)


def row(engine: Engine) -> tuple[str, str, int, int]:
    with read_transaction(engine) as connection:
        [found] = connection.execute(
            select(LEASES.c.name, LEASES.c.holder, LEASES.c.fencing, LEASES.c.expires_at)
        ).all()
        return tuple(found)


class Clock:
    def __init__(self) -> None:
        self.utc_ns = NOON_NS

    def now_ns(self) -> int:
        return self.utc_ns

    def monotonic_ns(self) -> int:
        raise AssertionError("the row is about UTC")


# Taking


def test_the_first_taker_need_not_wait(lease: SqlLease, engine: Engine):
    port: Lease = lease
    assert port.acquire("us", NOON_NS, LEASE_NS) == Grant(epoch=1, wait_ns=0)
    assert row(engine) == ("writer", "us", 1, NOON_NS + LEASE_NS)


def test_another_holders_lease_is_refused_with_its_id_and_end(lease: SqlLease, engine: Engine):
    lease.acquire("they", NOON_NS, LEASE_NS)
    before = row(engine)
    with pytest.raises(Held, match=r"has they in .* until 2023-11-14T22:13:35\.000000000Z") as held:
        lease.acquire("us", NOON_NS + LEASE_NS - 1, LEASE_NS)
    assert isinstance(held.value, Misconfigured)
    assert row(engine) == before


def test_a_taker_of_a_lease_that_ran_out_waits_from_then_on(lease: SqlLease):
    lease.acquire("they", NOON_NS, LEASE_NS)
    grant = lease.acquire("us", NOON_NS + LEASE_NS, LEASE_NS)
    assert grant == Grant(epoch=2, wait_ns=LEASE_NS + SETTLE_NS)


def test_a_taker_whose_clock_is_hours_ahead_waits_as_long(lease: SqlLease):
    lease.acquire("they", NOON_NS, LEASE_NS)
    grant = lease.acquire("us", NOON_NS + 6 * HOUR_NS, LEASE_NS)
    assert grant.wait_ns == LEASE_NS + SETTLE_NS


def test_the_same_holder_takes_its_own_lease_at_once(lease: SqlLease):
    lease.acquire("us", NOON_NS, LEASE_NS)
    assert lease.acquire("us", NOON_NS + 1, LEASE_NS) == Grant(epoch=2, wait_ns=0)


def test_a_lease_given_back_is_free_and_its_epoch_is_never_used_again(lease: SqlLease):
    lease.acquire("they", NOON_NS, LEASE_NS)
    lease.release(1)
    assert lease.acquire("us", NOON_NS + 1, LEASE_NS) == Grant(epoch=2, wait_ns=0)


def test_giving_back_a_lease_that_another_has_taken_changes_nothing(
    lease: SqlLease, engine: Engine
):
    lease.acquire("they", NOON_NS, LEASE_NS)
    lease.acquire("us", NOON_NS + LEASE_NS, LEASE_NS)
    before = row(engine)
    lease.release(1)
    assert row(engine) == before


# Keeping


def test_a_renewal_moves_the_end(lease: SqlLease, engine: Engine):
    lease.acquire("us", NOON_NS, LEASE_NS)
    lease.renew(1, NOON_NS + 5 * SECOND)
    assert row(engine)[3] == NOON_NS + 5 * SECOND + LEASE_NS


@pytest.mark.parametrize("jump_ns", [-6 * HOUR_NS, 6 * HOUR_NS])
def test_a_renewal_follows_a_utc_that_was_set_anew(lease: SqlLease, engine: Engine, jump_ns: int):
    lease.acquire("us", NOON_NS, LEASE_NS)
    lease.renew(1, NOON_NS + jump_ns)
    assert row(engine)[3] == NOON_NS + jump_ns + LEASE_NS


def test_a_lease_that_ran_out_and_nobody_took_is_renewed(lease: SqlLease):
    lease.acquire("us", NOON_NS, LEASE_NS)
    lease.renew(1, NOON_NS + HOUR_NS)
    with pytest.raises(Held):
        lease.acquire("they", NOON_NS + HOUR_NS, LEASE_NS)


def test_who_was_taken_over_from_renews_nothing(lease: SqlLease, engine: Engine):
    lease.acquire("they", NOON_NS, LEASE_NS)
    lease.acquire("us", NOON_NS + LEASE_NS, LEASE_NS)
    before = row(engine)
    with pytest.raises(Fenced, match="another Tickguard has taken over this database"):
        lease.renew(1, NOON_NS + LEASE_NS)
    assert row(engine) == before


def test_a_lease_given_back_is_not_renewed_by_a_late_renewal(lease: SqlLease):
    lease.acquire("us", NOON_NS, LEASE_NS)
    lease.release(1)
    with pytest.raises(Fenced):
        lease.renew(1, NOON_NS)


def test_a_locked_database_is_worth_another_try(lease: SqlLease, engine: Engine):
    lease.acquire("us", NOON_NS, LEASE_NS)
    with write_transaction(engine):
        with pytest.raises(Retryable):
            lease.renew(1, NOON_NS)
        with pytest.raises(Retryable):
            lease.acquire("they", NOON_NS + LEASE_NS, LEASE_NS)


# Commits


def line(number: int) -> AppendEvent:
    return AppendEvent("test.happened", "guard", NOON_NS, {"n": number})


def lines(engine: Engine) -> int:
    with read_transaction(engine) as connection:
        return connection.execute(select(func.count()).select_from(EVENTS)).scalar_one()


def test_a_commit_prolongs_the_lease_it_is_made_under(lease: SqlLease, engine: Engine):
    lease.acquire("us", NOON_NS, LEASE_NS)
    clock = Clock()
    clock.utc_ns += 7 * SECOND
    SqlLedger(engine, Fence(1, LEASE_NS, clock)).commit([line(1)])
    assert (row(engine)[3], lines(engine)) == (NOON_NS + 7 * SECOND + LEASE_NS, 1)


def test_a_commit_under_a_lease_that_was_taken_over_writes_nothing(lease: SqlLease, engine: Engine):
    lease.acquire("they", NOON_NS, LEASE_NS)
    ledger = SqlLedger(engine, Fence(1, LEASE_NS, Clock()))
    ledger.commit([line(1)])
    lease.acquire("us", NOON_NS + LEASE_NS, LEASE_NS)
    before = row(engine)
    with pytest.raises(Fenced):
        ledger.commit([line(2)])
    assert (row(engine), lines(engine)) == (before, 1)


def test_a_commit_whose_answer_was_lost_is_written_once(lease: SqlLease, engine: Engine):
    lease.acquire("us", NOON_NS, LEASE_NS)
    clock = Clock()
    ledger = SqlLedger(engine, Fence(1, LEASE_NS, clock))
    ledger.commit([line(1)], 1)
    clock.utc_ns += SECOND
    ledger.commit([line(1)], 1)
    assert (row(engine)[3], lines(engine)) == (NOON_NS + SECOND + LEASE_NS, 1)
    ledger.commit([line(2)], 2)
    assert lines(engine) == 2


def test_the_numbers_of_commits_begin_anew_with_each_holder(lease: SqlLease, engine: Engine):
    for epoch in (1, 2):
        lease.acquire("us", NOON_NS, LEASE_NS)
        SqlLedger(engine, Fence(epoch, LEASE_NS, Clock())).commit([line(epoch)], 1)
    assert lines(engine) == 2
    with pytest.raises(Fenced):
        SqlLedger(engine, Fence(1, LEASE_NS, Clock())).commit([line(1)], 1)


def test_a_commit_without_its_row_is_refused(lease: SqlLease, engine: Engine):
    lease.acquire("us", NOON_NS, LEASE_NS)
    with write_transaction(engine) as connection:
        connection.execute(delete(LEASES))
    with pytest.raises(Fenced):
        SqlLedger(engine, Fence(1, LEASE_NS, Clock())).commit([line(1)])


def test_the_row_is_locked_before_it_is_judged_where_the_database_locks_rows():
    assert str(_ROW.compile(dialect=postgresql.dialect())).endswith("FOR UPDATE")
    assert "FOR UPDATE" not in str(_ROW.compile(dialect=sqlite.dialect()))


# Two processes


@contextmanager
def child(path: Path, holder: str, lease_ms: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.storage.lease_child"),
            *(f"sqlite:///{path}", holder, str(lease_ms)),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def answer(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str], what: str) -> None:
    process.stdin.write(f"{what}\n")
    process.stdin.flush()


def test_a_process_that_stood_still_past_its_lease_writes_nothing_after_the_other_took_over(
    engine: Engine, database_path: Path
):
    with child(database_path, "first", 1500) as first:
        assert answer(first) == "took 1 0"
        ask(first, "commit")
        assert answer(first) == "done"
        with child(database_path, "second", 1500) as early:
            assert answer(early) == "held"
        os.kill(first.pid, signal.SIGSTOP)
        time.sleep(1.6)
        with child(database_path, "second", 1500) as second:
            assert answer(second) == "took 2 1501"
            os.kill(first.pid, signal.SIGCONT)
            for what in ("commit", "renew", "commit"):
                ask(first, what)
                assert answer(first) == "fenced"
            ask(second, "commit")
            assert answer(second) == "done"
    assert lines(engine) == 2


@pytest.mark.usefixtures("engine")
def test_a_process_that_was_killed_is_followed_at_once_by_the_next_of_its_installation(
    database_path: Path,
):
    with child(database_path, "us", 60_000) as first:
        assert answer(first) == "took 1 0"
        os.kill(first.pid, signal.SIGKILL)
        first.wait(timeout=10)
    with child(database_path, "they", 60_000) as other:
        assert answer(other) == "held"
    with child(database_path, "us", 60_000) as second:
        assert answer(second) == "took 2 0"
        ask(second, "renew")
        assert answer(second) == "done"


def test_two_processes_that_start_together_get_one_lease(engine: Engine, database_path: Path):
    with child(database_path, "one", 60_000) as one, child(database_path, "two", 60_000) as two:
        assert sorted([answer(one), answer(two)]) == ["held", "took 1 0"]
    assert row(engine)[2] == 1


# The holder's id


def test_the_holder_is_known_by_the_same_id_at_each_start(tmp_path: Path):
    first = holder_id(tmp_path, bytes)
    assert first == encode_id(bytes(16))
    assert (tmp_path / HOLDER_FILE).read_text() == f"{first}\n"
    assert holder_id(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [HOLDER_FILE]


def test_holders_differ(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert holder_id(tmp_path / "a") != holder_id(tmp_path / "b")


@pytest.mark.parametrize("kept", [b"", b"short\n", b"\xff" * 26 + b"\n", b"a" * 26])
def test_an_id_that_is_damaged_is_made_anew(tmp_path: Path, kept: bytes):
    (tmp_path / HOLDER_FILE).write_bytes(kept)
    made = holder_id(tmp_path, lambda count: bytes(range(count)))
    assert (tmp_path / HOLDER_FILE).read_text() == f"{made}\n"
    assert made == encode_id(bytes(range(16)))


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(Misconfigured, match=r"DATA_DIR .*missing cannot be written"):
        holder_id(tmp_path / "missing")
