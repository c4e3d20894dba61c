"""An owner's hands: what a venue holds, and the wish that it be guarded."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.core.adopting import Obstacle
from engine.model.events import AdoptionWanted, PositionAdopted, VenuePosition
from engine.model.exit_set import ExitChanges
from engine.model.instrument import Instrument
from engine.model.position import Position
from tests.engine.core.accounts_rig import balance, settled
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig, position_id

D = Decimal
ID = position_id(77)


def wanted(
    rig: Rig, instrument: Instrument = BTC_PERP, key: str = ID, **fields: Any
) -> PositionAdopted:
    """An adoption; exits are named as fields of ``ExitChanges``."""
    asked = {n: fields.pop(n) for n in ExitChanges.__struct_fields__ if n in fields}
    return PositionAdopted(key, instrument, ExitChanges(**asked), "owner", rig.now, **fields)


def obstacles(rig: Rig, instrument: Instrument = BTC_PERP, **fields: Any) -> list[Obstacle]:
    return list(rig.guardian.adoption_obstacles(wanted(rig, instrument, **fields)))


def obstacle(rig: Rig, instrument: Instrument = BTC_PERP, **fields: Any) -> tuple[str, str, str]:
    (found,) = obstacles(rig, instrument, **fields)
    return str(found.kind), found.field, found.remedy


def adopt(rig: Rig, instrument: Instrument = BTC_PERP, **fields: Any) -> Position:
    event = wanted(rig, instrument, **fields)
    assert rig.guardian.adoption_obstacles(event) == []
    rig.handle(event)
    return rig.position(event.position_id)


def beside(*rows: VenuePosition, price: float = 100.0, hedged: bool = False, **changes: Any) -> Rig:
    """A venue that holds something of BTC that is not ours, at 100, with a price now."""
    rig = Rig(**changes)
    settled(rig, *rows, hedged=hedged)
    rig.handle(AdoptionWanted(BTC_PERP, rig.now))
    rig.trade(price)
    return rig


def on_spot(*balances: str, price: float = 100.0) -> Rig:
    """A wallet with so much BTC that nobody bought through us; total, and free where given."""
    rig = Rig()
    total = balance("BTC", balances[0])
    settled(rig, balances=[replace(total, free=D(balances[-1]))])
    rig.handle(AdoptionWanted(BTC_SPOT, rig.now))
    rig.trade(price, BTC_SPOT)
    return rig
