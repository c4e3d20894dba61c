import pytest
from sqlalchemy.dialects import postgresql, sqlite

from storage.dialects import insert_into
from storage.tables import LEASES


@pytest.mark.parametrize(("name", "dialect"), [("postgresql", postgresql), ("sqlite", sqlite)])
def test_an_insert_that_may_meet_its_row_is_written_for_each_database(name: str, dialect):
    statement = insert_into(name, LEASES).on_conflict_do_nothing(index_elements=["name"])
    text = str(statement.compile(dialect=dialect.dialect()))
    assert text.endswith("ON CONFLICT (name) DO NOTHING")
