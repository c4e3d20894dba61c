"""What the guardian knows: one object, changed only by the guardian's own steps.

A step collects what it wants done in ``State``: entities that it touched are saved once, in their
last form, when the step ends, in an order that respects the ledger's references.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.core.accounts import Accounts
from engine.core.backstops import Backstops
from engine.core.market_view import MarketView
from engine.core.order_path import Asking, OrderPath, Retry
from engine.core.resolving import Resolving, Trigger
from engine.core.time_stops import TimeStops
from engine.model.effects import (
    AppendEvent,
    Command,
    Effect,
    Effects,
    Record,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
    Unwatch,
    Watch,
)
from engine.model.events import Balance
from engine.model.exit_set import Exits
from engine.model.exits import ExitReason
from engine.model.ids import ID_LENGTH, Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO, exact
from engine.model.order import Order, check_order_transition
from engine.model.position import Position, check_position_transition
from engine.model.signal import Outcome, Signal, SignalRecord
from engine.model.ticks import PriceSource

BookingKey = tuple[str, str]
"""A fill or settlement in the books: (client order id, trade id) of ours, (position id, trade id)
of foreign ones, (instrument, trade id) of funding. Ids of both kinds begin with the position's."""

GUARD = "guard"
"""Actor of what the guardian does by itself."""

Wallet = tuple[str, Market | None, str]
"""Venue, market where it keeps a wallet for each, asset."""


class GuardConfig(Struct, frozen=True):
    """Settings of the guardian.

    Attributes:
        exits: the rules of an entry that does not say otherwise.
        position_size: quote notional of an entry that states no size.
        fee_rates: taker fee as a fraction, per venue and market.
        maintenance_margin: fraction of notional below which the venue liquidates.
        gap_strict: whether a limit crossed in a gap closes though the price has come back.
        stale_feed_ns: after how much silence the adapters tell that a feed is lost.
        monitor_interval_ns: how often the account is compared with our books.
        recv_window_ns: how long after its timestamp a venue still takes a request of ours.
        cross_margin: no liquidation price is estimated before an entry; the venue's own is judged.
        backstops: markets on which each position has a stop order at the venue.
        backstop_extra_percent: how far beyond the stop it lies, in % of the stop.
    """

    exits: Exits
    position_size: Decimal
    fee_rates: dict[tuple[str, Market], Decimal]
    trigger: PriceSource = PriceSource.LAST
    gap_strict: bool = False
    stale_feed_ns: int = 10_000_000_000
    monitor_interval_ns: int = 30_000_000_000
    recv_window_ns: int = 5_000_000_000
    leverage: Decimal = Decimal(1)
    cross_margin: bool = False
    maintenance_margin: Decimal = Decimal("0.005")
    max_entry_deviation_percent: Decimal = Decimal(1)
    signal_max_age_ns: int = 60_000_000_000
    price_wait_ns: int = 10_000_000_000
    close_on_opposite: bool = True
    max_open_positions: int = 10
    add_on_same: bool = False
    max_tick_jump_percent: Decimal = Decimal(20)
    backstops: frozenset[Market] = frozenset()
    backstop_extra_percent: Decimal = Decimal(5)

    def fee_rate(self, instrument: Instrument) -> Decimal:
        """Return the taker fee of an instrument, a fraction."""
        return self.fee_rates[instrument.id.venue, instrument.id.market]


class Waiting(Struct, frozen=True):
    """An entry that waits for the first price of its instrument, until ``deadline_ns`` elapsed."""

    signal: Signal
    position_id: str
    deadline_ns: int


class Cause(Struct, frozen=True):
    """Why an exit is made, and by whom."""

    reason: ExitReason
    actor: str = GUARD
    signal_id: str | None = None
    trigger: Trigger | None = None


class Wish(Struct, frozen=True):
    """A close that was asked for: of ``part`` (base asset), or whole when that is None.

    ``again``: an earlier process was asked for it too, and may have begun it.
    """

    cause: Cause
    part: Decimal | None = None
    again: bool = False


@dataclass(slots=True)
class State:
    """Everything the guardian remembers.

    Attributes:
        at_ns: UTC as last told by the shell. elapsed_ns: monotonic time passed since the first
            clock; deadlines are in it. clock_ns, utc_offset_ns: monotonic time of the last clock
            (0 before one), and what makes UTC of monotonic time.
        rung_retries: by position id; when a refused part of a ladder is asked for again.
        trailing: ids of positions with a trailing stop, in the order of their next look.
        busy: instruments with prices whose closes are not all under way, in turn.
        continuing: whether another turn for them was asked for.
        tick_counts: prices held, confirmed, contradicted or believed unconfirmed, by source.
        resolving, deferred: by position id; closes wait in ``deferred`` for their answers.
        asking, looking: by client order id; when an order is asked for next, and those of which an
            answer is due that is about the request as last sent.
        reserved: quote amounts that entries in flight may take, by client order id.
        alarmed: client order ids of whose contradictions the owner was told.
        foreign: signed base quantity (linear that nets) or balance (spot) that is not ours.
        unexplained: instruments whose holdings the executions do not explain: they take no entries
            and their closes are capped at what the venue holds (the value, base asset).
        accounts_read: per venue, local monotonic time at which the last account report was asked.
        sent_ns: by client order id, when it may last have left us (elapsed); none before a commit.
        path: what is remembered of orders on their way. backstops: stop orders that rest at the
            venues; they are not among ``orders``. part_rests: by position id; what is to be closed
            of a part when its slices in flight end.
        stopped: by venue; why it takes no requests of ours until the owner acts.
        fenced: whether the lease of the one writer is over: closes are looked up before.
        edges: how often each life cycle went from one state to another.
    """

    config: GuardConfig
    accepting: bool = True
    since_ns: int = 0
    at_ns: int = 0
    elapsed_ns: int = 0
    clock_ns: int = 0
    utc_offset_ns: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    signals: dict[str, SignalRecord] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    balances: dict[Wallet, Balance] = field(default_factory=dict)
    markets: dict[InstrumentId, MarketView] = field(default_factory=dict)
    _booked: dict[str, set[BookingKey]] = field(default_factory=dict)
    _on: dict[InstrumentId, dict[str, Position]] = field(default_factory=dict)
    _orders_of: dict[str, dict[str, Order]] = field(default_factory=dict)
    resolving: dict[str, Resolving] = field(default_factory=dict)
    deferred: dict[str, list[Wish]] = field(default_factory=dict)
    retries: dict[str, Retry] = field(default_factory=dict)
    rung_retries: dict[str, Retry] = field(default_factory=dict)
    time_stops: TimeStops = field(default_factory=TimeStops)
    trailing: dict[str, None] = field(default_factory=dict)
    peaks_due_ns: int = 0
    busy: dict[InstrumentId, None] = field(default_factory=dict)
    continuing: bool = False
    tick_counts: Counter[str] = field(default_factory=Counter)
    asking: dict[str, Asking] = field(default_factory=dict)
    looking: set[str] = field(default_factory=set)
    alarmed: set[str] = field(default_factory=set)
    reserved: dict[str, Decimal] = field(default_factory=dict)
    foreign: dict[InstrumentId, Decimal] = field(default_factory=dict)
    unexplained: dict[InstrumentId, Decimal] = field(default_factory=dict)
    accounts_read: dict[str, int] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=Accounts)
    sent_ns: dict[str, int] = field(default_factory=dict)
    path: OrderPath = field(default_factory=OrderPath)
    backstops: Backstops = field(default_factory=Backstops)
    part_rests: dict[str, Wish] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    fenced: bool = False
    edges: Counter[str] = field(default_factory=Counter)
    blind: set[InstrumentId] = field(default_factory=set)
    last_close_ns: dict[InstrumentId, int] = field(default_factory=dict)
    _dirty_signals: dict[str, None] = field(default_factory=dict)
    _dirty_positions: dict[str, Position] = field(default_factory=dict)
    _dirty_orders: dict[str, Order] = field(default_factory=dict)
    _records: list[Record] = field(default_factory=list)
    _commands: list[Command] = field(default_factory=list)

    # Reading

    def active_on(self, instrument: InstrumentId) -> list[Position]:
        """Active positions of an instrument, oldest first."""
        found = self._on.get(instrument, {}).values()
        return sorted(found, key=lambda position: (position.created_at_ns, position.id))

    def instruments_held(self) -> set[InstrumentId]:
        """Return the instruments that have active positions."""
        return {instrument for instrument, on in self._on.items() if on}

    def orders_of(self, position_id: str) -> list[Order]:
        """Orders of a position that are not final."""
        return list(self._orders_of.get(position_id, {}).values())

    def order(self, client_order_id: str) -> Order | None:
        """Return an order that is not final, or a backstop."""
        return self.orders.get(client_order_id) or self.backstops.find(client_order_id)

    def is_booked(self, key: BookingKey) -> bool:
        """Tell whether a fill or settlement is in the books."""
        return key in self._booked.get(key[0][:ID_LENGTH], ())

    def balance(self, instrument: InstrumentId, asset: str) -> Balance | None:
        """Return an asset in the wallet that trades of an instrument draw on; None of none."""
        own = self.balances.get((instrument.venue, instrument.market, asset))
        return own or self.balances.get((instrument.venue, None, asset))

    def free(self, instrument: InstrumentId, asset: str) -> Decimal:
        """Free balance less what entries that are not final yet may take."""
        balance = self.balance(instrument, asset)
        if balance is None:
            return ZERO
        taken = ZERO
        for key, funds in self.reserved.items():
            other = self.orders[key].instrument
            same = balance.market in (None, other.id.market)
            if same and (other.id.venue, other.quote) == (instrument.venue, asset):
                taken += funds
        return balance.free - taken

    def elapsed_at(self, monotonic_ns: int) -> int:
        """Return the elapsed time of a monotonic one."""
        return self.elapsed_ns + monotonic_ns - self.clock_ns

    def elapsed_at_utc(self, at_ns: int) -> int:
        """Return the elapsed time of a moment in UTC; wrong until the clock after UTC was set."""
        return self.elapsed_at(at_ns - self.utc_offset_ns)

    def with_live_peak(self, position: Position) -> Position:
        """Return a position with the peak that its trailing stop has in the book."""
        view = self.markets.get(position.instrument.id)
        peak = None if view is None else view.book.peak(position.id)
        if peak is None:
            return position
        return replace(position, progress=replace(position.progress, peak=exact(peak)))

    # Writing

    def set_clock(self, at_ns: int, monotonic_ns: int) -> None:
        """Take both clocks. Only this may tell that UTC was set back."""
        if self.clock_ns:
            self.elapsed_ns += monotonic_ns - self.clock_ns
        self.at_ns, self.utc_offset_ns, self.clock_ns = at_ns, at_ns - monotonic_ns, monotonic_ns

    def advance(self, at_ns: int) -> None:
        """Take the time of an event, UTC."""
        self.at_ns = max(self.at_ns, at_ns)

    def advance_to_frame(self, received_ns: int) -> None:
        """Take the time of a step that a frame caused, from the monotonic time of its arrival."""
        self.advance(received_ns + self.utc_offset_ns)

    def put_position(self, position: Position) -> Position:
        """Store a position's new form; it is saved when the step ends.

        Raises:
            IllegalTransition: its life cycle has no such step.
        """
        before = self.positions.get(position.id)
        if before is not None and before.status is not position.status:
            check_position_transition(before, position.status)
            self.edges[f"position.{before.status}.{position.status}"] += 1
        self._dirty_positions[position.id] = position
        instrument = position.instrument.id
        if instrument.market in self.config.backstops or position.id in self.backstops.live:
            self.backstops.looks[position.id] = None
        if position.is_active:
            self.positions[position.id] = position
            self._on.setdefault(instrument, {})[position.id] = position
        else:
            self.positions.pop(position.id, None)
            self._on.get(instrument, {}).pop(position.id, None)
            self._booked.pop(position.id, None)
            self._orders_of.pop(position.id, None)
        return position

    def put_order(self, order: Order) -> Order:
        """Store an order's new form; final ones leave the working set.

        Raises:
            IllegalTransition: its life cycle has no such step.
        """
        before = self.order(order.client_order_id)
        if before is not None and before.status is not order.status:
            check_order_transition(before, order.status)
            self.edges[f"order.{before.status}.{order.status}"] += 1
        self._dirty_orders[order.client_order_id] = order
        if order.is_final:
            self._forget_order(order)
        else:
            self.take_order(order)
        return order

    def take_order(self, order: Order) -> None:
        """Take up an order that is in the ledger as it is and not final."""
        if order.purpose is Purpose.BACKSTOP:
            self.backstops.live[order.position_id] = order
            return
        self.orders[order.client_order_id] = order
        self._orders_of.setdefault(order.position_id, {})[order.client_order_id] = order

    def _forget_order(self, order: Order) -> None:
        key = order.client_order_id
        for known in (self.orders, self.asking, self.reserved, self.sent_ns):
            known.pop(key, None)
        self.looking.discard(key)
        self.path.forget(key)
        self.backstops.let_go(order)
        self._orders_of.get(order.position_id, {}).pop(key, None)
        if order.filled_qty or order.purpose is not Purpose.BACKSTOP:
            self.accounts.note_moved(order.instrument, self.clock_ns)

    def book(self, key: BookingKey) -> None:
        """Note that a fill or settlement is in the books; forgotten when its position closes."""
        self._booked.setdefault(key[0][:ID_LENGTH], set()).add(key)

    def put_signal(self, record: SignalRecord) -> None:
        """Store a signal's new outcome; settled ones leave the working set."""
        self.signals[record.signal.id] = record
        self._dirty_signals[record.signal.id] = None

    def save(self, record: Record) -> None:
        self._records.append(record)

    def command(self, command: Command) -> None:
        self._commands.append(command)

    def log(self, kind: str, actor: str = GUARD, **data: Any) -> None:
        """Add a line to the event log."""
        self.save(AppendEvent(kind, actor, self.at_ns, data))

    def notify(self, kind: str, **data: Any) -> None:
        """Put a message to the owner into the outbox."""
        self.save(SendNotice(kind, self.at_ns, data))

    def tell(self, kind: str, **data: Any) -> None:
        """Add a line to the event log, and tell the owner the same."""
        self.log(kind, **data)
        self.notify(kind, **data)

    def watch(self, instrument: Instrument) -> MarketView:
        """Return the instrument's view, asking for its prices if nobody did yet."""
        view = self.markets.get(instrument.id)
        if view is None:
            bound = float(self.config.max_tick_jump_percent) / 100
            view = self.markets[instrument.id] = MarketView.of(instrument, bound)
            self.command(Watch(instrument))
        return view

    def unwatch_unused(self, instrument: InstrumentId) -> None:
        """Stop watching an instrument that no position and no waiting entry needs."""
        view = self.markets.get(instrument)
        if view is None or view.waiting or self.active_on(instrument):
            return
        del self.markets[instrument]
        self.blind.discard(instrument)
        self.command(Unwatch(instrument))

    def take_effects(self) -> Effects:
        """Return what the step collected, records first, and forget it."""
        records: list[Effect] = [SaveSignal(self.signals[key]) for key in self._dirty_signals]
        records += [SavePosition(position) for position in self._dirty_positions.values()]
        records += [SaveOrder(order) for order in self._dirty_orders.values()]
        effects = (*records, *self._records, *self._commands)
        for key in self._dirty_signals:
            if self.signals[key].outcome is not Outcome.PENDING:
                del self.signals[key]
        self._dirty_signals.clear()
        self._dirty_positions.clear()
        self._dirty_orders.clear()
        self._records.clear()
        self._commands.clear()
        return effects
