from decimal import Decimal

import pytest
from hypothesis import given
from msgspec.structs import replace
from sqlalchemy import Table

from engine.model.effects import SaveFill
from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, Percent, Side
from engine.model.order import Fill, Order
from engine.model.position import Position, Progress
from engine.model.rules.break_even import BreakEven
from engine.model.rules.ladder import Rung
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.signal import SignalRecord
from storage import rows, tables
from storage.types import format_time
from tests.storage.structs import (
    SECOND_NS,
    fill,
    fills,
    order,
    orders,
    position,
    positions,
    signal,
    signal_records,
)


@given(signal_records)
def test_a_signal_is_rebuilt_from_its_columns(record: SignalRecord):
    assert rows.signal_record(rows.signal_values(record)) == record


@given(positions)
def test_a_position_is_rebuilt_from_its_columns(struct: Position):
    assert rows.position_struct(rows.position_values(struct)) == struct


@given(orders)
def test_an_order_is_rebuilt_from_its_columns(struct: Order):
    assert rows.order_struct(rows.order_values(struct)) == struct


@given(fills)
def test_a_fill_is_rebuilt_from_its_columns(struct: Fill):
    assert rows.fill_struct(rows.fill_values(SaveFill(struct, None))) == struct


def test_the_monotonic_time_of_a_frame_is_not_kept():
    kept = rows.order_struct(rows.order_values(order(trigger_received_ns=5)))
    assert kept == order(trigger_received_ns=0)


@pytest.mark.parametrize(
    ("table", "values", "extra"),
    [
        (tables.SIGNALS, rows.signal_values(SignalRecord(signal())), set()),
        (tables.POSITIONS, rows.position_values(position()), set()),
        (tables.ORDERS, rows.order_values(order()), set()),
        (tables.TRADES, rows.fill_values(SaveFill(fill(), None)), {"order_id", "order_key"}),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_every_field_has_its_column(table: Table, values: rows.Values, extra: set[str]):
    serial = {"id"} if table in (tables.ORDERS, tables.TRADES) else set()
    assert values.keys() ^ table.columns.keys() == serial | extra


def test_derived_columns_are_computed_from_the_sums():
    short = position(
        side=Side.SHORT,
        qty=Decimal(3),
        entry_value=Decimal(300),
        exit_qty=Decimal(1),
        exit_value=Decimal(90),
        fees=Decimal(2),
        funding=Decimal("-0.5"),
        current_price=Decimal(95),
        take_profit=Decimal(80),
        stop_loss=None,
    )
    values = rows.position_values(short)
    assert values["qty_open"] == 2
    assert values["entry_price"] == 100
    assert values["exit_price"] == 90
    assert values["realized_pnl"] == 10
    assert values["unrealized_pnl"] == 10
    assert values["net_pnl"] == Decimal("8.5")
    assert values["quote"] == "USDT"
    assert values["exits"] == [
        {"rule": "take_profit", "threshold": "80", "distance": "15", "state": "armed"}
    ]


def test_each_rule_shows_where_it_stands():
    """A long from 60,000, at 61,000 now: what waits for a price, what is armed, and a moment."""
    rules = Exits(
        Percent(Decimal(15)),
        AtPrice(Decimal(51_000)),
        trailing=Trailing(Percent(Decimal(2)), activation=Percent(Decimal(5))),
        break_even=BreakEven(AtPrice(Decimal(62_000))),
        ladder=(Rung(Percent(Decimal(4)), Decimal("0.5")), Rung(Percent(Decimal(8)), Decimal(1))),
        time=TimeStop(max_hold_ns=3600 * SECOND_NS),
    )
    guarded = position(exits=rules, current_price=Decimal(61_000))
    moment = format_time(guarded.entry_time_ns + 3600 * SECOND_NS)[:-4] + "Z"
    assert [tuple(line.values()) for line in rows.exit_rows(guarded)] == [
        ("take_profit", "69000", "8000", "armed"),
        ("stop_loss", "51000", "10000", "armed"),
        ("trailing", "63000", "2000", "waiting"),
        ("break_even", "62000", "1000", "waiting"),
        ("ladder", "62400", "1400", "armed"),
        ("ladder", "64800", "3800", "armed"),
        ("time", moment, None, "armed"),
    ]
    later = Progress(peak=Decimal(65_000), at_break_even=True, rungs_done=1)
    moved = replace(guarded, progress=later, stop_loss=Decimal("60066.1"))
    assert [tuple(line.values()) for line in rows.exit_rows(moved)] == [
        ("take_profit", "69000", "8000", "armed"),
        ("break_even", "60066.1", "933.9", "armed"),
        ("trailing", "63700", "2700", "armed"),
        ("ladder", "64800", "3800", "armed"),
        ("time", moment, None, "armed"),
    ]


def test_what_is_undefined_is_null():
    before_entry = position(
        qty=Decimal(0),
        entry_value=Decimal(0),
        exits=Exits(Disarmed(), Disarmed()),
        take_profit=None,
        stop_loss=None,
    )
    values = rows.position_values(before_entry)
    assert values["entry_price"] is None
    assert values["exit_price"] is None
    assert values["unrealized_pnl"] is None
    assert values["exits"] == []


def test_the_distance_of_an_exit_is_unknown_before_the_first_price():
    lines = rows.exit_rows(position())
    assert [line["distance"] for line in lines] == [None, None]


def test_a_fill_is_booked_for_its_order_or_else_its_position():
    ours = rows.fill_values(SaveFill(fill(), position().id))
    foreign = replace(fill(), client_order_id=None)
    assert ours["booked_for"] == fill().client_order_id
    assert rows.fill_values(SaveFill(foreign, position().id))["booked_for"] == position().id
    assert rows.fill_values(SaveFill(foreign, None))["booked_for"] == ""
