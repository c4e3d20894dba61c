"""One clean lifetime by hand: a long is entered at 100, a price of 94 reaches its stop at 95."""

from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from engine.model.effects import Record, SaveFill, SaveOrder, SavePosition, SaveSignal, SendNotice
from engine.model.events import (
    Event,
    FeedResumed,
    OrderFilled,
    OrderUpdated,
    SignalReceived,
    Started,
)
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, ExitReason, Percent, Side
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, Order, OrderSide, OrderStatus
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.signal import Action, Outcome, Signal, SignalRecord
from engine.model.ticks import PriceSource, TradeTick
from engine.simulation.checks.judge import Verdict, judge
from engine.simulation.history import (
    Arrival,
    Commit,
    Delivery,
    Facts,
    History,
    Life,
    Request,
    Told,
    Venue,
)
from engine.simulation.plan import EPOCH_NS, Plan, PlannedSignal
from engine.simulator.matching import VenueOrder

D = Decimal
MS = 1_000_000
NOTHING = D(0)
BTC = Instrument(
    InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    "BTC", "USDT", D("0.1"), D("0.001"), D("0.001"), D(5),
)  # fmt: skip
POSITION = "a" * 26
SIGNAL = Signal("s" * 26, EPOCH_NS, "webhook", Action.BUY, BTC)
EXITS = Exits(take_profit=Disarmed(), stop_loss=Percent(D(5)))
ENTRY_AT, CROSSED_AT = 100, 1000
PLAN = Plan(
    seed=1, heal_ms=5000, exits=EXITS, trigger=PriceSource.LAST, gap_strict=False,
    add_on_same=False, paths=(), signals=(), acts=(), faults=(), crashes=(),
)  # fmt: skip


def order(purpose: Purpose, generation: int = 0, **changes: object) -> Order:
    is_exit = purpose is Purpose.EXIT
    made = Order(
        client_order_id(POSITION, purpose, generation),
        POSITION,
        BTC,
        OrderSide.SELL if is_exit else OrderSide.BUY,
        purpose,
        generation,
        D(1),
        is_exit,
        EPOCH_NS,
        "guard" if is_exit else "webhook",
        reason=ExitReason.STOP_LOSS if is_exit else None,
        trigger_price=D(94) if is_exit else None,
        signal_id=None if is_exit else SIGNAL.id,
    )
    return replace(made, **changes)


def fill(of: Order, at_ms: int, price: str, qty: str = "1", trade: str = "t") -> Fill:
    fee = D(qty) * D(price) / 1000
    at_ns = EPOCH_NS + at_ms * MS
    key = of.client_order_id
    return Fill(f"{trade}{at_ms}", BTC, of.side, D(qty), D(price), fee, "USDT", at_ns, key)


@dataclass
class Lifetime:
    """What is written down of a lifetime, open to be changed before it is judged."""

    plan: Plan = PLAN
    history: History = field(default_factory=History)
    fills: list[Fill] = field(default_factory=list)
    kept: list[VenueOrder] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    booked: list[tuple[Fill, str | None]] = field(default_factory=list)
    signals: list[SignalRecord] = field(default_factory=list)
    notices: list[SendNotice] = field(default_factory=list)
    held: Decimal = NOTHING

    def tell(self, at_ms: int, event: Event, *, is_true: bool = True) -> None:
        self.history.told.append(Told(at_ms * MS, 0, event, is_true))

    def tick(self, at_ms: int, price: float, *, is_true: bool = True) -> None:
        self.tell(at_ms, TradeTick(BTC.id, price, at_ms, at_ms, at_ms * MS), is_true=is_true)

    def commit(self, at_ms: int, *records: Record) -> None:
        self.history.commits.append(Commit(at_ms * MS, 0, records))

    def send(self, at_ms: int, sent: Order, *, taken: bool = True) -> None:
        self.history.requests.append(Request(at_ms * MS, 0, sent))
        self.history.arrivals.append(Arrival((at_ms + 1) * MS, 0, "bybit", sent, taken))

    def execute(self, of: Order, at_ms: int, price: str, qty: str = "1") -> Fill:
        """Fill an order at the venue, tell it and book it."""
        done = fill(of, at_ms, price, qty)
        self.fills.append(done)
        self.booked.append((done, POSITION))
        self.tell(at_ms, OrderFilled(done, done.time_ns))
        return done

    def end(self, of: Order, at_ms: int, status: OrderStatus = OrderStatus.FILLED) -> None:
        filled = sum((f.qty for f in self.fills if f.client_order_id == of.client_order_id), D(0))
        ended = replace(of, status=status, filled_qty=filled)
        self.tell(at_ms, OrderUpdated(of.client_order_id, status, EPOCH_NS + at_ms * MS))
        self.orders.append(ended)
        self.kept.append(VenueOrder(of, "v", status, filled))
        self.commit(at_ms, SaveOrder(ended))

    def judge(self) -> Verdict:
        venue = Venue(self.fills, self.kept, {BTC.id: self.held})
        facts = Facts(self.signals, self.positions, self.orders, self.booked, [], self.notices)
        return judge(self.plan, self.history, {"bybit": venue}, facts)

    def names(self) -> set[str]:
        """The checks that found something."""
        return {violation.name for violation in self.judge().violations}


def position(lifetime: Lifetime, **changes: object) -> Position:
    """The position that the lifetime's executions come to."""
    bought = [f for f in lifetime.fills if f.side is OrderSide.BUY]
    sold = [f for f in lifetime.fills if f.side is OrderSide.SELL]
    made = Position(
        POSITION, BTC, Side.LONG, EXITS, PriceSource.LAST, EPOCH_NS,
        signal_id=SIGNAL.id,
        status=PositionStatus.CLOSED if sold else PositionStatus.OPEN,
        guard=GuardStatus.ARMED,
        qty=sum((f.qty for f in bought), D(0)),
        entry_value=sum((f.qty * f.price for f in bought), D(0)),
        exit_qty=sum((f.qty for f in sold), D(0)),
        exit_value=sum((f.qty * f.price for f in sold), D(0)),
        fees=sum((f.fee for f in lifetime.fills), D(0)),
    )  # fmt: skip
    return replace(made, **changes)


def begun(plan: Plan = PLAN) -> Lifetime:
    """A lifetime in which the position was entered at 100."""
    lifetime = Lifetime(plan)
    history = lifetime.history
    history.lives.append(Life(0, 0, epoch=1))
    history.healed_ns, history.quiet_ns = 5000 * MS, 8000 * MS
    lifetime.tell(0, Started(EPOCH_NS, True))
    planned = PlannedSignal(1, BTC, Action.BUY, (10,))
    lifetime.tell(10, SignalReceived(SIGNAL, POSITION, EPOCH_NS))
    entry = order(Purpose.ENTRY)
    lifetime.commit(20, SaveSignal(SignalRecord(SIGNAL)), SaveOrder(entry))
    history.deliveries.append(Delivery(10 * MS, 0, planned, 30 * MS, 202, SIGNAL.id))
    lifetime.signals.append(SignalRecord(SIGNAL, Outcome.OPENED, None, POSITION))
    lifetime.send(30, entry)
    bought = lifetime.execute(entry, ENTRY_AT, "100")
    lifetime.commit(ENTRY_AT, SaveFill(bought, POSITION))
    lifetime.end(entry, ENTRY_AT)
    lifetime.tell(ENTRY_AT + 1, FeedResumed((BTC.id,), EPOCH_NS))
    lifetime.tick(200, 100.0)
    lifetime.held = D(1)
    return lifetime


def closed(plan: Plan = PLAN, close_at: int = CROSSED_AT, **changes: object) -> Lifetime:
    """A lifetime in which 94 came at 1,000 ms and the position was closed."""
    lifetime = begun(plan)
    lifetime.tick(CROSSED_AT, 94.0)
    leave(lifetime, close_at, **changes)
    return lifetime


def leave(lifetime: Lifetime, close_at: int, **changes: object) -> None:
    """Close the position."""
    out = order(Purpose.EXIT, **changes)
    lifetime.send(close_at, out)
    lifetime.execute(out, close_at + 100, "94", str(out.qty))
    lifetime.end(out, close_at + 100)
    lifetime.held = D(1) - out.qty
    lifetime.positions.append(position(lifetime))
    lifetime.commit(close_at + 101, SavePosition(lifetime.positions[-1]))
