"""A price that closes many positions is acted upon in slices; other events come in between."""

from collections import Counter

import pytest

from engine.core.belief import PriceName
from engine.core.market_view import Arrival
from engine.core.prices import MAX_LATER, SLICE, conflated
from engine.model.effects import Continue
from engine.model.events import CloseRequested, ExitsAmended, FeedLost, FeedResumed
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice
from engine.model.ticks import PriceSource
from tests.engine.core.price_rig import PriceRig, percent
from tests.engine.core.rig import BTC_PERP, ETH_PERP, D

LAST, MARK, BID, ASK = PriceName
MANY = 500


def amend(rig: PriceRig, key: str, **changes: object) -> None:
    rig.handle(ExitsAmended(key, ExitChanges(**changes), "owner", rig.now))  # type: ignore[arg-type]


# Slices


def test_all_positions_are_closed_once_the_worst_off_first_then_the_oldest() -> None:
    rig = PriceRig()
    keys = rig.open_many(MANY, stop=lambda number: 95 - number % 5)
    rig.trade(85)
    assert len(rig.closed()) == SLICE
    assert rig.finish() == -(-MANY // SLICE) - 1
    assert rig.closed() == sorted(keys, key=lambda key: (keys.index(key) % 5, keys.index(key)))
    assert not rig.view.later


def test_exactly_one_slice_needs_no_other_turn() -> None:
    rig = PriceRig()
    rig.open_many(SLICE)
    rig.trade(85)
    assert len(rig.closed()) == SLICE
    assert rig.turns_asked() == 0
    assert rig.go_on() == ()  # a turn that nobody needs


def test_a_turn_closes_no_more_than_a_slice_and_asks_for_one_more_turn() -> None:
    rig = PriceRig()
    rig.open_many(MANY, stop=lambda number: 95 - number / 10)
    rig.trade(90)
    rig.clock(100)
    for price in (80, 70, 60):
        rig.trade(price)
    turns = 1
    while rig.wants_a_turn:
        assert rig.turns_asked() == turns
        before = len(rig.closed())
        effects = rig.go_on()
        assert len(rig.closed()) - before <= SLICE
        turns += sum(isinstance(effect, Continue) for effect in effects)
    assert len(rig.closed()) == len(set(rig.closed())) > 300


def test_other_instruments_are_acted_upon_between_slices() -> None:
    rig = PriceRig()
    keys = rig.open_many(MANY)
    (other,) = rig.open_many(1, ETH_PERP)
    rig.trade(85)
    rig.trade(85, ETH_PERP)
    assert rig.closed()[-1] == other
    rig.finish()
    assert sorted(rig.closed()) == sorted([*keys, other])


def test_busy_instruments_take_turns() -> None:
    rig = PriceRig()
    rig.open_many(100)
    rig.open_many(100, ETH_PERP)
    rig.trade(85)
    rig.trade(85, ETH_PERP)
    assert rig.turns_asked() == 1
    rig.finish()
    symbols = [order.instrument.id.symbol for order in rig.exits()]
    slices = [Counter(symbols[at : at + SLICE]) for at in range(0, 4 * SLICE, SLICE)]
    assert slices == [{"BTCUSDT": SLICE}, {"ETHUSDT": SLICE}] * 2
    assert Counter(symbols) == {"BTCUSDT": 100, "ETHUSDT": 100}


def test_two_sides_of_a_quote_are_one_slice_a_turn() -> None:
    rig = PriceRig()
    rig.open_many(100, trigger=PriceSource.BOOK)
    rig.open_many(100, trigger=PriceSource.MARK)
    rig.mark(100)
    rig.quote(99, 101)
    rig.quote(85, 86)
    rig.mark(85)  # waits
    assert len(rig.closed()) == SLICE
    turns = rig.finish()
    assert len(set(rig.closed())) == 200
    assert turns >= 200 // SLICE


def test_a_recovery_in_between_changes_nothing() -> None:
    rig = PriceRig()
    keys = rig.open_many(MANY)
    rig.trade(94)
    rig.trade(100)
    rig.finish()
    assert rig.closed() == keys
    assert rig.guardian.price(BTC_PERP.id) == 100


def test_a_position_that_its_owner_closes_in_between_is_closed_once() -> None:
    rig = PriceRig()
    keys = rig.open_many(MANY)
    rig.trade(85)
    for key in (keys[0], keys[-1]):
        rig.handle(CloseRequested(key, "owner", rig.now))
    rig.finish()
    assert sorted(rig.closed()) == sorted(keys)
    assert [order.actor for order in rig.exits() if order.position_id == keys[-1]] == ["owner"]


def test_a_position_opened_in_between_is_not_closed_by_the_price_before_it() -> None:
    rig = PriceRig()
    rig.quote(99, 101)
    keys = rig.open_many(100)
    rig.quote(99, 101)
    rig.trade(94)
    rig.signal("buy", strategy="late", stop_loss=AtPrice(D(95)))
    entry = rig.submitted()[-1]
    rig.filled(entry, "101")
    rig.finish()
    assert sorted(rig.closed()) == sorted(keys)
    rig.trade(95)
    assert rig.closed()[-1] == entry.position_id


def test_a_stop_amended_away_in_between_was_reached_all_the_same() -> None:
    rig = PriceRig()
    keys = rig.open_many(100)
    rig.trade(94)
    amend(rig, keys[-1], stop_loss=AtPrice(D(80)))
    rig.finish()
    assert sorted(rig.closed()) == sorted(keys)


def test_a_position_whose_instrument_is_left_in_between_leaves_nothing_behind() -> None:
    rig = PriceRig()
    keys = rig.open_many(100)
    rig.trade(94)
    for key in keys:
        rig.handle(CloseRequested(key, "owner", rig.now))
    for order in rig.exits():
        rig.filled(order, "94")
    assert rig.guardian.positions() == []
    assert BTC_PERP.id not in rig.guardian._state.markets
    (other,) = rig.open_many(1, ETH_PERP)
    rig.trade(85, ETH_PERP)
    rig.finish()
    assert rig.closed() == [*keys, other]


def test_turns_go_on_for_others_when_an_instrument_is_left() -> None:
    rig = PriceRig()
    keys = rig.open_many(50)
    others = rig.open_many(100, ETH_PERP)
    rig.trade(85)
    rig.trade(85, ETH_PERP)
    for key in keys:
        rig.handle(CloseRequested(key, "owner", rig.now))
    for order in [o for o in rig.exits() if o.instrument == BTC_PERP]:
        rig.filled(order, "85")
    rig.finish()
    assert Counter(rig.closed()) == Counter([*keys, *others])


def test_an_instrument_watched_anew_before_its_turn_starts_afresh() -> None:
    rig = PriceRig()
    keys = rig.open_many(50)
    rig.trade(85)
    for key in keys:
        rig.handle(CloseRequested(key, "owner", rig.now))
    for order in rig.exits():
        rig.filled(order, "85")
    signal = rig.signal("buy", strategy="again", stop_loss=percent("5"))
    rig.trade(300)
    assert signal.id in rig.guardian._state.waiting
    rig.finish()
    assert rig.guardian.price(BTC_PERP.id) == 300
    assert rig.submitted()[-1].signal_id == signal.id


# Later prices


def test_later_prices_are_taken_in_order_with_their_peaks() -> None:
    rig = PriceRig("50")
    rig.open_many(100)
    trails = rig.open("buy", strategy="trails", trailing=percent("10"))
    rig.trade(94)
    rig.trade(120)  # a peak, with its stop at 108
    rig.trade(107)
    assert trails.id not in rig.closed()
    rig.finish()
    assert rig.closed()[-1] == trails.id
    assert rig.exits()[-1].reason == "trailing"


def test_a_quiet_price_of_another_source_waits_behind_those_before_it() -> None:
    rig = PriceRig("50")
    rig.mark(100)
    rig.open_many(100)
    rig.mark(100)
    trails = rig.open("buy", strategy="trails", trailing=percent("10"), trigger=PriceSource.MARK)
    rig.mark(100)
    rig.trade(94)
    rig.mark(115)  # a peak, with its stop at 103.5
    rig.mark(99)  # quiet, were it not for that peak
    rig.finish()
    assert rig.exits()[-1].position_id == trails.id
    assert rig.view.mark == 99


def test_prices_that_waited_close_a_slice_a_turn_too() -> None:
    rig = PriceRig("50")
    keys = rig.open_many(200, stop=lambda number: 99 - number / 10)
    rig.trade(100 - 4.5)
    for step in range(8):
        rig.trade(94 - 2.2 * step)
    while rig.wants_a_turn:
        before = len(rig.closed())
        rig.go_on()
        assert len(rig.closed()) - before <= SLICE
    assert rig.closed() == keys


def test_when_many_wait_the_extremes_and_the_last_are_kept() -> None:
    rig = PriceRig("90")
    rig.open_many(100)
    trails = rig.open("buy", strategy="trails", trailing=percent("50"))
    (deep,) = rig.open_many(1, stop=lambda _: 71)
    rig.trade(94)
    for step in range(3 * MAX_LATER):
        rig.trade(94 + step % 7)
        if step == 100:
            rig.trade(130)
        if step == 200:
            rig.trade(70.5)
    assert len(rig.view.later) <= MAX_LATER
    rig.finish()
    assert rig.peak(trails) == 130
    assert deep in rig.closed()
    assert rig.guardian.price(BTC_PERP.id) == 94 + (3 * MAX_LATER - 1) % 7


def test_conflation_keeps_order_and_both_sides_of_a_quote() -> None:
    later = [Arrival(ASK, 7.0, 0, 0)]  # its bid was taken already
    for number, (bid, ask) in enumerate([(5, 9), (6, 8), (4, 10), (5, 7), (5, 8)]):
        later += [Arrival(BID, bid, number, 0), Arrival(ASK, ask, number, 0)]
        later += [Arrival(LAST, 50.0 + number % 3, number, 0)]
    kept = conflated(later)
    assert list(kept) == [arrival for arrival in later if arrival in kept]
    sides = [(a.name, a.time_ms) for a in list(kept)[1:] if a.name is not LAST]
    assert sides[::2] == [(BID, number) for _, number in sides[::2]]
    assert sides[1::2] == [(ASK, number) for _, number in sides[::2]]
    assert [a.price for a in kept if a.name is LAST] == [50, 52, 51]
    assert {a.price for a in kept if a.name is BID} == {5, 6, 4}
    assert {a.price for a in kept if a.name is ASK} >= {7, 10, 8}


# Entries


@pytest.mark.parametrize("others", [0, 100])
def test_an_entry_that_waits_for_prices_enters_though_the_instrument_is_busy(others: int) -> None:
    rig = PriceRig()
    rig.open_many(others + 1)
    rig.handle(FeedLost((BTC_PERP.id,), "silence", rig.now))
    signal = rig.signal("buy", strategy="waits")
    rig.trade(94)
    assert signal.id in rig.guardian._state.waiting
    rig.handle(FeedResumed((BTC_PERP.id,), rig.now))
    rig.trade(93)
    rig.finish()
    assert signal.id in [order.signal_id for order in rig.submitted()]
