"""What the book must not cost: memory that grows for ever, work that grows with its size."""

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import FrameType
from typing import Any

from msgspec.structs import replace

from engine.core.book.instrument import InstrumentBook
from engine.model.exits import Side
from engine.model.rules.confirmation import Confirmation
from tests.property.grid import GRID, NONE, held, trailed

D = Decimal


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


@contextmanager
def bounded(kibibytes: int) -> Iterator[None]:
    """What is done inside leaves no more than this behind."""
    tracemalloc.start()
    try:
        yield
        gc.collect()
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
