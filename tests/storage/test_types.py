from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, MetaData, Table, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import StatementError
from sqlalchemy.types import Integer

from engine.model.exit_set import Exits
from engine.model.exits import Percent, Side
from engine.model.instrument import Instrument
from storage.database import open_database
from storage.types import ExactDecimal, JsonText, UtcTime, Word, format_time, parse_time
from tests.storage.structs import BTC, instruments

SQLITE = sqlite_dialect()
POSTGRES = postgresql.dialect()
LAST_NS = 253_402_300_799_999_999_999  # the end of year 9999

digits = st.tuples(
    st.integers(0, 1), st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(-60, 60)
)
decimals = digits.map(lambda parts: Decimal((parts[0], tuple(parts[1]), parts[2])))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory):
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('types')}/scratch.sqlite")
    table = Table(
        "scratch",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("amount", ExactDecimal),
        Column("at", UtcTime),
        Column("side", Word(Side)),
        Column("data", JsonText(Instrument)),
    )
    table.metadata.create_all(engine)
    yield engine, table
    engine.dispose()


def stored(scratch: tuple[Engine, Table], **values: object) -> tuple[object, object]:
    """Write one row; return what SQLite holds in the column and what is read back from it."""
    engine, table = scratch
    (name,) = values
    with engine.begin() as connection:
        key = connection.execute(insert(table).values(values)).inserted_primary_key[0]
        raw = connection.execute(text(f"SELECT {name} FROM scratch WHERE id = {key}")).scalar_one()
        read = connection.execute(select(table.c[name]).where(table.c.id == key)).scalar_one()
    return raw, read


@given(decimals)
@example(Decimal("0.100000000000000000"))
@example(Decimal("1.23E-8"))
@example(Decimal("1E+3"))
@example(Decimal("-0"))
def test_any_decimal_survives_in_plain_notation(scratch, value: Decimal):
    raw, read = stored(scratch, amount=value)
    assert isinstance(raw, str)
    assert set(raw) <= set("-.0123456789")
    assert isinstance(read, Decimal)
    assert read == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.100000000000000000", "0.1"), ("1.23E-8", "0.0000000123"), ("1E+3", "1000"), ("-0", "0")],
)
def test_decimals_are_written_as_people_read_them(scratch, value: str, expected: str):
    assert stored(scratch, amount=Decimal(value))[0] == expected


@pytest.mark.parametrize("value", [0.1, 1, "1", True])
def test_what_is_no_decimal_is_refused(scratch, value: object):
    with pytest.raises(StatementError, match="an amount is a Decimal"):
        stored(scratch, amount=value)


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_refused(scratch, value: str):
    with pytest.raises(StatementError, match="is not an amount"):
        stored(scratch, amount=Decimal(value))


@given(decimals)
def test_other_databases_get_and_give_the_decimal_itself(value: Decimal):
    kind = ExactDecimal()
    assert kind.process_bind_param(value, POSTGRES) is value
    assert kind.process_result_value(value, POSTGRES) == value
    assert kind.load_dialect_impl(POSTGRES).compile(POSTGRES) == "NUMERIC"


times = st.integers(-62_135_596_800 * 10**9, LAST_NS)


@given(times)
@example(0)
@example(-1)
@example(1_700_000_000_000_000_001)
def test_times_keep_every_nanosecond(at_ns: int):
    assert parse_time(format_time(at_ns)) == at_ns


@given(times, times)
def test_the_order_of_time_texts_is_the_order_of_times(one_ns: int, other_ns: int):
    assert (format_time(one_ns) < format_time(other_ns)) == (one_ns < other_ns)


def test_times_are_stored_as_fixed_width_iso_8601(scratch):
    raw, read = stored(scratch, at=1_700_000_000_123_000_000)
    assert raw == "2023-11-14T22:13:20.123000000Z"
    assert read == 1_700_000_000_123_000_000


@pytest.mark.parametrize(
    ("written", "at_ns"),
    [("1970-01-01T00:00:01Z", 10**9), ("1970-01-01T00:00:00.25Z", 250_000_000)],
)
def test_shorter_time_texts_are_read_too(written: str, at_ns: int):
    assert parse_time(written) == at_ns


@pytest.mark.parametrize("written", ["1970-01-01T00:00:01", "1970-01-01T00:00:01+00:00", "now Z"])
def test_a_text_that_is_no_utc_time_is_refused(written: str):
    with pytest.raises(ValueError, match=r"Z|isoformat"):
        parse_time(written)


@given(st.integers(0, LAST_NS))
def test_other_databases_keep_microseconds_of_a_time(at_ns: int):
    kind = UtcTime()
    sent = kind.process_bind_param(at_ns, POSTGRES)
    assert sent.tzinfo is not None
    assert kind.process_result_value(sent, POSTGRES) == at_ns // 1000 * 1000
    assert kind.load_dialect_impl(POSTGRES).compile(POSTGRES) == "TIMESTAMP WITH TIME ZONE"


def test_words_are_stored_as_their_value_and_read_as_members(scratch):
    assert stored(scratch, side=Side.SHORT) == ("short", Side.SHORT)
    assert stored(scratch, side="long")[1] is Side.LONG


def test_a_word_outside_its_enum_is_refused(scratch):
    with pytest.raises(StatementError, match="sideways"):
        stored(scratch, side="sideways")


@given(instruments)
def test_structs_survive_as_json_text(scratch, instrument: Instrument):
    raw, read = stored(scratch, data=instrument)
    assert isinstance(raw, str)
    assert read == instrument


def test_tagged_unions_survive_as_json_text():
    kind = JsonText(Exits)
    exits = Exits(Percent(Decimal("1.50")), Percent(Decimal("1E+1")))
    assert kind.process_result_value(kind.process_bind_param(exits, SQLITE), SQLITE) == exits


@pytest.mark.parametrize("kind", [ExactDecimal(), UtcTime(), Word(Side), JsonText(Instrument)])
@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES], ids=["sqlite", "postgresql"])
def test_null_stays_null(kind, dialect):
    assert kind.process_bind_param(None, dialect) is None
    assert kind.process_result_value(None, dialect) is None


def test_a_struct_is_json_with_decimal_strings(scratch):
    assert '"tick_size":"0.1"' in stored(scratch, data=BTC)[0]
