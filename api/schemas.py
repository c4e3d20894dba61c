"""The JSON shapes of the REST contract: money as plain strings, undefined as null, times in UTC."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from engine.clock import iso_z
from engine.core.statistics import Slice, Statistics
from engine.model.events import Balance
from engine.model.instrument import InstrumentId
from engine.model.money import ZERO, plain
from engine.model.order import Order
from engine.model.position import Position
from engine.model.signal import SignalRecord
from storage.queries import Trade
from storage.rows import exit_rows

Json = dict[str, Any]
T = TypeVar("T")


def money(value: Decimal | None) -> str | None:
    """Write an amount as a plain decimal string; None stays None."""
    return None if value is None else plain(value)


def moment(at_ns: int | None) -> str | None:
    """Write an instant as ISO 8601 with ``Z``; None stays None."""
    return None if at_ns is None else iso_z(at_ns)


def _name(instrument: InstrumentId) -> Json:
    return {
        "venue": instrument.venue,
        "market": str(instrument.market),
        "symbol": instrument.symbol,
    }


def position_json(position: Position) -> Json:
    """The contract's Position."""
    return {
        "id": position.id,
        **_name(position.instrument.id),
        "side": str(position.side),
        "status": str(position.status),
        "guard": str(position.guard),
        "qty": money(position.qty),
        "qty_open": money(position.qty_open),
        "entry_price": money(position.entry_price),
        "current_price": money(position.current_price),
        "take_profit": money(position.take_profit),
        "stop_loss": money(position.stop_loss),
        "exits": exit_rows(position),
        "entry_time": moment(position.entry_time_ns),
        "exit_price": money(position.exit_price),
        "exit_time": moment(position.exit_time_ns),
        "exit_reason": None if position.exit_reason is None else str(position.exit_reason),
        "realized_pnl": money(position.realized_pnl),
        "unrealized_pnl": money(_unrealized(position)),
        "fees": money(position.fees),
        "funding": money(position.funding),
        "net_pnl": money(position.net_pnl),
        "strategy": position.strategy,
        "reaction_ms": position.reaction_ms,
        "backstop": _backstop(position),
    }


def _backstop(position: Position) -> Json | None:
    """The stop order at the venue: its price while it rests, else why there is none."""
    if position.backstop is None and position.backstop_problem is None:
        return None
    return {"price": money(position.backstop), "problem": position.backstop_problem}


def _unrealized(position: Position) -> Decimal | None:
    """P&L of what is open: 0 where nothing is, None where its price is not known."""
    if position.qty_open == ZERO:
        return ZERO
    price = position.current_price
    return None if price is None else position.unrealized_pnl(price)


def signal_json(record: SignalRecord) -> Json:
    """The contract's Signal."""
    signal = record.signal
    return {
        "id": signal.id,
        "received_at": moment(signal.received_at_ns),
        "source": signal.source,
        "action": str(signal.action),
        **_name(signal.instrument.id),
        "outcome": str(record.outcome),
        "reason": record.reason,
        "position_id": record.position_id,
    }


def order_json(order: Order) -> Json:
    """An order; its id is the client order id, which the venue knows too."""
    return {
        "id": order.client_order_id,
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "position_id": order.position_id,
        **_name(order.instrument.id),
        "side": str(order.side),
        "purpose": str(order.purpose),
        "qty": money(order.qty),
        "filled_qty": money(order.filled_qty),
        "status": str(order.status),
        "reason": None if order.reason is None else str(order.reason),
        "created_at": moment(order.created_at_ns),
    }


def trade_json(trade: Trade) -> Json:
    """A fill; ``order_id`` is an order's ``id``."""
    fill = trade.fill
    return {
        "id": str(trade.id),
        "venue_trade_id": fill.venue_trade_id,
        "order_id": fill.client_order_id,
        "position_id": trade.position_id,
        **_name(fill.instrument.id),
        "side": str(fill.side),
        "qty": money(fill.qty),
        "price": money(fill.price),
        "fee": money(fill.fee),
        "fee_asset": fill.fee_asset,
        "time": moment(fill.time_ns),
    }


def balance_json(balance: Balance) -> Json:
    """The contract's Balance."""
    return {
        "venue": balance.venue,
        "market": None if balance.market is None else str(balance.market),
        "asset": balance.asset,
        "total": money(balance.total),
        "free": money(balance.free),
        "locked": money(balance.locked),
    }


def statistics_json(found: Statistics) -> Json:
    """The contract's Statistics."""
    return {
        "quote": found.quote,
        "trades": found.trades,
        "wins": found.wins,
        "losses": found.losses,
        "win_rate": found.win_rate,
        "gross_pnl": money(found.gross_pnl),
        "fees": money(found.fees),
        "funding": money(found.funding),
        "net_pnl": money(found.net_pnl),
        "profit_factor": found.profit_factor,
        "expectancy": money(found.expectancy),
        "average_win": money(found.average_win),
        "average_loss": money(found.average_loss),
        "max_drawdown": money(found.max_drawdown),
        "max_drawdown_percent": found.max_drawdown_percent,
        "sharpe": found.sharpe,
        "reaction_ms": {"p50": found.reaction_ms.p50, "p99": found.reaction_ms.p99},
        "by_strategy": _slices(found.by_strategy),
        "by_instrument": _slices(found.by_instrument),
        "by_exit_reason": _slices(found.by_exit_reason),
    }


def _slices(slices: Mapping[str, Slice]) -> Json:
    return {
        name: {"trades": s.trades, "net_pnl": money(s.net_pnl), "win_rate": s.win_rate}
        for name, s in slices.items()
    }


def bot_json(*, accepting: bool, guarding: bool, mode: str, since_ns: int) -> Json:
    """The contract's Bot; ``since`` is null until it was switched for the first time."""
    return {
        "accepting_signals": accepting,
        "guarding": guarding,
        "mode": mode,
        "since": moment(since_ns or None),
    }


def list_json(items: Iterable[T], to_json: Callable[[T], Json], next_cursor: str | None) -> Json:
    """The contract's list."""
    return {"items": [to_json(item) for item in items], "next_cursor": next_cursor}
