"""What a venue says that it holds, told to a rig's guardian."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from engine.model.effects import ReadAccount, SendNotice
from engine.model.events import AccountReported, AccountResumed, Balance, VenuePosition
from engine.model.exits import Side
from engine.model.instrument import Instrument
from tests.engine.core.rig import BTC_PERP, Rig

D = Decimal
VENUE = "bybit"


def row(side: str, qty: str, liquidation: str | None = None, **kw: Any) -> VenuePosition:
    """A linear position of the venue, of BTC unless told."""
    instrument: Instrument = kw.pop("instrument", BTC_PERP)
    price = None if liquidation is None else D(liquidation)
    return VenuePosition(instrument.id, Side(side), D(qty), D(100), price)


def balance(asset: str, total: str) -> Balance:
    return Balance(VENUE, asset, D(total), D(total), D(0))


MONEY = (balance("USDT", "10000"),)


def report(
    rig: Rig,
    *rows: VenuePosition,
    balances: Sequence[Balance] = MONEY,
    ago_s: float = 0,
    hedged: bool = False,
) -> None:
    """Tell an account that was asked for ``ago_s`` seconds before now."""
    as_of_ns = rig.monotonic_ns - int(ago_s * 10**9)
    rig.handle(AccountReported(VENUE, rows, tuple(balances), rig.now, as_of_ns, hedged))


def settled(
    rig: Rig,
    *rows: VenuePosition,
    balances: Sequence[Balance] = MONEY,
    times: int = 1,
    hedged: bool = False,
) -> None:
    """Tell the same account some times, each when the executions before it have settled."""
    for _ in range(times):
        rig.wait(5)
        report(rig, *rows, balances=balances, hedged=hedged)


def resumed(rig: Rig, venue: str = VENUE) -> None:
    rig.handle(AccountResumed(venue, rig.now))


def reads(rig: Rig) -> int:
    """How often an account was asked for in the last step."""
    return sum(isinstance(effect, ReadAccount) for effect in rig.last)


def told(rig: Rig, kind: str) -> list[dict[str, Any]]:
    """What the owner was told of a kind."""
    return [e.data for e in rig.effects if isinstance(e, SendNotice) and e.kind == kind]
