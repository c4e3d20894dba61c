"""The journal on SQL: what the guardian decided, written in one transaction a commit."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from sqlalchemy import Connection, Engine, Insert, Table, and_, bindparam, insert, select

from engine.model.effects import (
    AppendEvent,
    Record,
    SaveBalance,
    SaveBot,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
)
from engine.model.errors import InvariantBroken
from engine.model.events import Started
from engine.model.position import Position
from engine.model.signal import SignalRecord
from storage import rows
from storage.database import read_transaction, write_transaction
from storage.dialects import insert_into
from storage.lease import Fence
from storage.recovery import ACCEPTING, read_started
from storage.tables import (
    BALANCES,
    EVENTS,
    ORDERS,
    OUTBOX,
    POSITIONS,
    SETTINGS,
    SIGNALS,
    TRADES,
)

_TRADE_KEY = ("venue", "market", "symbol", "venue_trade_id", "booked_for")
_TRADE_FACTS = ("side", "qty", "price", "fee", "fee_asset", "position_id")
_ORDER_FACTS = ("venue", "market", "symbol", "side", "qty", "position_id")


class SqlLedger:
    """``engine.ports.Ledger`` on a migrated database. One thread at a time.

    Args:
        fence: lets only the one writer's commits pass, and renews its lease with each.
    """

    def __init__(self, engine: Engine, fence: Fence | None = None) -> None:
        self._engine = engine
        self._fence = fence
        name = engine.dialect.name
        self._put_signal = _upsert(name, SIGNALS, ["id"])
        self._put_position = _upsert(name, POSITIONS, ["id"])
        self._put_order = _upsert(name, ORDERS, ["client_order_id"], _ORDER_FACTS)
        self._put_balance = _upsert(name, BALANCES, ["venue", "wallet", "asset"])
        self._put_setting = _upsert(name, SETTINGS, ["name"])
        self._add_fill = _add_fill(name)
        self._add_event = insert(EVENTS).inline()
        self._add_notice = insert(OUTBOX).inline()

    def commit(self, records: Sequence[Record], number: int = 0) -> None:
        """Write the records of one or more steps in one transaction; on disk when it returns.

        Under a fence the last commit's number again is the same commit, whose answer was lost: it
        is written once. 0 is no number.

        Within a table the order is kept; across tables rows are written before those that refer to
        them. Of several states of one signal, position or balance only the last is written.

        Raises:
            Retryable: the same records may be committed again, under the same number.
            Fenced: nothing was written; another writer has taken over.
            InvariantBroken: nothing was written; a fill or order contradicts the one stored under
                its id, a record refers to a row that does not exist, or a value cannot be stored.
        """
        batch = _Batch(records)
        with write_transaction(self._engine) as connection:
            if self._fence is not None and not self._fence.check(connection, number):
                return
            _run(connection, self._put_signal, [*map(rows.signal_values, batch.signals.values())])
            _run(
                connection,
                self._put_position,
                [*map(rows.position_values, batch.positions.values())],
            )
            self._write_orders(connection, batch.orders)
            for fill in batch.fills:
                self._write_fill(connection, fill)
            _run(connection, self._put_balance, [*batch.balances.values()])
            _run(connection, self._put_setting, [*batch.settings.values()])
            _run(connection, self._add_event, batch.events)
            _run(connection, self._add_notice, batch.notices)

    def _write_orders(self, connection: Connection, orders: list[rows.Values]) -> None:
        if _run(connection, self._put_order, orders) != len(orders):
            ids = ", ".join(order["client_order_id"] for order in orders)
            raise InvariantBroken(f"another request is stored under the order id (one of {ids})")

    def _write_fill(self, connection: Connection, fill: rows.Values) -> None:
        if _run(connection, self._add_fill, [fill]):
            return
        stored = connection.execute(
            select(*(TRADES.c[name] for name in _TRADE_FACTS)).where(
                *(TRADES.c[name] == fill[name] for name in _TRADE_KEY)
            )
        ).one()
        if tuple(stored) != tuple(fill[name] for name in _TRADE_FACTS):
            raise InvariantBroken(
                f"fill {fill['venue_trade_id']} of {fill['venue']}:{fill['market']}:"
                f"{fill['symbol']} differs from the one already booked"
            )

    def load(self, at_ns: int) -> Started:
        """Read what recovery needs, as one state of the database.

        That is the active positions, all their orders, the pending signals, the balances, the bot's
        switch (on in a fresh install) and the keys of the fills booked for these positions: client
        order id, or position id where the order was not ours, and venue trade id.

        Raises:
            Retryable: the database could not be read now.
            Misconfigured: the schema is not there.
        """
        with read_transaction(self._engine) as connection:
            return read_started(connection, at_ns)


class _Batch:
    """The records of a commit by table."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.signals: dict[str, SignalRecord] = {}
        self.positions: dict[str, Position] = {}
        self.orders: list[rows.Values] = []
        self.fills: list[rows.Values] = []
        self.balances: dict[tuple[str, str, str], rows.Values] = {}
        self.settings: dict[str, rows.Values] = {}
        self.events: list[rows.Values] = []
        self.notices: list[rows.Values] = []
        for record in records:
            self._add(record)

    def _add(self, record: Record) -> None:
        match record:
            case SavePosition():
                self.positions[record.position.id] = record.position
            case SaveOrder():
                self.orders.append(rows.order_values(record.order))
            case SaveFill():
                self.fills.append(rows.fill_values(record))
            case AppendEvent():
                self.events.append(rows.event_values(record))
            case SaveSignal():
                self.signals[record.record.signal.id] = record.record
            case SendNotice():
                self.notices.append(rows.notice_values(record))
            case SaveBalance():
                values = rows.balance_values(record)
                self.balances[values["venue"], values["wallet"], values["asset"]] = values
            case SaveBot():
                value = {"name": ACCEPTING, "value": record.accepting, "at": record.at_ns}
                self.settings[ACCEPTING] = value
            case _:
                assert_never(record)


def _run(connection: Connection, statement: Insert, values: list[rows.Values]) -> int:
    """Execute a statement for each row and return how many rows it wrote."""
    return connection.execute(statement, values).rowcount if values else 0


def _upsert(dialect: str, table: Table, key: list[str], facts: Sequence[str] = ()) -> Insert:
    """Insert, or replace all but key and ``facts``; a row with other facts is left alone."""
    statement = insert_into(dialect, table)
    new = statement.excluded
    kept = {"id", *key, *facts}
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={c.name: new[c.name] for c in table.c if c.name not in kept},
        where=and_(*(table.c[name] == new[name] for name in facts)) if facts else None,
    )


def _add_fill(dialect: str) -> Insert:
    """Insert a fill unless its key is there, with the id of its order found by ``order_key``."""
    order_id = select(ORDERS.c.id).where(ORDERS.c.client_order_id == bindparam("order_key"))
    return (
        insert_into(dialect, TRADES)
        .values(order_id=order_id.scalar_subquery())
        .on_conflict_do_nothing(index_elements=_TRADE_KEY)
    )
