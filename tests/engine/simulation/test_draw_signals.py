"""Signals of lifetimes and how they are delivered."""

from engine.model.instrument import Market
from engine.model.signal import Action
from engine.simulation.draw import ENTRY_VALUE
from engine.simulation.instruments import draw_instruments
from tests.engine.simulation.drawn import SEEDS, plans


def signals():
    return [signal for plan in plans() for signal in plan.signals]


def entries(plan):
    return [
        each
        for each in plan.signals
        if each.action is Action.BUY
        or (each.action is Action.SELL and each.instrument.id.market is Market.LINEAR)
    ]


def test_a_seed_has_several_entries_on_all_its_instruments():
    for plan in plans():
        assert 5 <= len(entries(plan)) <= 16
        assert {each.instrument for each in entries(plan)} <= {p.instrument for p in plan.paths}
    assert sum(len({e.instrument for e in entries(p)}) >= len(p.paths) - 1 for p in plans()) > 390


def test_signals_come_in_order_and_each_number_once():
    for plan in plans():
        firsts = [each.deliveries_ms[0] for each in plan.signals]
        assert firsts == sorted(firsts)
        assert firsts[0] > 0
        assert len({each.number for each in plan.signals}) == len(plan.signals)


def test_an_entry_is_asked_for_when_everything_is_healed():
    for plan in plans():
        late = [each for each in plan.signals if each.deliveries_ms[0] > plan.heal_ms]
        assert len(late) == min(3, len(plan.paths))
        assert all(each.action is not Action.CLOSE for each in late)
        assert all(len(each.deliveries_ms) == 2 and each.has_id for each in late)


def test_everything_else_is_delivered_before_faults_end():
    for plan in plans():
        for each in plan.signals:
            if each.deliveries_ms[0] <= plan.heal_ms:
                assert max(each.deliveries_ms) < plan.heal_ms


def test_most_signals_are_delivered_once_and_some_up_to_four_times():
    counts = [len(each.deliveries_ms) for each in signals()]
    assert set(counts) == {1, 2, 3, 4}
    assert counts.count(1) > len(counts) / 2


def test_some_signals_are_late_and_some_too_late():
    ages = [each.deliveries_ms[0] - each.sent_ms for each in signals() if each.sent_ms is not None]
    assert sum(55_000 < age < 60_000 for age in ages) > 30
    assert sum(age > 60_000 for age in ages) > 30
    assert all(age >= 0 for age in ages)


def test_some_signals_have_no_id_and_are_repeated_within_a_minute():
    nameless = [each for each in signals() if not each.has_id]
    repeated = [each for each in nameless if len(each.deliveries_ms) > 1]
    assert len(repeated) > 50
    for each in repeated:
        assert each.deliveries_ms[-1] - each.deliveries_ms[0] < 60_000


def test_some_closes_overtake_the_entry_that_was_sent_before_them():
    swapped = 0
    for plan in plans():
        timed = [each for each in plan.signals if each.sent_ms is not None]
        closes = [each for each in timed if each.action is Action.CLOSE]
        swapped += any(
            entry.instrument == close.instrument
            and entry.sent_ms < close.sent_ms
            and entry.deliveries_ms[0] > close.deliveries_ms[0]
            for close in closes
            for entry in timed
            if entry.action is not Action.CLOSE and close.sent_ms - entry.sent_ms == 1000
        )
    assert swapped > 60


def test_closes_are_whole_and_in_part_and_some_name_a_strategy():
    closes = [each for each in signals() if each.action is Action.CLOSE]
    assert {each.size is None for each in closes} == {True, False}
    assert {each.strategy for each in closes} == {None, "trend", "grid"}


def test_opposite_signals_follow_entries():
    turned = 0
    for plan in plans():
        sides = {}
        for each in entries(plan):
            turned += sides.get(each.instrument, each.action) is not each.action
            sides[each.instrument] = each.action
    assert turned > 200


def test_positions_on_sliced_instruments_outgrow_one_order():
    grown = []
    for plan in plans():
        for listed in draw_instruments(plan.seed, ENTRY_VALUE):
            mine = [e for e in entries(plan) if e.instrument == listed.instrument]
            if listed.is_sliced and mine:
                largest, sizes = listed.instrument.max_market_qty, [e.size.value for e in mine]
                assert max(sizes) <= largest
                assert plan.add_on_same
                grown.append(sum(sizes) / largest)
    assert len(grown) > SEEDS / 4
    assert sum(each > 2 for each in grown) > len(grown) / 2
    assert max(grown) > 5


def test_spot_is_never_sold_short_as_an_entry():
    spot = [s for s in signals() if s.instrument.id.market is Market.SPOT]
    assert all(each.exits.is_empty for each in spot if each.action is Action.SELL)
