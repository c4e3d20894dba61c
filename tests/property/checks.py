"""What the book and the exit rules must do, as plain functions that need no test runner.

``tests/property/mutants.py`` runs them against faulty copies; the quick ones come first.
"""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from types import FrameType
from typing import Any

from msgspec.structs import replace

from engine.core.book.channel import Channel
from engine.core.book.instrument import InstrumentBook
from engine.model.exit_checks import Situation, exit_problems
from engine.model.exit_set import Exits
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
from engine.model.position import Position, Progress
from engine.model.rules.break_even import BreakEven, break_even_stop
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Rung, closes_all, rung_price
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing, length, step_price, trailing_stop
from engine.model.ticks import PriceSource
from tests.property import formulas
from tests.property.worlds import PERCENTS, TICKS, instrument, run

D = Decimal
GRID = instrument(D(1))
NONE = Exits(Disarmed(), Disarmed())


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
        profit = formulas.profit_of(side, limit, at, tick)
        loss = formulas.stop_loss_of(side, limit, at, tick)
        assert threshold(limit, side, ExitReason.TAKE_PROFIT, at, market) == profit
        assert threshold(limit, side, ExitReason.STOP_LOSS, at, market) == loss
        assert length(distance, at) == formulas.length_of(distance, at)
        assert trailing_stop(side, at, distance, market) == formulas.stop_of(
            side, at, distance, tick
        )
        assert step_price(side, at, distance, market) == formulas.next_peak(
            side, at, distance, tick
        )
        offset, fee = random.choice((None, D(0), D("0.3"))), random.choice((D(0), D("0.00055")))
        assert break_even_stop(side, at, offset, fee, market) == formulas.break_even_of(
            side, at, offset, fee, tick
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


def held(name: str, side: Side = Side.LONG, **fields: object) -> Position:
    """A position on a grid of whole numbers, entered at 100."""
    position = Position(
        id=name,
        instrument=GRID,
        side=side,
        exits=NONE,
        trigger=PriceSource.LAST,
        created_at_ns=0,
        qty=D(1),
        entry_value=D(100),
    )
    return replace(position, **fields)


def trailed(name: str, side: Side, distance: int, peak: int, step: int | None = None) -> Position:
    rule = Trailing(Points(D(distance)), step=None if step is None else Points(D(step)))
    exits = replace(NONE, trailing=rule)
    return held(name, side, exits=exits, progress=Progress(peak=D(peak)))


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


@contextmanager
def bounded(kibibytes: int) -> Iterator[None]:
    """What is done inside leaves no more than this behind."""
    tracemalloc.start()
    try:
        yield
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert left < kibibytes << 10, f"{left} bytes are kept"


def check_memory() -> None:
    """Amending, trailing and confirming for ever does not grow the book."""
    book = InstrumentBook(GRID)
    book.arm(held("low", stop_loss=D(1), take_profit=D(10**6)))
    book.last.take(1000.0, 0)
    waits = replace(NONE, confirmation=Confirmation(ticks=3))
    with bounded(64):
        for n in range(3000):
            book.arm(held("a", stop_loss=D(2 + n % 50), take_profit=D(9000 + n % 70)))
            book.arm(trailed("b", Side.LONG, 700 + n % 7, 1000 + n, n % 3 or None))
            book.arm(held("c", Side.SHORT, exits=waits, stop_loss=D(1000)))
            book.arm(trailed(f"d{n}", Side.LONG, 900, 1000 - n % 5))
            book.disarm(f"d{n}")
            for price in (1000.0, 1001.0, 999.0):
                book.last.take(price, n)
    with bounded(64):
        for n in range(3000):
            book.arm(trailed(f"e{n}", Side.SHORT, 10**4, 500 - n % 400, n % 2 or None))
            book.disarm(f"e{n}")


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
            stop = formulas.stop_of(side, D(peak), rule.distance, D(1))
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


def work(do: Callable[[], object]) -> int:
    """Count the steps of the interpreter that the book takes."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if "core/book" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(before)
    return steps


def _crowd(size: int) -> InstrumentBook:
    book = InstrumentBook(GRID)
    book.last.take(10_000.0, 0)
    for n in range(size):
        book.arm(held(f"s{n}", stop_loss=D(5000 - n), take_profit=D(30_000 + n)))
        book.arm(trailed(f"t{n}", Side.LONG, 2000 + n % 50, 10_000 + n))
        book.arm(trailed(f"u{n}", Side.LONG, 2000 + n % 50, 10_000 + n, 3))
    return book


def check_work() -> None:
    """What happens often costs the same among 20 positions as among 400."""

    def add(book: InstrumentBook) -> None:
        for n in range(10):
            book.arm(held(f"x{n}", stop_loss=D(100 + n), take_profit=D(50_000 + n)))
            book.arm(trailed(f"y{n}", Side.LONG, 3000, 9000 + n))

    def amend(book: InstrumentBook) -> None:
        for n in range(10):
            book.arm(held(f"s{n}", stop_loss=D(4000 - n), take_profit=D(40_000 + n)))

    def remove(book: InstrumentBook) -> None:
        for n in range(10):
            book.disarm(f"s{n}")
            book.disarm(f"t{n}")

    def rise(book: InstrumentBook) -> None:
        for n in range(20):
            book.last.take(11_000.0 + n, 0)

    def swing(book: InstrumentBook) -> None:
        for _ in range(20):
            top = (book.peak("t0") or 0.0) + 1
            for price in (top, top - 1999):  # a new peak, and almost down to the nearest stop
                if not book.last.floor < price < book.last.ceil:
                    assert book.last.take(price, 0) == []

    few, many = _crowd(20), _crowd(400)
    for book in (few, many):
        rise(book)
        swing(book)  # peaks that were passed are united, once
    for do in (rise, swing, add, amend, remove):
        small, large = work(lambda: do(few)), work(lambda: do(many))  # noqa: B023
        assert large < 1.3 * small + 100, f"{do.__name__} takes {large} steps instead of {small}"


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
    check_worlds,
    check_work,
    check_memory,
)


def check_all() -> None:
    for check in CHECKS:
        check()
