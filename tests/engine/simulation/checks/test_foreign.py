import pytest
from msgspec.structs import replace

from engine.model.events import AccountReported, OrderFilled
from engine.model.ids import Purpose
from engine.model.order import FillKind, OrderSide
from engine.simulation.plan import EPOCH_NS
from tests.engine.simulation.checks.cases import (
    MS,
    POSITION,
    Lifetime,
    begun,
    fill,
    order,
    position,
)

REPORT = AccountReported("bybit", (), (), EPOCH_NS, 0)


def traded(
    taken: str | None, *, report_ms: int = 6000, kind: FillKind = FillKind.TRADE
) -> Lifetime:
    """A lifetime in which somebody added 1 by hand at 3,000 ms and sold 1 at 7,000 ms."""
    lifetime = begun()
    added = replace(fill(order(Purpose.ENTRY), 3000, "100"), client_order_id=None)
    sold = replace(
        fill(order(Purpose.EXIT), 7000, "100"), client_order_id=None, side=OrderSide.SELL, kind=kind
    )
    for each in (added, sold):
        lifetime.fills.append(each)
        lifetime.tell(each.time_ns // MS - EPOCH_NS // MS, OrderFilled(each, EPOCH_NS))
    lifetime.tell(report_ms, REPORT)
    lifetime.booked += [(added, None), (sold, taken)]
    lifetime.positions.append(position(lifetime))
    return lifetime


def test_what_others_held_goes_first():
    assert "foreign_goes_first" in traded(POSITION).names()
    lifetime = traded(None)
    assert lifetime.judge().checks["foreign_goes_first"] == 1
    assert "foreign_goes_first" not in lifetime.names()


@pytest.mark.parametrize("report_ms", [4000, 8000])
def test_what_no_account_told_is_not_known(report_ms: int):
    assert "foreign_goes_first" not in traded(POSITION, report_ms=report_ms).names()


def test_while_something_of_ours_is_under_way_it_is_not_known():
    lifetime = traded(POSITION)
    lifetime.send(6500, order(Purpose.EXIT))
    assert "foreign_goes_first" not in lifetime.names()


def test_a_liquidation_takes_ours_whatever_else_is_held():
    assert "foreign_goes_first" not in traded(POSITION, kind=FillKind.LIQUIDATION).names()
