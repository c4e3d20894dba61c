"""Doubted prices: what other sources, REST and time say of them (bound 25 %)."""

import pytest

from engine.core.belief import PriceName
from tests.engine.core.price_rig import PriceRig, held_at, price_of
from tests.engine.core.rig import ETH_PERP

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
    assert rig.exits()[0].trigger_received_ns == 0  # no frame closed it
    channel = rig.channel(PriceName.LAST)
    assert channel.floor < 60 < channel.ceil  # and prices near it are quiet again
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
