"""When a lifetime waits for its stop orders."""

from decimal import Decimal

from msgspec.structs import replace

from engine.model.instrument import Market
from engine.model.position import PositionStatus
from engine.simulation.plan import BackstopPlan
from engine.simulation.rest import lacks_backstop, rest_of
from engine.simulation.world import World
from tests.engine.simulation.rig import HEAL_MS, Lived, plan

ALL = BackstopPlan(tuple(Market))


def test_a_position_waits_for_a_stop_order_of_its_quantity_or_a_reason() -> None:
    found: list[bool] = []

    def look(world: World) -> None:
        process = world.process
        assert process is not None
        (position,) = process.guardian.positions()
        larger = replace(position, qty=position.qty * 2)
        nothing = replace(position, qty=Decimal(0))
        said = replace(larger, backstop_problem="refused: no")
        found.extend(
            lacks_backstop(world.plan, world.venues, each)
            for each in (position, larger, said, nothing)
        )
        found.append(lacks_backstop(plan(), world.venues, larger))

    Lived(plan(backstop=ALL), {HEAL_MS - 1000: look})
    assert found == [False, True, False, False, False]


def test_what_rests_at_the_venues_is_written_down_with_the_positions_of_storage() -> None:
    lived = Lived(plan(backstop=ALL))
    rest = lived.history.rest
    assert rest is not None
    assert [position.status for position in rest.positions] == [PositionStatus.OPEN]
    assert [kept.order.position_id for kept in rest.resting] == [rest.positions[0].id]
    at_the_end = rest_of(0, lived.facts.positions, lived.world.venues)
    assert at_the_end.resting == []
