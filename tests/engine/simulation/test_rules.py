"""By which rules a lifetime goes."""

from decimal import Decimal

from engine.model.instrument import Market
from engine.simulation.plan import BackstopPlan
from engine.simulation.rules import guard_config, venue_rules
from tests.engine.simulation.rig import plan


def test_the_guardian_gets_what_the_plan_says() -> None:
    planned = plan(backstop=BackstopPlan((Market.LINEAR,), Decimal(3)), gap_strict=True)
    config = guard_config(planned)
    assert config.backstops == {Market.LINEAR}
    assert config.backstop_extra_percent == 3
    assert config.gap_strict
    assert config.exits == planned.exits
    assert config.fee_rates["bybit", Market.SPOT] == Decimal("0.001")
    assert guard_config(plan()).backstops == frozenset()


def test_in_some_seeds_a_venue_takes_its_fees_in_a_third_asset() -> None:
    paid = {str(venue_rules("bybit", plan(seed=seed)).fee_asset) for seed in range(20)}
    assert len(paid) == 2


def test_one_venue_takes_an_id_again() -> None:
    assert venue_rules("bybit", plan()).ids_unique_for_ever
    assert not venue_rules("binance", plan()).ids_unique_for_ever
