"""API keys: random, shown once, stored as SHA-256.

A hash without salt or stretching is enough here: a key is 256 random bits, not a password.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import Struct
from sqlalchemy import ColumnElement, Engine, RowMapping, insert, select, update

from engine.clock import NS_PER_SECOND
from engine.model.errors import Retryable
from engine.model.ids import ID_BYTES, encode_id
from engine.ports import Clock
from storage.database import read_transaction, write_transaction
from storage.tables import API_KEYS, Scope

KEY_BYTES = 32
KEY_MARK = "tg_"
PREFIX_LENGTH = len(KEY_MARK) + 8
USE_NOTED_EVERY_NS = 60 * NS_PER_SECOND


class NewKey(Struct, frozen=True):
    """A key as it is shown once, at its creation."""

    id: str
    key: str


class KeyInfo(Struct, frozen=True):
    """What is known of a key later. Times are UTC ns; ``last_used_at_ns`` is exact to a minute."""

    id: str
    name: str
    scope: Scope
    prefix: str
    created_at_ns: int
    last_used_at_ns: int | None
    revoked_at_ns: int | None


class ApiKeys:
    """The keys of one database; safe beside a running service and from any thread.

    Args:
        random_bytes: source of that many random bytes; another one only in tests.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._random_bytes = random_bytes

    def create(self, name: str, scope: Scope) -> NewKey:
        """Make a key, on disk when it returns.

        Raises:
            Retryable: the database could not be written now; there is no new key.
        """
        text = base64.urlsafe_b64encode(self._random_bytes(KEY_BYTES)).decode().rstrip("=")
        new = NewKey(encode_id(self._random_bytes(ID_BYTES)), KEY_MARK + text)
        values = {
            "id": new.id,
            "name": name,
            "scope": scope,
            "prefix": new.key[:PREFIX_LENGTH],
            "digest": _digest(new.key),
            "created_at": self._clock.now_ns(),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(insert(API_KEYS).values(values))
        return new

    def verify(self, key: str) -> Scope | None:
        """Return the scope of a key, None if there is no such key or it is revoked.

        The time it takes tells at most whether the prefix, which is no secret, exists. That the key
        was used is noted at most once a minute, and not at all while the database is busy.

        Raises:
            Retryable: the database cannot be read now.
        """
        if not key.isascii():
            return None
        found = _match(self._rows(API_KEYS.c.prefix == key[:PREFIX_LENGTH]), _digest(key))
        if found is None:
            return None
        now_ns = self._clock.now_ns()
        if found["last_used_at"] is None or now_ns - found["last_used_at"] >= USE_NOTED_EVERY_NS:
            with suppress(Retryable):
                self._set(found["id"], last_used_at=now_ns)
        return Scope(found["scope"])

    def revoke(self, key_id: str) -> bool:
        """End a key for good; False if there is no live key of this id.

        Raises:
            Retryable: the database could not be written now; the key is still good.
        """
        return self._set(key_id, revoked_at=self._clock.now_ns())

    def list(self) -> tuple[KeyInfo, ...]:
        """Return all keys, revoked ones too, in the order they were made."""
        return tuple(_info(row) for row in self._rows())

    def _rows(self, *where: ColumnElement[bool]) -> Sequence[RowMapping]:
        ordered = select(API_KEYS).where(*where).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
        with read_transaction(self._engine) as connection:
            return connection.execute(ordered).mappings().all()

    def _set(self, key_id: str, **values: int) -> bool:
        live = update(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.revoked_at.is_(None))
        with write_transaction(self._engine) as connection:
            return bool(connection.execute(live.values(values)).rowcount)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _match(candidates: Sequence[RowMapping], digest: str) -> RowMapping | None:
    found = None
    for row in candidates:
        if hmac.compare_digest(row["digest"], digest) and row["revoked_at"] is None:
            found = row
    return found


def _info(row: RowMapping) -> KeyInfo:
    return KeyInfo(
        id=row["id"],
        name=row["name"],
        scope=row["scope"],
        prefix=row["prefix"],
        created_at_ns=row["created_at"],
        last_used_at_ns=row["last_used_at"],
        revoked_at_ns=row["revoked_at"],
    )
