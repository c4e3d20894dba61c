"""Processes that come up and find what another one saved."""

from decimal import Decimal
from typing import Any, TypeVar

from engine.model.effects import (
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
)
from engine.model.events import Started
from engine.model.ids import Purpose, client_order_id
from engine.model.order import Order, OrderSide
from engine.model.position import Position
from engine.model.signal import Outcome
from tests.engine.core.rig import BTC_PERP, Rig, position_id

D = Decimal
R = TypeVar("R", bound=Rig)
KEY = position_id(1)


def exit_id(generation: int) -> str:
    return client_order_id(KEY, Purpose.EXIT, generation)


def possible(rig: Rig, generation: int, qty: str = "1") -> Order:
    """An exit that the process before may have sent."""
    return Order(
        client_order_id=exit_id(generation),
        position_id=KEY,
        instrument=BTC_PERP,
        side=OrderSide.SELL,
        purpose=Purpose.EXIT,
        generation=generation,
        qty=D(qty),
        reduce_only=True,
        created_at_ns=rig.now,
        actor="guard",
    )


def restart(old: Rig, **changes: Any) -> Rig:
    """A new process that finds what the old one saved; ``changes`` are of its settings."""
    return restarted(Rig(**changes), old)


def restarted(rig: R, old: Rig) -> R:
    """Have a new process find what an old one saved."""
    positions = {e.position.id: e.position for e in old.effects if isinstance(e, SavePosition)}
    orders = {e.order.client_order_id: e.order for e in old.effects if isinstance(e, SaveOrder)}
    records = {e.record.signal.id: e.record for e in old.effects if isinstance(e, SaveSignal)}
    fills = [e for e in old.effects if isinstance(e, SaveFill)]
    rig.now, rig._trades, rig._signals = old.now, old._trades, old._signals
    rig.handle(
        Started(
            at_ns=old.now,
            accepting=True,
            positions=tuple(p for p in positions.values() if p.is_active),
            orders=tuple(orders.values()),
            signals=tuple(r for r in records.values() if r.outcome is Outcome.PENDING),
            booked=frozenset((str(e.fill.client_order_id), e.fill.venue_trade_id) for e in fills),
        )
    )
    return rig


def opened() -> tuple[Rig, Position]:
    """A process that comes up and finds a long of one unit at 100, nothing in flight."""
    old = Rig()
    old.open()
    rig = restart(old)
    return rig, rig.guardian.positions()[0]


def entering() -> tuple[Rig, Order]:
    """A process that comes up and finds an entry that was intended."""
    old = Rig()
    old.signal("buy")
    old.trade(100.0)
    return restart(old), old.submitted()[0]


def answer_absent(rig: Rig, *generations: int) -> None:
    for generation in generations:
        rig.absent(exit_id(generation))
