"""What the book and the exit rules must do, as plain functions that need no test runner.

``tests/property/mutants.py`` runs them against faulty copies; the quick ones come first.
"""

from decimal import Decimal
from random import Random

from msgspec.structs import replace

from engine.core.book.channel import Channel
from engine.core.book.instrument import InstrumentBook
from engine.model.exit_checks import Situation, exit_problems
from engine.model.exits import (
    AtPrice,
    Disarmed,
    Distance,
    ExitReason,
    Limit,
    Percent,
    Points,
    Side,
    threshold,
    triggers_on_rise,
)
from engine.model.position import Progress
from engine.model.rules.break_even import BreakEven, break_even_stop
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Rung, closes_all, rung_price
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing, length, step_price, trailing_stop
from engine.model.ticks import PriceSource
from engine.simulation.oracle import levels
from tests.property.costs import check_memory, check_work
from tests.property.grid import GRID, NONE, held, trailed
from tests.property.pair import Pair
from tests.property.worlds import PERCENTS, TICKS, instrument, run

D = Decimal


def check_formulas() -> None:
    """Every threshold is what its definition says, on any grid."""
    random = Random(1)
    for _ in range(400):
        tick, side = random.choice(TICKS), random.choice(tuple(Side))
        at, market = tick * random.randint(1, 10**5) / random.choice((1, 3, 7, 100)), None
        market = instrument(tick)
        distance: Distance = random.choice(
            (Percent(random.choice(PERCENTS)), Points(tick * random.randint(1, 500) / 4))
        )
        limit: Limit = random.choice(
            (Percent(random.choice((*PERCENTS, D(100), D(250)))), AtPrice(at * 2), Disarmed())
        )
        profit = levels.profit(side.sign, limit, at, tick)
        loss = levels.loss(side.sign, limit, at, tick)
        assert threshold(limit, side, ExitReason.TAKE_PROFIT, at, market) == profit
        assert threshold(limit, side, ExitReason.STOP_LOSS, at, market) == loss
        assert length(distance, at) == levels.length(distance, at)
        assert trailing_stop(side, at, distance, market) == levels.trail(
            side.sign, at, distance, tick
        )
        assert step_price(side, at, distance, market) == levels.moves_at(
            side.sign, at, distance, tick
        )
        offset, fee = random.choice((None, D(0), D("0.3"))), random.choice((D(0), D("0.00055")))
        assert break_even_stop(side, at, offset, fee, market) == levels.break_even(
            side.sign, at, offset, fee, tick, spot=False
        )
        if not isinstance(limit, Disarmed):
            assert rung_price(Rung(limit, D(1)), side, at, market) == (profit or 0)


def check_sides() -> None:
    assert (Side.LONG.sign, Side.SHORT.sign) == (1, -1)
    assert (Side.LONG.opposite, Side.SHORT.opposite) == (Side.SHORT, Side.LONG)
    for side in Side:
        assert triggers_on_rise(side, ExitReason.TAKE_PROFIT) == (side is Side.LONG)
        assert triggers_on_rise(side, ExitReason.STOP_LOSS) == (side is Side.SHORT)


def check_time_stop() -> None:
    """The earlier of the two; a position without an entry has not been held."""
    for hold, until, entry, deadline in (
        (None, None, 100, None),
        (50, None, 100, 150),
        (50, None, None, None),
        (50, 200, 100, 150),
        (50, 120, 100, 120),
        (None, 120, None, 120),
        (50, 120, None, 120),
        (50, None, 0, 50),
        (0, None, 100, 100),
    ):
        assert TimeStop(hold, until).deadline_ns(entry) == deadline


def check_small_rules() -> None:
    """One tick is no confirmation, fractions that add up to one close all, limits are as stated."""
    for ms, ticks, is_on in ((0, 0, 0), (0, 1, 0), (0, 2, 1), (1, 0, 1), (1, 1, 1)):
        assert Confirmation(ms, ticks).is_on == bool(is_on)
    half = Rung(Percent(D(1)), D("0.5"))
    assert closes_all((half, half))
    assert not closes_all((half,))
    assert not closes_all((half, half, half))
    assert not closes_all(())
    assert (BreakEven().after_rung, Confirmation().ms, Confirmation().ticks) == (0, 0, 0)
    now = Situation(Side.LONG, GRID.id, PriceSource.LAST, 0)
    rungs = tuple(Rung(Percent(D(n)), D("0.01")) for n in range(1, 12))
    for exits, fits in (
        (replace(NONE, confirmation=Confirmation(ms=60_000)), True),
        (replace(NONE, confirmation=Confirmation(ms=60_001)), False),
        (replace(NONE, confirmation=Confirmation(ticks=10_000)), True),
        (replace(NONE, confirmation=Confirmation(ticks=10_001)), False),
        (replace(NONE, ladder=rungs[:10]), True),
        (replace(NONE, ladder=rungs), False),
    ):
        assert (not exit_problems(exits, now)) == fits


def quiet(channel: Channel) -> tuple[float, float]:
    return channel.floor, channel.ceil


def check_quiet_prices() -> None:
    """Between thresholds nothing has to be looked at: this is what makes the book fast."""
    book = InstrumentBook(GRID)
    book.arm(held("a", stop_loss=D(90), take_profit=D(120)))
    book.arm(held("b", stop_loss=D(95), take_profit=D(115)))
    assert not quiet(book.last)[0] < 100 < quiet(book.last)[1], "the first price is looked at"
    assert book.last.take(100.0, 0) == []
    assert quiet(book.last) == (95.0, 115.0)
    book.arm(held("c", Side.SHORT, stop_loss=D(110), take_profit=D(97)))
    assert quiet(book.last) == (97.0, 110.0)
    book.disarm("c")
    book.last.take(96.0, 0)
    book.last.take(110.0, 0)
    assert quiet(book.last) == (95.0, 115.0), "what was removed is forgotten"
    book.last.quiet_within(99.0, 101.0)
    assert quiet(book.last) == (99.0, 101.0)
    assert [hit.position_id for hit in book.last.take(94.0, 0)] == ["b"]
    book.last.quiet_within(0.0, 1000.0)
    assert quiet(book.last) == (90.0, 115.0), "what has triggered is out, the rest of b is not"


def check_quiet_trails() -> None:
    """Trailing stops are looked at within a tick of the stop and beyond the peak or its step."""
    for side in Side:
        for step in (None, 5):
            for kind in (Points, Percent):
                book = InstrumentBook(GRID)
                book.last.take(_mirrored(side, 99), 0)
                near = trailed("a", side, 10, 100, step)
                rule = replace(near.exits.trailing, distance=kind(D(10)))
                book.arm(replace(near, exits=replace(NONE, trailing=rule)))
                book.arm(trailed("b", side, 20, 100, step))
                _quiet_between(book, side, 90, 100 + (step or 0))
                if kind is Points:
                    for price, stop, best in ((99, 90, 100), (110, 100, 110), (102, 100, 110)):
                        assert book.last.take(_mirrored(side, price), 0) == []
                        _quiet_between(book, side, stop, best + (step or 0))
                        assert book.peak("a") == book.peak("b") == _mirrored(side, best)


def _quiet_between(book: InstrumentBook, side: Side, stop: float, beyond: float) -> None:
    low, high = sorted(_mirrored(side, end) for end in quiet(book.last))
    assert stop <= low <= stop + 1.001
    assert high == beyond


def _mirrored(side: Side, price: float) -> float:
    return float(price if side is Side.LONG else 200 - price)


def check_far_digits() -> None:
    """A stop just below the next tick is not missed by the doubles that guess where it lies."""
    random = Random(5)
    for side in Side:
        for _ in range(150):
            parts = 999_999 if side is Side.LONG else 1_000_001
            peak = random.randrange(10**13, 10**14)
            peak += (1 if side is Side.LONG else -1) * pow(parts, -1, 10**6) - peak % 10**6
            book = InstrumentBook(GRID)
            rule = Trailing(Percent(D("0.0001")))
            exits, progress = replace(NONE, trailing=rule), Progress(peak=D(peak))
            book.last.take(float(peak), 0)
            book.arm(held("a", side, exits=exits, progress=progress))
            stop = levels.trail(side.sign, D(peak), rule.distance, D(1))
            inside = stop + side.sign
            for price, hits in ((inside, 0), (stop, 1)):
                double = float(price)
                quiet_price = book.last.floor < double < book.last.ceil
                assert hits == (0 if quiet_price else len(book.last.take(double, 0)))


def check_changed_confirmation() -> None:
    """A stop that waits begins anew when its confirmation changes, and is watched meanwhile."""
    waits = held("a", stop_loss=D(95), exits=replace(NONE, confirmation=Confirmation(ticks=2)))
    for ticks in (0, 3):
        book = InstrumentBook(GRID)
        book.arm(waits)
        assert book.last.take(100.0, 0) == book.last.take(94.0, 0) == []
        asked = replace(NONE, confirmation=Confirmation(ticks=ticks))
        book.arm(replace(waits, exits=asked))
        assert book.last.floor >= 95.0
        for _ in range(ticks - 1):
            assert book.last.take(94.0, 0) == []
        assert [hit.level for hit in book.last.take(94.0, 0)] == [95.0]
        assert book.last.floor < 94.0, "and then no more"


def check_frozen() -> None:
    """Rules are values: they can be keys, and nobody changes them behind the book's back."""
    for value in (
        Percent(D(1)),
        AtPrice(D(1)),
        Points(D(1)),
        Disarmed(),
        Rung(Percent(D(1)), D(1)),
        Trailing(Percent(D(1))),
        BreakEven(),
        Confirmation(),
        TimeStop(),
    ):
        assert isinstance(hash(value), int)


def check_churn() -> None:
    """Few trailing stops of one kind that come and go for long, with peaks near and far."""
    for seed in range(8):
        random, pair = Random(seed), Pair(GRID)
        side, price = random.choice(tuple(Side)), 1000
        for n in range(300):
            if len(pair.positions) < random.randint(1, 12):
                step = random.choice((None, 5)) if seed % 2 else None
                peak = price + side.sign * random.choice((0, 3, 20, 100, 250, 400))
                distance = random.choice((300, 310, 450, 450, 600, 800))
                pair.arm(trailed(f"{n:04}", side, distance, peak, step))
            elif random.random() < 0.7:
                pair.disarm(random.choice(list(pair.positions)))
            price += random.choice((-250, -40, -3, -1, 0, 1, 3, 40, 250))
            price = min(max(price, 500), 1500)
            pair.give("last", D(price))
            pair.check(list(pair.positions))


def check_smallest_distance() -> None:
    """A new peak reaches the stop of the smallest distance, however often it was worked out."""
    for side in Side:
        pair = Pair(GRID)
        pair.arm(trailed("low", side, 700, _to(side, 1000)))
        pair.arm(trailed("high", side, 600, _to(side, 1500)))
        for n in range(40):
            pair.give("last", D(_to(side, 1001 + n)))
            pair.arm(trailed("x", side, 900, _to(side, 990)))
            pair.disarm("x")
        pair.give("last", D(_to(side, 1600)))
        pair.give("last", D(_to(side, 995)))
        assert list(pair.positions) == ["low"]


def _to(side: Side, price: int) -> int:
    return price if side is Side.LONG else 3000 - price


def check_worlds() -> None:
    """Book and oracle agree, in small worlds first."""
    for size, seeds, ticks in ((3, 60, 60), (8, 30, 80), (30, 10, 80), (120, 3, 60)):
        for seed in range(seeds):
            run(70_000_000 + seed, ticks, size)


CHECKS = (
    check_sides,
    check_time_stop,
    check_small_rules,
    check_quiet_prices,
    check_quiet_trails,
    check_frozen,
    check_changed_confirmation,
    check_far_digits,
    check_formulas,
    check_smallest_distance,
    check_churn,
    check_worlds,
    check_work,
    check_memory,
)


def check_all() -> None:
    for check in CHECKS:
        check()
