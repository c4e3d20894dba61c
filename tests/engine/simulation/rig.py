"""Small lifetimes by hand: one instrument at a calm price, one entry, and what is to go wrong."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec.structs import replace

from engine.model.effects import Effects
from engine.model.events import Event, OrderUpdated
from engine.model.exit_set import Exits
from engine.model.exits import Percent
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import OrderStatus
from engine.model.signal import Action
from engine.model.ticks import PriceSource
from engine.simulation.books import BooksFactory
from engine.simulation.checks.judge import judge
from engine.simulation.history import Facts, History, Request, Venue
from engine.simulation.plan import Crash, Fault, Plan, PlannedSignal, PricePath
from engine.simulation.prices import print_at
from engine.simulation.virtual import VirtualLoop, run_virtually
from engine.simulation.world import Storyteller, World

E = TypeVar("E", bound=Event)

MS = 1_000_000
SECOND = 1000 * MS
HEAL_MS = 20_000
ENTRY_MS = 2000
"""When the one signal of a plan arrives; its order leaves a few milliseconds later."""

PRICE = 1000.0
EVERY_MS = 500

PERP = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    min_notional=Decimal(5),
)
SPOT = replace(PERP, id=InstrumentId("bybit", Market.SPOT, "BTCUSDT"))


def calm(instrument: Instrument = PERP, until_ms: int = HEAL_MS) -> PricePath:
    """The same price again and again; the first one at 0.1 s."""
    prints = (print_at(instrument, PRICE, at_ms) for at_ms in range(100, until_ms, EVERY_MS))
    return PricePath(instrument, tuple(prints), ("calm",))


def moved(path: PricePath, at_ms: int, price: float) -> PricePath:
    """The same path at another price from a moment on."""
    prints = (
        p if p.at_ms < at_ms else print_at(path.instrument, price, p.at_ms) for p in path.prints
    )
    return replace(path, prints=tuple(prints))


def signal(
    number: int = 0, *deliveries_ms: int, action: Action = Action.BUY, **changes: Any
) -> PlannedSignal:
    """A signal that is delivered at these times, by default once at ``ENTRY_MS``."""
    instrument = changes.pop("instrument", PERP)
    return PlannedSignal(number, instrument, action, deliveries_ms or (ENTRY_MS,), **changes)


def plan(*faults: Fault, **changes: Any) -> Plan:
    """One entry into ``PERP``, guarded at +10 and -5 %, and these faults."""
    fields: dict[str, Any] = {
        "seed": 1,
        "heal_ms": HEAL_MS,
        "exits": Exits(Percent(Decimal(10)), Percent(Decimal(5))),
        "trigger": PriceSource.LAST,
        "gap_strict": False,
        "add_on_same": False,
        "paths": (calm(),),
        "signals": (signal(),),
        "acts": (),
        "faults": faults,
        "crashes": (),
    }
    return Plan(**fields | changes)


class SmallWorld(World):
    """A world that opens nothing of its own when a lifetime was poor."""

    def _lacks(self) -> int:
        return 0


class Story:
    """Keeps what a world tells: when each life was told what, and what else happened."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int, Event]] = []
        self.lines: list[str] = []

    def event(self, at_ns: int, life: int, event: Event, effects: Effects) -> None:
        self.events.append((at_ns, life, event))

    def world(self, at_ns: int, text: str) -> None:
        self.lines.append(text)

    def told(self, kind: type[Event]) -> list[int]:
        """When events of a kind were told, in ms."""
        return [at_ns // MS for at_ns, _, event in self.events if isinstance(event, kind)]


class Lived:
    """A plan that was lived through, and what is left of it.

    ``moments`` are functions that meet the world at their times (ms), in the middle of it.
    ``whole`` lets the world add to a poor lifetime, as it does to drawn ones.
    """

    def __init__(
        self,
        plan: Plan,
        moments: Mapping[int, Callable[[World], None]] = MappingProxyType({}),
        books: BooksFactory | None = None,
        story: Sequence[Storyteller] = (),
        *,
        whole: bool = False,
    ) -> None:
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda _loop, _context: None)
        self.world = (World if whole else SmallWorld)(plan, self.loop, books, story)
        for at_ms, function in moments.items():
            self.loop.call_at(at_ms / 1000, function, self.world)
        run_virtually(self.loop, self.world.live())
        self.history: History = self.world.history
        self.facts: Facts = self.world.facts()
        self.ends: dict[str, Venue] = self.world.ends()
        self.world.books.close()

    def told(self, *kinds: type[E]) -> list[tuple[int, E]]:
        """Events of these kinds that the guardian was given, with their virtual times."""
        return [(t.at_ns, t.event) for t in self.history.told if isinstance(t.event, kinds)]

    def strikes(self, kind: str) -> list[int]:
        """When a fault of a kind struck."""
        return [struck.at_ns for struck in self.history.struck if struck.fault.kind == kind]

    @property
    def entry(self) -> Request:
        """The first request."""
        return self.history.requests[0]

    @property
    def outcomes(self) -> list[tuple[float, OrderStatus]]:
        """What was told of the first request's order: seconds after it left, and its status."""
        key, sent_ns = self.entry.order.client_order_id, self.entry.at_ns
        return [
            ((at_ns - sent_ns) / SECOND, update.status)
            for at_ns, update in self.told(OrderUpdated)
            if update.client_order_id == key
        ]

    @property
    def arrivals(self) -> list[tuple[float, bool]]:
        """When the first request's order arrived, in seconds after it left, and if it was taken."""
        key, sent_ns = self.entry.order.client_order_id, self.entry.at_ns
        return [
            ((arrival.at_ns - sent_ns) / SECOND, arrival.taken)
            for arrival in self.history.arrivals
            if arrival.order.client_order_id == key
        ]


def crashing(call: int, *, after: bool) -> Lived:
    """The usual life, killed at its n-th effect."""
    return Lived(plan(crashes=(Crash(0, call, after, HEAL_MS - 1000, 1000),)))


@cache
def killed_at(point: str) -> Lived:
    """The usual life, killed where it comes by a point for the first time."""
    after = point.startswith("after ")
    lives = (crashing(call, after=after) for call in range(1, 100))
    return next(lived for lived in lives if lived.history.crash_points == {point: 1})


def assert_clean(lived: Lived) -> None:
    """Hold a life to every invariant."""
    found = judge(lived.world.plan, lived.history, lived.ends, lived.facts)
    assert found.violations == []
    assert lived.history.errors == []
