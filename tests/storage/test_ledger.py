import itertools
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from sqlalchemy import Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

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
from engine.model.errors import InvariantBroken, Retryable
from engine.model.events import Balance
from engine.model.exits import Side
from engine.model.instrument import Market
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.model.position import Position, PositionStatus
from engine.model.signal import Outcome, SignalRecord
from engine.ports import Ledger
from storage.database import read_transaction
from storage.ledger import SqlLedger, _add_fill, _upsert
from storage.outbox import Outbox
from storage.queries import Queries, Trade
from storage.tables import EVENTS, METADATA, ORDERS
from tests.storage.structs import (
    ETH,
    NOON_NS,
    fill,
    fills,
    order,
    orders,
    position,
    position_id,
    positions,
    signal,
    signal_records,
)

ENTRY = [SavePosition(position()), SaveOrder(order())]
_fresh = itertools.count()
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def event(number: int = 1) -> AppendEvent:
    return AppendEvent("test.happened", "guard", NOON_NS, {"n": number})


def fresh() -> str:
    """Return an id that no example before had: the examples of a test share a database."""
    return f"fresh{next(_fresh)}"


def counts(engine: Engine) -> dict[str, int]:
    with read_transaction(engine) as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in METADATA.sorted_tables
        }


def booked(queries: Queries) -> list[Fill]:
    return [trade.fill for trade in queries.fills()]


def test_it_is_the_ledger_that_the_engine_asks_for(ledger: SqlLedger):
    port: Ledger = ledger
    assert port.load(NOON_NS).at_ns == NOON_NS


@shared
@given(struct=positions)
def test_any_position_is_read_back_as_it_was_saved(ledger, queries, struct: Position):
    ledger.commit([SavePosition(struct)])
    assert queries.position(struct.id) == struct


@shared
@given(record=signal_records)
def test_any_signal_is_read_back_as_it_was_saved(ledger, queries, record: SignalRecord):
    external_id = None if record.signal.external_id is None else fresh()
    record = replace(record, signal=replace(record.signal, id=fresh(), external_id=external_id))
    ledger.commit([SaveSignal(record)])
    assert queries.signal(record.signal.id) == record


@shared
@given(struct=orders)
def test_any_order_is_read_back_as_it_was_saved(ledger, queries, struct: Order):
    struct = replace(struct, client_order_id=fresh())
    ledger.commit([SavePosition(position(id=struct.position_id)), SaveOrder(struct)])
    assert struct in queries.orders_of(struct.position_id)


@shared
@given(struct=fills)
def test_any_fill_is_read_back_as_it_was_booked(ledger, queries, struct: Fill):
    bearer = position(id=fresh())
    struct = replace(struct, venue_trade_id=fresh())
    ledger.commit([SavePosition(bearer), SaveFill(struct, bearer.id)])
    assert [trade.fill for trade in queries.trades_of(bearer.id)] == [struct]


def test_the_last_state_within_a_commit_and_over_commits_holds(ledger, queries):
    opening = position(status=PositionStatus.OPENING)
    ledger.commit([SavePosition(opening), SavePosition(position()), SaveOrder(order())])
    assert queries.position(opening.id) == position()
    closing = position(status=PositionStatus.CLOSING)
    sent, filled = order(status=OrderStatus.SENT), order(status=OrderStatus.FILLED)
    ledger.commit([SaveOrder(sent), SavePosition(closing), SaveOrder(filled)])
    assert queries.position(opening.id) == closing
    assert queries.orders_of(opening.id) == (filled,)


def test_a_signal_gets_its_outcome(ledger, queries):
    ledger.commit([SaveSignal(SignalRecord(signal()))])
    opened = SignalRecord(signal(), Outcome.OPENED, None, position_id(1))
    ledger.commit([SaveSignal(opened)])
    assert queries.signal("s1") == opened


def test_records_may_come_before_those_they_refer_to(ledger, queries):
    asked = position(signal_id="s1")
    ledger.commit(
        [
            SaveFill(fill(), asked.id),
            SaveOrder(order(signal_id="s1")),
            SavePosition(asked),
            SaveSignal(SignalRecord(signal())),
        ]
    )
    assert queries.trades_of(asked.id) == (Trade(1, asked.id, fill()),)


def test_a_record_whose_position_does_not_exist_is_refused_whole(ledger, engine):
    with pytest.raises(InvariantBroken):
        ledger.commit([event(), SaveOrder(order())])
    assert counts(engine)["events"] == 0


def test_a_second_signal_under_a_senders_id_is_refused(ledger):
    ledger.commit([SaveSignal(SignalRecord(signal(1, external_id="x")))])
    ledger.commit([SaveSignal(SignalRecord(signal(2, external_id="x", source="rest")))])
    with pytest.raises(InvariantBroken):
        ledger.commit([SaveSignal(SignalRecord(signal(3, external_id="x")))])


def test_the_same_fill_again_is_booked_once(ledger, queries):
    ledger.commit([*ENTRY, SaveFill(fill(), position_id(1)), SaveFill(fill(), position_id(1))])
    ledger.commit([SaveFill(fill(), position_id(1)), event()])
    assert booked(queries) == [fill()]
    assert queries.last_event_id() == 1


def test_a_fill_told_again_with_newer_filters_or_time_is_the_same_fill(ledger, queries):
    ledger.commit([*ENTRY, SaveFill(fill(), position_id(1))])
    refreshed = replace(fill().instrument, min_notional=Decimal(6))
    again = fill(instrument=refreshed, qty=Decimal("0.2500"), time_ns=NOON_NS)
    ledger.commit([SaveFill(again, position_id(1))])
    assert booked(queries) == [fill()]


@pytest.mark.parametrize(
    "difference",
    [
        {"qty": Decimal("0.26")},
        {"price": Decimal("60000.2")},
        {"fee": Decimal(0)},
        {"fee_asset": "BNB"},
        {"side": OrderSide.SELL},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_another_fill_under_a_booked_key_breaks_an_invariant(ledger, queries, difference):
    ledger.commit([*ENTRY, SaveFill(fill(), position_id(1))])
    with pytest.raises(InvariantBroken, match="t1 of bybit:linear:BTCUSDT differs"):
        ledger.commit([event(), SaveFill(fill(**difference), position_id(1))])
    assert booked(queries) == [fill()]
    assert queries.last_event_id() == 0


def test_a_fill_of_our_order_cannot_move_to_another_position(ledger):
    ledger.commit([*ENTRY, SavePosition(position(2)), SaveFill(fill(), position_id(1))])
    with pytest.raises(InvariantBroken):
        ledger.commit([SaveFill(fill(), position_id(2))])


def test_one_venue_trade_id_may_stand_on_two_instruments_and_two_orders(ledger, queries):
    other = fill(2, client_order_id=order(2).client_order_id, side=OrderSide.SELL)
    ledger.commit(
        [
            *ENTRY,
            SavePosition(position(2)),
            SaveOrder(order(2)),
            SaveFill(fill(), position_id(1)),
            SaveFill(other, position_id(2)),
            SaveFill(fill(instrument=ETH), position_id(1)),
        ]
    )
    assert len(booked(queries)) == 3


def test_a_foreign_fill_is_booked_once_for_each_position_that_bears_it(ledger, queries):
    share = fill(client_order_id=None, side=OrderSide.SELL)
    rest = replace(share, qty=Decimal("0.1"))
    records = [SaveFill(share, position_id(1)), SaveFill(rest, position_id(2))]
    ledger.commit([SavePosition(position(1)), SavePosition(position(2)), *records])
    ledger.commit(records)
    assert [(trade.position_id, trade.fill) for trade in queries.fills()] == [
        (position_id(1), share),
        (position_id(2), rest),
    ]


def test_a_fill_points_to_its_order_by_row_id(ledger, engine, database_path: Path):
    ledger.commit([*ENTRY, SaveFill(fill(), position_id(1)), SaveFill(fill(2, 2), None)])
    with sqlite3.connect(database_path) as connection:
        found = connection.execute("SELECT order_id FROM trades ORDER BY id").fetchall()
    connection.close()
    assert found == [(1,), (None,)]


@pytest.mark.parametrize(
    "difference",
    [{"qty": Decimal(1)}, {"side": OrderSide.SELL}, {"instrument": ETH}, {"position_id": "2"}],
    ids=lambda difference: next(iter(difference)),
)
def test_another_request_under_an_order_id_breaks_an_invariant(ledger, queries, difference):
    ledger.commit([*ENTRY, SavePosition(position(2, id="2"))])
    with pytest.raises(InvariantBroken, match=order().client_order_id):
        ledger.commit([event(), SaveOrder(order(**difference))])
    assert queries.orders_of(position_id(1)) == (order(),)
    assert queries.last_event_id() == 0


def test_events_and_notices_keep_their_order_and_data(ledger, queries, engine):
    notice = SendNotice("position.opened", NOON_NS, {"text": "\u20ac", "nested": {"a": [1, None]}})
    ledger.commit([event(1), notice, event(2)])
    ledger.commit([event(3)])
    assert [(line.id, line.data["n"]) for line in queries.events()] == [(1, 1), (2, 2), (3, 3)]
    assert [waiting.data for waiting in Outbox(engine).pending()] == [notice.data]


def test_event_ids_rise_even_after_the_newest_were_deleted(ledger, queries, engine):
    ledger.commit([event(1), event(2)])
    with engine.begin() as connection:
        connection.execute(EVENTS.delete())
    ledger.commit([event(3)])
    assert [line.id for line in queries.events()] == [3]


def test_a_refused_commit_leaves_no_gap_a_client_could_wait_for(ledger, queries):
    ledger.commit([event(1)])
    with pytest.raises(InvariantBroken):
        ledger.commit([event(2), SaveOrder(order())])
    ledger.commit([event(2)])
    assert [line.id for line in queries.events()] == [1, 2]


def test_balances_are_replaced(ledger, queries):
    before = Balance("bybit", "USDT", Decimal(100), Decimal(90), Decimal(10))
    after = replace(before, total=Decimal("99.5"))
    other = replace(before, asset="BTC")
    ledger.commit([SaveBalance(before, NOON_NS), SaveBalance(other, NOON_NS)])
    ledger.commit([SaveBalance(before, NOON_NS), SaveBalance(after, NOON_NS + 1)])
    assert queries.balances() == (other, after)


def test_wallets_of_one_asset_are_apart(ledger, queries):
    spot = Balance("binance", "USDT", Decimal(100), Decimal(90), Decimal(10), Market.SPOT)
    futures = replace(spot, total=Decimal(7), market=Market.LINEAR)
    ledger.commit([SaveBalance(spot, NOON_NS), SaveBalance(futures, NOON_NS)])
    assert queries.balances() == (futures, spot)
    less = replace(futures, total=Decimal(6))
    ledger.commit([SaveBalance(less, NOON_NS)])
    assert ledger.load(NOON_NS).balances == (less, spot)


def test_nothing_to_write_is_no_error(ledger, engine):
    ledger.commit([])
    assert not any(counts(engine).values())


def every_kind() -> list[Record]:
    return [
        SaveSignal(SignalRecord(signal())),
        *ENTRY,
        SaveFill(fill(), position_id(1)),
        SaveBalance(Balance("bybit", "USDT", Decimal(1), Decimal(1), Decimal(0)), NOON_NS),
        SaveBot(False, NOON_NS),
        event(),
        SendNotice("bot.stopped", NOON_NS, {}),
    ]


def test_a_locked_database_is_retryable_with_nothing_written(ledger, engine, database_path: Path):
    other = sqlite3.connect(database_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retryable, match="locked"):
        ledger.commit(every_kind())
    other.execute("ROLLBACK")
    other.close()
    assert not any(counts(engine).values())
    ledger.commit(every_kind())
    assert counts(engine) == dict.fromkeys(METADATA.tables, 1) | {"api_keys": 0, "leases": 0}


def test_a_full_disk_is_retryable_with_nothing_written(ledger, engine, queries):
    pages = "PRAGMA max_page_count"
    with engine.connect() as connection:
        before = connection.exec_driver_sql(f"{pages} = 1").scalar_one()
    too_much = [AppendEvent("big", "guard", NOON_NS, {"text": "x" * 4096}) for _ in range(50)]
    with pytest.raises(Retryable, match="full"):
        ledger.commit([*every_kind(), *too_much])
    assert not any(counts(engine).values())
    with engine.connect() as connection:
        connection.exec_driver_sql(f"{pages} = {before + 1000}")
    ledger.commit([*every_kind(), *too_much])
    assert queries.last_event_id() == 51


def test_what_cannot_be_stored_is_refused_whole(ledger, engine):
    endless = position(fees=Decimal("Infinity"), side=Side.SHORT)
    with pytest.raises(InvariantBroken, match="not an amount"):
        ledger.commit([SavePosition(position(2)), SavePosition(endless)])
    assert not any(counts(engine).values())


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda d: d.name)
def test_upserts_are_written_for_both_databases(dialect):
    sql = str(_upsert(dialect.name, ORDERS, ["client_order_id"], ["qty"]).compile(dialect=dialect))
    assert "ON CONFLICT (client_order_id) DO UPDATE SET" in sql
    assert sql.endswith("WHERE orders.qty = excluded.qty")
    assert "ON CONFLICT" in str(_add_fill(dialect.name).compile(dialect=dialect))
