"""Prices of a gap and what they do to positions, through the guardian."""

from decimal import Decimal

import pytest

from engine.model.exits import AtPrice, Disarmed, Percent
from engine.model.rules.ladder import Rung
from engine.model.ticks import PriceSource
from tests.engine.core.gap_rig import MS, STOP, TRAIL, GapRig, crossed, held, short
from tests.engine.core.rig import BTC_PERP, ETH_PERP, SECOND

D = Decimal


# A crossing


def test_a_limit_crossed_in_a_gap_is_told_and_closes_nothing():
    rig, position = held(**STOP)
    rig.gap(99, 94.5, 93, 99)
    assert rig.exits() == []
    assert rig.told() == [
        {
            "position_id": position.id,
            "instrument": "bybit:linear:BTCUSDT",
            "reason": "stop_loss",
            "threshold": "95",
            "price": "94.5",
            "time_ms": (rig.now - 2 * SECOND) // MS,
        }
    ]
    assert rig.notices().count("position.limit_missed") == 1


def test_the_price_now_closes_whatever_was_missed():
    rig, _ = held(**STOP)
    rig.gap(94)
    rig.trade(94)
    (order,) = rig.exits()
    assert order.reason == "stop_loss"


def test_under_strict_it_closes_once_and_with_its_reason():
    rig, position = held(strict=True, **STOP)
    rig.gap(99, 94.5, 93, 99)
    (order,) = rig.exits()
    assert (order.reason, order.trigger_price) == ("stop_loss", D("94.5"))
    assert order.trigger_received_ns == 0
    assert rig.position(position).exit_reason == "stop_loss"
    rig.lose()
    rig.resume()
    rig.missed(rig.at(90))
    assert len(rig.exits()) == 1


@pytest.mark.parametrize(
    ("exits", "prices", "expected"),
    [
        ({"take_profit": AtPrice(D(110))}, (109, 110, 100), ("take_profit", "110", "110")),
        (STOP, (95, 100), ("stop_loss", "95", "95")),
        (TRAIL, (120, 109, 107, 119), ("trailing", "108", "107")),
        ({"break_even": Percent(D(5)), **STOP}, (105, 100), ("break_even", "100.2", "100")),
    ],
)
def test_each_rule_of_a_long_that_closes_is_compared(
    exits: dict[str, object], prices: tuple[float, ...], expected: tuple[str, str, str]
):
    rig, _ = held(**exits)
    rig.gap(*prices)
    assert crossed(rig) == [expected]


@pytest.mark.parametrize(
    ("exits", "prices", "expected"),
    [
        ({"take_profit": AtPrice(D(90))}, (91, 90, 100), ("take_profit", "90", "90")),
        (TRAIL, (80, 87, 88.5, 81), ("trailing", "88", "88.5")),
        ({"break_even": Percent(D(5))}, (95, 100), ("break_even", "99.8", "100")),
    ],
)
def test_each_rule_of_a_short_that_closes_is_compared(
    exits: dict[str, object], prices: tuple[float, ...], expected: tuple[str, str, str]
):
    rig, _ = short(**exits)
    rig.gap(*prices)
    assert crossed(rig) == [expected]


def test_positions_of_both_sides_and_of_all_sources_are_told_apart():
    rig = GapRig(gap_strict=True)
    rig.trade(100)
    rig.mark(100)
    fields = [("buy", "last", 95), ("buy", "mark", 95), ("sell", "last", 105)]
    for number, (action, source, stop) in enumerate(fields):
        instrument = BTC_PERP if action == "buy" else ETH_PERP
        rig.open(
            action,
            instrument=instrument,
            trigger=PriceSource(source),
            stop_loss=AtPrice(D(stop)),
            strategy=str(number),
        )
    rig.wait(1)
    rig.gap(94, 106)
    (order,) = rig.exits()
    assert (str(order.instrument.id), order.side) == ("bybit:linear:BTCUSDT", "sell")


def test_nothing_counts_after_a_crossing():
    rig, position = held(**STOP, **TRAIL, take_profit=AtPrice(D(150)))
    rig.gap(104, 92, 130, 150)
    assert crossed(rig) == [("stop_loss", "95", "92")]
    assert rig.peak(position) == 104


def test_two_limits_that_one_price_crossed_are_one_crossing():
    rig, _ = held(**STOP, **TRAIL)
    rig.gap(85)
    assert crossed(rig) == [("stop_loss", "95", "85")]


# What moves


def test_prices_of_a_gap_move_the_peak_of_a_trailing_stop():
    rig, position = held(**TRAIL)
    rig.gap(110, 105)
    assert rig.peak(position) == 110
    assert rig.position(position).progress.peak == D(110)
    rig.trade(99)
    assert [order.reason for order in rig.exits()] == ["trailing"]


def test_a_peak_that_is_worse_than_the_present_one_changes_nothing():
    rig, position = held(**TRAIL)
    rig.lose()
    made = rig.at(104)
    rig.resume()
    rig.trade(106)
    rig.missed(made)
    assert rig.peak(position) == 106


def test_the_peak_of_a_stop_that_was_crossed_is_that_before_the_crossing():
    rig, position = held(**TRAIL)
    rig.gap(120, 118, 107, 130)
    assert crossed(rig) == [("trailing", "108", "107")]
    assert rig.peak(position) == 120


def test_prices_after_a_gap_are_not_held_against_those_in_it():
    rig, position = held(strict=True, **TRAIL)
    rig.lose()
    made = rig.at(105)
    rig.resume()
    rig.trade(118)
    rig.wait(1)
    rig.missed(made)
    assert rig.told() == []
    assert rig.peak(position) == 118


def test_prices_that_were_seen_before_the_gap_are_not_held_against_a_later_peak():
    rig, _ = held(strict=True, **TRAIL)
    seen = rig.at(105)
    rig.wait(1)
    rig.trade(118)
    rig.lose()
    rig.wait(1)
    rig.resume()
    rig.missed(seen)
    assert rig.told() == []


def test_a_trailing_stop_is_set_going_in_a_gap():
    rig, position = held(**TRAIL, trailing_activation=AtPrice(D(110)))
    rig.gap(112, 115)
    assert rig.peak(position) == 115
    assert rig.logged().count("position.trailing_activated") == 1


def test_it_is_set_going_and_crossed_in_one_gap():
    rig, position = held(**TRAIL, trailing_activation=AtPrice(D(110)))
    rig.gap(100, 112, 115, 103, 130)
    assert crossed(rig) == [("trailing", "103.5", "103")]
    assert rig.peak(position) == 115


def test_a_trailing_stop_that_nothing_set_going_stays_as_it_is():
    rig, position = held(**TRAIL, trailing_activation=AtPrice(D(110)))
    rig.gap(105)
    assert rig.position(position).progress.peak is None


def test_a_stop_is_moved_to_break_even_in_a_gap():
    rig, position = held(**STOP, break_even=Percent(D(5)))
    rig.gap(106, 104)
    moved = rig.position(position)
    assert moved.progress.at_break_even
    assert moved.stop_loss == D("100.2")
    rig.trade(100)
    assert [order.reason for order in rig.exits()] == ["break_even"]


def test_a_stop_that_moved_after_the_gap_is_not_held_against_it():
    rig, position = held(strict=True, **STOP, break_even=Percent(D(5)))
    rig.lose()
    made = rig.at(99)
    rig.resume()
    rig.trade(106)
    rig.missed(made)
    assert rig.position(position).progress.at_break_even
    assert rig.exits() == []


def test_a_stop_that_protects_more_than_break_even_stays():
    rig, position = held(stop_loss=AtPrice(D(95)), break_even=Percent(D(5)))
    rig.amend(position, stop_loss=Disarmed(), trailing=Percent(D(2)))
    rig.wait(1)
    rig.amend(position, stop_loss=AtPrice(D(99)), break_even_offset=D(-3))
    rig.wait(1)
    rig.gap(106)
    assert rig.position(position).stop_loss == D(99)


def test_rungs_are_never_closed_by_what_was_missed():
    rungs = (Rung(AtPrice(D(104)), D("0.5")), Rung(AtPrice(D(108)), D("0.5")))
    rig, position = held(strict=True, ladder=rungs, take_profit=Disarmed())
    rig.gap(109)
    assert rig.exits() == []
    assert rig.told() == []
    assert rig.position(position).progress.rungs_done == 0


# From when on


def test_prices_from_before_the_position_do_not_count():
    rig = GapRig()
    before = rig.at(90)
    rig.open("buy", **STOP)
    rig.lose()
    rig.resume()
    rig.missed(before)
    assert rig.told() == []


def test_a_price_of_the_very_moment_of_its_fill_does_not_count():
    rig = GapRig()
    same = rig.at(90)
    rig.open("buy", **STOP)
    rig.lose()
    rig.resume()
    rig.missed(same)
    assert rig.told() == []


def test_a_bar_that_began_before_the_position_does_not_count():
    rig = GapRig()
    bar = rig.at(90, 101)
    rig.now -= 30 * SECOND
    rig.open("buy", **STOP)
    rig.lose()
    rig.resume()
    rig.missed(bar)
    assert rig.told() == []


def test_of_a_bar_the_adverse_extreme_comes_first():
    rig, _ = held(**STOP, take_profit=AtPrice(D(110)))
    rig.lose()
    bar = rig.at(94, 111)
    rig.resume()
    rig.missed(bar)
    assert crossed(rig) == [("stop_loss", "95", "94")]
    assert rig.told()[0]["time_ms"] == bar.from_ms
    other, _ = short(take_profit=AtPrice(D(90)), trailing=Percent(D(5)))
    other.lose()
    bar = other.at(89, 106)
    other.resume()
    other.missed(bar)
    assert crossed(other) == [("trailing", "105", "106")]


def test_an_amendment_in_the_gap_begins_the_rules_anew():
    rig, position = held()
    rig.lose()
    early = rig.at(94.5)
    assert rig.position(position).progress.armed_ns < early.from_ms * MS
    rig.amend(position, stop_loss=AtPrice(D(95)))
    late = rig.at(94)
    rig.resume()
    rig.missed(early, late)
    assert crossed(rig) == [("stop_loss", "95", "94")]


def test_a_trailing_stop_that_was_asked_for_in_the_gap_follows_from_the_price_then():
    rig, position = held()
    rig.trade(90)
    rig.lose()
    rig.wait(1)
    rig.amend(position, **TRAIL)
    made = rig.at(88)
    rig.resume()
    rig.missed(made)
    assert rig.told() == []
    assert rig.peak(position) == 90


def test_an_entry_that_is_filled_in_the_gap_begins_from_its_price():
    rig = GapRig()
    rig.signal("buy", **TRAIL)
    rig.trade(100)
    (entry,) = rig.submitted()
    rig.lose()
    early = rig.at(50)
    rig.filled(entry, "100")
    made = [rig.at(price) for price in (110, 98)]
    rig.resume()
    rig.missed(early, *made)
    assert crossed(rig) == [("trailing", "99", "98")]
    assert rig.peak(entry.position_id) == 110


def test_a_position_that_was_amended_after_the_gap_is_not_held_to_it():
    rig, position = held()
    rig.lose()
    made = rig.at(94)
    rig.resume()
    rig.wait(1)
    rig.amend(position, stop_loss=AtPrice(D(95)))
    rig.missed(made)
    assert rig.told() == []


# Doubt and confirmation


def test_a_wick_far_beyond_the_others_is_not_believed():
    rig, position = held(stop_loss=AtPrice(D(70)), **TRAIL)
    rig.gap(100, 60, 100, 180, 100)
    assert rig.told() == []
    assert rig.peak(position) == 100


def test_a_fall_that_later_prices_confirm_is_believed_from_its_first():
    rig, _ = held(stop_loss=AtPrice(D(70)))
    rig.gap(100, 60, 61)
    ((reason, _, price),) = crossed(rig)
    assert (reason, price) == ("stop_loss", "60")
    assert rig.told()[0]["time_ms"] == (rig.now - SECOND) // MS


@pytest.mark.parametrize(("now", "believed"), [(61, True), (100, False)])
def test_the_price_now_speaks_for_or_against_the_last_that_was_missed(now: float, believed: bool):
    rig, _ = held(stop_loss=AtPrice(D(50)))
    rig.amend(rig.guardian.positions()[0], stop_loss=AtPrice(D(70)))
    rig.wait(1)
    rig.lose()
    made = [rig.at(price) for price in (100, 60)]
    rig.view.book.last.price = now
    rig.resume()
    rig.missed(*made)
    assert bool(rig.told()) is believed


def test_a_confirmed_stop_is_crossed_when_the_missed_prices_stay_beyond_it():
    rig, _ = held(**STOP, confirm_ms=1500)
    rig.gap(94, 96, 94, 94, 94)
    (data,) = rig.told()
    assert data["reason"] == "stop_loss"
    rig, _ = held(**STOP, confirm_ms=2500)
    rig.gap(94, 94, 96, 94)
    assert rig.told() == []


def test_a_stop_that_was_beyond_for_its_time_is_crossed_though_the_next_price_is_back():
    rig, _ = held(**STOP, confirm_ms=900)
    rig.gap(94, 99)
    assert crossed(rig) == [("stop_loss", "95", "94")]


def test_a_stop_that_counts_prices_counts_the_missed_ones():
    rig, _ = held(**STOP, confirm_ticks=3)
    rig.gap(94, 94, 96, 93, 93, 92)
    assert crossed(rig) == [("stop_loss", "95", "92")]


def test_a_trailing_stop_that_is_confirmed_keeps_the_peak_it_had():
    rig, position = held(**TRAIL, confirm_ticks=2)
    rig.gap(120, 107, 109, 107, 106, 130)
    assert crossed(rig) == [("trailing", "108", "106")]
    assert rig.peak(position) == 120
