"""Positions with ladders, and what tests of them have in common."""

from decimal import Decimal
from typing import Any

from engine.model.exits import Disarmed, Percent
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderStatus
from engine.model.position import Position
from engine.model.rules.ladder import Ladder, Rung
from tests.engine.core.rig import BTC_PERP, Rig

D = Decimal
NONE = Disarmed()


def rungs(*pairs: str) -> Ladder:
    """``"5:0.5"`` closes a half at 5 %."""
    parts = (pair.split(":") for pair in pairs)
    return tuple(Rung(Percent(D(percent)), D(fraction)) for percent, fraction in parts)


def opened(
    *pairs: str, action: str = "buy", rig: Rig | None = None, **fields: Any
) -> tuple[Rig, Position]:
    """A position of one unit at 100 with a ladder and no take-profit."""
    rig = rig or Rig()
    fields = {"take_profit": NONE, "ladder": rungs(*pairs)} | fields
    return rig, rig.open(action, **fields)


def quantities(rig: Rig) -> list[Decimal]:
    return [order.qty for order in rig.exits()]


def refuse(rig: Rig, order: Order, message: str = "busy") -> None:
    rig.update(order, OrderStatus.REJECTED, message=message)


def entering(*pairs: str, instrument: Instrument = BTC_PERP) -> tuple[Rig, Order]:
    rig = Rig()
    rig.signal("buy", instrument, take_profit=NONE, ladder=rungs(*pairs))
    rig.trade(100.0, instrument)
    return rig, rig.submitted()[-1]
