"""A lifetime as plain data: what happens when, before anything has happened.

Everything in a plan was drawn from its seed. Each part has a generator of its own, so that leaving
out a fault or a signal (as the shrinker does) changes nothing else. Times are virtual milliseconds
from the beginning.
"""

import random
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.exit_set import ExitChanges, Exits
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.signal import Action, Size
from engine.model.ticks import PriceSource

EPOCH_NS = 1_767_225_600_000_000_000
"""UTC at virtual time 0: 2026-01-01."""


class Print(Struct, frozen=True, gc=False):
    """What an instrument truly costs from a moment on: last trade, best bid and ask, mark."""

    at_ms: int
    last: float
    bid: float
    ask: float
    mark: float


class PricePath(Struct, frozen=True):
    """The true prices of one instrument. ``kinds`` names what it is made of (calm, jump, ...)."""

    instrument: Instrument
    prints: tuple[Print, ...]
    kinds: tuple[str, ...]


class PlannedSignal(Struct, frozen=True):
    """A signal and when its deliveries arrive; equal ``number`` means the same body and id.

    ``sent_ms`` is what its ``time`` field says, None where it has none.
    """

    number: int
    instrument: Instrument
    action: Action
    deliveries_ms: tuple[int, ...]
    exits: ExitChanges = ExitChanges()
    size: Size | None = None
    strategy: str | None = None
    sent_ms: int | None = None
    has_id: bool = True


class ActKind(StrEnum):
    """What the owner does."""

    CLOSE = "close"
    CLOSE_TWICE = "close_twice"
    PART = "part"
    AMEND = "amend"
    STOP_BOT = "stop_bot"
    START_BOT = "start_bot"


class OwnerAct(Struct, frozen=True):
    """Something the owner does to the ``nth`` position that is active then, modulo their number."""

    at_ms: int
    kind: ActKind
    nth: int = 0
    fraction: Decimal = Decimal(1)
    changes: ExitChanges = ExitChanges()


class Fault(Struct, frozen=True):
    """Something goes wrong from ``at_ms`` for ``for_ms``, at most ``times`` times.

    ``venue`` and ``instrument`` narrow it down; None is any. ``amount`` is the kind's own measure.
    """

    kind: str
    at_ms: int
    for_ms: int
    times: int = 1
    venue: str | None = None
    instrument: InstrumentId | None = None
    amount: float = 0.0


class Crash(Struct, frozen=True):
    """The process of life ``life`` is killed at its ``call``-th effect, or at ``by_ms`` at last.

    ``after`` tells whether the effect still happens. Then nothing runs for ``down_ms``.
    """

    life: int
    call: int
    after: bool
    by_ms: int
    down_ms: int


class BackstopPlan(Struct, frozen=True):
    """Markets on which positions have stop orders at the venue, and how far beyond the stop, %."""

    markets: tuple[Market, ...] = ()
    extra_percent: Decimal = Decimal(5)


class Plan(Struct, frozen=True):
    """One seed's lifetime. Faults end at ``heal_ms``."""

    seed: int
    heal_ms: int
    exits: Exits
    trigger: PriceSource
    gap_strict: bool
    add_on_same: bool
    paths: tuple[PricePath, ...]
    signals: tuple[PlannedSignal, ...]
    acts: tuple[OwnerAct, ...]
    faults: tuple[Fault, ...]
    crashes: tuple[Crash, ...]
    on_files: bool = False
    backstop: BackstopPlan = BackstopPlan()

    def generator(self, name: str) -> random.Random:
        """Return the seed's generator for one purpose; the same each time it is asked for."""
        return random.Random(f"{self.seed}/{name}")
