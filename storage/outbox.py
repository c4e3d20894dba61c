"""The outbox: messages to the owner that were committed with what they tell of.

A message is told at least once: it leaves the list when a channel has delivered it.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Engine, select, update

from storage.database import read_transaction, write_transaction
from storage.tables import OUTBOX


class PendingNotice(Struct, frozen=True):
    """A message not yet delivered; ``at_ns`` is UTC ns."""

    id: int
    at_ns: int
    kind: str
    data: dict[str, Any]


class Outbox:
    """The undelivered messages of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pending(self, limit: int = 100) -> tuple[PendingNotice, ...]:
        """Return undelivered messages, oldest first. Raises Retryable."""
        column = OUTBOX.c
        statement = select(column.id, column.at, column.kind, column.data)
        statement = statement.where(column.sent_at.is_(None)).order_by(column.id).limit(limit)
        with read_transaction(self._engine) as connection:
            return tuple(PendingNotice(*row) for row in connection.execute(statement))

    def mark_sent(self, ids: Sequence[int], at_ns: int) -> None:
        """Note that messages were delivered at ``at_ns`` (UTC ns). Raises Retryable."""
        sent = update(OUTBOX).where(OUTBOX.c.id.in_(ids)).values(sent_at=at_ns)
        with write_transaction(self._engine) as connection:
            connection.execute(sent)
