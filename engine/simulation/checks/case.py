"""One lifetime laid out for judgement: who did what, by position, by order and by life."""

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property

from msgspec import Struct

from engine.model.effects import AppendEvent, Record, SaveOrder, SaveSignal, SendNotice
from engine.model.events import (
    CloseRequested,
    ExitsAmended,
    FeedLost,
    FeedResumed,
    LeaseChanged,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
    PricesChecked,
    PricesMissed,
    SignalReceived,
    Started,
)
from engine.model.exits import Side
from engine.model.instrument import InstrumentId, Market
from engine.model.order import Fill, Order, OrderStatus
from engine.model.position import Position
from engine.model.signal import Signal
from engine.model.ticks import MarkTick, PriceSource, QuoteTick, TradeTick
from engine.simulation.history import Arrival, Facts, History, Request, Venue
from engine.simulation.oracle.prices import TICK_OF, Track, surely_believed, track_of, with_checked
from engine.simulation.oracle.stretches import is_entry
from engine.simulation.plan import EPOCH_NS, Plan

ID_LENGTH = 26
ENTRY, ADD, EXIT, BACKSTOP = "e", "a", "x", "b"
LETTERS = frozenset((ENTRY, ADD, EXIT, BACKSTOP))
CLOSING = frozenset((EXIT, BACKSTOP))
ENDED = frozenset((OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.CANCELLED))
ZERO = Decimal(0)
FOR_EVER_NS = 1 << 62

Spell = tuple[int, int]
"""A stretch of virtual time in ns, from its beginning to its end."""

Id = tuple[str, str, int]
"""Position id, letter of the purpose, generation."""


class Violation(Struct, frozen=True):
    """An invariant that did not hold. ``at_ns`` is virtual time, 0 where it has none."""

    invariant: int
    name: str
    at_ns: int
    message: str


def parts_of(client_order_id: str | None) -> Id | None:
    """Split an id of ours; None when it is not ours."""
    if client_order_id is None or len(client_order_id) <= ID_LENGTH + 1:
        return None
    letter, number = client_order_id[ID_LENGTH], client_order_id[ID_LENGTH + 1 :]
    if letter not in LETTERS or not number.isdigit():
        return None
    return client_order_id[:ID_LENGTH], letter, int(number)


def base_fee(fill: Fill) -> Decimal:
    """Return what a buy on spot kept back of the base asset as its fee."""
    is_kept = fill.instrument.id.market is Market.SPOT and fill.fee_asset == fill.instrument.base
    return fill.fee if is_kept else ZERO


class Case:
    """A lifetime, and what was found. Everything is looked up once, when it is first needed."""

    def __init__(
        self, plan: Plan, history: History, venues: Mapping[str, Venue], facts: Facts
    ) -> None:
        self.plan = plan
        self.history = history
        self.venues = venues
        self.facts = facts
        self.violations: list[Violation] = []
        self.checks: Counter[str] = Counter()
        self.starts: dict[int, tuple[int, Started]] = {}
        """By life: where in what was told it was told what the ledger holds."""
        self.told_of: dict[str, list[int]] = {}
        """By position: places of events about it or its orders in what was told."""
        self.signals_told: list[int] = []
        self.deferrals: list[int] = []
        self.leases: list[int] = []
        self.ticks: dict[tuple[int, InstrumentId, type], list[int]] = {}
        self.by_rest: dict[tuple[int, InstrumentId], list[int]] = {}
        self.feeds: dict[tuple[int, InstrumentId], list[int]] = {}
        """By life and instrument: places at which its prices were told to be lost or there."""
        self._tracks: dict[tuple[int, InstrumentId, PriceSource, Side, bool], Track] = {}
        self._compared: dict[tuple[int, InstrumentId, PriceSource, Side], Track] = {}
        self._read_told()

    # Findings

    def judged(self, name: str, subjects: int = 1) -> None:
        """Count what an invariant was judged of."""
        self.checks[name] += subjects

    def blame(self, invariant: int, name: str, at_ns: int, message: str) -> None:
        """Write down that an invariant did not hold."""
        self.violations.append(Violation(invariant, name, at_ns, message))

    # What was told

    def _read_told(self) -> None:
        ticks = self.ticks
        for place, (_, life, event, _) in enumerate(self.history.told):
            kind = type(event)
            if kind is TradeTick or kind is QuoteTick or kind is MarkTick:
                key: tuple[int, InstrumentId, type] = (life, event.instrument, kind)  # type: ignore[union-attr, assignment]
                found = ticks.get(key)
                if found is None:
                    found = ticks[key] = []
                found.append(place)
            else:
                self._read(place, life, event)

    def _read(self, place: int, life: int, event: object) -> None:
        match event:
            case OrderFilled(fill=fill):
                self._note(fill.client_order_id, place)
            case OrderUpdated() | OrderLookedUp():
                self._note(event.client_order_id, place)
            case CloseRequested() | ExitsAmended():
                self.told_of.setdefault(event.position_id, []).append(place)
            case SignalReceived():
                self.signals_told.append(place)
            case OrderDeferred():
                self.deferrals.append(place)
                self._note(event.client_order_id, place)
            case PricesChecked() | PricesMissed():
                self.by_rest.setdefault((life, event.instrument), []).append(place)
            case FeedLost() | FeedResumed():
                for instrument in event.instruments:
                    self.feeds.setdefault((life, instrument), []).append(place)
            case LeaseChanged():
                self.leases.append(place)
            case Started():
                self.starts[life] = (place, event)
            case _:
                pass

    def _note(self, client_order_id: str | None, place: int) -> None:
        if client_order_id is not None:
            self.told_of.setdefault(client_order_id[:ID_LENGTH], []).append(place)

    # Facts

    @cached_property
    def positions(self) -> dict[str, Position]:
        """Positions of storage by id."""
        return {position.id: position for position in self.facts.positions}

    @cached_property
    def orders(self) -> dict[str, Order]:
        """Orders of storage by id."""
        return {order.client_order_id: order for order in self.facts.orders}

    @cached_property
    def signals(self) -> dict[str, Signal]:
        """Every signal that a process took or storage has, by id."""
        found = {record.signal.id: record.signal for record in self.facts.signals}
        for place in self.signals_told:
            event = self.history.told[place].event
            if isinstance(event, SignalReceived):
                found.setdefault(event.signal.id, event.signal)
        return found

    # The venues

    @cached_property
    def fills(self) -> list[Fill]:
        """Every execution of every venue, each venue's in order."""
        return [fill for name in sorted(self.venues) for fill in self.venues[name].fills]

    @cached_property
    def executions(self) -> dict[str, list[Fill]]:
        """Executions under ids of ours, by position."""
        found: dict[str, list[Fill]] = {}
        for fill in self.fills:
            ours = parts_of(fill.client_order_id)
            if ours is not None:
                found.setdefault(ours[0], []).append(fill)
        return found

    @cached_property
    def taken_from(self) -> dict[tuple[InstrumentId, str], list[tuple[str, Fill]]]:
        """Foreign executions that storage takes from positions of ours: by instrument and trade."""
        found: dict[tuple[InstrumentId, str], list[tuple[str, Fill]]] = {}
        for fill, position_id in self.facts.fills:
            if position_id is not None and parts_of(fill.client_order_id) is None:
                key = (fill.instrument.id, fill.venue_trade_id)
                found.setdefault(key, []).append((position_id, fill))
        return found

    @cached_property
    def foreign_of(self) -> dict[str, list[Fill]]:
        """Parts of foreign executions that storage takes from a position, by position."""
        found: dict[str, list[Fill]] = {}
        for taken in self.taken_from.values():
            for position_id, fill in taken:
                found.setdefault(position_id, []).append(fill)
        return found

    @cached_property
    def oversold(self) -> frozenset[str]:
        """Positions of which an exit and a stop order sold more together than was held.

        What reduces only is cut by the venue to what the instrument holds, for whomever: where more
        is held than the position's, the rest is as if others had sold it.
        """
        found = set()
        for position_id, fills in self.executions.items():
            letters = {(parts_of(fill.client_order_id) or "  ")[1] for fill in fills}
            is_linear = fills[0].instrument.id.market is Market.LINEAR
            if is_linear and letters >= CLOSING:
                left = sum((fill.qty if is_entry(fill) else -fill.qty for fill in fills), ZERO)
                left -= sum((fill.qty for fill in self.foreign_of.get(position_id, ())), ZERO)
                if left < ZERO:
                    found.add(position_id)
        return frozenset(found)

    def settled(self, position_id: str) -> list[Fill]:
        """Executions under a position's ids, less what they sold beyond it."""
        if position_id not in self.oversold:
            return self.executions.get(position_id, [])
        return [f for f, of in self.facts.fills if of == position_id and f.client_order_id]

    # What left, and what became durable

    @cached_property
    def requests_of(self) -> dict[str, list[Request]]:
        """Requests by position, in the order they left."""
        found: dict[str, list[Request]] = {}
        for request in self.history.requests:
            found.setdefault(request.order.position_id, []).append(request)
        return found

    @cached_property
    def arrivals_of(self) -> dict[str, list[Arrival]]:
        """Arrivals by client order id, in the order they came."""
        found: dict[str, list[Arrival]] = {}
        for arrival in self.history.arrivals:
            found.setdefault(arrival.order.client_order_id, []).append(arrival)
        return found

    def records(self) -> Iterator[tuple[int, int, Record]]:
        """Everything that became durable: virtual time, life, record."""
        for at_ns, life, records in self.history.commits:
            for record in records:
                yield at_ns, life, record

    @cached_property
    def durable(self) -> dict[str, int]:
        """When an order or a signal first became durable, by its id."""
        found: dict[str, int] = {}
        for at_ns, _, record in self.records():
            if isinstance(record, SaveOrder):
                found.setdefault(record.order.client_order_id, at_ns)
            elif isinstance(record, SaveSignal):
                found.setdefault(record.record.signal.id, at_ns)
        return found

    def track(self, life: int, position: Position, source: PriceSource, *, sure: bool) -> Track:
        """Return the prices that a position is compared with, all told or surely believed."""
        instrument = position.instrument.id
        side = position.side if source is PriceSource.BOOK else Side.LONG
        key = (life, instrument, source, side, sure)
        found = self._tracks.get(key)
        if found is None:
            if sure:
                all_compared = self.compared(life, position, source)
                found = surely_believed(all_compared, self.history.told, instrument)
            else:
                places = self.ticks.get((life, instrument, TICK_OF[source]), [])
                found = track_of(self.history.told, places, side)
            self._tracks[key] = found
        return found

    def compared(self, life: int, position: Position, source: PriceSource) -> Track:
        """Return all told prices, and where the stream was lost those that took their place."""
        streamed = self.track(life, position, source, sure=False)
        instrument = position.instrument.id
        if (life, instrument) not in self.feeds or (life, instrument) not in self.by_rest:
            return streamed
        side = position.side if source is PriceSource.BOOK else Side.LONG
        key = (life, instrument, source, side)
        if key not in self._compared:
            every = self.by_rest[life, instrument]
            places = [place for place in every if self._is_lost(life, instrument, place)]
            told = self.history.told
            self._compared[key] = with_checked(streamed, told, places, source, side)
        return self._compared[key]

    def _is_lost(self, life: int, instrument: InstrumentId, place: int) -> bool:
        before = [each for each in self.feeds[life, instrument] if each < place]
        return bool(before) and isinstance(self.history.told[before[-1]].event, FeedLost)

    @cached_property
    def armed(self) -> dict[tuple[int, str], int]:
        """When it was durable that a position was armed after a start, by life and position."""
        return {
            (life, str(record.data.get("position_id"))): at_ns
            for at_ns, life, record in self.records()
            if isinstance(record, AppendEvent) and record.kind == "position.armed"
        }

    @cached_property
    def unexplained(self) -> dict[tuple[int, str], list[Spell]]:
        """When accounts were told to be unexplained, by life and instrument.

        By the notices' own times, since storage may have them later; where the host's UTC was ever
        wrong, for the whole life.
        """
        is_wrong = any(struck.fault.kind == "jump" for struck in self.history.struck)
        found: dict[tuple[int, str], list[Spell]] = {}
        for _, life, record in self.records():
            if not isinstance(record, SendNotice):
                continue
            spells = found.setdefault((life, str(record.data.get("instrument"))), [])
            at_ns = record.at_ns - EPOCH_NS
            if record.kind == "account.unexplained":
                spells.append((0 if is_wrong else at_ns, FOR_EVER_NS))
            elif record.kind == "account.explained" and spells and not is_wrong:
                spells[-1] = spells[-1][0], at_ns
        return found

    @cached_property
    def fenced(self) -> dict[int, list[Spell]]:
        """When a process knew that its lease was over, by life."""
        found: dict[int, list[Spell]] = {}
        for place in self.leases:
            at_ns, life, event, _ = self.history.told[place]
            spells = found.setdefault(life, [])
            if not isinstance(event, LeaseChanged):
                continue
            if not event.held and (not spells or spells[-1][1] < FOR_EVER_NS):
                spells.append((at_ns, FOR_EVER_NS))
            elif event.held and spells:
                spells[-1] = spells[-1][0], at_ns
        return found

    def venue_of(self, event: OrderDeferred) -> str | None:
        """Return the venue that did not take a request; None if nobody made it."""
        for request in self.requests_of.get(event.client_order_id[:ID_LENGTH], ()):
            return request.order.instrument.id.venue
        return None

    def alive_until(self, life: int) -> int | None:
        """Return when a life ended; None if it never did."""
        for each in self.history.lives:
            if each.number == life:
                return each.ended_ns
        return None
