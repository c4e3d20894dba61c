from decimal import Decimal

from engine.model.exits import AtPrice, Disarmed, Percent, Points
from engine.simulation.oracle import levels

D = Decimal

TICK = D("0.5")


def test_levels_are_reached_no_later_than_the_exact_ones():
    assert levels.profit(1, Percent(D("0.7")), D(100), TICK) == D("100.5")
    assert levels.profit(-1, Percent(D("0.7")), D(100), TICK) == D("99.5")
    assert levels.loss(1, Percent(D("0.7")), D(100), TICK) == D("99.5")
    assert levels.loss(-1, Percent(D("0.7")), D(100), TICK) == D("100.5")
    assert levels.loss(1, AtPrice(D("99.2")), D(100), TICK) == D("99.5")


def test_what_is_disarmed_or_below_zero_is_never_reached():
    assert levels.profit(1, Disarmed(), D(100), TICK) is None
    assert levels.loss(1, Disarmed(), D(100), TICK) is None
    assert levels.loss(1, Percent(D(100)), D(100), TICK) is None
    assert levels.profit(-1, Percent(D(100)), D(100), TICK) is None


def test_a_trailing_stop_lies_at_its_distance_from_the_peak():
    assert levels.trail(1, D(110), Percent(D(2)), TICK) == D("108.0")
    assert levels.trail(-1, D(90), Points(D("1.2")), TICK) == D("91.0")


def test_a_stop_with_a_step_moves_by_a_tick_at_least():
    assert levels.moves_at(1, D(110), Points(D("0.1")), TICK) == D("110.5")
    assert levels.moves_at(-1, D(110), Percent(D(1)), TICK) == D("109.0")


def test_break_even_earns_the_fees_of_both_ways():
    fee, tick = D("0.001"), D("0.0001")
    for sign, spot, level in (
        (1, False, "100.2003"),
        (1, True, "100.2004"),
        (-1, False, "99.8001"),
    ):
        assert levels.break_even(sign, D(100), None, fee, tick, spot=spot) == D(level)
    assert levels.break_even(1, D(100), D("0.5"), fee, TICK, spot=False) == D("100.5")
