"""A gap that comes to an end while a stop waits to be confirmed."""

from decimal import Decimal

from tests.engine.core.gap_rig import TRAIL, held

D = Decimal


def test_a_peak_of_a_gap_counts_while_the_trailing_stop_waits_for_its_confirmation():
    rig, position = held(**TRAIL, confirm_ms=1500)
    rig.lose()
    made = rig.at(110)
    rig.resume()
    rig.trade(89)
    rig.missed(made)
    rig.wait(1.2)
    assert rig.position(position).progress.peak == D(110)
    rig.trade(105)
    rig.trade(98)
    rig.wait(2)
    (order,) = rig.exits()
    assert order.reason == "trailing"
