"""What the databases we write for spell alike, and SQLAlchemy does not."""

from typing import cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(dialect: str, table: Table) -> sqlite.Insert:
    """Return an insert that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    if dialect == "postgresql":
        # Same methods, but no common base that has them.
        return cast(sqlite.Insert, postgresql.insert(table))
    return sqlite.insert(table)
