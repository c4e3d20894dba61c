"""Instruments of lifetimes."""

from decimal import Decimal

from engine.model.instrument import Market
from engine.simulation.instruments import draw_instruments

D = Decimal
VALUE = D(100)
MANY = [draw_instruments(seed, VALUE) for seed in range(300)]


def test_a_seed_trades_two_to_four_different_instruments():
    assert {len(listed) for listed in MANY} == {2, 3, 4}
    for listed in MANY:
        assert len({each.instrument.id for each in listed}) == len(listed)


def test_both_venues_and_both_markets_are_traded():
    ids = [each.instrument.id for listed in MANY for each in listed]
    assert {(each.venue, each.market) for each in ids} == {
        (venue, market) for venue in ("bybit", "binance") for market in Market
    }


def test_a_third_of_the_seeds_has_an_instrument_whose_largest_order_is_about_an_entry():
    sliced = [[each for each in listed if each.is_sliced] for listed in MANY]
    assert 60 < sum(bool(each) for each in sliced) < 140
    for each in (each for found in sliced for each in found):
        largest = each.instrument.max_market_qty
        assert largest is not None
        assert each.instrument.min_qty <= largest
        assert largest * each.start <= max(2 * VALUE, each.instrument.min_qty * each.start)


def test_elsewhere_the_largest_order_is_far_away_or_unknown():
    others = [each for listed in MANY for each in listed if not each.is_sliced]
    limits = [each.instrument.max_market_qty for each in others]
    assert None in limits
    for each, limit in zip(others, limits, strict=True):
        assert limit is None or limit * each.start > 50 * VALUE


def test_an_entry_of_the_default_size_is_possible_everywhere():
    for each in (each for listed in MANY for each in listed):
        instrument = each.instrument
        qty = instrument.floor_qty(VALUE / each.start)
        assert qty >= instrument.min_qty
        assert qty * each.start >= instrument.min_notional


def test_first_prices_lie_on_the_tick():
    for each in (each for listed in MANY for each in listed):
        assert each.start % each.instrument.tick_size == 0


def test_the_same_seed_draws_the_same_instruments():
    assert draw_instruments(7, VALUE) == MANY[7]
