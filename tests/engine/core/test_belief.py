"""Which prices are believed: a jump is held until something else tells (bound 25 %)."""

import pytest

from engine.core.belief import PriceName
from engine.model.events import FeedLost, FeedResumed
from tests.engine.core.price_rig import MS, PriceRig, held_at, percent, price_of
from tests.engine.core.rig import BTC_PERP, ETH_PERP

LAST, MARK, _, _ = PriceName


# Held


def test_a_jump_triggers_nothing_and_is_checked_once() -> None:
    rig = held_at(60)
    assert rig.closed() == []
    assert price_of(rig) == 100
    assert rig.checks() == [str(BTC_PERP.id)]
    rig.after(10).trade(61)
    rig.after(10).trade(62)
    assert rig.closed() == []
    assert len(rig.checks()) == 1
    assert rig.counts() == {"bybit.last.held": 3}


@pytest.mark.parametrize(("price", "is_held"), [(75, False), (74.9, True), (125, False), (126, 1)])
def test_a_jump_is_more_than_the_bound_either_way(price: float, is_held: bool) -> None:
    rig = held_at(price)
    assert price_of(rig) == (100 if is_held else price)
    assert len(rig.checks()) == is_held


def test_a_held_price_moves_no_peak_no_activation_and_no_break_even() -> None:
    rig = PriceRig()
    rig.open(
        "buy", trailing=percent("10"), trailing_activation=percent("50"), break_even=percent("50")
    )
    follows = rig.open("buy", strategy="second", trailing=percent("50"))
    rig.trade(160)
    (first, _) = rig.guardian.positions()
    assert first.progress.peak is None
    assert first.progress.at_break_even is False
    assert rig.peak(follows) == 100
    rig.after(50).trade(160)
    (first, _) = rig.guardian.positions()
    assert (first.progress.peak, first.progress.at_break_even) == (160, True)
    assert rig.peak(follows) == 160


def test_the_first_price_of_an_instrument_is_believed() -> None:
    rig = PriceRig()
    rig.signal("buy", stop_loss=percent("5"))
    rig.trade(3)
    assert price_of(rig) == 3
    assert rig.counts() == {}


def test_after_a_loss_of_prices_a_jump_is_held_like_any_other() -> None:
    rig = held_at(100)
    rig.handle(FeedLost((BTC_PERP.id,), "silence", rig.now))
    rig.after(60_000)
    rig.handle(FeedResumed((BTC_PERP.id,), rig.now))
    rig.trade(60)
    assert rig.closed() == []
    rig.after(50).trade(60)
    assert len(rig.closed()) == 1


def test_instruments_do_not_speak_for_each_other() -> None:
    rig = PriceRig()
    rig.open_many(1, BTC_PERP)
    rig.open_many(1, ETH_PERP)
    rig.trade(60)
    rig.after(50)
    rig.trade(60, ETH_PERP)
    assert rig.closed() == []
    assert len(rig.checks()) == 2
    rig.rest(ETH_PERP, last=59, mark=60)
    assert [order.instrument for order in rig.exits()] == [ETH_PERP]


def test_sources_are_judged_each_by_its_own_last_price() -> None:
    rig = held_at(100)
    rig.after(1000)
    rig.mark(60)
    rig.quote(60, 61)
    assert rig.counts() == {"bybit.mark.held": 1, "bybit.bid.held": 1, "bybit.ask.held": 1}
    rig.trade(80)  # no jump for the trades, and nearer to the held ones than 100 is
    assert price_of(rig) == 80
    assert rig.counts()["bybit.mark.confirmed"] == 1
    assert rig.counts()["bybit.ask.confirmed"] == 1
    assert rig.closed() == []


# Confirmed or contradicted by prices of the same source


@pytest.mark.parametrize(("ms", "closes"), [(49, 0), (50, 1)])
def test_a_print_confirms_only_fifty_milliseconds_later(ms: int, closes: int) -> None:
    rig = held_at(60)
    rig.after(ms).trade(61)
    assert len(rig.closed()) == closes
    assert rig.counts().get("bybit.last.confirmed", 0) == closes


def test_the_time_between_prints_is_the_venues() -> None:
    rig = held_at(60)
    rig.monotonic_ns += 500 * MS  # both came in one delayed burst, or apart: it does not matter
    rig.trade(61)
    assert rig.closed() == []
    rig.venue_ms += 50
    rig.trade(61)
    assert len(rig.closed()) == 1


@pytest.mark.parametrize(("ms", "closes"), [(49, 0), (50, 1)])
def test_without_venue_times_the_local_ones_count(ms: int, closes: int) -> None:
    rig = held_at(100)
    rig.venue_ms = 0
    rig.trade(60)
    rig.monotonic_ns += ms * MS
    rig.trade(61)
    assert len(rig.closed()) == closes


def test_a_print_nearer_the_price_before_drops_what_was_held() -> None:
    rig = held_at(60)
    rig.after(50).trade(80.1)  # no jump from 100
    assert rig.closed() == []
    assert price_of(rig) == 80.1
    assert rig.counts() == {"bybit.last.held": 1, "bybit.last.contradicted": 1}


def test_a_print_as_near_to_both_is_no_contrary_evidence() -> None:
    rig = held_at(60)
    rig.after(50).trade(80)  # a jump from 60, in its turn, and towards where the others are
    assert len(rig.closed()) == 1
    assert price_of(rig) == 80
    assert rig.counts() == {"bybit.last.held": 2, "bybit.last.confirmed": 2}


def test_a_dropped_price_leaves_no_trace() -> None:
    rig = held_at(160, trailing=percent("20"))
    rig.after(10).trade(101)
    rig.after(5000)
    rig.clock()
    assert rig.closed() == []
    assert rig.peak(rig.guardian.positions()[0]) == 101
    assert "price.unconfirmed" not in rig.notices()


def test_another_jump_after_a_contradiction_is_held_and_checked_anew() -> None:
    rig = held_at(160)
    rig.after(10).trade(60)
    assert rig.closed() == []
    assert rig.counts() == {"bybit.last.held": 2, "bybit.last.contradicted": 1}
    assert len(rig.checks()) == 2
    rig.after(49).trade(60)
    assert rig.closed() == []
    rig.after(1).trade(60)
    assert len(rig.closed()) == 1


def test_another_jump_after_a_confirmation_is_held_and_checked_anew() -> None:
    rig = held_at(60)
    rig.after(50).trade(40)
    assert len(rig.closed()) == 1
    assert price_of(rig) == 60
    assert rig.counts() == {"bybit.last.held": 2, "bybit.last.confirmed": 1}
    assert len(rig.checks()) == 2
    rig.after(50).trade(40)
    assert price_of(rig) == 40


def test_a_price_too_soon_that_is_no_jump_itself_is_believed() -> None:
    rig = PriceRig()
    (key,) = rig.open_many(1, stop=lambda _: 80)
    rig.trade(60)
    rig.after(1).trade(79)  # 21 % below 100, and nearer to 60
    assert rig.closed() == [key]
    assert rig.counts() == {"bybit.last.held": 1}


@pytest.mark.parametrize("how", ["print", "mark", "time"])
def test_the_farthest_price_in_between_is_not_lost(how: str) -> None:
    rig = PriceRig()
    trails = rig.open("buy", trailing=percent("50"))
    rig.trade(160)
    for price in (150, 190, 170, 250):  # 250 is a jump even from 160
        rig.after(5).trade(price)
    if how == "print":
        rig.after(50).trade(165)
    elif how == "mark":
        rig.mark(165)
    else:
        rig.clock(2000)
    assert rig.peak(trails) == 190
    assert rig.closed() == []
    assert price_of(rig) == (165 if how == "print" else 190)


# Calm


def test_a_long_drift_is_never_held_and_hardly_looked_at() -> None:
    rig = PriceRig()
    rig.open_many(1, stop=lambda _: 10)
    channel, price, looks = rig.channel(LAST), 100.0, 0
    for step in range(10_000):
        price *= 1.001 if step % 4_000 < 2_000 else 0.999
        looks += not channel.floor < price < channel.ceil
        rig.after(1).trade(price)
    assert rig.counts() == {}
    assert price_of(rig) == pytest.approx(price, rel=1e-12)
    assert looks < 200


def test_a_calm_price_is_still_compared_with_the_price_before_it() -> None:
    rig = PriceRig()
    rig.open_many(1, stop=lambda _: 70)
    for price in (106.0, 95.0, 106.0):  # within a quarter of the bound
        rig.trade(price)
    rig.trade(79.4)  # 26 % below 106, 21 % below 100
    assert rig.counts() == {"bybit.last.held": 1}


def test_a_wide_bound_lets_no_jump_pass_unjudged() -> None:
    rig = PriceRig("300")
    rig.open_many(1, stop=lambda _: 10)
    rig.trade(26)
    rig.trade(174)  # 569 % above 26
    assert rig.counts() == {"bybit.last.held": 1}


def test_all_prices_are_looked_at_while_one_is_in_doubt_and_none_after_it() -> None:
    rig = held_at(60)
    assert rig.channel(MARK).floor > rig.channel(MARK).ceil
    rig.after(50).trade(100)
    channel = rig.channel(MARK)
    assert channel.floor < 100 < channel.ceil
