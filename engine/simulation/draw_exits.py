"""Exit rules and sizes for simulated entries: every rule that there is, in sets that can hold.

Percents are small, so that paths of a minute reach them. A set is drawn rule by rule and then put
to the checks that a real one meets; one that contradicts itself is drawn simpler.
"""

import random
from decimal import Decimal

from msgspec import Struct

from engine.clock import NS_PER_MS
from engine.model.exit_checks import Situation, exit_problems
from engine.model.exit_set import ExitChanges, Exits, amended
from engine.model.exits import AtPrice, Disarmed, Limit, Percent, Points, Side
from engine.model.instrument import Instrument, Market
from engine.model.money import exact
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Ladder, Rung, closes_all
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.signal import Size, SizeKind
from engine.model.ticks import PriceSource
from engine.simulation.plan import EPOCH_NS

OFF = Disarmed()

FEE_RATE = Decimal("0.001")
LADDERS = (
    ("0.5", "0.5"),
    ("0.3", "0.3", "0.4"),
    ("0.5",),
    ("0.25", "0.25"),
    ("0.2", "0.5"),
    ("1",),
)


class Entering(Struct, frozen=True):
    """The entry that a set is drawn for; ``price`` is about what it will pay."""

    instrument: Instrument
    side: Side
    price: float
    at_ms: int
    defaults: Exits
    trigger: PriceSource


def percent(draw: random.Random, low: float, high: float) -> Percent:
    """Draw a limit in per cent, to a hundredth."""
    return Percent(Decimal(draw.randint(round(low * 100), round(high * 100))) / 100)


def draw_defaults(draw: random.Random) -> Exits:
    """Draw the rules of entries that do not say otherwise."""
    profit, stop = percent(draw, 1, 4), percent(draw, 0.8, 3)
    trailing = break_even = None
    ladder: Ladder = ()
    if draw.random() < 0.25:
        trailing = Trailing(percent(draw, 0.5, 2))
    if draw.random() < 0.2:
        break_even = BreakEven(percent(draw, 0.5, 0.9))
    if draw.random() < 0.15:
        ladder = _rungs(draw, LADDERS[3], 0.3, 0.4)
    hold_ns = draw.randint(8000, 40_000) * NS_PER_MS if draw.random() < 0.15 else None
    confirmed = Confirmation(draw.choice((200, 800)), 0) if draw.random() < 0.1 else Confirmation()
    return Exits(profit, stop, trailing, break_even, ladder, TimeStop(hold_ns), confirmed)


def draw_exits(draw: random.Random, entering: Entering) -> ExitChanges:
    """Draw what an entry says of its exits."""
    source = _source(draw, entering)
    if draw.random() < 0.12:
        return ExitChanges(trigger=source)
    changes = _rich(draw, entering, source)
    if _holds(changes, entering):
        return changes
    return _simple(draw, source, take_profit=percent(draw, 0.3, 4))


def draw_wide_exits(draw: random.Random, entering: Entering) -> ExitChanges:
    """Draw limits that a calm market does not reach, for a position that is to grow."""
    profit, stop = percent(draw, 4, 8), percent(draw, 4, 8)
    return _simple(draw, _source(draw, entering), take_profit=profit, stop_loss=stop)


def _simple(
    draw: random.Random,
    source: PriceSource | None,
    take_profit: Limit,
    stop_loss: Limit | None = None,
) -> ExitChanges:
    return ExitChanges(
        take_profit=take_profit,
        stop_loss=stop_loss or percent(draw, 0.3, 4),
        trailing=OFF,
        break_even=OFF,
        break_even_after_rung=0,
        ladder=(),
        trigger=source,
    )


def _source(draw: random.Random, entering: Entering) -> PriceSource | None:
    """The price source where it is not the default; spot has no mark price."""
    spot = entering.instrument.id.market is Market.SPOT
    if spot and entering.trigger is PriceSource.MARK:
        # Now and then it is asked for all the same, and refused.
        known = (None, *[PriceSource.LAST, PriceSource.BOOK] * 8)
        return draw.choice(known)
    if draw.random() < 0.7:
        return None
    return draw.choice(
        (PriceSource.LAST, PriceSource.BOOK, PriceSource.LAST if spot else PriceSource.MARK)
    )


def _rich(draw: random.Random, entering: Entering, source: PriceSource | None) -> ExitChanges:
    chance = draw.random
    profit: Limit = _limit(draw, entering, profit=True)
    stop: Limit = _limit(draw, entering, profit=False)
    reach = float(profit.value) if isinstance(profit, Percent) else 4.0
    ladder: Ladder = ()
    if chance() < 0.22:
        ladder = _rungs(draw, draw.choice(LADDERS), 0.25, min(reach, 3.0) / 3.5)
        profit = OFF if closes_all(ladder) else profit
    after = len(ladder) > 1 and chance() < 0.5
    move = percent(draw, 0.45, max(0.5, reach * 0.8)) if chance() < 0.25 else OFF
    moves = after or not isinstance(move, Disarmed)
    trails = chance() < 0.35
    return ExitChanges(
        take_profit=profit,
        stop_loss=stop,
        ladder=ladder,
        trailing=_distance(draw, entering, 0.3, 2.5) if trails else OFF,
        trailing_activation=percent(draw, 0.1, reach * 0.8) if trails and chance() < 0.5 else None,
        trailing_step=_distance(draw, entering, 0.1, 0.6) if trails and chance() < 0.4 else None,
        break_even=move,
        break_even_offset=draw.choice((None, None, Decimal("0.1"), OFF)) if moves else None,
        break_even_after_rung=int(after),
        max_hold_ns=draw.randint(2500, 25_000) * NS_PER_MS if chance() < 0.18 else None,
        close_at_ns=_moment_ns(draw, entering) if chance() < 0.06 else None,
        confirm_ms=draw.choice((200, 500, 1000, 2500)) if chance() < 0.15 else None,
        confirm_ticks=draw.choice((2, 3, 5)) if chance() < 0.12 else None,
        trigger=source,
    )


def _limit(draw: random.Random, entering: Entering, *, profit: bool) -> Limit:
    chance = draw.random()
    if chance < 0.1:
        return OFF
    distance = percent(draw, 0.3, 4)
    if chance < 0.8:
        return distance
    sign = entering.side.sign if profit else -entering.side.sign
    # Farther than a percent limit, since the price goes on until the entry is made.
    price = entering.price * (1 + sign * (float(distance.value) + 1) / 100)
    return AtPrice(_on_tick(entering.instrument, price))


def _distance(draw: random.Random, entering: Entering, low: float, high: float) -> Percent | Points:
    far = percent(draw, low, high)
    if draw.random() < 0.75:
        return far
    tick = entering.instrument.tick_size
    return Points(max(_on_tick(entering.instrument, entering.price * float(far.value) / 100), tick))


def _on_tick(instrument: Instrument, price: float) -> Decimal:
    return instrument.floor_price(exact(price))


def _rungs(draw: random.Random, shares: tuple[str, ...], first: float, apart: float) -> Ladder:
    """Draw rungs at rising profits, ``apart`` per cent of price or a little less."""
    at, rungs = first, []
    for share in shares:
        rungs.append(Rung(Percent(Decimal(round(at * 100)) / 100), Decimal(share)))
        at += max(apart * draw.uniform(0.6, 1.0), 0.05)
    return tuple(rungs)


def _moment_ns(draw: random.Random, entering: Entering) -> int:
    return EPOCH_NS + (entering.at_ms + draw.randint(3000, 25_000)) * NS_PER_MS


def _holds(changes: ExitChanges, entering: Entering) -> bool:
    """Tell whether an entry with these changes would be admitted at its price."""
    now = Situation(
        side=entering.side,
        instrument=entering.instrument.id,
        trigger=changes.trigger or entering.trigger,
        at_ns=EPOCH_NS + entering.at_ms * NS_PER_MS,
        entry_price=exact(entering.price),
        price=exact(entering.price),
        fee_rate=FEE_RATE,
    )
    return not exit_problems(amended(entering.defaults, changes), now)


# Amendments


def draw_amendment(draw: random.Random) -> ExitChanges:
    """Draw what an owner changes of a position: tighter, wider, on or off."""
    tight, wide = percent(draw, 0.1, 0.8), percent(draw, 2, 9)
    return draw.choice(
        (
            ExitChanges(stop_loss=tight),
            ExitChanges(stop_loss=wide),
            ExitChanges(take_profit=tight),
            ExitChanges(take_profit=wide),
            ExitChanges(trailing=tight, trailing_activation=OFF, trailing_step=OFF),
            ExitChanges(trailing=wide, trailing_step=tight),
            ExitChanges(trailing=OFF),
            ExitChanges(stop_loss=OFF),
            ExitChanges(take_profit=OFF, ladder=()),
            ExitChanges(break_even=percent(draw, 0.5, 1.5)),
            ExitChanges(break_even=OFF),
            ExitChanges(ladder=_rungs(draw, draw.choice(LADDERS), 0.4, 0.5), take_profit=OFF),
            ExitChanges(max_hold_ns=draw.randint(1000, 20_000) * NS_PER_MS),
            ExitChanges(confirm_ms=draw.choice((0, 500, 3000))),
            ExitChanges(stop_loss=tight, take_profit=tight, trailing=tight),
        )
    )


# Sizes


def draw_size(draw: random.Random, entering: Entering, changes: ExitChanges) -> Size | None:
    """Draw a size of an entry, of each kind; None takes the default."""
    chance = draw.random()
    if chance < 0.35:
        return None
    if chance < 0.55:
        return Size(SizeKind.QUOTE_QTY, Decimal(draw.randint(40, 400)))
    if chance < 0.75:
        value = draw.randint(60, 300)
        return Size(SizeKind.QTY, _qty(entering.instrument, value / entering.price))
    if chance < 0.88:
        return Size(SizeKind.PERCENT, Decimal(draw.randint(6, 40)) / 10)
    if chance < 0.97 and not isinstance(changes.stop_loss, Disarmed):
        return Size(SizeKind.RISK_PERCENT, Decimal(draw.randint(2, 5)) / 100)
    # Too small to be closed, and refused for it.
    return Size(SizeKind.QUOTE_QTY, Decimal(draw.randint(1, 6)))


def part_of_largest(draw: random.Random, instrument: Instrument) -> Size | None:
    """Draw a size close to an instrument's largest market order."""
    largest = instrument.max_market_qty
    if largest is None:
        return None
    share = Decimal(draw.randint(75, 100)) / 100
    return Size(SizeKind.QTY, max(instrument.floor_qty(largest * share), instrument.min_qty))


def draw_part(draw: random.Random, instrument: Instrument, price: float) -> Size | None:
    """Draw how much a closing signal closes; None is all."""
    chance = draw.random()
    if chance < 0.6:
        return None
    if chance < 0.8:
        return Size(SizeKind.PERCENT, Decimal(draw.choice((10, 25, 33, 50, 75))))
    return Size(SizeKind.QTY, _qty(instrument, draw.randint(20, 80) / price))


def _qty(instrument: Instrument, qty: float) -> Decimal:
    return max(instrument.floor_qty(exact(qty)), instrument.min_qty)
