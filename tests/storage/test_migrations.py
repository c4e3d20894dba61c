from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, Text, column, create_engine, insert, table, text
from sqlalchemy.schema import CreateIndex, CreateTable

from engine.model.events import Balance
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Disarmed, Percent
from engine.model.position import Progress
from engine.model.signal import Outcome, SignalRecord
from storage import rows
from storage.database import open_database, read_transaction, upgrade, write_transaction
from storage.ledger import SqlLedger
from storage.queries import Queries
from storage.tables import METADATA
from tests.storage.structs import NOON_NS, position, signal

MIGRATIONS = Path(rows.__file__).parent / "migrations"


def test_models_and_migrations_agree(engine: Engine):
    with read_transaction(engine) as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def schema(engine: Engine) -> dict[str, set[str]]:
    """Return per table its columns and constraints, in any order: a new column comes last."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        ).all()
    return {name: set(parts(sql)) for name, sql in rows if name != "alembic_version"}


def parts(sql: str) -> list[str]:
    """Cut a definition at the commas that stand in its outermost brackets."""
    head, _, body = " ".join(sql.split()).rstrip(")").partition("(")
    found, depth = [""], 0
    for character in body:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [head.strip(), *(part.strip().rstrip(")") for part in found)]


def test_migrations_make_the_very_schema_of_the_models(engine: Engine, tmp_path):
    """Foreign keys, autoincrement and key names too, which the comparison above passes over."""
    direct = create_engine(f"sqlite:///{tmp_path}/direct.sqlite")
    METADATA.create_all(direct)
    assert schema(engine) == schema(direct)
    direct.dispose()


def test_the_models_can_be_made_on_postgresql():
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()
    for each in METADATA.sorted_tables:
        sql = str(CreateTable(each).compile(dialect=dialect))
        assert "FLOAT" not in sql.replace("reaction_ms FLOAT", "")
        for index in each.indexes:
            assert len(index.name or "") <= 63
            CreateIndex(index).compile(dialect=dialect)


@pytest.fixture
def first_tables(database_path: Path) -> Iterator[Engine]:
    """A database as the first version made it, with the version's own tables."""
    engine = open_database(f"sqlite:///{database_path}", busy_timeout_ms=50)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with write_transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    yield engine
    engine.dispose()


def put(engine: Engine, name: str, values: dict[str, Any]) -> None:
    """Write a row with the types of today into a table of yesterday, which may have other names."""
    today = METADATA.tables[name].columns
    columns = [column(key, today[key].type if key in today else Text()) for key in values]
    with write_transaction(engine) as connection:
        connection.execute(insert(table(name, *columns)).values(values))


LIMITS = {
    "s1": ('{"type":"percent","value":"7.5"}', '{"type":"price","value":"51000"}'),
    "s2": (None, '{"type":"disarmed"}'),
    "s3": (None, None),
}


def old_signal(number: int) -> dict[str, Any]:
    profit, stop = LIMITS[f"s{number}"]
    values = rows.signal_values(SignalRecord(signal(number), Outcome.OPENED))
    del values["exits"]
    return values | {"take_profit": profit, "stop_loss": stop}


def old_position() -> dict[str, Any]:
    values = rows.position_values(position(signal_id="s1"))
    for later in ("progress", "backstop", "backstop_problem", "backstop_generation"):
        del values[later]
    limits = {"take_profit": {"type": "percent", "value": "15"}}
    limits["stop_loss"] = {"type": "price", "value": "51000"}
    return values | {"exits": [{"rule": "stop_loss", "threshold": "51000"}], "exits_asked": limits}


def test_a_database_from_before_the_exit_rules_keeps_its_signals_and_positions(
    first_tables: Engine,
):
    for number in (1, 2, 3):
        put(first_tables, "signals", old_signal(number))
    put(first_tables, "positions", old_position())
    upgrade(first_tables)
    queries, found = Queries(first_tables), {}
    for number in (1, 2, 3):
        record = queries.signal(f"s{number}")
        assert record is not None
        found[number] = record.signal
    assert found[1].exits == ExitChanges(
        take_profit=Percent(Decimal("7.5")), stop_loss=AtPrice(Decimal(51_000))
    )
    assert found[2].exits == ExitChanges(stop_loss=Disarmed())
    assert found[3].exits == ExitChanges()
    (loaded,) = SqlLedger(first_tables).load(NOON_NS).positions
    assert loaded == position(signal_id="s1")
    assert loaded.progress == Progress()


def test_balances_from_before_the_wallets_are_those_of_one_for_all(first_tables: Engine):
    """The figures stay to the last digit."""
    old = {"venue": "bybit", "asset": "USDT", "at": NOON_NS}
    amounts = {"total": Decimal("10.000000001"), "free": Decimal("7.5"), "locked": Decimal("2.5")}
    put(first_tables, "balances", old | amounts)
    upgrade(first_tables)
    assert Queries(first_tables).balances() == (Balance("bybit", "USDT", **amounts),)
