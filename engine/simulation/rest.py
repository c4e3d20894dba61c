"""What a lifetime must have come to before it is at rest, and how everything stands then."""

from collections.abc import Iterator, Mapping, Sequence

from engine.model.money import ZERO
from engine.model.position import Position
from engine.simulation.exchange import Exchange
from engine.simulation.history import Rest
from engine.simulation.plan import Plan
from engine.simulator.matching import VenueOrder


def lacks_backstop(plan: Plan, venues: Mapping[str, Exchange], position: Position) -> bool:
    """Tell whether a position waits for its stop order, and does not say why there is none."""
    if position.instrument.id.market not in plan.backstop.markets or position.closable <= ZERO:
        return False
    resting = [kept.order.qty for kept in _resting(venues, position.id)]
    return position.backstop_problem is None and resting != [position.closable]


def rest_of(at_ns: int, positions: Sequence[Position], venues: Mapping[str, Exchange]) -> Rest:
    """Return how everything stands."""
    resting = [kept for position in positions for kept in _resting(venues, position.id)]
    return Rest(at_ns, positions, resting)


def _resting(venues: Mapping[str, Exchange], position_id: str) -> Iterator[VenueOrder]:
    for venue in venues.values():
        for kept in venue.orders():
            if kept.is_resting and kept.order.position_id == position_id:
                yield kept
