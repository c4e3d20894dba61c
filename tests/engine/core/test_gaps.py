from decimal import Decimal

import pytest

from engine.core.gaps import ANSWER_NS
from engine.model.effects import CheckPrices
from engine.model.events import ClockAdvanced, FeedLost, FeedResumed
from engine.model.exits import AtPrice, Percent
from engine.model.ticks import PriceSource
from tests.engine.core.gap_rig import MS, STOP, TRAIL, GapRig, crossed, held, restarted
from tests.engine.core.rig import BTC_SPOT, ETH_PERP, SECOND

D = Decimal


# What is asked for


def test_when_prices_arrive_again_the_venue_is_asked_what_was_missed():
    rig, _ = held()
    rig.lose()
    lost_ms = rig.now // MS
    rig.wait(30)
    assert rig.fetched() == []
    rig.resume()
    assert rig.fetched() == [("last", lost_ms - 15_000)]


def test_it_is_asked_once_a_gap():
    rig, _ = held()
    rig.lose()
    rig.resume()
    rig.resume()
    assert len(rig.fetched()) == 1
    rig.missed()
    rig.resume()
    assert len(rig.fetched()) == 1
    assert rig.open_gap is None


def test_the_silence_that_an_adapter_waits_for_belongs_to_the_gap():
    rig = GapRig(stale_feed_ns=60 * SECOND)
    rig.open("buy")
    rig.lose()
    rig.resume()
    assert rig.fetched() == [("last", rig.now // MS - 65_000)]


def test_each_source_that_guards_a_position_is_asked_for():
    rig = GapRig()
    for source in ("mark", "last", "book", "last"):
        rig.open("buy", trigger=PriceSource(source), strategy=source + str(len(rig.effects)))
    rig.lose()
    rig.resume()
    assert [source for source, _ in rig.fetched()] == ["last", "mark"]


def test_the_gap_is_over_when_all_sources_are_answered():
    rig = GapRig()
    rig.open("buy", trigger=PriceSource.MARK, strategy="a")
    rig.open("buy", trigger=PriceSource.LAST, strategy="b")
    rig.lose()
    rig.resume()
    rig.missed(source=PriceSource.LAST)
    assert rig.open_gap is not None
    rig.missed(source=PriceSource.MARK)
    assert rig.open_gap is None


def test_of_a_book_nothing_can_be_had():
    rig = GapRig()
    rig.open("buy", trigger=PriceSource.BOOK)
    rig.lose()
    rig.resume()
    assert rig.fetched() == []
    assert rig.open_gap is None


def test_nothing_is_asked_for_a_position_that_is_being_closed():
    rig, position = held()
    rig.lose()
    rig.close(position)
    rig.resume()
    assert rig.fetched() == []


def test_feeds_of_instruments_that_nobody_watches_are_nothing_to_it():
    rig, _ = held()
    rig.handle(FeedLost((ETH_PERP.id,), "silent", rig.now))
    rig.handle(FeedResumed((ETH_PERP.id,), rig.now))
    rig.missed(instrument=ETH_PERP)
    assert rig.fetched() == []
    assert "gap.checked" not in rig.logged()


def test_prices_that_come_for_the_first_time_are_no_gap():
    rig, _ = held()
    rig.resume()
    assert rig.fetched() == []


def test_an_answer_that_nobody_asked_for_changes_nothing():
    rig, _ = held(**STOP)
    rig.missed(rig.at(90))
    assert rig.told() == []


def test_a_second_loss_before_the_answer_makes_one_gap_of_both():
    rig, _ = held()
    rig.lose()
    rig.wait(1)
    rig.resume()
    rig.wait(5)
    rig.lose()
    rig.wait(1)
    rig.resume()
    first, second = rig.fetched()
    assert first == second


def test_an_answer_to_the_first_of_two_gaps_does_not_end_the_second():
    rig, _ = held(**STOP)
    rig.lose()
    rig.resume()
    rig.lose()
    rig.missed(rig.at(94))
    rig.missed(rig.at(93))
    rig.resume()
    rig.missed(rig.at(92))
    assert crossed(rig) == [("stop_loss", "95", "94")]
    assert rig.open_gap is None


def test_a_loss_long_after_an_answer_that_never_came_is_a_gap_of_its_own():
    rig, _ = held()
    rig.lose()
    rig.resume()
    rig.wait(ANSWER_NS / SECOND)
    rig.lose()
    rig.resume()
    (_, first), (_, second) = rig.fetched()
    assert second - first == ANSWER_NS // MS


def test_a_loss_that_is_told_twice_began_with_the_first():
    rig, _ = held()
    rig.lose()
    lost_ms = rig.now // MS
    rig.wait(60)
    rig.lose()
    rig.resume()
    assert rig.fetched() == [("last", lost_ms - 15_000)]


# After a start


def test_the_time_the_process_was_down_is_a_gap():
    old, position = held(**STOP)
    rig = restarted(old, position)
    rig.resume()
    assert rig.fetched() == [("last", position.progress.armed_ns // MS)]
    rig.missed(old.at(94), old.at(100))
    assert crossed(rig) == [("stop_loss", "95", "94")]


def test_it_is_asked_back_to_when_the_position_last_moved():
    old, position = held(**TRAIL)
    old.wait(30)
    old.trade(120)
    old.wait(1)
    rig = restarted(old, position)
    rig.resume()
    assert rig.fetched() == [("last", old.now // MS)]
    assert old.position(position).progress.armed_ns < old.now


def test_after_a_start_it_is_asked_no_farther_back_than_a_day():
    old, position = held()
    rig = restarted(old, position, 10 * 86_400)
    rig.resume()
    assert rig.fetched() == [("last", rig.now // MS - 86_400_000)]


def test_a_feed_that_is_told_lost_before_its_first_price_began_to_be_missed_with_the_start():
    old, position = held()
    rig = restarted(old, position)
    rig.lose()
    rig.wait(100)
    rig.resume()
    assert rig.fetched() == [("last", position.progress.armed_ns // MS)]


def test_under_strict_a_close_waits_until_the_orders_are_accounted_for():
    old, position = held(strict=True, **STOP)
    rig = restarted(old, position)
    rig.resume()
    rig.missed(rig.at(94), rig.at(100))
    assert rig.exits() == []
    for order in list(rig.guardian._state.resolving[position.id].asked):
        rig.absent(order)
    (order,) = rig.exits()
    assert (order.reason, order.trigger_price) == ("stop_loss", D(94))


def test_what_is_in_doubt_with_no_price_to_ask_is_not_believed():
    old, position = held(stop_loss=AtPrice(D(70)))
    rig = restarted(old, position)
    rig.resume()
    rig.missed(rig.at(100), rig.at(60))
    assert rig.told() == []


@pytest.mark.parametrize(
    ("exits", "seen"),
    [
        ({**STOP, "break_even": Percent(D(5))}, 99),
        ({**TRAIL, "trailing_activation": AtPrice(D(106))}, 95),
    ],
)
def test_what_was_seen_before_a_stop_moved_or_began_is_not_held_against_it(
    exits: dict[str, object], seen: float
):
    rig, _ = held(strict=True, **exits)
    before = rig.at(seen)
    rig.trade(seen)
    rig.wait(1)
    rig.trade(106)
    rig.wait(1)
    rig.lose()
    rig.resume()
    rig.missed(before)
    assert rig.told() == []


# What cannot be known


def test_what_the_venue_does_not_remember_is_told_once_a_gap():
    rig = GapRig()
    rig.open("buy", trigger=PriceSource.MARK, strategy="a")
    rig.open("buy", trigger=PriceSource.LAST, strategy="b")
    rig.lose()
    rig.resume()
    rig.missed(source=PriceSource.LAST, complete=False)
    rig.missed(source=PriceSource.MARK, complete=False)
    assert rig.notices().count("gap.incomplete") == 1
    assert rig.logged().count("gap.incomplete") == 1
    assert rig.logged().count("gap.checked") == 2


# While no prices arrive


def checks(rig: GapRig) -> int:
    return len([e for e in rig.effects if isinstance(e, CheckPrices)])


def test_while_no_prices_arrive_the_venue_is_asked_each_second():
    rig, _ = held()
    rig.wait(5)
    assert checks(rig) == 0
    rig.lose()
    for _ in range(12):
        rig.clock(250)
    assert checks(rig) == 3
    rig.resume()
    rig.wait(5)
    assert checks(rig) == 3


def test_nobody_is_asked_about_instruments_without_positions():
    rig = GapRig()
    rig.signal("buy", BTC_SPOT)
    rig.lose(BTC_SPOT)
    rig.wait(1)
    assert checks(rig) == 0


def test_each_instrument_without_prices_is_asked_about():
    rig, _ = held()
    rig.open("buy", instrument=ETH_PERP)
    rig.lose()
    rig.lose(ETH_PERP)
    rig.handle(ClockAdvanced(rig.now, rig.monotonic_ns))
    assert rig.checks() == ["bybit:linear:BTCUSDT", "bybit:linear:ETHUSDT"]
