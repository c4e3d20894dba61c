"""Thresholds trigger no later than the exact value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.model.exits import (
    AtPrice,
    Disarmed,
    ExitReason,
    Percent,
    Side,
    threshold,
    triggers_on_rise,
)
from tests.engine.core.rig import BTC_PERP

D = Decimal
ENTRY = st.decimals("1", "100000", allow_nan=False, places=7)
PERCENT = st.decimals("0.01", "99", allow_nan=False, places=2)
REASON = st.sampled_from([ExitReason.TAKE_PROFIT, ExitReason.STOP_LOSS])
TICK = st.sampled_from([D("0.01"), D("0.05"), D("0.1"), D("0.5")])


def exact_price(entry: Decimal, percent: Decimal, *, rises: bool) -> Decimal:
    return entry + (1 if rises else -1) * entry * percent / 100


@given(ENTRY, PERCENT, st.sampled_from(Side), REASON, TICK)
def test_a_threshold_is_reached_no_later_than_the_exact_value(
    entry: Decimal, percent: Decimal, side: Side, reason: ExitReason, tick: Decimal
) -> None:
    instrument = replace(BTC_PERP, tick_size=tick)
    rises = triggers_on_rise(side, reason)
    wanted = exact_price(entry, percent, rises=rises)
    found = threshold(Percent(percent), side, reason, entry, instrument)
    assert found is not None
    assert found % tick == 0
    assert wanted - tick < found <= wanted if rises else wanted <= found < wanted + tick


@given(ENTRY, st.sampled_from(Side), REASON)
def test_an_absolute_limit_on_the_grid_is_what_was_asked_for(
    price: Decimal, side: Side, reason: ExitReason
) -> None:
    on_grid = BTC_PERP.floor_price(price)
    assert threshold(AtPrice(on_grid), side, reason, D(7), BTC_PERP) == on_grid


@pytest.mark.parametrize(
    ("side", "reason", "rises"),
    [
        (Side.LONG, ExitReason.TAKE_PROFIT, True),
        (Side.LONG, ExitReason.STOP_LOSS, False),
        (Side.SHORT, ExitReason.TAKE_PROFIT, False),
        (Side.SHORT, ExitReason.STOP_LOSS, True),
    ],
)
def test_what_rises_to_its_limit_and_what_falls(
    side: Side, reason: ExitReason, rises: bool
) -> None:
    assert triggers_on_rise(side, reason) is rises


def test_what_is_disarmed_or_never_reached_has_no_threshold() -> None:
    stop = ExitReason.STOP_LOSS
    assert threshold(Disarmed(), Side.LONG, stop, D(100), BTC_PERP) is None
    assert threshold(Percent(D(100)), Side.LONG, stop, D(100), BTC_PERP) is None
    assert threshold(Percent(D(100)), Side.SHORT, stop, D(100), BTC_PERP) == 200


def test_a_sides_opposite_loses_what_it_gains() -> None:
    assert [side.opposite.sign + side.sign for side in Side] == [0, 0]
