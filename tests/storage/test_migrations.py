from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.schema import CreateIndex, CreateTable

from storage.database import read_transaction
from storage.tables import METADATA


def test_models_and_migrations_agree(engine: Engine):
    with read_transaction(engine) as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def schema(engine: Engine) -> dict[str, set[str]]:
    """Return per table its definition's lines, in any order."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        ).all()
    return {
        name: {line.strip().rstrip(",") for line in sql.splitlines()}
        for name, sql in rows
        if name != "alembic_version"
    }


def test_migrations_make_the_very_schema_of_the_models(engine: Engine, tmp_path):
    """Foreign keys, autoincrement and key names too, which the comparison above passes over."""
    direct = create_engine(f"sqlite:///{tmp_path}/direct.sqlite")
    METADATA.create_all(direct)
    assert schema(engine) == schema(direct)
    direct.dispose()


def test_the_models_can_be_made_on_postgresql():
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()
    for table in METADATA.sorted_tables:
        sql = str(CreateTable(table).compile(dialect=dialect))
        assert "FLOAT" not in sql.replace("reaction_ms FLOAT", "")
        for index in table.indexes:
            assert len(index.name or "") <= 63
            CreateIndex(index).compile(dialect=dialect)
