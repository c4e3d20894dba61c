"""Faults and crashes of a simulated lifetime, at moments at which they can hurt.

Half of the faults come about when a signal arrives, some when the price moves far, the rest at any
time. Some come in pairs that have hurt real services: an answer lost and the order not visible yet.
"""

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from engine.model.instrument import Instrument, Market
from engine.model.signal import Action
from engine.simulation.plan import Crash, Fault, PlannedSignal
from engine.simulation.prices import DrawnPath

COUNTS = (3, 4, 5, 6, 7, 7, 8, 8, 9, 9, 10, 10)
PAIRED_SHARE = 0.3
CRASHED_SHARE = 0.62
CALLS, RECOVERY_CALLS = 60, 6
SHORTEST_DOWN_MS, LONGEST_DOWN_MS = 100, 20_000
EARLIEST_MS = 500
BEFORE_HEAL_MS = 1000

ALWAYS = 99


class Scope(StrEnum):
    """What a fault is about."""

    VENUE = "venue"
    INSTRUMENT = "instrument"
    LINEAR = "linear"
    PROCESS = "process"


class Near(StrEnum):
    """What a fault of a kind is likely to be close to."""

    ORDERS = "orders"
    HOLDINGS = "holdings"
    MOVES = "moves"


SIGNAL_SHARES = {Near.ORDERS: 0.5, Near.HOLDINGS: 0.7, Near.MOVES: 0.3}
MOVES_SHARES = {Near.ORDERS: 0.2, Near.HOLDINGS: 0.1, Near.MOVES: 0.4}


class Kind(Struct, frozen=True):
    """A kind of fault: its windows (milliseconds), times and amounts, from least to most."""

    name: str
    scope: Scope
    near: Near
    window_ms: tuple[int, int]
    times: tuple[int, int] = (1, 1)
    amounts: tuple[float, ...] = (0.0,)
    weight: int = 10


_V, _I, _P = Scope.VENUE, Scope.INSTRUMENT, Scope.PROCESS
_O, _H, _M = Near.ORDERS, Near.HOLDINGS, Near.MOVES
_WAITS_MS = (150.0, 700.0, 1500.0, 4000.0)
_ALL = (ALWAYS, ALWAYS)

KINDS = {
    kind.name: kind
    for kind in (
        Kind("drop_req", _V, _O, (2000, 12_000), (1, 2), weight=14),
        Kind("late_req", _V, _O, (2000, 12_000), (1, 2), (400.0, 1500.0, 3000.0, 4500.0)),
        Kind("drop_rsp", _V, _O, (2000, 12_000), (1, 3), weight=5),
        Kind("5xx_after", _V, _O, (2000, 12_000), (1, 3), weight=13),
        Kind("late_vis", _V, _O, (6000, 25_000), (1, 4), (1500.0, 4000.0, 8000.0), 12),
        Kind("late_rej", _V, _O, (3000, 15_000), (1, 2), weight=15),
        Kind("rej_filters", _V, _H, (3000, 15_000), (1, 3), weight=13),
        Kind("rej_band", _V, _H, (3000, 15_000), (1, 3), weight=12),
        Kind("rej_balance", _V, _H, (3000, 15_000), (1, 2), weight=13),
        Kind("rej_other", _V, _H, (3000, 15_000), (1, 2), weight=15),
        Kind("limit", _V, _O, (2000, 12_000), (1, 4), _WAITS_MS, weight=11),
        Kind("overload", _V, _O, (2000, 12_000), (1, 4), _WAITS_MS, weight=14),
        Kind("skew", _V, _O, (2000, 12_000), (1, 2), _WAITS_MS, weight=17),
        Kind("ban", _V, _M, (2500, 14_000), _ALL),
        Kind("outage", _V, _O, (1500, 14_000), _ALL),
        Kind("drop_evt", _V, _O, (2000, 12_000), (1, 5), weight=4),
        Kind("dup_evt", _V, _O, (2000, 12_000), (1, 4), weight=13),
        Kind("late_evt", _V, _O, (2000, 12_000), (1, 3), (300.0, 1200.0, 3500.0, 9000.0), weight=9),
        Kind("err_pos", _V, _H, (8000, 25_000), (1, 4)),
        Kind("err_look", _V, _O, (5000, 20_000), (1, 5), weight=14),
        Kind("partial", _V, _O, (4000, 20_000), (1, 3)),
        Kind("ext", _I, _H, (1, 1), amounts=(0.1, 0.35, 0.5, 1.0), weight=20),
        Kind("ext_add", _I, _H, (1, 1), amounts=(0.2, 0.5, 1.0), weight=10),
        Kind("liq", Scope.LINEAR, _H, (1, 1), weight=30),
        Kind("mute", _I, _M, (4000, 15_000), weight=8),
        Kind("close_1012", _V, _M, (800, 9000), weight=14),
        Kind("lag", _I, _M, (700, 5000), weight=16),
        Kind(
            "spike",
            _I,
            _H,
            (3000, 9000),
            amounts=(0.965, 0.985, 1.015, 1.035, 0.9, 1.1, 0.72, 1.35, 0.13, 3.0),
            weight=11,
        ),
        Kind("delist", _I, _M, (4000, 20_000), weight=22),
        Kind("busy", _P, _O, (2000, 10_000), (1, 3), weight=11),
        Kind("enospc", _P, _O, (700, 6000), _ALL),
        Kind("slow_disk", _P, _O, (1500, 10_000), (2, 8), (60.0, 300.0, 850.0, 1500.0), weight=11),
        Kind("lost_commit", _P, _O, (2000, 10_000), (1, 2), weight=8),
        Kind("jump", _P, _H, (1, 1), amounts=(-45.0, -5.0, -1.5, 1.5, 5.0, 70.0), weight=9),
        Kind("stall", _P, _M, (300, 7000), weight=8),
        Kind("twin", _P, _M, (3000, 15_000), weight=7),
    )
}
_NAMES = tuple(KINDS)
_WEIGHTS = tuple(kind.weight for kind in KINDS.values())

PAIRS = (
    ("ext", "drop_evt"),
    ("ext", "err_pos"),
    ("ext", "limit"),
    ("ext_add", "drop_evt"),
    ("liq", "drop_evt"),
    ("drop_rsp", "late_vis"),
    ("drop_rsp", "err_look"),
    ("5xx_after", "late_vis"),
    ("late_req", "late_vis"),
    ("late_req", "err_look"),
    ("drop_evt", "late_vis"),
    ("drop_rsp", "lost_commit"),
    ("drop_rsp", "drop_evt"),
    ("partial", "drop_evt"),
    ("partial", "late_evt"),
    ("late_rej", "drop_evt"),
    ("dup_evt", "late_evt"),
    ("enospc", "drop_rsp"),
    ("outage", "mute"),
    ("ban", "mute"),
    ("ban", "lag"),
    ("mute", "close_1012"),
    ("spike", "mute"),
    ("spike", "lag"),
    ("stall", "twin"),
    ("stall", "drop_evt"),
)
"""Kinds that hurt more together; the second begins within a second of the first."""


class Scene(Struct, frozen=True):
    """What faults are drawn for."""

    paths: tuple[DrawnPath, ...]
    signals: tuple[PlannedSignal, ...]
    heal_ms: int


def draw_faults(seed: int, scene: Scene) -> tuple[Fault, ...]:
    """Draw 3 to 10 faults, each item from a generator of its own."""
    wanted = random.Random(f"{seed}/faults").choice(COUNTS)
    found: list[Fault] = []
    number = 0
    while len(found) < wanted:
        draw = random.Random(f"{seed}/faults/{number}")
        found += _item(draw, scene, room=wanted - len(found))
        number += 1
    return tuple(found)


def _item(draw: random.Random, scene: Scene, room: int) -> Iterator[Fault]:
    """Draw one fault, or two that belong together."""
    paired = draw.random() < PAIRED_SHARE and room >= 2
    names = draw.choice(PAIRS) if paired else draw.choices(_NAMES, _WEIGHTS)
    kinds = [KINDS[name] for name in names]
    path, at_ms = _place(draw, scene, kinds[0])
    for kind in kinds:
        yield _fault(draw, scene, kind, path.path.instrument, at_ms)
        at_ms += draw.randint(0, 1000)


def _place(draw: random.Random, scene: Scene, kind: Kind) -> tuple[DrawnPath, int]:
    """Draw where and when something goes wrong."""
    paths = scene.paths
    if kind.scope is Scope.LINEAR:
        paths = tuple(p for p in paths if _is_linear(p)) or paths
    chance = draw.random()
    if chance < SIGNAL_SHARES[kind.near]:
        signal = draw.choice(_wanted(scene, kind, paths))
        by_instrument = {each.path.instrument: each for each in paths}
        path = by_instrument.get(signal.instrument) or draw.choice(paths)
        return path, draw.choice(signal.deliveries_ms) + _shift_ms(draw, kind)
    path = draw.choice(paths)
    if chance < SIGNAL_SHARES[kind.near] + MOVES_SHARES[kind.near] and path.moves_ms:
        return path, draw.choice(path.moves_ms) - draw.randint(0, 900)
    return path, draw.randint(EARLIEST_MS, scene.heal_ms)


def _wanted(scene: Scene, kind: Kind, paths: Sequence[DrawnPath]) -> Sequence[PlannedSignal]:
    """Which signals a fault of the kind is drawn to: one of holdings to what may open some."""
    ill = [s for s in scene.signals if s.deliveries_ms[-1] < scene.heal_ms]
    if kind.near is not Near.HOLDINGS:
        return ill or scene.signals
    traded = {each.path.instrument for each in paths}
    opening = [s for s in ill if s.action is not Action.CLOSE and s.instrument in traded]
    return opening or scene.signals


def _shift_ms(draw: random.Random, kind: Kind) -> int:
    """How long after a signal something of the kind begins; order faults are there before."""
    if kind.near is Near.ORDERS:
        return -draw.randint(0, 600)
    return draw.choice((150, 400, 900, 1800, 4000))


def _is_linear(path: DrawnPath) -> bool:
    return path.path.instrument.id.market is Market.LINEAR


def _fault(
    draw: random.Random, scene: Scene, kind: Kind, instrument: Instrument, at_ms: int
) -> Fault:
    for_ms = draw.randint(*kind.window_ms)
    at_ms = max(min(at_ms, scene.heal_ms - BEFORE_HEAL_MS), EARLIEST_MS)
    narrow = kind.scope in {Scope.INSTRUMENT, Scope.LINEAR}
    return Fault(
        kind=kind.name,
        at_ms=at_ms,
        for_ms=min(for_ms, scene.heal_ms - at_ms),
        times=draw.randint(*kind.times),
        venue=None if kind.scope is Scope.PROCESS else instrument.id.venue,
        instrument=instrument.id if narrow else None,
        amount=draw.choice(kind.amounts),
    )


# Crashes


def draw_crashes(
    seed: int, heal_ms: int, faults: Sequence[Fault], *, always: bool = False
) -> tuple[Crash, ...]:
    """Draw how processes die: none to three of them, some of them while they recover."""
    draw = random.Random(f"{seed}/crashes")
    if draw.random() >= CRASHED_SHARE and not always:
        return ()
    crashes: list[Crash] = []
    earliest_ms = 3000
    for life in range(draw.choice((1, 1, 1, 2, 2, 3))):
        crash = _crash(draw, life, earliest_ms, heal_ms, faults)
        crashes.append(crash)
        earliest_ms = crash.by_ms + 1
    return tuple(crashes)


def _crash(
    draw: random.Random, life: int, earliest_ms: int, heal_ms: int, faults: Sequence[Fault]
) -> Crash:
    latest_ms = heal_ms - BEFORE_HEAL_MS
    recovering = life > 0 and draw.random() < 0.5
    by_ms = draw.randint(min(earliest_ms, latest_ms), latest_ms)
    if draw.random() < 0.5:
        fault = draw.choice(faults)
        within_ms = fault.at_ms + draw.randint(0, max(fault.for_ms, 1500))
        by_ms = min(max(within_ms, earliest_ms), latest_ms)
    # Mostly a second or less, as a supervisor restarts it; long enough at times to miss much.
    ratio = (LONGEST_DOWN_MS / SHORTEST_DOWN_MS) ** draw.random() ** 1.6
    return Crash(
        life=life,
        call=draw.randint(1, RECOVERY_CALLS if recovering else CALLS),
        after=draw.random() < 0.5,
        by_ms=by_ms,
        down_ms=min(round(SHORTEST_DOWN_MS * ratio), heal_ms - by_ms),
    )
