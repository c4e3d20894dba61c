"""Opening the database, its transactions, what its errors mean, and its schema's upgrade."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    StatementError,
)

from engine.model.errors import InvariantBroken, Misconfigured, Retryable, TickguardError

BUSY_TIMEOUT_MS = 5_000
_MIGRATIONS = Path(__file__).with_name("migrations")
_WRITES = "tickguard_writes"
_SQLITE_ERROR = 1  # the statement does not fit the schema; every other operational error may pass


def open_database(url: str, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """Return an engine for a ``sqlite:///file`` URL; the file's directory is made if need be.

    Every commit is on disk when it returns (WAL, synchronous=FULL), foreign keys are enforced, and
    a connection waits ``busy_timeout_ms`` for another writer before it gives up. No connection is
    opened yet.

    Raises:
        Misconfigured: not a URL, another database than SQLite, SQLite without a file, or a
            directory that cannot be made.
    """
    path = _sqlite_file(url)
    _make_directory(path.parent)
    # Any number of threads may read at once: none waits for another one's connection.
    engine = create_engine(URL.create("sqlite", database=str(path)), max_overflow=-1)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver begins transactions by itself, too late for a consistent read: it is told not
        # to, and ``begin`` below says it.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms:d}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive's cache
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def sqlite_file(engine: Engine) -> Path | None:
    """Return the file of a SQLite database, None where it is another one."""
    is_file = engine.dialect.name == "sqlite" and engine.url.database
    return Path(str(engine.url.database)) if is_file else None


def _sqlite_file(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Misconfigured(
            "DATABASE_URL is not a database URL; write sqlite:///data/tickguard.sqlite"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise Misconfigured(
            f"DATABASE_URL names {parsed.get_backend_name()}, which is not supported yet; "
            "write sqlite:///data/tickguard.sqlite or leave it out"
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise Misconfigured(
            "DATABASE_URL must name a plain file, as sqlite:///data/tickguard.sqlite: "
            "positions must outlive the process"
        )
    return Path(parsed.database)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"the database's directory {path} cannot be made ({error.strerror}); "
            "change DATA_DIR or DATABASE_URL"
        ) from error


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one state of the database from its first read on.

    Raises:
        Retryable: the database could not be read now.
        Misconfigured: the schema is not there.
        InvariantBroken: the file is damaged.
    """
    with _errors_translated(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection that is the only writer; commits at the end, or leaves nothing written.

    Raises:
        Retryable: locked, full or an I/O error; nothing was written.
        Misconfigured: the schema is not there.
        InvariantBroken: a key or foreign key is broken, or the file is damaged; nothing written.
    """
    with _errors_translated(engine), engine.connect() as connection:
        connection.execution_options(**{_WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def _errors_translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _translated(error, f"database {engine.url.database}") from error
    except StatementError as error:
        raise InvariantBroken(f"a value cannot be stored: {error.orig}") from error


def _translated(error: DBAPIError, name: str) -> TickguardError:
    cause = error.orig
    if isinstance(error, IntegrityError):
        return InvariantBroken(f"{name} refuses a record that breaks a key: {cause}")
    if not isinstance(error, OperationalError):
        return InvariantBroken(f"{name} is damaged or misused, restore a backup: {cause}")
    if getattr(cause, "sqlite_errorcode", None) == _SQLITE_ERROR:
        return Misconfigured(f"{name} lacks its schema, run tickguard db upgrade: {cause}")
    return Retryable(f"{name} did not answer: {cause}")


def upgrade(engine: Engine) -> None:
    """Bring the schema up to date in one transaction; safe beside other processes doing the same.

    Raises:
        Misconfigured: the schema was made by a newer Tickguard.
        Retryable: the database could not be written now; nothing changed.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with write_transaction(engine) as connection:
        scripts = ScriptDirectory.from_config(config)
        _refuse_newer(connection, scripts)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    present = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := sorted(present - known):
        raise Misconfigured(
            f"the database's schema ({', '.join(unknown)}) was made by a newer Tickguard; "
            "install that version, or restore a backup made before its upgrade"
        )
