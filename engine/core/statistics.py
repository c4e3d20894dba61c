"""What closed positions of one quote asset came to. Money is exact, ratios are doubles.

Whatever has no value (a rate of no trades, a factor without losses) is None, never 0 or NaN. The
equity here is the realised one: the balance at start plus the net P&L of each close in turn.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal

from msgspec import Struct

from engine.model.money import HUNDRED, ZERO, ratio
from engine.model.position import Position, PositionStatus

MIN_SHARPE_DAYS = 30
DAYS_A_YEAR = 365
_NS_PER_SECOND = 1_000_000_000


class ReactionTimes(Struct, frozen=True):
    """Percentiles in milliseconds, by nearest rank; None without a close that a frame caused."""

    p50: float | None
    p99: float | None


class Slice(Struct, frozen=True):
    """A part of the trades: their number, net P&L (quote asset) and share of wins (0..1)."""

    trades: int
    net_pnl: Decimal
    win_rate: float


class Statistics(Struct, frozen=True):
    """The object of ``GET /statistics``.

    Attributes:
        wins, losses: trades with a net P&L above and below zero; the rest is in neither.
        win_rate: wins / trades, 0..1. profit_factor: money won / money lost.
        gross_pnl, fees, funding, net_pnl: quote asset; fees and funding are positive when paid.
        expectancy: net P&L a trade. average_win, average_loss: a loss is negative.
        max_drawdown: deepest fall below an earlier peak of realised equity, positive.
        max_drawdown_percent: the deepest fall as a share of its peak, 15 is 15 %; None if the
            equity at start is not positive.
        sharpe: of daily returns, annualised; None under 30 days.
        by_strategy, by_instrument, by_exit_reason: the empty name holds trades that have none.
    """

    quote: str
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    profit_factor: float | None
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    max_drawdown: Decimal
    max_drawdown_percent: float | None
    sharpe: float | None
    reaction_ms: ReactionTimes
    by_strategy: dict[str, Slice]
    by_instrument: dict[str, Slice]
    by_exit_reason: dict[str, Slice]


def statistics(
    positions: Iterable[Position],
    *,
    quote: str,
    start_equity: Decimal,
    timezone: tzinfo,
    until_ns: int,
) -> Statistics:
    """Summarise the closed positions of one quote asset; all others are passed over.

    Args:
        positions: in any order; the caller has chosen the period and strategy.
        start_equity: realised equity before the first of them, in ``quote``.
        timezone: whose midnights part the daily returns.
        until_ns: UTC; days without a close count until here, and until the last close.
    """
    closed = _closed(positions, quote)
    nets = [position.net_pnl for position in closed]
    won = [net for net in nets if net > 0]
    lost = [net for net in nets if net < 0]
    drawdown, drawdown_percent = _drawdowns(nets, start_equity)
    return Statistics(
        quote=quote,
        trades=len(nets),
        wins=len(won),
        losses=len(lost),
        win_rate=_win_rate(nets),
        gross_pnl=sum((position.realized_pnl for position in closed), ZERO),
        fees=sum((position.fees for position in closed), ZERO),
        funding=sum((position.funding for position in closed), ZERO),
        net_pnl=sum(nets, ZERO),
        profit_factor=float(sum(won, ZERO) / -sum(lost, ZERO)) if lost else None,
        expectancy=_mean(nets),
        average_win=_mean(won),
        average_loss=_mean(lost),
        max_drawdown=drawdown,
        max_drawdown_percent=drawdown_percent,
        sharpe=_sharpe(daily_pnl(closed, timezone, until_ns), start_equity),
        reaction_ms=_reaction_times(closed),
        by_strategy=_sliced(closed, lambda position: position.strategy or ""),
        by_instrument=_sliced(closed, lambda position: str(position.instrument.id)),
        by_exit_reason=_sliced(closed, lambda position: position.exit_reason or ""),
    )


def _closed(positions: Iterable[Position], quote: str) -> list[Position]:
    """Choose and put in order of closing; the id decides between closes of one instant."""
    chosen = (
        position
        for position in positions
        if position.status is PositionStatus.CLOSED and position.instrument.quote == quote
    )
    return sorted(chosen, key=lambda position: (_closed_at_ns(position), position.id))


def _closed_at_ns(position: Position) -> int:
    """Return when a position was closed; one that was closed without a fill ended as it began."""
    return position.created_at_ns if position.exit_time_ns is None else position.exit_time_ns


def _mean(amounts: Sequence[Decimal]) -> Decimal | None:
    return ratio(sum(amounts, ZERO), Decimal(len(amounts))) if amounts else None


def _win_rate(nets: Sequence[Decimal]) -> float | None:
    return sum(net > 0 for net in nets) / len(nets) if nets else None


def _drawdowns(nets: Iterable[Decimal], start_equity: Decimal) -> tuple[Decimal, float | None]:
    """Return the deepest fall in money, and the deepest one in per cent of its peak."""
    equity = peak = start_equity
    deepest = deepest_share = ZERO
    for net in nets:
        equity += net
        peak = max(peak, equity)
        deepest = max(deepest, peak - equity)
        if start_equity > 0:
            deepest_share = max(deepest_share, (peak - equity) / peak)
    return deepest, float(deepest_share * HUNDRED) if start_equity > 0 else None


def daily_pnl(closed: Sequence[Position], timezone: tzinfo, until_ns: int) -> list[Decimal]:
    """Sum the net P&L of each calendar day, from the first close to the last one or ``until_ns``.

    Args:
        closed: in order of closing.
    """
    if not closed:
        return []
    days: dict[date, Decimal] = {}
    for position in closed:
        day = _day(_closed_at_ns(position), timezone)
        days[day] = days.get(day, ZERO) + position.net_pnl
    last = max(*days, _day(until_ns, timezone))
    return [days.get(day, ZERO) for day in _calendar(min(days), last)]


def _calendar(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _day(at_ns: int, timezone: tzinfo) -> date:
    return datetime.fromtimestamp(at_ns // _NS_PER_SECOND, UTC).astimezone(timezone).date()


def _sharpe(daily: Sequence[Decimal], start_equity: Decimal) -> float | None:
    """Return mean / sample deviation of the daily returns x sqrt(365), risk-free rate 0.

    None under 30 days, without any variation, or when a day began without equity to earn on.
    """
    returns = _daily_returns(daily, start_equity)
    if returns is None or len(returns) < MIN_SHARPE_DAYS or min(returns) == max(returns):
        return None
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((each - mean) ** 2 for each in returns) / (len(returns) - 1)
    return mean / math.sqrt(variance) * math.sqrt(DAYS_A_YEAR) if variance else None


def _daily_returns(daily: Iterable[Decimal], start_equity: Decimal) -> list[float] | None:
    equity = start_equity
    returns = []
    for pnl in daily:
        if equity <= 0:
            return None
        returns.append(float(pnl / equity))
        equity += pnl
    return returns


def _reaction_times(closed: Iterable[Position]) -> ReactionTimes:
    times = sorted(each.reaction_ms for each in closed if each.reaction_ms is not None)
    return ReactionTimes(p50=percentile(times, 50), p99=percentile(times, 99))


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least ``percent`` per cent of all do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def _sliced(closed: Iterable[Position], name_of: Callable[[Position], str]) -> dict[str, Slice]:
    """Part the trades by a name; the names are in alphabetical order."""
    parts: dict[str, list[Decimal]] = {}
    for position in closed:
        parts.setdefault(str(name_of(position)), []).append(position.net_pnl)
    return {name: _slice(nets) for name, nets in sorted(parts.items())}


def _slice(nets: Sequence[Decimal]) -> Slice:
    return Slice(len(nets), sum(nets, ZERO), sum(net > 0 for net in nets) / len(nets))
