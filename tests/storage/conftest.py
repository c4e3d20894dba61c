from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage.database import open_database, upgrade
from storage.ledger import SqlLedger
from storage.queries import Queries


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "tickguard.sqlite"


@pytest.fixture
def engine(database_path: Path) -> Iterator[Engine]:
    """A migrated database that gives up on another writer after 50 ms."""
    engine = open_database(f"sqlite:///{database_path}", busy_timeout_ms=50)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine)


@pytest.fixture
def queries(engine: Engine) -> Queries:
    return Queries(engine)
