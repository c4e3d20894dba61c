"""From the engine's structs to rows and back, field by field, nothing lost.

A struct's field is the column of the same name unless renamed here, so a field added to a struct
needs a column and a migration, or the tests fail.
"""

from collections.abc import Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import RowMapping

from engine.clock import iso_z
from engine.model.effects import AppendEvent, SaveBalance, SaveFill, SendNotice
from engine.model.events import Balance
from engine.model.exit_lines import ExitLine, exit_lines
from engine.model.instrument import Instrument, Market
from engine.model.money import plain
from engine.model.order import Fill, Order
from engine.model.position import Position
from engine.model.signal import Signal, SignalRecord, body_digest

S = TypeVar("S", bound=Struct)
Values = dict[str, Any]


class Columns(Generic[S]):
    """Which column holds which field of one kind of struct.

    Args:
        kind: the struct.
        renamed: field to column, where the names differ.
        left_out: the field that is not stored and gets its default back.
    """

    def __init__(self, kind: type[S], renamed: Mapping[str, str], left_out: str = "") -> None:
        fields = [name for name in kind.__struct_fields__ if name != left_out]
        self._kind = kind
        self._pairs = [(field, renamed.get(field, field)) for field in fields]
        self._columns = [column for _, column in self._pairs]
        self._read = attrgetter(*fields)

    def values(self, struct: S) -> Values:
        """Return the columns of a struct."""
        return dict(zip(self._columns, self._read(struct), strict=True))

    def build(self, row: RowMapping) -> S:
        """Return the struct that ``values`` took apart."""
        return self._kind(**{field: row[column] for field, column in self._pairs})


_SIGNAL = Columns(Signal, {"received_at_ns": "received_at", "sent_at_ns": "sent_at"})
_POSITION = Columns(
    Position,
    {
        "exits": "exits_asked",
        "created_at_ns": "created_at",
        "entry_time_ns": "entry_time",
        "exit_time_ns": "exit_time",
    },
)
_ORDER = Columns(Order, {"created_at_ns": "created_at"}, left_out="trigger_received_ns")
_FILL = Columns(Fill, {"time_ns": "time"}, left_out="leg")
_BALANCE = Columns(Balance, {}, left_out="market")
_EVENT = Columns(AppendEvent, {"at_ns": "at"})
_NOTICE = Columns(SendNotice, {"at_ns": "at"})


def signal_values(record: SignalRecord) -> Values:
    signal = record.signal
    return {
        **_SIGNAL.values(signal),
        **_instrument_values(signal.instrument),
        "outcome": record.outcome,
        "reason": record.reason,
        "position_id": record.position_id,
        "body_digest": body_digest(signal.raw),
    }


def signal_record(row: RowMapping) -> SignalRecord:
    return SignalRecord(_SIGNAL.build(row), row["outcome"], row["reason"], row["position_id"])


def position_values(position: Position) -> Values:
    price = position.current_price
    return {
        **_POSITION.values(position),
        **_instrument_values(position.instrument),
        "quote": position.instrument.quote,
        "qty_open": position.qty_open,
        "entry_price": position.entry_price,
        "exit_price": position.exit_price,
        "exits": exit_rows(position),
        "realized_pnl": position.realized_pnl,
        "unrealized_pnl": None if price is None else position.unrealized_pnl(price),
        "net_pnl": position.net_pnl,
    }


def exit_rows(position: Position) -> list[dict[str, str | None]]:
    """Return where the rules stand as the contract shows them, amounts as plain decimal strings.

    ``distance`` is how far the current price is from the threshold, in quote asset; None before
    the first price. A time stop's threshold is its moment, ISO 8601 UTC.
    """
    return [
        {
            "rule": str(line.rule),
            "threshold": _threshold(line),
            "distance": _plain(line.distance(position.current_price)),
            "state": str(line.state),
        }
        for line in exit_lines(position)
    ]


def _threshold(line: ExitLine) -> str | None:
    return _plain(line.threshold) if line.deadline_ns is None else iso_z(line.deadline_ns)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def position_struct(row: RowMapping) -> Position:
    return _POSITION.build(row)


def order_values(order: Order) -> Values:
    return {**_ORDER.values(order), **_instrument_values(order.instrument)}


def order_struct(row: RowMapping) -> Order:
    """Return the order, its ``trigger_received_ns`` 0: another process's monotonic time is none."""
    return _ORDER.build(row)


def fill_values(record: SaveFill) -> Values:
    """Return the columns of a fill but ``order_id``, which the insert looks up by ``order_key``."""
    fill = record.fill
    return {
        **_FILL.values(fill),
        **_instrument_values(fill.instrument),
        "booked_for": fill.client_order_id or record.position_id or "",
        "order_key": fill.client_order_id,
        "position_id": record.position_id,
    }


def fill_struct(row: RowMapping) -> Fill:
    return _FILL.build(row)


def balance_values(record: SaveBalance) -> Values:
    """Return the columns of a balance; a key has no null, so no wallet of its own is empty."""
    wallet = record.balance.market or ""
    return {**_BALANCE.values(record.balance), "wallet": str(wallet), "at": record.at_ns}


def balance_struct(row: RowMapping) -> Balance:
    market = Market(row["wallet"]) if row["wallet"] else None
    return replace(_BALANCE.build(row), market=market)


def event_values(record: AppendEvent) -> Values:
    return _EVENT.values(record)


def notice_values(record: SendNotice) -> Values:
    return _NOTICE.values(record)


def _instrument_values(instrument: Instrument) -> Values:
    name = instrument.id
    return {"venue": name.venue, "market": name.market, "symbol": name.symbol}
