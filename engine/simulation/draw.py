"""A lifetime drawn from its seed: what is traded, at which prices, who wants what, what goes wrong.

Each part has a generator of its own, named by seed and part, so that one part may be drawn in
another way without changing the others' chances. Recordings are used in one seed of ten: all others
replay on machines without them.
"""

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.model.exit_set import ExitChanges
from engine.model.instrument import Market
from engine.model.ticks import PriceSource
from engine.simulation.draw_exits import draw_amendment, draw_defaults
from engine.simulation.draw_faults import Scene, draw_crashes, draw_faults
from engine.simulation.draw_signals import Setting, draw_signals
from engine.simulation.instruments import draw_instruments
from engine.simulation.plan import ActKind, BackstopPlan, Crash, Fault, OwnerAct, Plan
from engine.simulation.prices import DrawnPath, Stretches, draw_paths

ENTRY_VALUE = Decimal(100)
"""What an entry without a size is worth, in quote asset: the default of POSITION_SIZE."""

FILES_EVERY = 50
RECORDED_EVERY, RECORDED_AT = 10, 7

LEAST_HEAL_MS = {2: 56_000, 3: 46_000, 4: 40_000}
MOST_HEAL_MS = 70_000
"""Faults end between these; few instruments live longer, so that a seed has 200 prices."""

TRIGGERS = (PriceSource.LAST,) * 6 + (PriceSource.BOOK, PriceSource.BOOK, PriceSource.MARK)
FIRST_ACT_MS = 4000
ACTS = (
    *(ActKind.AMEND,) * 5,
    *(ActKind.CLOSE,) * 2,
    *(ActKind.CLOSE_TWICE,) * 2,
    *(ActKind.PART,) * 3,
)
BACKSTOPS = ((), (Market.LINEAR,), tuple(Market))
BACKSTOP_SHARES = (0.7, 0.1, 0.2)
BACKSTOP_EXTRAS = (Decimal("0.3"), Decimal(1), Decimal(3))
"""Near enough that prices which a dead process missed go through."""

LONG_DOWN_SHARE, LONG_DOWN_MS = 0.6, (10_000, 40_000)

FRACTIONS = tuple(Decimal(text) for text in ("0.1", "0.25", "0.5", "0.75", "0.9"))


def draw(seed: int, stretches: Stretches | None = None) -> Plan:
    """Draw the plan of a seed.

    Args:
        stretches: real prices, if there are recordings.
    """
    listed = draw_instruments(seed, ENTRY_VALUE)
    chances = random.Random(f"{seed}/settings")
    heal_ms = chances.randint(LEAST_HEAL_MS[len(listed)], MOST_HEAL_MS)
    trigger = chances.choice(TRIGGERS)
    gap_strict, add_on_same = chances.random() < 0.4, chances.random() < 0.3
    defaults = draw_defaults(chances)
    recorded = stretches or () if seed % RECORDED_EVERY == RECORDED_AT else ()
    drawn = draw_paths(seed, listed, heal_ms, recorded)
    paths = tuple(each.path for each in drawn)
    signals = draw_signals(seed, Setting(listed, paths, heal_ms, defaults, trigger))
    backstop = _draw_backstop(seed)
    faults = draw_faults(seed, Scene(drawn, signals, heal_ms))
    return Plan(
        seed=seed,
        heal_ms=heal_ms,
        exits=defaults,
        trigger=trigger,
        gap_strict=gap_strict,
        # A position outgrows one order only where entries are added to it.
        add_on_same=add_on_same or any(each.is_sliced for each in listed),
        paths=paths,
        signals=signals,
        acts=_draw_acts(seed, heal_ms, drawn),
        faults=faults,
        crashes=tuple(_crashes(seed, heal_ms, faults, backstop)),
        on_files=seed % FILES_EVERY == 0,
        backstop=backstop,
    )


def _draw_backstop(seed: int) -> BackstopPlan:
    """Draw whether positions have stop orders at the venue; in most seeds they have none."""
    chances = random.Random(f"{seed}/backstop")
    markets = chances.choices(BACKSTOPS, BACKSTOP_SHARES)[0]
    return BackstopPlan(markets, chances.choice(BACKSTOP_EXTRAS))


def _crashes(
    seed: int, heal_ms: int, faults: Sequence[Fault], backstop: BackstopPlan
) -> Iterator[Crash]:
    """Draw how processes die; where stop orders take over, some stay down for long."""
    chances = random.Random(f"{seed}/backstop/down")
    for crash in draw_crashes(seed, heal_ms, faults, always=bool(backstop.markets)):
        down_ms = crash.down_ms
        if backstop.markets and chances.random() < LONG_DOWN_SHARE:
            down_ms = min(chances.randint(*LONG_DOWN_MS), heal_ms - crash.by_ms)
        yield replace(crash, down_ms=max(down_ms, crash.down_ms))


def _draw_acts(seed: int, heal_ms: int, paths: Sequence[DrawnPath]) -> tuple[OwnerAct, ...]:
    chances = random.Random(f"{seed}/acts")
    acts = [_draw_act(chances, heal_ms, paths) for _ in range(chances.choice((0, 1, 2, 3, 4, 5)))]
    if chances.random() < 0.2:
        acts += _draw_pause(chances, heal_ms)
    return tuple(sorted(acts, key=lambda act: act.at_ms))


def _draw_act(chances: random.Random, heal_ms: int, paths: Sequence[DrawnPath]) -> OwnerAct:
    kind = chances.choice(ACTS)
    at_ms = chances.randint(FIRST_ACT_MS, heal_ms - 1)
    path = chances.choice(paths)
    late = [ms for ms in path.moves_ms if ms >= FIRST_ACT_MS]
    if late and chances.random() < 0.5:
        # At the very millisecond of a price that may trigger.
        at_ms = chances.choice(late)
    part = kind is ActKind.PART
    changes = draw_amendment(chances) if kind is ActKind.AMEND else ExitChanges()
    fraction = chances.choice(FRACTIONS) if part else Decimal(1)
    return OwnerAct(at_ms, kind, chances.randrange(6), fraction, changes)


def _draw_pause(chances: random.Random, heal_ms: int) -> list[OwnerAct]:
    """Stop entries for a while; started again once more at last, if nobody was there to hear it."""
    at_ms = chances.randint(10_000, heal_ms - 10_000)
    again_ms = at_ms + chances.randint(500, 6000)
    return [
        OwnerAct(at_ms, ActKind.STOP_BOT),
        OwnerAct(again_ms, ActKind.START_BOT),
        OwnerAct(heal_ms - 500, ActKind.START_BOT),
    ]
