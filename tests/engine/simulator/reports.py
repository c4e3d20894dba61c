"""What tests of the venue model say of its reports."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from engine.model.events import (
    OrderFilled,
    OrderUpdated,
)
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.simulator.matching import VenueModel
from tests.engine.simulator.paper_parts import (
    NOON_NS,
    PERP,
    order,
    quote,
)

T = NOON_NS
HOUR_MS = 3_600_000


def fills_of(reports: Sequence[Any]) -> list[Fill]:
    return [report.fill for report in reports if isinstance(report, OrderFilled)]


def prices_of(reports: Sequence[Any]) -> list[tuple[Decimal, Decimal]]:
    return [(fill.price, fill.qty) for fill in fills_of(reports)]


def final_of(reports: Sequence[Any]) -> OrderUpdated:
    """The last report, which must be an order's end."""
    assert isinstance(reports[-1], OrderUpdated)
    return reports[-1]


def execute(venue: VenueModel, wanted: Order, price: float, size: float = 1e6) -> list[Any]:
    """Submit an order and let it meet a quote at one price."""
    venue.submit(wanted, 0, T)
    due_ns = venue.rules.latency_ns
    return venue.on_tick(quote(price, price, due_ns, wanted.instrument, size), T)


def position(venue: VenueModel, side: OrderSide, qty: str, price: float) -> None:
    key = f"open{venue.next_id}"
    reports = execute(venue, order(key, side, qty, instrument=PERP), price)
    assert final_of(reports).status is OrderStatus.FILLED


def refused(reports: Sequence[Any]) -> str:
    """The reason of a refusal that changed nothing else."""
    (told,) = reports
    assert isinstance(told, OrderUpdated)
    assert (told.status, told.filled_qty) == (OrderStatus.REJECTED, 0)
    return told.message or ""
