import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.instrument import InstrumentId, Market
from engine.venues.bybit.wire import BybitDialect
from engine.venues.channel import (
    MAX_CONFLATED,
    RESTART_AFTER,
    Channel,
    Counters,
    Malformed,
    conflate,
)
from tests.engine.venues import frames
from tests.engine.venues.reading import Reader

BTC = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
prices = st.lists(st.floats(min_value=1e-9, max_value=1e9), max_size=60)


@given(prices)
def test_conflated_trades_keep_order_extremes_and_last(values):
    chosen = conflate(values)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= max(3, MAX_CONFLATED)
    kept = [values[index] for index in chosen]
    if values:
        assert max(kept) == max(values)
        assert min(kept) == min(values)
        assert kept[-1] == values[-1]


@given(prices, st.floats(min_value=1e-9, max_value=1e9))
def test_conflation_hides_no_threshold(values, threshold):
    kept = [values[index] for index in conflate(values)]
    assert any(v >= threshold for v in kept) == any(v >= threshold for v in values)
    assert any(v <= threshold for v in kept) == any(v <= threshold for v in values)


def test_conflation_takes_first_occurrences():
    assert conflate([5, 9, 1, 9, 1, 4]) == [1, 2, 5]
    assert conflate([3, 3, 3, 3, 3]) == [0, 4]
    assert conflate([4, 1, 2, 3]) == [0, 1, 2, 3]


def make(counters: Counters | None = None) -> Channel:
    return Channel(BTC, lambda tick: None, counters if counters is not None else Counters())


def test_only_a_rise_makes_a_channel_fresh():
    channel = make()
    assert channel.advance(5, 100)
    assert channel.advance(5, 200)
    assert channel.advanced_ns == 100
    assert not channel.advance(4, 300)
    assert channel.advance(6, 400)
    assert channel.advanced_ns == 400


def test_a_venue_that_counts_anew_is_followed_after_a_while():
    channel = make(counters := Counters())
    channel.advance(10**9, 1)
    taken = [channel.advance(number, 2) for number in range(1, RESTART_AFTER + 5)]
    assert taken == [False] * (RESTART_AFTER - 1) + [True] * 5
    assert counters["sequence_restarted"] == 1
    assert counters["dropped.older"] == RESTART_AFTER - 1


def test_scattered_old_frames_do_not_add_up_to_a_restart():
    channel = make(counters := Counters())
    for number in range(1, 10 * RESTART_AFTER):
        assert channel.advance(100 + number, number)
        assert not channel.advance(number, number)
    assert counters["sequence_restarted"] == 0


def test_the_base_reads_nothing():
    with pytest.raises(NotImplementedError):
        make().read(b"", 0)


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf", "-inf"])
def test_what_is_no_price_is_dropped_and_counted(price):
    reader = Reader(BybitDialect(Market.LINEAR), [BTC])
    reader.read(
        [
            frames.bybit_trade("BTCUSDT", price, 1),
            frames.bybit_quote("BTCUSDT", price, "5", 1),
            frames.bybit_ticker("BTCUSDT", 1, markPrice=price),
        ]
    )
    assert reader.ticks == []
    assert sum(reader.counters.values()) == 3


def test_quotes_that_are_none_are_counted_by_reason():
    reader = Reader(BybitDialect(Market.LINEAR), [BTC])
    reader.read(
        [
            frames.bybit_quote("BTCUSDT", "6", "5", 1),
            frames.bybit_quote("BTCUSDT", "nan", "5", 2),
            frames.bybit_quote("BTCUSDT", "0", "5", 3),
            frames.bybit_book("BTCUSDT", [], [["5", "1"]], 4),
            frames.bybit_book("BTCUSDT", [["4", "0"]], [["5", "1"]], 5),
            frames.bybit_quote("BTCUSDT", "5", "5", 6),
        ]
    )
    assert len(reader.ticks) == 1
    assert dict(reader.counters) == {
        "dropped.crossed_book": 1, "dropped.not_a_price": 1, "dropped.empty_book": 3,
    }  # fmt: skip


def test_a_malformed_frame_names_its_channel():
    reader = Reader(BybitDialect(Market.LINEAR), [BTC])
    with pytest.raises(Malformed, match="trade"):
        reader.read([b'{"topic":"publicTrade.BTCUSDT","data":{}}'])
    assert reader.read([b'{"topic":"publicTrade.XUSDT"}', b"", b"x" * 40]) == 0


@given(st.lists(st.integers(1, 1000), max_size=60), st.binary(max_size=80))
def test_no_bytes_crash_the_reader(sequence, noise):
    reader = Reader(BybitDialect(Market.LINEAR), [BTC])
    reader.read([frames.bybit_trade("BTCUSDT", 1.0, number) for number in sequence])
    with contextlib.suppress(Malformed):
        reader.read([b'{"topic":"publicTrade.BTCUSDT"' + noise, noise])
    numbers = [tick.sequence for tick in reader.ticks]
    assert all(math.isfinite(tick.price) for tick in reader.ticks)
    assert len(numbers) + reader.counters["dropped.older"] == len(sequence)
