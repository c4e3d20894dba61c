from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.exits import Side
from engine.model.rules.break_even import break_even_stop
from tests.engine.core.rig import BTC_PERP, BTC_SPOT

D = Decimal


@pytest.mark.parametrize(
    ("side", "offset", "stop"),
    [
        (Side.LONG, "0", "100"),
        (Side.LONG, "0.75", "100.8"),
        (Side.SHORT, "0", "100"),
        (Side.SHORT, "0.75", "99.2"),
    ],
)
def test_an_offset_is_of_the_entry_rounded_so_that_it_is_reached_no_later(
    side: Side, offset: str, stop: str
) -> None:
    assert break_even_stop(side, D(100), D(offset), D("0.001"), BTC_PERP) == D(stop)


@pytest.mark.parametrize("rate", ["0", "0.0002", "0.00055", "0.001", "0.01"])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("entry", ["0.5", "100", "61234.5", "99999.9"])
def test_without_an_offset_nothing_is_lost_after_the_fees_of_both_ways(
    side: Side, entry: str, rate: str
) -> None:
    price, fee = D(entry), D(rate)
    stop = break_even_stop(side, price, None, fee, BTC_PERP)
    net = side.sign * (stop - price) - fee * (stop + price)
    assert net >= 0
    # A tick nearer to the entry would lose, or is the entry itself.
    nearer = stop - side.sign * BTC_PERP.tick_size
    assert side.sign * (nearer - price) - fee * (nearer + price) < 0


@pytest.mark.parametrize("rate", ["0", "0.001", "0.01"])
def test_on_spot_it_covers_a_fee_that_was_kept_back_from_what_was_bought(rate: str) -> None:
    fine = replace(BTC_SPOT, tick_size=D("0.0000001"))
    price, fee = D(100), D(rate)
    stop = break_even_stop(Side.LONG, price, None, fee, fine)
    sold_for = (1 - fee) * stop * (1 - fee)  # of one unit ordered, (1 - fee) was received
    assert sold_for >= price
