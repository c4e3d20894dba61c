"""What outlives a process: the ledger, in memory by the rules of the real one, or the real one."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from engine.model.effects import (
    AppendEvent,
    Record,
    SaveBalance,
    SaveBot,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
)
from engine.model.errors import Fenced, Held, InvariantBroken
from engine.model.events import Balance, Started
from engine.model.instrument import InstrumentId
from engine.model.order import Fill, Order
from engine.model.position import Position
from engine.model.signal import Outcome, SignalRecord, body_digest
from engine.ports import Clock, Grant, Lease, Ledger, SignalStore
from engine.simulation.history import Facts


class Books(Protocol):
    """Storage that outlives processes. Used from one thread."""

    def lease(self, settle_ns: int) -> Lease:
        """Open the lease of the one writer."""

    def ledger(self, epoch: int, lease_ns: int, clock: Clock) -> Ledger:
        """Open the journal as the writer of an epoch does; its commits prolong the lease."""

    def signals(self) -> SignalStore:
        """Open what the inbox reads."""

    def facts(self) -> Facts:
        """Read everything."""

    def close(self) -> None:
        """Throw everything away."""


BooksFactory = Callable[[], Books]

_FillKey = tuple[InstrumentId, str, str]


class ModelBooks:
    """The ledger's rules over dictionaries: one commit is one step, all of it or nothing."""

    def __init__(self) -> None:
        self._signals: dict[str, SignalRecord] = {}
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, Order] = {}
        self._fills: dict[_FillKey, SaveFill] = {}
        self._balances: dict[tuple[str, str, str], Balance] = {}
        self._bot: SaveBot | None = None
        self._events: list[AppendEvent] = []
        self._notices: list[SendNotice] = []
        self.holder, self.epoch, self.expires_ns = "", 0, 0
        self.committed = (0, 0)

    def lease(self, settle_ns: int) -> Lease:
        """Return the lease of the one writer."""
        return ModelLease(self, settle_ns)

    def ledger(self, epoch: int, lease_ns: int, clock: Clock) -> Ledger:
        """Return the journal of an epoch."""
        return _Journal(self, epoch, lease_ns, clock)

    def signals(self) -> SignalStore:
        """Return what the inbox reads: these very books."""
        return self

    def close(self) -> None:
        """Nothing is held outside of memory."""

    def facts(self) -> Facts:
        """Return everything that was committed."""
        return Facts(
            signals=list(self._signals.values()),
            positions=list(self._positions.values()),
            orders=list(self._orders.values()),
            fills=[(saved.fill, saved.position_id) for saved in self._fills.values()],
            events=self._events,
            notices=self._notices,
        )

    # The journal

    def prolong(self, epoch: int, until_ns: int) -> None:
        """Move the end of the lease. Raises Fenced where it is another epoch's."""
        if epoch != self.epoch or not self.holder:
            raise Fenced("another writer has taken over")
        self.expires_ns = until_ns

    def commit(self, records: Sequence[Record]) -> None:
        """Write records in one transaction.

        Raises:
            InvariantBroken: an order or fill contradicts the one stored under its id.
        """
        orders: dict[str, Order] = {}
        fills: dict[_FillKey, SaveFill] = {}
        for record in records:
            self._check(record, orders, fills)
        for record in records:
            self._write(record)

    def _check(
        self, record: Record, orders: dict[str, Order], fills: dict[_FillKey, SaveFill]
    ) -> None:
        """Compare a record with what is stored, and with those before it in its commit."""
        if isinstance(record, SaveOrder):
            order, key = record.order, record.order.client_order_id
            stored = orders.get(key) or self._orders.get(key)
            if stored is not None and _facts_of(stored) != _facts_of(order):
                raise InvariantBroken(f"another request is stored as {key}")
            orders[key] = order
        elif isinstance(record, SaveFill):
            known = fills.get(_fill_key(record)) or self._fills.get(_fill_key(record))
            if known is not None and known != record:
                raise InvariantBroken(f"fill {record.fill.venue_trade_id} is stored otherwise")
            fills[_fill_key(record)] = record

    def _write(self, record: Record) -> None:
        match record:
            case SaveSignal(record=signal):
                self._signals[signal.signal.id] = signal
            case SavePosition(position=position):
                self._positions[position.id] = position
            case SaveOrder(order=order):
                self._orders[order.client_order_id] = order
            case SaveFill():
                self._fills.setdefault(_fill_key(record), record)
            case SaveBalance(balance=balance):
                wallet = str(balance.market or "")
                self._balances[balance.venue, balance.asset, wallet] = balance
            case SaveBot():
                self._bot = record
            case AppendEvent():
                self._events.append(record)
            case SendNotice():
                self._notices.append(record)

    def load(self, at_ns: int) -> Started:
        """Read what recovery needs, as the real ledger does."""
        active = {key: p for key, p in self._positions.items() if p.is_active}
        booked = (
            (key[2], key[1]) for key, saved in self._fills.items() if saved.position_id in active
        )
        pending = (r for r in self._signals.values() if r.outcome is Outcome.PENDING)
        return Started(
            at_ns=at_ns,
            accepting=self._bot is None or self._bot.accepting,
            since_ns=0 if self._bot is None else self._bot.at_ns,
            positions=tuple(sorted(active.values(), key=lambda p: (p.created_at_ns, p.id))),
            orders=tuple(o for o in self._orders.values() if o.position_id in active),
            signals=tuple(sorted(pending, key=lambda r: (r.signal.received_at_ns, r.signal.id))),
            balances=tuple(self._balances[key] for key in sorted(self._balances)),
            booked=frozenset(booked) | self._booked_of_others(),
        )

    def _booked_of_others(self) -> frozenset[tuple[str, str]]:
        fills = (saved.fill for saved in self._fills.values())
        return frozenset(
            (str(fill.instrument.id), fill.venue_trade_id)
            for fill in fills
            if fill.client_order_id is None
        )

    # What the inbox reads

    def find_signal(self, source: str, external_id: str) -> SignalRecord | None:
        """Return the signal that a source sent under its own id."""
        for record in self._signals.values():
            signal = record.signal
            if (signal.source, signal.external_id) == (source, external_id):
                return record
        return None

    def find_recent_body(self, source: str, digest: str, since_ns: int) -> SignalRecord | None:
        """Return the last signal of a source with this body, received then or later."""
        return _newest(
            record
            for record in self._signals.values()
            if record.signal.source == source
            and record.signal.received_at_ns >= since_ns
            and body_digest(record.signal.raw) == digest
        )

    def last_accepted_on(self, instrument: InstrumentId) -> SignalRecord | None:
        """Return the last signal accepted on an instrument."""
        return _newest(r for r in self._signals.values() if r.signal.instrument.id == instrument)


class ModelLease:
    """The lease over the model's books."""

    def __init__(self, books: ModelBooks, settle_ns: int) -> None:
        self._books = books
        self._settle_ns = settle_ns
        self._lease_ns = 0

    def acquire(self, holder: str, at_ns: int, lease_ns: int) -> Grant:
        """Take the lease. Raises Held."""
        books = self._books
        others = books.holder not in {"", holder}
        if others and at_ns < books.expires_ns:
            raise Held(f"the lease is {books.holder}'s")
        books.holder, books.epoch = holder, books.epoch + 1
        books.expires_ns, self._lease_ns = at_ns + lease_ns, lease_ns
        return Grant(books.epoch, lease_ns + self._settle_ns if others else 0)

    def renew(self, epoch: int, at_ns: int) -> None:
        """Hold the lease as long again. Raises Fenced."""
        self._books.prolong(epoch, at_ns + self._lease_ns)

    def release(self, epoch: int) -> None:
        """Give the lease back."""
        if epoch == self._books.epoch:
            self._books.holder = ""


class _Journal:
    """The journal under an epoch: what is written under an older one is refused."""

    def __init__(self, books: ModelBooks, epoch: int, lease_ns: int, clock: Clock) -> None:
        self._books = books
        self._epoch = epoch
        self._lease_ns = lease_ns
        self._clock = clock

    def commit(self, records: Sequence[Record], number: int = 0) -> None:
        """Write records, if this is the one writer, once. Raises Fenced, InvariantBroken."""
        self._books.prolong(self._epoch, self._clock.now_ns() + self._lease_ns)
        if not number or (self._epoch, number) != self._books.committed:
            self._books.commit(records)
            self._books.committed = self._epoch, number

    def load(self, at_ns: int) -> Started:
        """Read what recovery needs."""
        return self._books.load(at_ns)


def _newest(records: Iterable[SignalRecord]) -> SignalRecord | None:
    return max(records, default=None, key=lambda r: (r.signal.received_at_ns, r.signal.id))


def _facts_of(order: Order) -> tuple[object, ...]:
    return order.instrument.id, order.side, order.qty, order.position_id


def _fill_key(record: SaveFill) -> _FillKey:
    fill: Fill = record.fill
    return fill.instrument.id, fill.venue_trade_id, fill.client_order_id or record.position_id or ""
