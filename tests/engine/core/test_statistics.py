"""Statistics against cases computed by hand, and against a second, plain computation."""

import math
import statistics as plain_statistics
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import from_datetime
from engine.core.statistics import ReactionTimes, Slice, daily_pnl, statistics
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, ExitReason, Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.position import Position, PositionStatus
from engine.model.ticks import PriceSource

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
BTC = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
)
ETH = msgspec.structs.replace(BTC, id=InstrumentId("binance", Market.SPOT, "ETHUSDT"), base="ETH")
ETHBTC = msgspec.structs.replace(
    ETH, id=InstrumentId("binance", Market.SPOT, "ETHBTC"), quote="BTC"
)
FIELDS = [
    "quote",
    "trades",
    "wins",
    "losses",
    "win_rate",
    "gross_pnl",
    "fees",
    "funding",
    "net_pnl",
    "profit_factor",
    "expectancy",
    "average_win",
    "average_loss",
    "max_drawdown",
    "max_drawdown_percent",
    "sharpe",
    "reaction_ms",
    "by_strategy",
    "by_instrument",
    "by_exit_reason",
]


def closed(
    pnl,
    *,
    at: datetime = START,
    fees="0",
    funding="0",
    side: Side = Side.LONG,
    status: PositionStatus = PositionStatus.CLOSED,
    **fields,
) -> Position:
    """A position of 1 unit from 1000 that made ``pnl`` before fees and funding."""
    values = {
        "id": "p",
        "instrument": BTC,
        "exits": Exits(Disarmed(), Disarmed()),
        "trigger": PriceSource.LAST,
        "created_at_ns": from_datetime(at - timedelta(hours=1)),
        "qty": Decimal(1),
        "entry_value": Decimal(1000),
        "exit_qty": Decimal(1),
        "exit_value": Decimal(1000) + side.sign * Decimal(pnl),
        "exit_time_ns": from_datetime(at),
        "exit_reason": ExitReason.TAKE_PROFIT,
    }
    return Position(
        side=side, status=status, fees=Decimal(fees), funding=Decimal(funding), **(values | fields)
    )


def summary(*positions, start="1000", until=START, zone=UTC, quote="USDT"):
    return statistics(
        positions,
        quote=quote,
        start_equity=Decimal(start),
        timezone=zone,
        until_ns=from_datetime(until),
    )


def test_the_object_has_exactly_the_fields_of_the_contract():
    assert list(msgspec.structs.asdict(summary())) == FIELDS
    assert list(msgspec.to_builtins(summary())["reaction_ms"]) == ["p50", "p99"]
    assert list(msgspec.to_builtins(Slice(1, Decimal(1), 1.0))) == ["trades", "net_pnl", "win_rate"]


def test_without_trades_sums_are_zero_and_the_rest_is_undefined():
    result = summary()
    assert (result.trades, result.wins, result.losses) == (0, 0, 0)
    assert result.gross_pnl == result.fees == result.funding == result.net_pnl == 0
    assert result.max_drawdown == result.max_drawdown_percent == 0
    undefined = ("win_rate", "profit_factor", "expectancy", "average_win", "average_loss", "sharpe")
    assert [getattr(result, name) for name in undefined] == [None] * 6
    assert result.reaction_ms == ReactionTimes(None, None)
    assert result.by_strategy == result.by_instrument == result.by_exit_reason == {}


def test_a_small_book_by_hand():
    hours = [START + timedelta(hours=number) for number in range(5)]
    result = summary(
        closed("100", at=hours[0], fees="2", strategy="a"),  # 98, equity 1098
        closed("-50", at=hours[1], fees="1", funding="0.5", strategy="a"),  # -51.5, 1046.5
        closed("-60", at=hours[2], fees="1", instrument=ETH),  # -61, 985.5
        closed("1", at=hours[3], fees="1"),  # 0, 985.5
        closed("40", at=hours[4], funding="-1", side=Side.SHORT, exit_reason=ExitReason.MANUAL),
    )
    assert (result.trades, result.wins, result.losses) == (5, 2, 2)
    assert result.win_rate == 0.4
    assert result.gross_pnl == Decimal(31)
    assert result.fees == Decimal(5)
    assert result.funding == Decimal("-0.5")
    assert result.net_pnl == Decimal("26.5")
    assert result.expectancy == Decimal("5.3")
    assert result.average_win == Decimal("69.5")
    assert result.average_loss == Decimal("-56.25")
    assert result.profit_factor == pytest.approx(139 / 112.5)
    assert result.max_drawdown == Decimal("112.5")
    assert result.max_drawdown_percent == pytest.approx(112.5 / 1098 * 100)
    assert result.by_strategy == {
        "": Slice(3, Decimal(-20), 1 / 3),
        "a": Slice(2, Decimal("46.5"), 0.5),
    }
    assert result.by_instrument == {
        "binance:spot:ETHUSDT": Slice(1, Decimal(-61), 0.0),
        "bybit:linear:BTCUSDT": Slice(4, Decimal("87.5"), 0.5),
    }
    assert result.by_exit_reason == {
        "manual": Slice(1, Decimal(41), 1.0),
        "take_profit": Slice(4, Decimal("-14.5"), 0.25),
    }


def test_only_closed_positions_of_the_asked_quote_asset_count():
    others = [closed("9", status=status) for status in PositionStatus if status != "closed"]
    result = summary(closed("1"), closed("9", instrument=ETHBTC), *others)
    assert (result.trades, result.net_pnl) == (1, Decimal(1))
    assert summary(closed("9", instrument=ETHBTC), quote="BTC").net_pnl == Decimal(9)


def test_a_factor_without_losses_is_undefined_and_without_wins_zero():
    assert summary(closed("1")).profit_factor is None
    assert summary(closed("0")).profit_factor is None
    assert summary(closed("-1")).profit_factor == 0.0


def test_drawdown_counts_from_the_balance_at_start():
    result = summary(closed("-100"))
    assert (result.max_drawdown, result.max_drawdown_percent) == (Decimal(100), 10.0)


def test_the_deepest_share_may_be_another_fall_than_the_deepest_sum():
    falls = ["-500", "9500", "-1000"]  # 50 % of 1000, then 10 % of 10000
    result = summary(*(closed(pnl, at=START + timedelta(hours=i)) for i, pnl in enumerate(falls)))
    assert (result.max_drawdown, result.max_drawdown_percent) == (Decimal(1000), 50.0)


@pytest.mark.parametrize("start", ["0", "-5"])
def test_without_money_at_start_shares_of_it_are_undefined(start):
    days = [closed("1", at=START + timedelta(days=number)) for number in range(40)]
    result = summary(*days, closed("-3"), start=start)
    assert result.max_drawdown > 0
    assert result.max_drawdown_percent is None
    assert result.sharpe is None


def test_closes_are_taken_in_order_of_time_however_they_come():
    early, late = closed("-10"), closed("20", at=START + timedelta(hours=1))
    assert summary(late, early).max_drawdown == Decimal(10)


def test_closes_of_one_instant_have_a_fixed_order():
    pair = [closed("-10", id="a"), closed("10", id="b")]
    assert summary(*pair) == summary(*reversed(pair))


def test_a_position_closed_without_a_fill_is_placed_where_it_began():
    lonely = closed("0", exit_time_ns=None, exit_qty=Decimal(0), fees="1", exit_reason=None)
    result = summary(lonely)
    assert result.net_pnl == Decimal(-1)
    assert result.by_exit_reason == {"": Slice(1, Decimal(-1), 0.0)}


def test_reaction_times_are_nearest_ranks_of_closes_that_a_frame_caused():
    times = [closed("1", reaction_ms=float(ms)) for ms in range(1, 201)]
    assert summary(*times, closed("1")).reaction_ms == ReactionTimes(100.0, 198.0)
    assert summary(closed("1", reaction_ms=0.25)).reaction_ms == ReactionTimes(0.25, 0.25)


class TestDays:
    def test_every_calendar_day_counts_until_the_end(self):
        first = closed("5")
        until = from_datetime(START + timedelta(days=3))
        assert daily_pnl([first], UTC, until) == [Decimal(5), 0, 0, 0]

    def test_a_close_after_the_end_is_not_lost(self):
        pair = [closed("5"), closed("7", at=START + timedelta(days=2))]
        assert daily_pnl(pair, UTC, from_datetime(START)) == [Decimal(5), 0, Decimal(7)]
        assert daily_pnl(pair, UTC, 0) == [Decimal(5), 0, Decimal(7)]

    def test_days_part_at_midnight_of_the_time_zone(self):
        evening = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
        pair = [closed("5", at=evening), closed("7", at=evening + timedelta(hours=1))]
        until = from_datetime(evening)
        assert daily_pnl(pair, UTC, until) == [Decimal(12)]
        assert daily_pnl(pair, ZoneInfo("Europe/Berlin"), until) == [Decimal(5), Decimal(7)]

    def test_a_day_of_23_hours_is_one_day(self):
        at = datetime(2026, 3, 28, 12, tzinfo=UTC)
        until = from_datetime(at + timedelta(days=2))
        assert len(daily_pnl([closed("5", at=at)], ZoneInfo("Europe/Berlin"), until)) == 3

    def test_no_close_has_no_days(self):
        assert daily_pnl([], UTC, 0) == []


class TestSharpe:
    def test_is_undefined_under_30_days(self):
        pair = [closed("5"), closed("-7", at=START + timedelta(days=1))]
        assert summary(*pair, until=START + timedelta(days=28)).sharpe is None
        assert summary(*pair, until=START + timedelta(days=29)).sharpe is not None

    def test_is_undefined_without_variation(self):
        assert summary(closed("0"), until=START + timedelta(days=40)).sharpe is None

    def test_is_undefined_when_the_variation_is_too_small_to_square(self):
        tiny = closed("1e-200", entry_value=Decimal(1), exit_value=Decimal(1), fees="1e-200")
        assert summary(tiny, until=START + timedelta(days=40)).sharpe is None

    def test_is_undefined_once_the_equity_is_gone(self):
        pair = [closed("-1000"), closed("5", at=START + timedelta(days=1))]
        assert summary(*pair, until=START + timedelta(days=40)).sharpe is None

    def test_a_gain_on_the_first_of_thirty_days_by_hand(self):
        returns = [0.1] + [0.0] * 29
        deviation = math.sqrt((0.1 - 0.1 / 30) ** 2 + 29 * (0.1 / 30) ** 2) / math.sqrt(29)
        result = summary(closed("100"), until=START + timedelta(days=29))
        assert result.sharpe == pytest.approx(sum(returns) / 30 / deviation * math.sqrt(365))


MONEY = st.decimals("-90", "90", places=2)
TRADES = st.lists(
    st.tuples(
        MONEY,
        st.decimals("0", "2", places=3),
        st.decimals("-1", "1", places=3),
        st.integers(0, 45 * 24),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from([BTC, ETH]),
        st.none() | st.floats(0, 1000),
    ),
    max_size=40,
)


def build(trades) -> list[Position]:
    return [
        closed(
            pnl,
            at=START + timedelta(hours=hour),
            fees=fees,
            funding=funding,
            strategy=strategy,
            instrument=instrument,
            reaction_ms=reaction,
            id=f"{number:04}",
        )
        for number, (pnl, fees, funding, hour, strategy, instrument, reaction) in enumerate(trades)
    ]


@given(TRADES, st.sampled_from([UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")]))
def test_it_agrees_with_a_plain_computation(trades, zone):
    until = START + timedelta(days=40)
    result = summary(*build(trades), start="5000", until=until, zone=zone)
    nets = [Fraction(pnl) - Fraction(fees) - Fraction(funding) for pnl, fees, funding, *_ in trades]
    assert result.net_pnl == sum(nets)
    assert result.net_pnl == result.gross_pnl - result.fees - result.funding
    assert result.wins + result.losses + nets.count(0) == result.trades == len(trades)
    gains, pains = [net for net in nets if net > 0], [-net for net in nets if net < 0]
    assert_close(result.win_rate, len(gains) / len(nets) if nets else None)
    assert_close(result.profit_factor, sum(gains) / sum(pains) if pains else None)
    assert_close(result.average_win, sum(gains) / len(gains) if gains else None)
    assert_close(result.average_loss, -sum(pains) / len(pains) if pains else None)
    assert_close(result.expectancy, sum(nets) / len(nets) if nets else None)
    order = sorted(range(len(trades)), key=lambda index: (trades[index][3], index))
    curve = [Fraction(5000)]
    for index in order:
        curve.append(curve[-1] + nets[index])
    falls = [(max(curve[: at + 1]) - now, max(curve[: at + 1])) for at, now in enumerate(curve)]
    assert result.max_drawdown == max(fall for fall, _ in falls)
    assert_close(result.max_drawdown_percent, 100 * max(fall / peak for fall, peak in falls))
    assert_close(result.sharpe, plain_sharpe(trades, nets, zone, until), 1e-6)


def plain_sharpe(trades, nets, zone, until):
    """The ratio from an hour-by-hour walk through the calendar."""
    if not trades:
        return None
    hour = min(trade[3] for trade in trades)
    last = max([40 * 24, *(trade[3] for trade in trades)])
    equity, opening, day, returns = Fraction(5000), Fraction(5000), None, []
    while hour <= last:
        today = (START + timedelta(hours=hour)).astimezone(zone).date()
        if day not in (None, today):
            returns.append(float(equity / opening - 1))
            opening = equity
        day = today
        equity += sum(net for trade, net in zip(trades, nets, strict=True) if trade[3] == hour)
        hour += 1
    returns.append(float(equity / opening - 1))
    if len(returns) < 30 or len(set(returns)) == 1:
        return None
    return plain_statistics.mean(returns) / plain_statistics.stdev(returns) * math.sqrt(365)


def assert_close(actual, expected, relative=1e-9):
    if expected is None:
        assert actual is None
    else:
        assert float(actual) == pytest.approx(float(expected), rel=relative, abs=1e-12)


@given(TRADES)
def test_the_slices_add_up_to_the_whole(trades):
    result = summary(*build(trades), start="5000")
    for slices in (result.by_strategy, result.by_instrument, result.by_exit_reason):
        assert sum(each.trades for each in slices.values()) == result.trades
        assert sum((each.net_pnl for each in slices.values()), Decimal(0)) == result.net_pnl
        assert round(sum(each.win_rate * each.trades for each in slices.values())) == result.wins


@given(TRADES)
def test_reaction_times_are_times_that_occurred(trades):
    times = sorted(trade[-1] for trade in trades if trade[-1] is not None)
    found = summary(*build(trades), start="5000").reaction_ms
    if times:
        assert found.p50 == times[(len(times) + 1) // 2 - 1]
        assert found.p99 == times[-1]
    else:
        assert found == ReactionTimes(None, None)
