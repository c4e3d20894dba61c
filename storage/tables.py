"""The tables, as SQLModel classes. Names are the contract's; further columns rebuild our structs.

The classes only describe: rows are written and read through SQLAlchemy Core (``ledger``,
``queries``) and become structs in ``rows``. Columns named after times hold UTC nanoseconds in
Python; amounts are exact decimals. A position's derived columns (``qty_open``, averages, P&L) are
computed from its sums when it is saved, for whoever reads the database by SQL.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Index, Integer, MetaData, Table, UniqueConstraint
from sqlmodel import Field, SQLModel

from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import ExitReason, Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, Market
from engine.model.order import FillKind, OrderSide, OrderStatus
from engine.model.position import GuardStatus, PositionStatus, Progress
from engine.model.signal import Action, Outcome, Size
from engine.model.ticks import PriceSource
from storage.types import ExactDecimal, JsonText, UtcTime, Word

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Scope(StrEnum):
    """What an API key may do; each scope includes the ones before it."""

    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"


class Row(SQLModel):
    """Base of the tables, with a metadata of its own."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMES)


def _amount(**options: Any) -> Any:
    return Field(sa_type=ExactDecimal, **options)


def _row_id(**options: Any) -> Any:
    # SQLite counts by itself in a column called INTEGER only; 32 bits are too few elsewhere.
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Field(default=None, sa_type=kind, **options)


def _time(**options: Any) -> Any:
    return Field(sa_type=UtcTime, **options)


def _word(enum: type[StrEnum], **options: Any) -> Any:
    return Field(sa_type=Word(enum), **options)


NO_FIELDS = {"server_default": "{}"}
"""JSON of a struct whose fields all have defaults, for rows from before the column was there."""


def _json(kind: Any, **options: Any) -> Any:
    return Field(sa_type=JsonText(kind), **options)


class SignalRow(Row, table=True):
    """A signal and what became of it. ``body_digest`` is ``body_digest(raw)``."""

    __tablename__ = "signals"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),  # nulls are distinct
        Index(None, "source", "body_digest", "received_at"),
        Index(None, "venue", "market", "symbol", "received_at"),
        Index(None, "received_at", "id"),
        Index(None, "outcome"),
    )
    id: str = Field(primary_key=True)
    received_at: int = _time()
    source: str
    external_id: str | None
    action: Action = _word(Action)
    venue: str
    market: Market = _word(Market)
    symbol: str
    outcome: Outcome = _word(Outcome)
    reason: str | None
    # No foreign key: a pending signal may name the position that it is going to open.
    position_id: str | None = Field(index=True)
    raw: str
    body_digest: str
    instrument: Any = _json(Instrument, nullable=False)
    sent_at: int | None = _time()
    size: Any = _json(Size, nullable=True)
    reference_price: Decimal | None = _amount()
    exits: Any = _json(ExitChanges, nullable=False, sa_column_kwargs=NO_FIELDS)
    strategy: str | None
    comment: str | None


class PositionRow(Row, table=True):
    """A position. ``exits`` are the armed limits as shown, ``exits_asked`` what was asked for."""

    __tablename__ = "positions"
    __table_args__ = (
        Index(None, "status", "created_at", "id"),
        Index(None, "created_at", "id"),
        Index(None, "status", "exit_time"),
        Index(None, "symbol"),
    )
    id: str = Field(primary_key=True)
    venue: str
    market: Market = _word(Market)
    symbol: str
    side: Side = _word(Side)
    status: PositionStatus = _word(PositionStatus, sa_column_kwargs={"server_default": "open"})
    guard: GuardStatus = _word(GuardStatus)
    qty: Decimal = _amount()
    qty_open: Decimal = _amount()
    entry_price: Decimal | None = _amount()
    current_price: Decimal | None = _amount()
    take_profit: Decimal | None = _amount()
    stop_loss: Decimal | None = _amount()
    exits: Any = _json(list[dict[str, Any]], nullable=False)
    entry_time: int | None = _time()
    exit_price: Decimal | None = _amount()
    exit_time: int | None = _time()
    exit_reason: ExitReason | None = _word(ExitReason)
    realized_pnl: Decimal = _amount()
    unrealized_pnl: Decimal | None = _amount()
    fees: Decimal = _amount()
    funding: Decimal = _amount()
    net_pnl: Decimal = _amount()
    strategy: str | None
    reaction_ms: float | None
    instrument: Any = _json(Instrument, nullable=False)
    quote: str
    exits_asked: Any = _json(Exits, nullable=False)
    progress: Any = _json(Progress, nullable=False, sa_column_kwargs=NO_FIELDS)
    trigger: PriceSource = _word(PriceSource)
    created_at: int = _time()
    signal_id: str | None = Field(foreign_key="signals.id", index=True)
    closing_signal_id: str | None = Field(foreign_key="signals.id")
    entry_value: Decimal = _amount()
    base_fees: Decimal = _amount()
    exit_qty: Decimal = _amount()
    exit_value: Decimal = _amount()
    dust: Decimal = _amount()
    fees_unvalued: bool
    exit_generation: int
    backstop: Decimal | None = _amount()
    backstop_problem: str | None
    backstop_generation: int = Field(default=-1, sa_column_kwargs={"server_default": "-1"})


class OrderRow(Row, table=True):
    """An order of ours. The frame's monotonic time is not kept: it dies with its process."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("client_order_id"),
        Index(None, "position_id"),
        Index(None, "created_at", "id"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = _row_id(primary_key=True)
    client_order_id: str
    venue_order_id: str | None
    position_id: str = Field(foreign_key="positions.id")
    venue: str
    market: Market = _word(Market)
    symbol: str
    side: OrderSide = _word(OrderSide)
    purpose: Purpose = _word(Purpose)
    qty: Decimal = _amount()
    filled_qty: Decimal = _amount()
    status: OrderStatus = _word(OrderStatus)
    created_at: int = _time()
    instrument: Any = _json(Instrument, nullable=False)
    generation: int
    reduce_only: bool
    actor: str
    reason: ExitReason | None = _word(ExitReason)
    trigger_price: Decimal | None = _amount()
    signal_id: str | None = Field(foreign_key="signals.id", index=True)
    message: str | None


class TradeRow(Row, table=True):
    """A fill, or the share of a foreign fill that one position bears.

    ``booked_for`` is the client order id, the position's id where the order was not ours, or empty.
    It is part of the unique key because a venue gives both sides of a trade with oneself one id,
    and because a foreign fill may be split over several positions.
    """

    __tablename__ = "trades"
    __table_args__ = (
        UniqueConstraint("venue", "market", "symbol", "venue_trade_id", "booked_for"),
        Index(None, "position_id", "time"),
        Index(None, "order_id"),
        Index(None, "time", "id"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = _row_id(primary_key=True)
    venue_trade_id: str
    order_id: int | None = _row_id(foreign_key="orders.id")
    position_id: str | None = Field(foreign_key="positions.id")
    side: OrderSide = _word(OrderSide)
    qty: Decimal = _amount()
    price: Decimal = _amount()
    fee: Decimal = _amount()
    fee_asset: str
    time: int = _time()
    venue: str
    market: Market = _word(Market)
    symbol: str
    client_order_id: str | None
    booked_for: str
    venue_order_id: str | None
    fee_rate: Decimal | None = _amount()
    kind: FillKind = _word(FillKind)
    instrument: Any = _json(Instrument, nullable=False)


class EventRow(Row, table=True):
    """A line of the event log; ids rise and are never used twice."""

    __tablename__ = "events"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: int | None = _row_id(primary_key=True)
    at: int = _time()
    kind: str = Field(index=True)
    actor: str
    data: Any = _json(dict[str, Any], nullable=False)


class NoticeRow(Row, table=True):
    """A message to the owner; ``sent_at`` is null until a channel delivered it."""

    __tablename__ = "outbox"
    __table_args__ = (Index(None, "sent_at", "id"), {"sqlite_autoincrement": True})
    id: int | None = _row_id(primary_key=True)
    at: int = _time()
    kind: str
    data: Any = _json(dict[str, Any], nullable=False)
    sent_at: int | None = _time(default=None)


class BalanceRow(Row, table=True):
    """One asset of one venue's account as last reported.

    ``wallet`` is the market whose wallet it is in, empty where the venue has one for all.
    """

    __tablename__ = "balances"
    venue: str = Field(primary_key=True)
    wallet: str = Field(primary_key=True)
    asset: str = Field(primary_key=True)
    total: Decimal = _amount()
    free: Decimal = _amount()
    locked: Decimal = _amount()
    at: int = _time()


class SettingRow(Row, table=True):
    """State that outlives the process and is no setting of the environment (the bot's switch)."""

    __tablename__ = "settings"
    name: str = Field(primary_key=True)
    value: Any = _json(Any, nullable=False)
    at: int = _time()


class ApiKeyRow(Row, table=True):
    """An API key: never the key, only its SHA-256 and the few characters that recognise it."""

    __tablename__ = "api_keys"
    id: str = Field(primary_key=True)
    name: str
    scope: Scope = _word(Scope)
    prefix: str = Field(index=True)
    digest: str = Field(unique=True)
    created_at: int = _time()
    last_used_at: int | None = _time(default=None)
    revoked_at: int | None = _time(default=None)


class LeaseRow(Row, table=True):
    """Who may write (``storage.lease``): ``holder`` is empty when nobody; ``fencing`` rises.

    ``committed`` is the number of the holder's last commit.
    """

    __tablename__ = "leases"
    name: str = Field(primary_key=True)
    holder: str
    fencing: int
    expires_at: int = _time()
    committed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


METADATA = Row.metadata


def _table(name: str) -> Table:
    return METADATA.tables[name]


SIGNALS = _table("signals")
POSITIONS = _table("positions")
ORDERS = _table("orders")
TRADES = _table("trades")
EVENTS = _table("events")
OUTBOX = _table("outbox")
BALANCES = _table("balances")
SETTINGS = _table("settings")
API_KEYS = _table("api_keys")
LEASES = _table("leases")
