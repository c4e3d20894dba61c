from decimal import Decimal

import pytest

from engine.model.exits import Distance, Percent, Points, Side
from engine.model.rules.trailing import length, step_price, trailing_stop
from tests.engine.core.rig import BTC_PERP

D = Decimal


@pytest.mark.parametrize(
    ("side", "peak", "distance", "stop"),
    [
        (Side.LONG, "110", Percent(D(2)), "107.8"),
        (Side.LONG, "103.33", Percent(D(2)), "101.3"),  # 101.2634, reached no later
        (Side.LONG, "110", Points(D("2.5")), "107.5"),
        (Side.SHORT, "90", Percent(D(2)), "91.8"),
        (Side.SHORT, "93.33", Percent(D(2)), "95.1"),  # 95.1966
        (Side.SHORT, "90", Points(D("2.55")), "92.5"),
    ],
)
def test_the_stop_lies_at_the_distance_from_the_peak(
    side: Side, peak: str, distance: Distance, stop: str
) -> None:
    assert trailing_stop(side, D(peak), distance, BTC_PERP) == D(stop)


@pytest.mark.parametrize(
    ("side", "peak", "step", "price"),
    [
        (Side.LONG, "100", Percent(D(1)), "101"),
        (Side.LONG, "100", Points(D("0.55")), "100.5"),
        (Side.LONG, "100", Points(D("0.01")), "100.1"),
        (Side.LONG, "100.05", Points(D("0.01")), "100.1"),
        (Side.SHORT, "100", Percent(D(1)), "99"),
        (Side.SHORT, "100", Points(D("0.55")), "99.5"),
        (Side.SHORT, "100", Points(D("0.01")), "99.9"),
        (Side.SHORT, "99.95", Points(D("0.01")), "99.9"),
    ],
)
def test_the_stop_moves_next_a_step_beyond_the_peak_and_at_least_a_tick(
    side: Side, peak: str, step: Distance, price: str
) -> None:
    assert step_price(side, D(peak), step, BTC_PERP) == D(price)


def test_a_percentage_is_of_the_peak() -> None:
    assert length(Percent(D(2)), D(150)) == D(3)
    assert length(Points(D(2)), D(150)) == D(2)
