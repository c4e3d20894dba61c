"""By which rules a lifetime goes: the guardian's settings, and how each venue treats us."""

from decimal import Decimal

from engine.clock import NS_PER_SECOND
from engine.core.state import GuardConfig
from engine.model.instrument import Market
from engine.simulation.exchange import LATENCY_NS
from engine.simulation.plan import Plan
from engine.simulator.matching import VenueRules

THIRD_ASSET_SHARE = 0.3
FEES = {Market.SPOT: Decimal("0.001"), Market.LINEAR: Decimal("0.0005")}


def guard_config(plan: Plan) -> GuardConfig:
    """Return the guardian's settings."""
    venues = {path.instrument.id.venue for path in plan.paths}
    return GuardConfig(
        exits=plan.exits,
        position_size=Decimal(100),
        fee_rates={(venue, market): FEES[market] for venue in venues for market in Market},
        trigger=plan.trigger,
        gap_strict=plan.gap_strict,
        add_on_same=plan.add_on_same,
        monitor_interval_ns=10 * NS_PER_SECOND,
        backstops=frozenset(plan.backstop.markets),
        backstop_extra_percent=plan.backstop.extra_percent,
    )


def venue_rules(venue: str, plan: Plan) -> VenueRules:
    """Return how a venue treats us; in some seeds fees of spot are paid in a third asset."""
    third = plan.generator(f"fees/{venue}").random() < THIRD_ASSET_SHARE
    return VenueRules(
        fee_asset={Market.SPOT: "BNB"} if third else None,
        fee_asset_rate=Decimal(600),
        venue=venue,
        fee_rates=FEES,
        latency_ns=LATENCY_NS,
        slippage_bps=Decimal(5),
        ids_unique_for_ever=venue != "binance",
    )
