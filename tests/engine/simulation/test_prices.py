"""True prices of lifetimes."""

from decimal import Decimal
from itertools import pairwise

import pytest

from engine.model.instrument import InstrumentId, Market
from engine.model.money import exact
from engine.simulation.instruments import draw_instruments
from engine.simulation.prices import (
    BIG_MOVE,
    STRETCH_PRINTS,
    Grid,
    Stretch,
    draw_paths,
    load_stretches,
    print_at,
    stretches_of,
    sweep,
)
from engine.simulator.recordings import Channel, Cue, Track
from tests.engine.core.rig import BTC_PERP
from tests.engine.simulation.drawn import plans

D = Decimal
HEAL_MS = 60_000
LISTED = draw_instruments(3, D(100))


def all_paths():
    return [path for plan in plans() for path in plan.paths]


# What a path looks like


def test_a_seed_has_at_least_200_prices():
    assert min(sum(len(path.prints) for path in plan.paths) for plan in plans()) >= 200


def test_prices_begin_at_once_and_rise_in_time_until_everything_heals():
    for plan in plans():
        for path in plan.paths:
            times = [each.at_ms for each in path.prints]
            assert times[0] == 0
            assert all(before < after for before, after in pairwise(times))
            assert plan.heal_ms - 10_000 < times[-1] < plan.heal_ms


def test_prices_lie_on_the_tick_and_marks_beside_it():
    for path in all_paths()[:60]:
        tick = path.instrument.tick_size
        for each in path.prints:
            assert all(exact(price) % tick == 0 for price in (each.last, each.bid, each.ask))
            assert exact(each.mark) % tick != 0
            assert abs(each.mark / each.last - 1) < 0.03


def test_prices_are_doubles_of_at_most_fifteen_digits():
    for path in all_paths()[:60]:
        for each in path.prints:
            for price in (each.last, each.bid, each.ask, each.mark):
                assert len(exact(price).normalize().as_tuple().digits) <= 15
                assert price > 0


def test_the_last_price_lies_between_bid_and_ask_one_to_three_ticks_apart():
    for path in all_paths()[:60]:
        spreads = set()
        for each in path.prints:
            assert each.bid <= each.last <= each.ask
            spreads.add((exact(each.ask) - exact(each.bid)) / path.instrument.tick_size)
        assert spreads <= {1, 2, 3}


def test_every_kind_of_segment_is_drawn():
    kinds = {kind for path in all_paths() for kind in path.kinds}
    assert kinds == {"calm", "trend", "jump", "gap", "flash"}


def changes(kind):
    """The changes from print to print of paths with such a segment, as fractions."""
    found = [path.prints for path in all_paths() if kind in path.kinds]
    return [after.last / before.last - 1 for prints in found for before, after in pairwise(prints)]


def test_some_jumps_are_larger_than_what_is_believed_at_once():
    assert min(changes("jump")) < -0.2
    assert max(changes("jump")) > 0.2


def test_a_market_may_be_silent_and_go_on_elsewhere():
    silences = [
        (after.at_ms - before.at_ms, after.last / before.last)
        for path in all_paths()
        for before, after in pairwise(path.prints)
        if after.at_ms - before.at_ms > 2000
    ]
    assert len(silences) > 100
    assert sum(abs(factor - 1) > 0.01 for _, factor in silences) > len(silences) * 0.9


def test_a_flash_crash_goes_down_by_a_fifth_or_more_in_two_seconds_and_comes_back():
    depths = []
    for path in all_paths():
        for at, each in enumerate(path.prints):
            near = [p.last for p in path.prints[at : at + 14] if p.at_ms - each.at_ms <= 4000]
            if min(near) < each.last * 0.81 and near[-1] > each.last * 0.9:
                depths.append(1 - min(near) / each.last)
    assert len(depths) > 100
    assert max(depths) > 0.4


def test_moves_are_the_moments_at_which_the_price_went_far():
    for drawn in draw_paths(3, LISTED, HEAL_MS, ()):
        prints = drawn.path.prints
        far = {
            after.at_ms
            for before, after in pairwise(prints)
            if abs(after.last / before.last - 1) > BIG_MOVE * 1.1
        }
        assert far <= set(drawn.moves_ms) <= {each.at_ms for each in prints}


def test_one_path_does_not_depend_on_the_others():
    alone = draw_paths(3, LISTED[:3], HEAL_MS, ())
    assert draw_paths(3, LISTED, HEAL_MS, ())[:3] == alone


# The grid


@pytest.mark.parametrize("tick", ["0.1", "0.05", "0.5", "5", "0.00000001", "0.10", "1E+1"])
def test_a_price_is_the_nearest_double_of_its_decimal(tick):
    grid = Grid(D(tick))
    for ticks in (4, 7, 1234, 99_999, 649_999):
        found = grid.print_at(0, ticks, 0.4)
        assert found.last == float(D(tick) * ticks)
        assert grid.ticks(found.last) == pytest.approx(ticks)


def test_a_price_never_falls_to_where_there_is_no_bid():
    low = Grid(D("0.01")).print_at(0, 0.2, 0.99)
    assert 0 < low.bid < low.ask


# After the faults


def test_the_sweep_goes_through_every_limit_and_back():
    prices = [each.last for each in sweep(BTC_PERP, 50_000.0, 1000)]
    bottom, top = prices.index(min(prices)), prices.index(max(prices))
    assert prices[bottom] == pytest.approx(20_000)
    assert prices[top] == pytest.approx(150_000)
    assert bottom < top
    assert min(prices[top:]) == pytest.approx(20_000)
    assert prices[-1] == pytest.approx(50_000)


def test_the_sweep_takes_steps_that_are_believed():
    path = sweep(BTC_PERP, 50_000.0, 1000)
    assert [each.at_ms for each in path[:2]] == [1100, 1200]
    for before, after in pairwise(path):
        assert abs(after.last / before.last - 1) <= 0.08
        assert after.at_ms - before.at_ms == 100


def test_a_calm_price_is_where_it_was():
    for path in all_paths()[:40]:
        last = path.prints[-1]
        calm = print_at(path.instrument, last.last, 99)
        assert (calm.at_ms, calm.last) == (99, last.last)
        assert calm.bid <= calm.last <= calm.ask


# Real markets


def track(frames, every_s=0.1):
    cues = tuple(Cue(number * every_s, Channel.TRADE, frame) for number, frame in enumerate(frames))
    quote = Cue(0.0, Channel.QUOTE, b'{"b":"1","a":"2"}')
    return Track(InstrumentId("bybit", Market.LINEAR, "BTCUSDT"), (quote, *cues), 0, 1.0)


def binance(price, source="MARKET"):
    return b'{"e":"trade","p":"%.2f","X":"%s"}' % (price, source.encode())


def bybit(price):
    return b'{"topic":"publicTrade.BTCUSDT","data":[{"p":"1"},{"p":"%.2f"}]}' % price


@pytest.mark.parametrize("frame", [binance, bybit])
def test_a_stretch_is_the_last_trade_of_each_interval_in_parts_of_the_first(frame):
    trades = [frame(100 + number) for number in range(STRETCH_PRINTS * 4 + 8)]
    (stretch,) = stretches_of(track(trades))
    assert stretch.name == "bybit:linear:BTCUSDT/0"
    assert len(stretch.ratios) == STRETCH_PRINTS
    assert stretch.ratios[0] == 1
    assert all(before < after for before, after in pairwise(stretch.ratios))
    assert stretch.ratios[-1] == pytest.approx((103 + 4 * 59) / 103, rel=0.02)


def test_a_silent_market_keeps_its_price_in_a_stretch():
    (stretch,) = stretches_of(track([binance(100), binance(110)], every_s=0.4 * STRETCH_PRINTS + 1))
    assert set(stretch.ratios) == {1.0}


def test_what_was_no_market_trade_is_no_price():
    trades = [binance(100), *[binance(900, "INSURANCE_FUND")] * (STRETCH_PRINTS * 4 + 4)]
    (stretch,) = stretches_of(track(trades))
    assert set(stretch.ratios) == {1.0}


def test_a_track_that_is_too_short_gives_no_stretch():
    assert not list(stretches_of(track([binance(100), binance(101)])))


def test_a_path_follows_its_stretch():
    rising = Stretch("rising", tuple(1 + number / 100 for number in range(STRETCH_PRINTS)))
    (first, *_) = draw_paths(3, LISTED, 120_000, (rising,))
    assert first.path.kinds[:2] == ("calm", "recorded")
    prices = [each.last for each in first.path.prints]
    assert max(prices) / prices[0] > 1.5


def test_recordings_hold_stretches(recordings):
    stretches = load_stretches(recordings)
    assert len({each.name for each in stretches}) == len(stretches) > 0
    assert all(0.5 < ratio < 2 for each in stretches for ratio in each.ratios)
