import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from engine.model.errors import InvariantBroken, Misconfigured, Retryable
from storage.database import open_database, read_transaction, upgrade, write_transaction
from storage.tables import EVENTS, ORDERS, SETTINGS

ROOT = Path(__file__).parents[2]
UPGRADE = """
import sys
from storage.database import open_database, upgrade
upgrade(open_database(sys.argv[1]))
"""


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def put(engine: Engine, name: str) -> None:
    with write_transaction(engine) as connection:
        connection.execute(insert(SETTINGS).values(name=name, value=1, at=0))


def names(engine: Engine) -> list[str]:
    with read_transaction(engine) as connection:
        return list(connection.execute(select(SETTINGS.c.name)).scalars())


def test_commits_are_durable_and_foreign_keys_enforced(engine: Engine):
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 2
    assert pragma(engine, "foreign_keys") == 1
    assert pragma(engine, "busy_timeout") == 50


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path):
    engine = open_database(f"sqlite:///{tmp_path}/made/here.sqlite")
    upgrade(engine)
    engine.dispose()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.sqlite?mode=ro",
        "postgresql://localhost/tickguard",
    ],
)
def test_a_url_that_cannot_be_used_names_the_setting(url: str):
    with pytest.raises(Misconfigured, match="DATABASE_URL"):
        open_database(url)


def test_a_directory_that_cannot_be_made_names_the_setting(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="DATA_DIR"):
        open_database(f"sqlite:///{tmp_path}/file/tickguard.sqlite")


def test_an_error_in_a_write_leaves_nothing_written(engine: Engine):
    def write_half() -> None:
        with write_transaction(engine) as connection:
            connection.execute(insert(SETTINGS).values(name="half", value=1, at=0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert names(engine) == []


def test_a_read_sees_one_state_beside_a_writer(engine: Engine):
    with read_transaction(engine) as reader:
        assert reader.execute(select(SETTINGS.c.name)).all() == []
        put(engine, "later")
        assert reader.execute(select(SETTINGS.c.name)).all() == []
    assert names(engine) == ["later"]


def test_a_second_writer_is_told_to_try_again(engine: Engine):
    with (
        write_transaction(engine),
        pytest.raises(Retryable, match="locked"),
        write_transaction(engine),
    ):
        raise AssertionError("two writers at once")
    put(engine, "after")
    assert names(engine) == ["after"]


def test_a_missing_schema_names_the_remedy(tmp_path: Path):
    engine = open_database(f"sqlite:///{tmp_path}/empty.sqlite")
    with (
        pytest.raises(Misconfigured, match="tickguard db upgrade"),
        read_transaction(engine) as connection,
    ):
        connection.execute(select(EVENTS))
    engine.dispose()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path):
    (tmp_path / "directory.sqlite").mkdir()
    engine = open_database(f"sqlite:///{tmp_path}/directory.sqlite")
    with pytest.raises(Retryable, match=r"directory\.sqlite"):
        upgrade(engine)
    engine.dispose()


def test_a_damaged_file_breaks_an_invariant(database_path: Path):
    database_path.write_bytes(b"this is no database" * 100)
    engine = open_database(f"sqlite:///{database_path}")
    with pytest.raises(InvariantBroken, match="restore a backup"):
        upgrade(engine)
    engine.dispose()


def test_a_broken_reference_breaks_an_invariant(engine: Engine):
    values = dict.fromkeys(ORDERS.columns.keys()) | {"client_order_id": "x", "position_id": "gone"}
    with pytest.raises(InvariantBroken), write_transaction(engine) as connection:
        connection.execute(insert(ORDERS).values(values))


def test_a_value_that_cannot_be_stored_breaks_an_invariant(engine: Engine):
    with (
        pytest.raises(InvariantBroken, match="cannot be stored"),
        write_transaction(engine) as connection,
    ):
        connection.execute(insert(SETTINGS).values(name="x", value=object(), at=0))


def test_a_schema_made_by_a_newer_version_is_refused_and_left_alone(
    engine: Engine, database_path: Path
):
    with sqlite3.connect(database_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Misconfigured, match=r"9999.*newer Tickguard"):
        upgrade(engine)


def test_an_upgrade_of_an_up_to_date_schema_changes_nothing(engine: Engine):
    put(engine, "kept")
    upgrade(engine)
    assert names(engine) == ["kept"]


def test_processes_that_upgrade_at_once_make_one_schema(database_path: Path):
    url = f"sqlite:///{database_path}"
    children = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, url], cwd=ROOT, env=dict(os.environ))
        for _ in range(4)
    ]
    assert [child.wait(timeout=50) for child in children] == [0, 0, 0, 0]
    engine = open_database(url)
    assert names(engine) == []
    engine.dispose()
