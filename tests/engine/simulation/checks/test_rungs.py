import pytest
from msgspec.structs import replace

from engine.model.exits import ExitReason, Percent
from engine.model.ids import Purpose
from engine.model.order import OrderStatus
from engine.model.rules.ladder import Rung
from tests.engine.simulation.checks.cases import EXITS, PLAN, D, Lifetime, begun, order, position

LADDER = (Rung(Percent(D(2)), D("0.3")), Rung(Percent(D(8)), D("0.3")))
LADDERED = replace(PLAN, exits=replace(EXITS, ladder=LADDER))


def stepped(*qtys: str, best: float = 103.0) -> Lifetime:
    """A lifetime in which rungs closed these quantities."""
    lifetime = begun(LADDERED)
    lifetime.tick(1000, best)
    for generation, qty in enumerate(qtys):
        price = {"reason": ExitReason.LADDER, "trigger_price": D(str(best))}
        out = order(Purpose.EXIT, generation, qty=D(qty), **price)
        lifetime.send(1000 + generation, out)
        lifetime.execute(out, 1100 + generation, str(best), qty)
        lifetime.end(out, 1200 + generation, OrderStatus.FILLED)
        lifetime.held -= D(qty)
    lifetime.positions.append(position(lifetime))
    return lifetime


@pytest.mark.parametrize(
    ("qtys", "best", "found"),
    [
        (("0.3",), 103.0, False),
        (("0.3", "0.001"), 103.0, True),
        (("0.3", "0.3"), 103.0, True),
        (("0.3", "0.3"), 108.0, False),
        (("0.3", "0.6"), 108.0, True),
        (("0.3", "0.0009"), 103.0, False),
    ],
)
def test_rungs_that_close_more_than_they_ask_for_are_found(
    qtys: tuple[str, ...], best: float, found: bool
):
    assert ("rungs_within_asked" in stepped(*qtys, best=best).names()) is found
