"""Invariant 6 for what others trade: it is taken first from what is not ours (DESIGN.md 2.6).

A process knows what is not ours once it has read the account while nothing of ours was under way.
Judged are linear instruments, of which the venue's executions tell all that is held.
"""

from dataclasses import dataclass
from decimal import Decimal

from engine.model.events import AccountReported, OrderFilled
from engine.model.instrument import InstrumentId, Market
from engine.model.order import Fill, FillKind, OrderSide
from engine.simulation.checks.case import ZERO, Case, parts_of
from engine.simulation.plan import EPOCH_NS

FIRST = "foreign_goes_first"
CALM_NS = 2_000_000_000
"""So long before a report nothing was executed: what it tells is what is known."""


@dataclass(slots=True)
class _Held:
    """What is held of an instrument, signed, and when that changed last (virtual time)."""

    ours: Decimal = ZERO
    others: Decimal = ZERO
    changed_ns: int = 0


def judge_foreign(case: Case) -> None:
    """Judge every trade by hand that reduced what others held."""
    by_hand = [f for f in case.fills if parts_of(f.client_order_id) is None]
    if not any(f.instrument.id.market is Market.LINEAR for f in by_hand):
        return
    cut = {case.positions[key].instrument.id for key in case.oversold if key in case.positions}
    held: dict[InstrumentId, _Held] = {}
    for fill in case.fills:
        key = fill.instrument.id
        if key.market is Market.LINEAR and key not in cut:
            _follow(case, fill, held.setdefault(key, _Held()))


def _follow(case: Case, fill: Fill, held: _Held) -> None:
    sign = 1 if fill.side is OrderSide.BUY else -1
    at_ns = fill.time_ns - EPOCH_NS
    if parts_of(fill.client_order_id) is not None:
        held.ours += sign * fill.qty
    else:
        parts = case.taken_from.get((fill.instrument.id, fill.venue_trade_id), ())
        taken = sum((part.qty for _, part in parts), ZERO)
        reduces_others = fill.kind is FillKind.TRADE and held.others * sign < ZERO
        if reduces_others and _is_known(case, fill, held.changed_ns):
            case.judged(FIRST)
            if taken > max(fill.qty - abs(held.others), ZERO):
                text = f"{taken} of {fill.qty} was taken from ours, of others' {abs(held.others)}"
                case.blame(6, FIRST, at_ns, f"{fill.instrument.id}: {text}")
        held.ours += sign * taken
        held.others += sign * (fill.qty - taken)
    held.changed_ns = at_ns


def _is_known(case: Case, fill: Fill, since_ns: int) -> bool:
    """Whether the process that was told of a fill had read the account in between, undisturbed."""
    at_ns = fill.time_ns - EPOCH_NS
    told = case.history.told
    lives = (
        each.life
        for each in told
        if type(each.event) is OrderFilled
        and each.event.fill.venue_trade_id == fill.venue_trade_id
        and each.event.fill.instrument.id == fill.instrument.id
    )
    life = next(lives, None)
    begin_ns = since_ns + CALM_NS
    if any(
        begin_ns - CALM_NS <= request.at_ns <= at_ns
        and request.order.instrument.id == fill.instrument.id
        for request in case.history.requests
    ):
        return False
    return any(
        type(each.event) is AccountReported
        and each.life == life
        and each.event.venue == fill.instrument.id.venue
        and begin_ns < each.at_ns < at_ns
        for each in told
    )
