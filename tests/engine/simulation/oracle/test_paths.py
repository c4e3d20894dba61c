from dataclasses import replace
from decimal import Decimal

import pytest

from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, ExitReason, Percent, Points
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.ticks import PriceSource
from engine.simulation.oracle.asked import Asked, written
from engine.simulation.oracle.paths import Path
from engine.simulation.oracle.prices import Track

D = Decimal

MS = 1_000_000
BTC = Instrument(
    InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    "BTC", "USDT", D("0.1"), D("0.001"), D("0.001"), D(5),
)  # fmt: skip
STOP = written(Exits(Disarmed(), Percent(D(5))), PriceSource.LAST)
TRAIL = replace(STOP, stop_loss=Disarmed(), distance=Percent(D(2)))


def reached(asked: Asked, *prices: float, sign: int = 1, every_ms: int = 100):
    """The price that closes, and when; None when none does."""
    path = Path(sign, BTC, D("0.0005"), asked, D(100))
    path.aim()
    at = [place * every_ms * MS for place in range(len(prices))]
    found = path.walk(Track(list(range(len(prices))), at, list(prices)), 0, len(prices))
    return None if found is None else (found[0] // MS, found[1], found[2])


def test_the_stop_is_reached_exactly():
    assert reached(STOP, 100.0, 95.1) is None
    assert reached(STOP, 100.0, 95.0) == (100, ExitReason.STOP_LOSS, 95.0)
    assert reached(STOP, 100.0, 105.0, sign=-1) == (100, ExitReason.STOP_LOSS, 105.0)


def test_a_target_is_reached_from_the_other_side():
    asked = replace(STOP, take_profit=AtPrice(D(90)))
    assert reached(asked, 100.0, 90.0, sign=-1) == (100, ExitReason.TAKE_PROFIT, 90.0)


@pytest.mark.parametrize(("sign", "prices"), [(1, (110.0, 107.8)), (-1, (90.0, 91.8))])
def test_a_trailing_stop_follows(sign: int, prices: tuple[float, float]):
    assert reached(TRAIL, *prices, sign=sign) == (100, ExitReason.TRAILING, prices[1])


def test_a_trailing_stop_waits_for_its_activation():
    asked = replace(TRAIL, activation=Percent(D(3)))
    assert reached(asked, 102.0, 90.0) is None
    assert reached(asked, 103.0, 100.9) == (100, ExitReason.TRAILING, 100.9)


def test_a_trailing_stop_with_a_step_moves_by_steps():
    asked = replace(TRAIL, step=Points(D(5)))
    assert reached(asked, 104.9, 98.1) is None
    assert reached(asked, 105.0, 102.9) == (100, ExitReason.TRAILING, 102.9)


def test_a_stop_that_was_moved_to_break_even_closes_there():
    asked = replace(STOP, even_at=Percent(D(2)))
    assert reached(asked, 101.9, 100.0) is None
    assert reached(asked, 102.0, 100.0) == (100, ExitReason.STOP_LOSS, 100.0)


def test_confirmation_takes_its_time_and_its_prices():
    timed, counted = replace(STOP, confirm_ms=150), replace(STOP, confirm_ticks=3)
    assert reached(timed, 95.0, 95.0) is None
    assert reached(timed, 95.0, 96.0, 95.0) is None
    assert reached(timed, 95.0, 94.0, 94.0) == (200, ExitReason.STOP_LOSS, 94.0)
    assert reached(timed, 95.0, 99.0, every_ms=600) is None
    assert reached(timed, 95.0, 99.0, every_ms=700) == (650, ExitReason.STOP_LOSS, 99.0)
    assert reached(counted, 95.0, 95.0, 95.1, 95.0) is None
    assert reached(counted, 95.0, 95.0, 95.0) == (200, ExitReason.STOP_LOSS, 95.0)


def test_untrue_prices_ask_for_nothing():
    path = Path(1, BTC, D(0), STOP, D(100))
    path.aim()
    assert path.walk(Track([0], [0], [90.0], {0}), 0, 1) is None
