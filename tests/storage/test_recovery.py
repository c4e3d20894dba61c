from decimal import Decimal

import pytest

from engine.model.effects import (
    AppendEvent,
    SaveBalance,
    SaveBot,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
)
from engine.model.events import Balance, Started
from engine.model.order import OrderSide, OrderStatus
from engine.model.position import ACTIVE, PositionStatus
from engine.model.signal import Outcome, SignalRecord
from storage.ledger import SqlLedger
from tests.storage.structs import NOON_NS, fill, order, position, position_id, signal


def test_a_fresh_install_accepts_and_knows_nothing(ledger: SqlLedger):
    assert ledger.load(NOON_NS) == Started(at_ns=NOON_NS, accepting=True, since_ns=0)


@pytest.mark.parametrize("accepting", [True, False])
def test_the_bots_switch_survives(ledger: SqlLedger, accepting: bool):
    ledger.commit([SaveBot(not accepting, NOON_NS), SaveBot(accepting, NOON_NS + 1)])
    started = ledger.load(NOON_NS + 2)
    assert (started.accepting, started.since_ns) == (accepting, NOON_NS + 1)


def test_only_active_positions_come_back_in_the_order_they_were_made(ledger: SqlLedger):
    made = [position(n, status=status) for n, status in enumerate(PositionStatus, start=1)]
    ledger.commit([SavePosition(p) for p in reversed(made)])
    active = tuple(p for p in made if p.status in ACTIVE)
    assert ledger.load(NOON_NS).positions == active


def test_all_orders_of_active_positions_come_back_final_or_not(ledger: SqlLedger):
    mine = [order(1, n, status=status) for n, status in enumerate(OrderStatus)]
    closed = position(2, status=PositionStatus.CLOSED)
    ledger.commit(
        [
            SavePosition(position(1)),
            SavePosition(closed),
            *map(SaveOrder, mine),
            SaveOrder(order(2, status=OrderStatus.FILLED)),
        ]
    )
    assert ledger.load(NOON_NS).orders == tuple(mine)


def test_fills_booked_for_active_positions_are_known_by_the_guardians_keys(ledger: SqlLedger):
    closed = position(2, status=PositionStatus.CLOSED)
    foreign = fill(trade=7, client_order_id=None, side=OrderSide.SELL)
    ledger.commit(
        [
            SavePosition(position(1)),
            SavePosition(closed),
            SaveOrder(order(1)),
            SaveFill(fill(1, 1), position_id(1)),
            SaveFill(fill(1, 2), position_id(1)),
            SaveFill(fill(2, 3), position_id(2)),
            SaveFill(foreign, position_id(1)),
            SaveFill(fill(trade=8, client_order_id=None), None),
        ]
    )
    ours, instrument = order(1).client_order_id, str(foreign.instrument.id)
    of_active = {(ours, "t1"), (ours, "t2"), (position_id(1), "t7")}
    of_others = {(instrument, "t7"), (instrument, "t8")}
    assert ledger.load(NOON_NS).booked == of_active | of_others
    assert ledger.load(NOON_NS + 3 * 86_400 * 10**9).booked == of_active


def test_pending_signals_come_back_first_received_first(ledger: SqlLedger):
    records = [SignalRecord(signal(n), outcome) for n, outcome in enumerate(Outcome)]
    early = SignalRecord(signal(99, received_at_ns=NOON_NS - 1))
    ledger.commit([SaveSignal(record) for record in [*records, early]])
    assert ledger.load(NOON_NS).signals == (early, SignalRecord(signal(0)))


def test_balances_come_back(ledger: SqlLedger):
    balance = Balance("bybit", "USDT", Decimal("1E+3"), Decimal("1E-18"), Decimal(0))
    ledger.commit([SaveBalance(balance, NOON_NS)])
    assert ledger.load(NOON_NS).balances == (balance,)


def test_the_latest_settlements_that_are_booked_are_known(ledger: SqlLedger):
    data = {"instrument": "bybit:linear:BTCUSDT", "venue_trade_id": "f1", "amount": "1"}
    ledger.commit(
        [
            AppendEvent("funding.paid", "guard", NOON_NS, data),
            AppendEvent("venue.foreign_fill", "guard", NOON_NS, data | {"venue_trade_id": "t1"}),
        ]
    )
    assert ledger.load(NOON_NS).booked == {("bybit:linear:BTCUSDT", "f1")}
    assert ledger.load(NOON_NS + 3 * 86_400 * 10**9).booked == frozenset()
