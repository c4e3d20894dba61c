"""What the guardian wants done, in the imperative.

Records (``Save...``, ``AppendEvent``, ``SendNotice``) of one step form one transaction; commands go
to the adapters. ``SubmitOrder.after_commit`` is the rule of the order path: an entry is sent after
its step is on disk, a close at once.
"""

from typing import Any

from msgspec import Struct

from engine.model.events import Balance
from engine.model.instrument import Instrument, InstrumentId
from engine.model.order import Fill, Order
from engine.model.position import Position
from engine.model.signal import SignalRecord
from engine.model.ticks import PriceSource


class SaveSignal(Struct, frozen=True):
    record: SignalRecord


class SavePosition(Struct, frozen=True):
    position: Position


class SaveOrder(Struct, frozen=True):
    order: Order


class SaveFill(Struct, frozen=True):
    """Book a fill. ``position_id`` is None when it belongs to no position of ours."""

    fill: Fill
    position_id: str | None


class SaveBalance(Struct, frozen=True):
    balance: Balance
    at_ns: int


class SaveBot(Struct, frozen=True):
    accepting: bool
    at_ns: int


class AppendEvent(Struct, frozen=True):
    """Add a line to the event log: a dotted kind, who caused it, and its data (JSON types)."""

    kind: str
    actor: str
    at_ns: int
    data: dict[str, Any]


class SendNotice(Struct, frozen=True):
    """Put a message to the owner into the outbox; channels render ``kind`` and ``data``."""

    kind: str
    at_ns: int
    data: dict[str, Any]


class SubmitOrder(Struct, frozen=True):
    order: Order
    after_commit: bool


class CancelOrder(Struct, frozen=True):
    """Have a resting order (a backstop) cancelled; answered by ``OrderUpdated``, then its fills.

    An answer that cannot be had is left out: the order is looked up.
    """

    order: Order


class LookUpOrder(Struct, frozen=True):
    """Ask the venue what became of an order; answered by ``OrderLookedUp``.

    Repeated while unanswered; an adapter that is asking already may ignore the repetition. A
    request that the adapter has taken and not sent yet is not absent.
    """

    order: Order


class CheckPrices(Struct, frozen=True):
    """Ask the venue by REST what an instrument costs now; answered by ``PricesChecked``.

    Asked when a price is not believed yet. An answer that cannot be had is left out.
    """

    instrument: Instrument


class FetchMissed(Struct, frozen=True):
    """Ask the venue what traded since ``since_ms`` (venue time, ms); answered by ``PricesMissed``.

    Asked when prices arrive again after a gap. An answer that cannot be had is left out.
    """

    instrument: Instrument
    source: PriceSource
    since_ms: int


class ReadAccount(Struct, frozen=True):
    """Read a venue's executions, positions and balances; answered by ``AccountReported``.

    An error is no answer. An adapter that is reading already may ignore the repetition.
    """

    venue: str


class RefreshInstrument(Struct, frozen=True):
    """Read an instrument's filters again; answered by ``InstrumentRefreshed``."""

    instrument: Instrument


class Continue(Struct, frozen=True):
    """Hand in ``Continued`` soon, after whatever else waits: closes of one price are still due."""


class Watch(Struct, frozen=True):
    """Stream prices of an instrument from now on."""

    instrument: Instrument


class Unwatch(Struct, frozen=True):
    instrument: InstrumentId


Record = (
    SaveSignal
    | SavePosition
    | SaveOrder
    | SaveFill
    | SaveBalance
    | SaveBot
    | AppendEvent
    | SendNotice
)
Command = (
    SubmitOrder
    | CancelOrder
    | LookUpOrder
    | ReadAccount
    | RefreshInstrument
    | CheckPrices
    | FetchMissed
    | Continue
    | Watch
    | Unwatch
)
Effect = Record | Command
Effects = tuple[Effect, ...]

RECORD_TYPES = (
    SaveSignal,
    SavePosition,
    SaveOrder,
    SaveFill,
    SaveBalance,
    SaveBot,
    AppendEvent,
    SendNotice,
)
NOTHING: Effects = ()
