"""What a process that comes up reads of the ledger."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, select

from engine.model.events import Balance, Started
from engine.model.instrument import InstrumentId
from engine.model.position import ACTIVE
from engine.model.signal import Outcome
from storage import rows
from storage.tables import BALANCES, EVENTS, ORDERS, POSITIONS, SETTINGS, SIGNALS, TRADES

TOLD_AGAIN_NS = 2 * 86_400 * 10**9
"""How old an execution may be that is told again after a start."""

ACCEPTING = "bot.accepting"
"""Name of the row of ``settings`` that holds the bot's switch; ``at`` is since when."""

FUNDING = "funding.paid"
"""Kind of the event log's line on a settlement that was booked."""

_ACTIVE_IDS = select(POSITIONS.c.id).where(POSITIONS.c.status.in_(sorted(ACTIVE)))


class BotState(Struct, frozen=True):
    """Whether entries are accepted, and since when (UTC ns; 0: never switched)."""

    accepting: bool
    since_ns: int


def read_started(connection: Connection, at_ns: int) -> Started:
    """Read what ``SqlLedger.load`` promises."""
    orders = select(ORDERS).where(ORDERS.c.position_id.in_(_ACTIVE_IDS)).order_by(ORDERS.c.id)
    positions = (
        select(POSITIONS)
        .where(POSITIONS.c.status.in_(sorted(ACTIVE)))
        .order_by(POSITIONS.c.created_at, POSITIONS.c.id)
    )
    signals = (
        select(SIGNALS)
        .where(SIGNALS.c.outcome == Outcome.PENDING)
        .order_by(SIGNALS.c.received_at, SIGNALS.c.id)
    )
    bot = read_bot_state(connection)
    return Started(
        at_ns=at_ns,
        accepting=bot.accepting,
        since_ns=bot.since_ns,
        positions=tuple(map(rows.position_struct, _rows(connection, positions))),
        orders=tuple(map(rows.order_struct, _rows(connection, orders))),
        signals=tuple(map(rows.signal_record, _rows(connection, signals))),
        balances=read_balances(connection),
        booked=_booked(connection)
        | _booked_of_others(connection, at_ns - TOLD_AGAIN_NS)
        | _settled(connection, at_ns - TOLD_AGAIN_NS),
    )


def read_bot_state(connection: Connection) -> BotState:
    """Read the bot's switch; a fresh install accepts."""
    row = connection.execute(
        select(SETTINGS.c.value, SETTINGS.c.at).where(SETTINGS.c.name == ACCEPTING)
    ).one_or_none()
    return BotState(True, 0) if row is None else BotState(row.value, row.at)


def read_balances(connection: Connection) -> tuple[Balance, ...]:
    """Read all balances as last reported, by venue, asset and wallet."""
    order = (BALANCES.c.venue, BALANCES.c.asset, BALANCES.c.wallet)
    statement = select(BALANCES).order_by(*order)
    return tuple(map(rows.balance_struct, _rows(connection, statement)))


def _booked(connection: Connection) -> frozenset[tuple[str, str]]:
    trades = select(TRADES.c.booked_for, TRADES.c.venue_trade_id).where(
        TRADES.c.position_id.in_(_ACTIVE_IDS)
    )
    return frozenset((key, trade) for key, trade in connection.execute(trades))


def _booked_of_others(connection: Connection, since_ns: int) -> frozenset[tuple[str, str]]:
    """Read which executions that were not ours are booked: venues tell the latest again."""
    place = (TRADES.c.venue, TRADES.c.market, TRADES.c.symbol)
    trades = select(*place, TRADES.c.venue_trade_id).where(
        TRADES.c.client_order_id.is_(None), TRADES.c.time >= since_ns
    )
    return frozenset(
        (str(InstrumentId(venue, market, symbol)), trade)
        for venue, market, symbol, trade in connection.execute(trades)
    )


def _settled(connection: Connection, since_ns: int) -> frozenset[tuple[str, str]]:
    """Read which funding settlements are booked: venues tell those of the last day again."""
    lines = select(EVENTS.c.data).where(EVENTS.c.kind == FUNDING, EVENTS.c.at >= since_ns)
    told = (data for (data,) in connection.execute(lines))
    return frozenset((data["instrument"], data["venue_trade_id"]) for data in told)


def _rows(connection: Connection, statement: Select[Any]) -> Any:
    return connection.execute(statement).mappings()
