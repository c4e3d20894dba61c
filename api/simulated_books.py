"""Real storage for simulated lifetimes: SQLite files in a folder that is thrown away."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, select

from engine.model.effects import AppendEvent, SendNotice
from engine.ports import Clock, Lease, Ledger, SignalStore
from engine.simulation.books import Books
from engine.simulation.history import Facts
from storage import rows
from storage.database import open_database, read_transaction, upgrade
from storage.lease import Fence, SqlLease
from storage.ledger import SqlLedger
from storage.queries import Queries
from storage.tables import EVENTS, ORDERS, OUTBOX, POSITIONS, SIGNALS, TRADES

FILE = "tickguard.sqlite"


class SqlBooks:
    """``engine.simulation.books.Books`` on a database file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = open_database(f"sqlite:///{folder / FILE}")

    def lease(self, settle_ns: int) -> Lease:
        """Open the lease of the one writer."""
        return SqlLease(self._engine, settle_ns)

    def ledger(self, epoch: int, lease_ns: int, clock: Clock) -> Ledger:
        """Open the journal as the writer of an epoch does."""
        return SqlLedger(self._engine, Fence(epoch, lease_ns, clock))

    def signals(self) -> SignalStore:
        """Open what the inbox reads."""
        return Queries(self._engine)

    def facts(self) -> Facts:
        """Read everything, in the order in which it was first written."""
        with read_transaction(self._engine) as connection:
            trades = _rows(connection, select(TRADES).order_by(TRADES.c.id))
            signals = select(SIGNALS).order_by(SIGNALS.c.received_at, SIGNALS.c.id)
            positions = select(POSITIONS).order_by(POSITIONS.c.created_at, POSITIONS.c.id)
            orders = select(ORDERS).order_by(ORDERS.c.id)
            events = _rows(connection, select(EVENTS).order_by(EVENTS.c.id))
            notices = _rows(connection, select(OUTBOX).order_by(OUTBOX.c.id))
            return Facts(
                signals=[rows.signal_record(row) for row in _rows(connection, signals)],
                positions=[rows.position_struct(row) for row in _rows(connection, positions)],
                orders=[rows.order_struct(row) for row in _rows(connection, orders)],
                fills=[(rows.fill_struct(row), row["position_id"]) for row in trades],
                events=[
                    AppendEvent(row["kind"], row["actor"], row["at"], row["data"]) for row in events
                ],
                notices=[SendNotice(row["kind"], row["at"], row["data"]) for row in notices],
            )

    def close(self) -> None:
        """Throw the file away."""
        self._engine.dispose()
        shutil.rmtree(self._folder, ignore_errors=True)


def _rows(connection: Connection, statement: Select[Any]) -> Any:
    return connection.execute(statement).mappings()


class SqlBooksFactory(Struct, frozen=True):
    """Makes books on files in a folder; travels to other processes."""

    folder: Path

    def __call__(self) -> Books:
        """Return new books."""
        own = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copyfile(self.folder / FILE, own / FILE)
        return SqlBooks(own)


@contextmanager
def sql_books() -> Iterator[SqlBooksFactory]:
    """Give a factory whose folder goes in the end, whatever became of the processes it went to.

    Its books begin as copies of one migrated database: migrations take longer than many lifetimes.
    """
    with tempfile.TemporaryDirectory(prefix="tickguard-simulate-") as name:
        folder = Path(name)
        engine = open_database(f"sqlite:///{folder / FILE}")
        upgrade(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
        yield SqlBooksFactory(folder)
