"""Which prices are believed: a jump is held until something else tells (bound 25 %)."""

import pytest

from engine.core.belief import PriceName
from engine.model.events import FeedLost, FeedResumed
from engine.model.exits import AtPrice
from tests.engine.core.price_rig import MS, PriceRig, percent
from tests.engine.core.rig import BTC_PERP, ETH_PERP, D

LAST, MARK, BID, ASK = PriceName


def price_of(rig: PriceRig) -> float:
    price = rig.guardian.price(BTC_PERP.id)
    assert price is not None
    return float(price)


def held_at(price: float, **exits: object) -> PriceRig:
    """A long from 100 with a stop at 70, all sources at 100, and then a trade at ``price``."""
    rig = PriceRig()
    rig.open("buy", stop_loss=AtPrice(D(70)), **exits)
    rig.quote(99, 101)
    rig.mark(100)
    rig.after(1000)
    rig.trade(price)
    return rig


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


# Other sources


@pytest.mark.parametrize(("mark", "outcome"), [(80, "confirmed"), (81, "contradicted")])
def test_the_mark_confirms_or_contradicts_at_once(mark: float, outcome: str) -> None:
    rig = held_at(60)
    rig.mark(mark)
    assert len(rig.closed()) == (outcome == "confirmed")
    assert rig.counts() == {"bybit.last.held": 1, f"bybit.last.{outcome}": 1}


@pytest.mark.parametrize(
    ("bid", "ask", "outcome"), [(79, 81, "confirmed"), (80, 82, "contradicted")]
)
def test_the_middle_of_the_touch_confirms_or_contradicts(
    bid: float, ask: float, outcome: str
) -> None:
    rig = held_at(60)
    rig.quote(bid, ask)
    assert len(rig.closed()) == (outcome == "confirmed")
    assert rig.counts() == {"bybit.last.held": 1, f"bybit.last.{outcome}": 1}


def test_the_touch_speaks_with_both_new_sides() -> None:
    rig = held_at(70)
    rig.quote(80, 82)  # with the old ask the middle would be 90.5
    assert rig.counts() == {"bybit.last.held": 1, "bybit.last.confirmed": 1}


@pytest.mark.parametrize(("bid", "ask"), [(50, 101), (99, 140)])
def test_a_touch_with_a_side_in_doubt_says_nothing(bid: float, ask: float) -> None:
    rig = held_at(60)
    rig.quote(bid, ask)
    assert "bybit.last.contradicted" not in rig.counts()
    rig.after(50).trade(60)
    assert len(rig.closed()) == 1


def test_a_touch_without_an_earlier_one_speaks_too() -> None:
    rig = PriceRig()
    (key,) = rig.open_many(1, stop=lambda _: 70)
    rig.trade(60)
    assert rig.closed() == []
    rig.quote(60, 61)
    assert rig.closed() == [key]


def test_sides_of_the_book_do_not_confirm_each_other() -> None:
    rig = held_at(100)
    rig.quote(60, 101)
    rig.quote(60, 99)
    assert rig.counts() == {"bybit.bid.held": 2}
    rig.trade(99)
    assert rig.counts() == {"bybit.bid.held": 2, "bybit.bid.contradicted": 1}


def test_a_side_is_confirmed_by_a_later_quote() -> None:
    rig = held_at(100)
    rig.quote(60, 101)
    rig.after(50).quote(60, 101)
    assert rig.counts() == {"bybit.bid.held": 1, "bybit.bid.confirmed": 1}


def test_a_source_that_was_there_before_confirms_and_does_not_contradict() -> None:
    rig = held_at(100)
    rig.mark(76)
    rig.after(50).mark(60)  # within the bound of 76
    rig.trade(60)
    assert len(rig.closed()) == 1
    assert rig.counts() == {"bybit.last.held": 1, "bybit.last.confirmed": 1}


def test_a_held_price_speaks_for_no_other() -> None:
    rig = held_at(60)
    rig.mark(60)
    assert rig.closed() == []
    assert rig.counts() == {"bybit.last.held": 1, "bybit.mark.held": 1}
    rig.after(50).trade(60)
    assert rig.counts()["bybit.mark.confirmed"] == 1


# REST


@pytest.mark.parametrize(
    ("prices", "outcome"),
    [
        ({"mark": 80.0}, "confirmed"),
        ({"mark": 81.0}, "contradicted"),
        ({"bid": 79.0, "ask": 81.0}, "confirmed"),
        ({"bid": 80.0, "ask": 82.0}, "contradicted"),
        ({"bid": 79.0}, None),
        ({"ask": 101.0}, None),
        ({"last": 80.0}, "confirmed"),
        ({"last": 100.0}, None),
        ({"last": 61.0, "mark": 100.0}, "contradicted"),
        ({"last": 60.0}, None),  # the very trade that is in doubt
        ({"last": 55.0}, None),  # another of the same moment
        ({"last": 60.0, "mark": 60.0}, "confirmed"),
        ({}, None),
    ],
)
def test_rest_confirms_and_contradicts(prices: dict[str, float], outcome: str | None) -> None:
    rig = held_at(60)
    rig.after(1).trade(55)
    rig.rest(**prices)
    assert len(rig.closed()) == (outcome == "confirmed")
    counts = {"bybit.last.held": 2} | ({f"bybit.last.{outcome}": 1} if outcome else {})
    assert rig.counts() == counts


def test_rest_judges_every_source_in_doubt() -> None:
    rig = held_at(60)
    rig.mark(60)
    rig.quote(60, 61)
    rig.rest(last=100.0, bid=99.0, ask=101.0, mark=100.0)
    names = ("last", "mark", "bid", "ask")
    assert {name: rig.counts()[f"bybit.{name}.contradicted"] for name in names} == dict.fromkeys(
        names, 1
    )
    assert rig.closed() == []


def test_an_answer_that_comes_late_changes_nothing() -> None:
    rig = held_at(60)
    rig.after(10).trade(100)
    assert rig.rest(last=60.5, mark=60.0) == ()
    assert rig.rest(ETH_PERP, last=60.5) == ()
    assert rig.closed() == []


# Time


def test_after_two_seconds_it_is_believed_and_the_owner_told() -> None:
    rig = held_at(60)
    rig.clock(1999)
    assert rig.closed() == []
    rig.clock(1)
    assert len(rig.closed()) == 1
    assert rig.notices().count("price.unconfirmed") == 1
    assert rig.counts() == {"bybit.last.held": 1, "bybit.last.unconfirmed": 1}
    rig.clock(5000)
    assert rig.notices().count("price.unconfirmed") == 1


def test_a_jump_after_belief_is_judged_again() -> None:
    rig = held_at(60)
    rig.clock(2000)
    rig.trade(40)
    assert price_of(rig) == 60
    assert len(rig.checks()) == 2
    rig.trade(60)
    assert rig.counts()["bybit.last.contradicted"] == 1


def test_only_the_hold_that_is_old_enough_is_believed() -> None:
    rig = held_at(60)
    rig.clock(1500)
    rig.mark(60)
    rig.clock(500)
    assert rig.counts() == {
        "bybit.last.held": 1,
        "bybit.mark.held": 1,
        "bybit.last.unconfirmed": 1,
    }
    rig.clock(1500)
    assert rig.counts()["bybit.mark.unconfirmed"] == 1


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


def test_all_prices_are_looked_at_while_one_is_in_doubt_and_none_after_it() -> None:
    rig = held_at(60)
    assert rig.channel(MARK).floor > rig.channel(MARK).ceil
    rig.after(50).trade(100)
    channel = rig.channel(MARK)
    assert channel.floor < 100 < channel.ceil
