"""The lease of the one writer: a row whose epoch rises with each taker (DESIGN.md 2.14).

The lock on ``DATA_DIR`` keeps two processes of one installation apart; the lease keeps two
installations apart that share a database. Taking it, renewing it and every commit of the ledger are
transactions on this row, so whoever lost it finds out before anything is written.
"""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, Engine, Update, select, update

from engine.model.errors import Fenced, Held, Misconfigured
from engine.model.ids import ID_BYTES, ID_LENGTH, encode_id
from engine.ports import Clock, Grant
from storage.database import write_transaction
from storage.dialects import insert_into
from storage.tables import LEASES
from storage.types import format_time

HOLDER_FILE = "tickguard.id"
WRITER = "writer"
NOBODY = ""

_HOLDER = re.compile(rf"[a-z2-7]{{{ID_LENGTH}}}\n")
_OURS = LEASES.c.name == WRITER
_ROW = select(LEASES).where(_OURS).with_for_update()  # SQLite locks the whole file already


class SqlLease:
    """``engine.ports.Lease`` on a migrated database.

    Args:
        settle_ns: how long after its sender's lease a request may still arrive at a venue.
    """

    def __init__(self, engine: Engine, settle_ns: int) -> None:
        self._engine = engine
        self._settle_ns = settle_ns
        self._lease_ns = 0
        row = {"name": WRITER, "holder": NOBODY, "fencing": 0, "expires_at": 0}
        made = insert_into(engine.dialect.name, LEASES).values(row)
        self._make_row = made.on_conflict_do_nothing(index_elements=["name"])

    def acquire(self, holder: str, at_ns: int, lease_ns: int) -> Grant:
        """Take the lease, at once if nobody has it or an earlier process of ``holder`` had it.

        A taker waits the whole of a lease from now on, however long the former one is over by UTC:
        the two machines' UTC may differ by hours, and a former holder trusts its monotonic clock.

        Raises:
            Held: another holder's lease is not over.
            Retryable: it could not be asked now; nothing was taken.
        """
        with write_transaction(self._engine) as connection:
            connection.execute(self._make_row)
            row = connection.execute(_ROW).one()
            others = row.holder not in (NOBODY, holder)
            if others and at_ns < row.expires_at:
                raise Held(_refusal(row.holder, row.expires_at))
            epoch = row.fencing + 1
            until_ns = at_ns + lease_ns
            taken = {"holder": holder, "fencing": epoch, "expires_at": until_ns, "committed": 0}
            connection.execute(update(LEASES).where(_OURS).values(taken))
        self._lease_ns = lease_ns
        return Grant(epoch, lease_ns + self._settle_ns if others else 0)

    def renew(self, epoch: int, at_ns: int) -> None:
        """Hold the lease of ``epoch`` as long again.

        Raises:
            Fenced: another holder has taken over.
            Retryable: it could not be written now.
        """
        with write_transaction(self._engine) as connection:
            prolong(connection, epoch, at_ns + self._lease_ns)

    def release(self, epoch: int) -> None:
        """Give the lease back; whatever still writes under its epoch is refused from now on.

        Raises:
            Retryable: it could not be written now; it runs out by itself.
        """
        with write_transaction(self._engine) as connection:
            connection.execute(_held_under(epoch).values(holder=NOBODY))


class Fence(Struct, frozen=True):
    """Lets a transaction pass while ``epoch`` is the writer's, and prolongs its lease."""

    epoch: int
    lease_ns: int
    clock: Clock

    def check(self, connection: Connection, number: int) -> bool:
        """Make the connection's transaction one of the one writer.

        Returns:
            Whether commit ``number`` is new; not when it was written and its answer was lost.

        Raises:
            Fenced: another writer has taken over.
        """
        until_ns = self.clock.now_ns() + self.lease_ns
        if not number:
            prolong(connection, self.epoch, until_ns)
            return True
        new = _held_under(self.epoch).where(LEASES.c.committed != number)
        if connection.execute(new.values(expires_at=until_ns, committed=number)).rowcount:
            return True
        prolong(connection, self.epoch, until_ns)
        return False


def prolong(connection: Connection, epoch: int, until_ns: int) -> None:
    """Move the end of the lease to ``until_ns`` (UTC ns), within a write transaction.

    An end that lies ahead comes nearer too: UTC may have been wrong and set right since.

    Raises:
        Fenced: the lease of ``epoch`` was taken over or given back.
    """
    if not connection.execute(_held_under(epoch).values(expires_at=until_ns)).rowcount:
        raise Fenced(
            "another Tickguard has taken over this database, so this one has stopped; "
            "run only one of them, or give each a DATABASE_URL and an account of its own"
        )


def _held_under(epoch: int) -> Update:
    return update(LEASES).where(_OURS, LEASES.c.fencing == epoch, LEASES.c.holder != NOBODY)


def _refusal(holder: str, expires_at_ns: int) -> str:
    return (
        f"DATABASE_URL is in use by another Tickguard (its DATA_DIR has {holder} in {HOLDER_FILE}) "
        f"until {format_time(expires_at_ns)} at least; stop it and start this one after that, or "
        "give this one a DATABASE_URL of its own"
    )


def holder_id(data_dir: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return the id under which an installation holds its lease, made at its first start.

    Ask for it under the lock on ``data_dir`` only: this proves that the process which held the
    lease under this id before is dead. A lost id costs the next start the wait of a taker.

    Raises:
        Misconfigured: the directory cannot be read or written.
    """
    path = data_dir / HOLDER_FILE
    try:
        kept = path.read_text("ascii", "replace") if path.exists() else ""
        if _HOLDER.fullmatch(kept):
            return kept.strip()
        holder = encode_id(random_bytes(ID_BYTES))
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{holder}\n")
        fresh.replace(path)
    except OSError as error:
        raise Misconfigured(f"DATA_DIR {data_dir} cannot be written: {error.strerror}") from error
    return holder
