"""Any interleaving of what a venue, a market and an owner do: never an oversell, always flat."""

import pytest

from engine.model.exits import Side
from engine.model.instrument import Instrument
from tests.engine.core.random_venue import Venue, check_dust, settle
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig


def run(seed: int, instrument: Instrument) -> Venue:
    venue = Venue(seed, instrument)
    for _ in range(60):
        venue.act()
    venue.faults = False
    return venue


@pytest.mark.parametrize("instrument", [BTC_PERP, BTC_SPOT], ids=["linear", "spot"])
@pytest.mark.parametrize("seed", range(40))
def test_no_interleaving_sells_more_than_is_held_and_all_end_flat(
    seed: int, instrument: Instrument
) -> None:
    venue = run(seed, instrument)
    settle(venue)
    assert venue.rig.guardian.positions() == []
    assert venue.rig.guardian.orders_in_flight() == []
    check_dust(venue)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_events_have_the_same_effects(seed: int) -> None:
    venue = run(seed, BTC_PERP)
    fresh = Rig().guardian
    for event, effects in venue.log:
        assert fresh.handle(event) == effects


def test_the_random_venue_exercises_what_it_claims_to() -> None:
    kinds = set()
    for seed in range(10):
        venue = run(seed, BTC_PERP)
        kinds |= set(venue.status.values())
        kinds |= {order.purpose for order in venue.orders.values()}
        kinds |= {p.side for e in venue.rig.effects if (p := getattr(e, "position", None))}
    assert {"filled", "rejected", "cancelled", "entry", "exit", Side.LONG, Side.SHORT} <= kinds
