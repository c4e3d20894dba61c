"""Two installations on one database: one writes, and whoever lost that ends."""

import contextlib
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.processes import Exchange, Service, command


@pytest.fixture
def first(exchange: Exchange, tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "first"
    folder.mkdir()
    service = Service(exchange, folder)
    yield service
    service.end()


@pytest.fixture
def second(exchange: Exchange, tmp_path: Path, first: Service) -> Iterator[Service]:
    folder = tmp_path / "second"
    folder.mkdir()
    service = Service(exchange, folder, DATABASE_URL=f"sqlite:///{first.ledger}")
    service.key = "not needed"
    yield service
    service.end()


def test_a_second_installation_on_one_database_is_refused(first: Service, second: Service) -> None:
    first.start()
    with command("run", cwd=second.folder, env=second.env) as refused:
        assert refused.wait() == 1
        said = refused.log.read_text()
    assert f"the database {first.ledger} is in use by process" in said
    assert "give this one a DATABASE_URL of its own" in said
    assert "Traceback" not in said
    first.stop()


def test_an_installation_follows_at_once_when_the_other_stopped_in_order(
    first: Service, second: Service
) -> None:
    first.start()
    first.stop()
    second.start()
    second.stop()


def freeze_between_writes(service: Service) -> None:
    """Stop the process where it holds no lock of SQLite: in a write nobody could take over."""
    while True:
        service.running().signal(signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(service.ledger, timeout=0)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                service.running().signal(signal.SIGCONT)
        time.sleep(0.05)


def test_a_service_that_stood_still_while_another_took_over_ends_with_the_reason(
    first: Service, second: Service
) -> None:
    first.start()
    freeze_between_writes(first)
    # As on a file system that does not lock: there the lease alone keeps them apart.
    first.ledger.with_name(f"{first.ledger.name}.lock").unlink()
    with contextlib.closing(sqlite3.connect(first.ledger)) as database, database:
        database.execute("UPDATE leases SET expires_at = '2020-01-01T00:00:00.000000000Z'")
    second.start()
    first.running().signal(signal.SIGCONT)
    assert first.running().wait() == 1
    said = first.running().log.read_text()
    assert "error: another Tickguard has taken over this database" in said
    second.stop()
