"""Our book in the benches: filled, fed as the guardian feeds it, edited, crashed, weighed.

Times are CPU times of the thread, since nothing here waits, but for the longest ones: those are by
the clock, what others would have waited.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from bench.shared.held import INSTRUMENT
from bench.shared.report import BenchFailed
from engine.core.book.channel import Channel
from engine.core.book.instrument import InstrumentBook
from engine.model.position import Position

SLICE = 64
"""Rules looked at before other instruments have their turn."""


def filled(positions: Iterable[Position], price: float) -> InstrumentBook:
    """Arm ``positions`` in a new book that has seen ``price``."""
    book = InstrumentBook(INSTRUMENT)
    for position in positions:
        book.arm(position)
    if watch(book.last, [price]):
        raise BenchFailed(f"{price} reaches rules that it should not")
    return book


def watch(channel: Channel, prices: Iterable[float]) -> int:
    """Feed prices as the guardian does; returns how many rules they reached."""
    hits = 0
    for price in prices:
        if channel.floor < price < channel.ceil:
            channel.price = price
        else:
            hits += len(channel.take(price, 0, SLICE))
            while channel.due is not None:
                hits += len(channel.more(SLICE))
    return hits


class Stay(Struct, frozen=True):
    """A path whose prices are timed one by one.

    Attributes:
        hits: rules that were reached.
        whole_ms: all prices. longest_ms: the longest price, with all its slices.
    """

    hits: int
    whole_ms: float
    longest_ms: float


def watch_each(channel: Channel, prices: Iterable[float]) -> Stay:
    """Do what ``watch`` does, one price at a time."""
    clock = time.perf_counter_ns
    hits = longest_ns = 0
    began_ns = time.thread_time_ns()
    for price in prices:
        price_ns = clock()
        hits += watch(channel, (price,))
        longest_ns = max(longest_ns, clock() - price_ns)
    return Stay(hits, (time.thread_time_ns() - began_ns) / 1e6, longest_ns / 1e6)


def loop(prices: Iterable[float]) -> None:
    """The loop over prices alone."""
    for _price in prices:
        pass


def per_tick_ns(passes: Callable[[Sequence[float]], object], prices: Sequence[float]) -> float:
    """Time one pass over prices that must not reach anything."""
    began_ns = time.thread_time_ns()
    reached = passes(prices)
    taken_ns = time.thread_time_ns() - began_ns
    if reached:
        raise BenchFailed(f"{reached} rules were reached by quiet prices")
    return taken_ns / len(prices)


class Edits(Struct, frozen=True):
    """Microseconds for one position that is added, amended or removed."""

    add_us: float
    amend_us: float
    remove_us: float


def edit(book: InstrumentBook, new: Sequence[Position], changed: Sequence[Position]) -> Edits:
    """Add ``new``, amend those that are there to ``changed``, remove ``new``; each as ordered."""
    removed = [position.id for position in new]
    arm, disarm = book.arm, book.disarm
    began_ns = time.thread_time_ns()
    for position in new:
        arm(position)
    added_ns = time.thread_time_ns()
    for position in changed:
        arm(position)
    amended_ns = time.thread_time_ns()
    for position_id in removed:
        disarm(position_id)
    ended_ns = time.thread_time_ns()
    return Edits(
        (added_ns - began_ns) / len(new) / 1000,
        (amended_ns - added_ns) / len(changed) / 1000,
        (ended_ns - amended_ns) / len(new) / 1000,
    )


class Crash(Struct, frozen=True):
    """One price through many stops, in milliseconds.

    Attributes:
        whole_ms: all slices, each with its positions taken out of the book.
        taken_ms: the slices alone, without taking positions out.
        longest_ms: the longest slice.
    """

    positions: int
    whole_ms: float
    taken_ms: float
    longest_ms: float


def crash(book: InstrumentBook, price: float) -> Crash:
    """Take a price in slices, and take every position it reaches out of the book."""
    channel, clock, cpu = book.last, time.perf_counter_ns, time.thread_time_ns
    count = whole_ns = taken_ns = longest_ns = 0
    first = True
    while first or channel.due is not None:
        slice_ns, began_ns = clock(), cpu()
        hits = channel.take(price, 0, SLICE) if first else channel.more(SLICE)
        reached_ns = cpu()
        for hit in hits:
            if hit.position_id in book:  # another of its rules may have been in this slice
                book.disarm(hit.position_id)
                count += 1
        whole_ns += cpu() - began_ns
        taken_ns += reached_ns - began_ns
        longest_ns = max(longest_ns, clock() - slice_ns)
        first = False
    return Crash(count, whole_ns / 1e6, taken_ns / 1e6, longest_ns / 1e6)


def bytes_per_position(positions: Sequence[Position], price: float) -> float:
    """Weigh a book that holds ``positions``, which are not counted themselves."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        book = filled(positions, price)
        return (tracemalloc.get_traced_memory()[0] - before) / len(book)
    finally:
        tracemalloc.stop()
