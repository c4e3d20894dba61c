import itertools
from decimal import Decimal

from engine.simulator.market_events import Print
from engine.simulator.market_history import KEPT_MINUTES, MINUTE_MS, Aggregator, Candles, History


def trade(price: str, time_ms: int, qty: str = "2", *, buys: bool = True, number: int = 1) -> Print:
    return Print(str(number), number, price, qty, buys, time_ms)


def test_a_bar_holds_its_minutes_trades() -> None:
    candles = Candles()
    for print_ in (
        trade("10.0", 5),
        trade("12.5", 6, buys=False),
        trade("9.5", 7),
        trade("11", 59_999),
    ):
        candles.add(print_)
    bar = candles.last
    assert bar is not None
    assert (bar.open, bar.high, bar.low, bar.close) == ("10.0", "12.5", "9.5", "11")
    assert (bar.volume, bar.turnover, bar.trades) == (Decimal(8), Decimal("86.0"), 4)
    assert (bar.taker_volume, bar.taker_turnover) == (Decimal(6), Decimal("61.0"))
    assert candles.before_last() is None


def test_a_minute_without_trades_repeats_the_last_close() -> None:
    candles = Candles()
    candles.add(trade("10", 0))
    candles.add(trade("11", 2 * MINUTE_MS + 1))
    rows = [(b.start_ms, b.open, b.close, b.trades) for b in candles.bars(MINUTE_MS, 0)]
    assert rows == [(0, "10", "10", 1), (60_000, "10", "10", 0), (120_000, "11", "11", 1)]


def test_the_first_trade_of_a_minute_opened_by_time_sets_its_open() -> None:
    candles = Candles()
    candles.add(trade("10", 0))
    candles.advance(MINUTE_MS)
    candles.add(trade("8", MINUTE_MS + 5))
    bar = candles.last
    assert bar is not None
    assert (bar.open, bar.high, bar.low) == ("8", "8", "8")
    finished = candles.before_last()
    assert finished is not None
    assert finished.close == "10"


def test_longer_bars_are_merged_from_minutes() -> None:
    candles = Candles()
    for minute, price in enumerate(("10", "15", "5", "7", "9", "20")):
        candles.add(trade(price, minute * MINUTE_MS))
    first, second = candles.bars(5 * MINUTE_MS, 0)
    assert (first.open, first.high, first.low, first.close) == ("10", "15", "5", "9")
    assert (first.trades, first.volume, first.taker_volume) == (5, Decimal(10), Decimal(10))
    assert (second.start_ms, second.close) == (5 * MINUTE_MS, "20")


def test_a_leap_in_time_fills_only_the_bars_that_are_kept() -> None:
    candles = Candles()
    candles.add(trade("10", 0))
    candles.add(trade("11", 10**12))
    bars = candles.bars(MINUTE_MS, 10**12)
    assert len(bars) == KEPT_MINUTES
    starts = [bar.start_ms for bar in bars]
    assert all(b - a == MINUTE_MS for a, b in itertools.pairwise(starts))


def test_no_trade_no_bar() -> None:
    candles = Candles()
    candles.advance(10 * MINUTE_MS)
    assert candles.last is None
    assert candles.bars(MINUTE_MS, 5) == []


def test_aggregates_join_neighbours_of_one_time_price_and_side() -> None:
    joins = Aggregator()
    first, second = trade("10", 1, number=1), trade("10", 1, number=2)
    assert joins.add(first) == []
    assert joins.add(second) == []
    assert joins.add(trade("10", 1, buys=False, number=3)) == [first, second]
    assert [p.number for p in joins.take()] == [3]
    assert joins.take() == []


def test_history_keeps_trades_and_bars() -> None:
    history = History()
    history.add(trade("10", 1))
    assert len(history.trades) == 1
    assert history.candles.last is not None
