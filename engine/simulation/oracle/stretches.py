"""The time in which one position's rules stood still, as one process was told of them.

A stretch ends where a fill, an amendment or the end of the process changes what its limits are. The
first stretch of a process begins with what its ledger held; what happened before is its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.model.events import (
    CloseRequested,
    Event,
    ExitsAmended,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
    Started,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument, Market
from engine.model.order import Fill, OrderStatus
from engine.model.position import Position, PositionStatus
from engine.simulation.history import Told
from engine.simulation.oracle.asked import Asked, changed, written

ID_LENGTH = 26
ENTRIES = frozenset("ea")
FINAL = frozenset((OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.CANCELLED))
WATCHED = (PositionStatus.OPENING, PositionStatus.OPEN)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rules that stood still in a process, between two places in what was told.

    Attributes:
        entry: average entry price of what was received, exact.
        received: base quantity that the process was told to have been received.
        entry_ns: venue time of the first entry fill, UTC.
        durable: the position as the ledger gave it to this process; None if it began there.
        is_amended: whether an amendment began this stretch or one before it, in this process.
    """

    life: int
    begin: int
    end: int
    asked: Asked
    entry: Decimal
    received: Decimal
    entry_ns: int
    durable: Position | None
    is_amended: bool = False


def is_entry(fill: Fill) -> bool:
    """Tell whether a fill of ours opened something."""
    key = fill.client_order_id or ""
    return len(key) > ID_LENGTH and key[ID_LENGTH] in ENTRIES


@dataclass
class _Reading:
    """What a process knows of a position while its story is read."""

    asked: Asked
    fills: dict[tuple[str, str], Fill]
    is_settled: bool
    is_amended: bool = False

    def take(self, event: Event) -> bool:
        """Take an event; tells whether rules or entry price changed."""
        match event:
            case OrderFilled(fill=fill):
                return self._fill([fill])
            case OrderLookedUp():
                self._settle(event.client_order_id, event.status)
                return self._fill(event.fills)
            case OrderUpdated():
                self._settle(event.client_order_id, event.status)
            case ExitsAmended() if self.is_settled:
                self.asked = changed(self.asked, event.changes)
                self.is_amended = True
                return True
            case _:
                pass
        return False

    def _settle(self, key: str, status: OrderStatus | None) -> None:
        if len(key) > ID_LENGTH and key[ID_LENGTH] in ENTRIES and status in FINAL:
            self.is_settled = True

    def _fill(self, fills: Iterable[Fill]) -> bool:
        before = len(self.fills)
        for fill in fills:
            if is_entry(fill):
                self.fills[fill.client_order_id or "", fill.venue_trade_id] = fill
        return len(self.fills) > before

    def average(self) -> tuple[Decimal, Decimal, int] | None:
        """The exact average of what was received, that, and the time of the first fill."""
        if not self.fills:
            return None
        value, received = Decimal(0), Decimal(0)
        for fill in self.fills.values():
            kept = _kept(fill)
            value += (fill.qty - kept) * fill.price
            received += fill.qty - kept
        first_ns = min(fill.time_ns for fill in self.fills.values())
        return (value / received, received, first_ns) if received > 0 else None


def _kept(fill: Fill) -> Decimal:
    is_spot = fill.instrument.id.market is Market.SPOT
    return fill.fee if is_spot and fill.fee_asset == fill.instrument.base else Decimal(0)


def stretches_of(
    position: Position,
    asked: Asked,
    executed: Sequence[Fill],
    told: Sequence[Told],
    places: Sequence[int],
    starts: Mapping[int, tuple[int, Started]],
    born_in: int,
) -> Iterator[Stretch]:
    """Read a position's story.

    Args:
        asked: the rules its signal and the defaults come to.
        executed: the venue's executions under its ids.
        places: of events about it, in ``told``.
        born_in: the life that took its signal first.
    """
    by_life: dict[int, list[int]] = {}
    for place in places:
        by_life.setdefault(told[place].life, []).append(place)
    for life, (place, started) in starts.items():
        durable = next((p for p in started.positions if p.id == position.id), None)
        if durable is None and life < born_in:
            continue
        if durable is not None and durable.status not in WATCHED:
            continue
        reading = _Reading(asked, {}, is_settled=False)
        if durable is not None:
            reading.asked = written(durable.exits, durable.trigger)
            reading.is_settled = durable.status is PositionStatus.OPEN
            reading.fills = {
                (fill.client_order_id or "", fill.venue_trade_id): fill
                for fill in executed
                if is_entry(fill)
                and (fill.client_order_id or "", fill.venue_trade_id) in started.booked
            }
        yield from _read(reading, durable, life, place, by_life.get(life, []), told)


def _read(
    reading: _Reading,
    durable: Position | None,
    life: int,
    start: int,
    places: Sequence[int],
    told: Sequence[Told],
) -> Iterator[Stretch]:
    current = _stretch(reading, durable, life, start)
    for place in places:
        event = told[place].event
        if (isinstance(event, CloseRequested) and event.fraction == 1) or _is_backstop(event):
            if current is not None:
                yield replace(current, end=place)
            return
        if reading.take(event):
            if current is not None:
                yield replace(current, end=place)
            current = _stretch(reading, durable, life, place)
    if current is not None:
        yield current


def fills_in(event: Event) -> Sequence[Fill]:
    """Return the executions that an event tells."""
    if isinstance(event, OrderFilled):
        return (event.fill,)
    return event.fills if isinstance(event, OrderLookedUp) else ()


def _is_backstop(event: Event) -> bool:
    """Tell whether an event says that a stop order at the venue has closed something."""
    keys = (fill.client_order_id or "" for fill in fills_in(event))
    return any(key[ID_LENGTH : ID_LENGTH + 1] == "b" for key in keys)


def _stretch(reading: _Reading, durable: Position | None, life: int, begin: int) -> Stretch | None:
    average = reading.average()
    if average is None:
        return None
    entry, received, first_ns = average
    return Stretch(
        life, begin, 1 << 60, reading.asked, entry, received, first_ns, durable, reading.is_amended
    )


def fee_of(instrument: Instrument, fills: Iterable[Fill]) -> Decimal:
    """Return the taker fee as a fraction, as the venue takes it from entries."""
    rates = [Decimal(0)]
    for fill in fills:
        if fill.fee_asset == instrument.base:
            rates.append(fill.fee / fill.qty)
        elif fill.fee_asset == instrument.quote:
            rates.append(fill.fee / (fill.qty * fill.price))
        elif fill.fee_rate is not None:
            rates.append(fill.fee * fill.fee_rate / (fill.qty * fill.price))
    return max(rates).quantize(Decimal("0.000001"))


def sign_of(side: Side) -> int:
    """Return 1 for a long, -1 for a short."""
    return 1 if side is Side.LONG else -1
