from decimal import Decimal

import pytest

from engine.model.exits import AtPrice, Percent, Side
from engine.model.rules.ladder import Rung, closes_all, rung_price
from tests.engine.core.ladders import rungs
from tests.engine.core.rig import BTC_PERP

D = Decimal


@pytest.mark.parametrize(
    ("side", "at", "price"),
    [
        (Side.LONG, Percent(D("2.55")), "102.5"),
        (Side.SHORT, Percent(D("2.55")), "97.5"),
        (Side.LONG, AtPrice(D("103.07")), "103"),
        (Side.SHORT, AtPrice(D("97.03")), "97.1"),
        (Side.SHORT, Percent(D(100)), "0"),
    ],
)
def test_a_rung_is_rounded_like_a_take_profit(
    side: Side, at: Percent | AtPrice, price: str
) -> None:
    assert rung_price(Rung(at, D("0.5")), side, D(100), BTC_PERP) == D(price)


def test_only_fractions_that_sum_to_one_close_all() -> None:
    assert closes_all(rungs("1:0.333", "2:0.333", "3:0.334"))
    assert not closes_all(rungs("1:0.333", "2:0.333", "3:0.333"))
    assert not closes_all(())
