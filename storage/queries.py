"""The read side: short read transactions beside the writer, answers as structs.

Lists are pages of the newest first. A cursor names the last row of its page, so rows that come in
between neither repeat nor hide one.

Every method raises Retryable when the database cannot be read now.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct
from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    RowMapping,
    Select,
    func,
    literal,
    select,
    tuple_,
)

from engine.model.events import Balance
from engine.model.instrument import InstrumentId
from engine.model.order import Fill, Order
from engine.model.position import ACTIVE, Position, PositionStatus
from engine.model.signal import SignalRecord
from storage import rows
from storage.database import read_transaction
from storage.recovery import BotState, read_balances, read_bot_state
from storage.tables import EVENTS, ORDERS, POSITIONS, SIGNALS, TRADES

MAX_LIMIT = 1000
_INTEGER_END = 2**63

T = TypeVar("T")
Where = ColumnElement[bool]


class Page(Struct, Generic[T], frozen=True):
    """One page of a list; ``next_cursor`` asks for the following one, None after the last."""

    items: tuple[T, ...]
    next_cursor: str | None


class Trade(Struct, frozen=True):
    """A booked fill with its row id and the position that bears it, if one of ours does."""

    id: int
    position_id: str | None
    fill: Fill


class LoggedEvent(Struct, frozen=True):
    """A line of the event log."""

    id: int
    at_ns: int
    kind: str
    actor: str
    data: dict[str, Any]


class _List(NamedTuple, Generic[T]):
    """What a table is listed by: a time, then its key, both falling."""

    time: Column[Any]
    key: Column[Any]
    read_key: Callable[[str], Any]
    build: Callable[[RowMapping], T]


def read_stored_int(text: str) -> int:
    """Read a whole number that a column can hold.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if not -_INTEGER_END <= number < _INTEGER_END:
        raise ValueError("no column holds a number so large")
    return number


def _trade(row: RowMapping) -> Trade:
    return Trade(row["id"], row["position_id"], rows.fill_struct(row))


def _event(row: RowMapping) -> LoggedEvent:
    return LoggedEvent(row["id"], row["at"], row["kind"], row["actor"], row["data"])


_POSITIONS = _List(POSITIONS.c.created_at, POSITIONS.c.id, str, rows.position_struct)
_SIGNALS = _List(SIGNALS.c.received_at, SIGNALS.c.id, str, rows.signal_record)
_ORDERS = _List(ORDERS.c.created_at, ORDERS.c.id, read_stored_int, rows.order_struct)
_TRADES = _List(TRADES.c.time, TRADES.c.id, read_stored_int, _trade)


class Queries:
    """What the API asks of the ledger's database. Safe from any number of threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def positions(
        self, status_filter: str = "active", limit: int = 100, cursor: str | None = None
    ) -> Page[Position]:
        """List positions, last created first.

        Args:
            status_filter: ``active``, ``all``, or one status.
            limit: 1 to 1000.
            cursor: ``next_cursor`` of the page before.

        Raises:
            ValueError: an unknown status, a limit out of range, or a cursor that is none of ours.
        """
        return self._page(_POSITIONS, _status_condition(status_filter), limit, cursor)

    def signals(self, limit: int = 100, cursor: str | None = None) -> Page[SignalRecord]:
        """List signals, last received first. Raises ValueError as ``positions``."""
        return self._page(_SIGNALS, [], limit, cursor)

    def orders(self, limit: int = 100, cursor: str | None = None) -> Page[Order]:
        """List orders, last created first. Raises ValueError as ``positions``."""
        return self._page(_ORDERS, [], limit, cursor)

    def trades(self, limit: int = 100, cursor: str | None = None) -> Page[Trade]:
        """List fills, last executed first. Raises ValueError as ``positions``."""
        return self._page(_TRADES, [], limit, cursor)

    def position(self, position_id: str) -> Position | None:
        """Return one position, None if there is none of this id."""
        return self._first(_POSITIONS, POSITIONS.c.id == position_id)

    def closed_positions(
        self,
        from_ns: int | None = None,
        to_ns: int | None = None,
        strategy: str | None = None,
        quote: str | None = None,
    ) -> tuple[Position, ...]:
        """Return closed positions by exit time, earliest first; None leaves a condition out.

        Args:
            from_ns, to_ns: UTC ns; exit time in ``from_ns <= t < to_ns``.
            strategy, quote: only of this strategy, only with this quote asset.
        """
        column = POSITIONS.c
        statement = select(POSITIONS).where(column.status == PositionStatus.CLOSED)
        if from_ns is not None:
            statement = statement.where(column.exit_time >= from_ns)
        if to_ns is not None:
            statement = statement.where(column.exit_time < to_ns)
        if strategy is not None:
            statement = statement.where(column.strategy == strategy)
        if quote is not None:
            statement = statement.where(column.quote == quote)
        return self._all(statement.order_by(column.exit_time, column.id), rows.position_struct)

    def signal(self, signal_id: str) -> SignalRecord | None:
        """Return one signal by our id, None if there is none."""
        return self._first(_SIGNALS, SIGNALS.c.id == signal_id)

    def find_signal(self, source: str, external_id: str) -> SignalRecord | None:
        """Return the signal that a source sent under its own id, None if there is none.

        The bodies are compared by ``raw``: another body under the same id is a conflict.
        """
        return self._first(
            _SIGNALS, SIGNALS.c.source == source, SIGNALS.c.external_id == external_id
        )

    def find_recent_body(self, source: str, digest: str, since_ns: int) -> SignalRecord | None:
        """Return the last signal of a source with this body, received at ``since_ns`` or later.

        ``digest`` is ``engine.model.signal.body_digest`` of the body without its secret.
        """
        return self._first(
            _SIGNALS,
            SIGNALS.c.source == source,
            SIGNALS.c.body_digest == digest,
            SIGNALS.c.received_at >= since_ns,
        )

    def last_accepted_on(self, instrument: InstrumentId) -> SignalRecord | None:
        """Return the last signal accepted on an instrument from any source, None before one.

        What is refused at once has no row, so every row was accepted.
        """
        return self._first(
            _SIGNALS,
            SIGNALS.c.venue == instrument.venue,
            SIGNALS.c.market == instrument.market,
            SIGNALS.c.symbol == instrument.symbol,
        )

    def orders_of(self, position_id: str) -> tuple[Order, ...]:
        """Return a position's orders in the order they were journalled."""
        mine = select(ORDERS).where(ORDERS.c.position_id == position_id)
        return self._all(mine.order_by(ORDERS.c.id), rows.order_struct)

    def trades_of(self, position_id: str) -> tuple[Trade, ...]:
        """Return a position's fills by venue time."""
        mine = select(TRADES).where(TRADES.c.position_id == position_id)
        return self._all(mine.order_by(TRADES.c.time, TRADES.c.id), _trade)

    def fills(self, venue: str | None = None, since_ns: int | None = None) -> tuple[Trade, ...]:
        """Return all fills in the order they were booked, for reconciliation.

        Args:
            venue: only of this venue.
            since_ns: only executed at this venue time (UTC ns) or later.
        """
        statement = select(TRADES)
        if venue is not None:
            statement = statement.where(TRADES.c.venue == venue)
        if since_ns is not None:
            statement = statement.where(TRADES.c.time >= since_ns)
        return self._all(statement.order_by(TRADES.c.id), _trade)

    def balances(self) -> tuple[Balance, ...]:
        """Return all balances as last reported, by venue and asset."""
        with read_transaction(self._engine) as connection:
            return read_balances(connection)

    def bot_state(self) -> BotState:
        """Return the bot's switch; a fresh install accepts."""
        with read_transaction(self._engine) as connection:
            return read_bot_state(connection)

    def events(self, after_id: int = 0, limit: int = 100) -> tuple[LoggedEvent, ...]:
        """Return the events that follow row ``after_id``, oldest first.

        Raises:
            ValueError: a limit outside 1 to 1000.
        """
        _check_limit(limit)
        later = select(EVENTS).where(EVENTS.c.id > after_id).order_by(EVENTS.c.id).limit(limit)
        return self._all(later, _event)

    def last_event_id(self) -> int:
        """Return the id of the newest event, 0 before the first: where a live stream begins."""
        with read_transaction(self._engine) as connection:
            return connection.execute(select(func.max(EVENTS.c.id))).scalar_one() or 0

    def _all(self, statement: Select[Any], build: Callable[[RowMapping], T]) -> tuple[T, ...]:
        with read_transaction(self._engine) as connection:
            return tuple(build(row) for row in connection.execute(statement).mappings())

    def _first(self, kind: _List[T], *where: Where) -> T | None:
        statement = select(kind.key.table).where(*where).order_by(kind.time.desc(), kind.key.desc())
        found = self._all(statement.limit(1), kind.build)
        return found[0] if found else None

    def _page(self, kind: _List[T], where: list[Where], limit: int, cursor: str | None) -> Page[T]:
        _check_limit(limit)
        if cursor is not None:
            where = [*where, _before(kind, cursor)]
        statement = select(kind.key.table).where(*where)
        statement = statement.order_by(kind.time.desc(), kind.key.desc()).limit(limit + 1)
        with read_transaction(self._engine) as connection:
            found = connection.execute(statement).mappings().all()
        items = tuple(kind.build(row) for row in found[:limit])
        return Page(items, _cursor(kind, found[limit - 1]) if len(found) > limit else None)


def _status_condition(status_filter: str) -> list[Where]:
    if status_filter == "all":
        return []
    if status_filter == "active":
        return [POSITIONS.c.status.in_(sorted(ACTIVE))]
    if status_filter not in list(PositionStatus):
        words = ", ".join(PositionStatus)
        raise ValueError(f"status {status_filter!r} is none of active, all, {words}")
    return [POSITIONS.c.status == status_filter]


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit {limit} is outside 1..{MAX_LIMIT}")


def _cursor(kind: _List[Any], row: RowMapping) -> str:
    text = f"{row[kind.time.name]} {row[kind.key.name]}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _before(kind: _List[Any], cursor: str) -> Where:
    """Select the rows that a list shows after the one that the cursor names."""
    at_ns, key = _read_cursor(kind, cursor)
    last = tuple_(literal(at_ns, kind.time.type), literal(key, kind.key.type))
    return tuple_(kind.time, kind.key) < last


def _read_cursor(kind: _List[Any], cursor: str) -> tuple[int, Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at_ns, key = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(" ")
        return read_stored_int(at_ns), kind.read_key(key)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"cursor {cursor!r} is not a next_cursor of this list") from error
