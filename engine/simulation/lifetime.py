"""One lifetime from its plan to its judgement."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.simulation.books import BooksFactory
from engine.simulation.catalogue import NO_ERROR
from engine.simulation.checks.judge import Verdict, judge
from engine.simulation.history import Facts, History
from engine.simulation.outcome import Broken, Outcome
from engine.simulation.plan import Plan
from engine.simulation.virtual import Deadlock, VirtualLoop, run_virtually
from engine.simulation.world import Storyteller, World

_encode = msgspec.msgpack.Encoder(decimal_format="string", order="deterministic").encode


TICKS = frozenset({TradeTick, QuoteTick, MarkTick})


def live(
    plan: Plan, books: BooksFactory | None = None, story: Sequence[Storyteller] = ()
) -> Outcome:
    """Live through a plan and judge what happened.

    Args:
        books: real storage, used where the plan asks for it.
        story: told what happens, as it happens.
    """
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _loop, _context: None)  # a dead process leaves tasks behind
    world = World(plan, loop, books, story)
    try:
        run_virtually(loop, world.live())
    except Deadlock as error:
        world.history.errors.append((loop.now_ns, -1, f"Deadlock: {error}"))
    try:
        facts = world.facts()
        return _outcome(plan, world.history, facts, judge(plan, world.history, world.ends(), facts))
    finally:
        world.books.close()


def _outcome(plan: Plan, history: History, facts: Facts, verdict: Verdict) -> Outcome:
    broken = [Broken(NO_ERROR, text, at_ns) for at_ns, _, text in history.errors]
    broken += [Broken(v.name, v.message, v.at_ns) for v in verdict.violations]
    return Outcome(
        seed=plan.seed,
        trace_hash=trace_hash(history, facts),
        violations=tuple(broken),
        checks=dict(verdict.checks),
        struck=dict(Counter(struck.fault.kind for struck in history.struck)),
        edges=dict(history.edges),
        crash_points=dict(history.crash_points),
        crashes=sum(life.killed for life in history.lives),
        events=history.events,
    )


def trace_hash(history: History, facts: Facts) -> str:
    """Return SHA-256 (hex) over what the guardian was told, what it asked for, and what is left.

    Prices follow from the plan; of them their number counts.
    """
    digest = hashlib.sha256()
    for part in (
        len(history.told),
        [told for told in history.told if type(told.event) not in TICKS],
        history.requests,
        history.arrivals,
        [(life.number, life.began_ns, life.ended_ns) for life in history.lives],
        facts,
    ):
        digest.update(_encode(part))
    return digest.hexdigest()
