"""What truly happened in a lifetime, written down outside of the service by the world around it.

The invariants are judged from this, from the venue's own books, and from what storage holds at the
end. ``at_ns`` is virtual time; ``life`` counts processes from 0.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from engine.model.effects import AppendEvent, Record, SendNotice
from engine.model.events import Event
from engine.model.instrument import InstrumentId
from engine.model.order import Fill, Order
from engine.model.position import Position
from engine.model.signal import SignalRecord
from engine.simulation.plan import Fault, OwnerAct, PlannedSignal, Print
from engine.simulator.matching import VenueOrder


@dataclass(slots=True)
class Life:
    """One process."""

    number: int
    began_ns: int
    ended_ns: int | None = None
    killed: bool = False
    refused: str | None = None
    """Why it would not start, or ended: another writer."""
    epoch: int = 0
    """Of its lease; 0 when it never had one."""
    host: str = ""


class Told(NamedTuple):
    """An event that the guardian was given, and how many effects it answered with.

    ``is_true`` is False for a price that the market never made.
    """

    at_ns: int
    life: int
    event: Event
    is_true: bool


class Request(NamedTuple):
    """An order left a process."""

    at_ns: int
    life: int
    order: Order


class Arrival(NamedTuple):
    """A request reached the venue; ``taken`` tells whether it became an order there."""

    at_ns: int
    life: int
    venue: str
    order: Order
    taken: bool


class Commit(NamedTuple):
    """Records became durable in one transaction."""

    at_ns: int
    life: int
    records: Sequence[Record]


@dataclass(slots=True)
class Delivery:
    """One delivery of a signal, and the answer that its sender got."""

    at_ns: int
    life: int | None
    """None: nobody was there to take it."""
    signal: PlannedSignal
    answered_ns: int | None = None
    status: int | None = None
    """As HTTP would have it: 202 accepted, 200 duplicate, 409, 503; None without an answer."""
    signal_id: str | None = None


class Acted(NamedTuple):
    """The owner did something; ``position_id`` is None for the bot's switch.

    ``event`` is what the guardian was given, None where it was refused. ``done`` tells whether the
    owner got an answer that it is done (durable).
    """

    at_ns: int
    life: int
    act: OwnerAct
    position_id: str | None
    event: Event | None
    done: bool


class Struck(NamedTuple):
    """A fault that changed what the guardian received."""

    at_ns: int
    fault: Fault


class Venue(NamedTuple):
    """A venue's own books at the end.

    ``fills`` holds every execution, ours and others'; ``orders`` every order it took, as it ended;
    ``held`` the signed base quantity (linear) or balance (spot) by instrument.
    """

    fills: Sequence[Fill]
    orders: Sequence[VenueOrder]
    held: dict[InstrumentId, Decimal]


class Facts(NamedTuple):
    """What storage holds at the end."""

    signals: Sequence[SignalRecord]
    positions: Sequence[Position]
    orders: Sequence[Order]
    fills: Sequence[tuple[Fill, str | None]]
    events: Sequence[AppendEvent]
    notices: Sequence[SendNotice]


class Rest(NamedTuple):
    """The world when it came to rest after the faults, before anything is closed for good.

    ``positions`` are those of storage, ``resting`` the orders that wait at the venues.
    """

    at_ns: int
    positions: Sequence[Position]
    resting: Sequence[VenueOrder]


@dataclass(slots=True)
class History:
    """Everything that was written down."""

    lives: list[Life] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    look_ups: list[tuple[int, int]] = field(default_factory=list)
    """When, and by which life, the venue was asked what became of an order."""
    cancels: list[tuple[int, int, str]] = field(default_factory=list)
    """When, by which life, and of which client order id a cancellation was asked for."""
    commits: list[Commit] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    acts: list[Acted] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    """Requests of each kind that a process made."""
    crash_points: Counter[str] = field(default_factory=Counter)
    edges: Counter[str] = field(default_factory=Counter)
    prints: dict[InstrumentId, list[Print]] = field(default_factory=dict)
    """Every price that the market made."""
    rest: Rest | None = None
    errors: list[tuple[int, int, str]] = field(default_factory=list)
    """Virtual time, life and words of errors that ended a process by itself."""
    events: int = 0
    """How many events the guardian was given."""
    healed_ns: int = 0
    quiet_ns: int | None = None
    """When everything came to rest after the faults; None if it did not in time."""
