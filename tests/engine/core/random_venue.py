"""A venue, a market and an owner that do anything in any order, from a seed."""

import random
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.model.effects import LookUpOrder, ReadAccount, SubmitOrder
from engine.model.events import (
    AccountReported,
    Balance,
    ClockAdvanced,
    CloseRequested,
    Event,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    SignalReceived,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument
from engine.model.money import ZERO
from engine.model.order import Fill, Order, OrderStatus
from engine.model.signal import Action, Signal, Size, SizeKind
from engine.model.ticks import TradeTick
from tests.engine.core.rig import BTC_SPOT, Rig, position_id

D = Decimal
FEE = D("0.001")
LATE_NS = 8_000_000_000
"""For how long a look-up may miss an order that is there."""


def order_key(event: Any) -> str:
    return event.fill.client_order_id if isinstance(event, OrderFilled) else event.client_order_id


class Venue:
    """Takes market orders and tells what became of them, late, twice, in parts or not at all.

    It keeps its own sums and refuses nothing for being too much: the guardian has to know.
    """

    def __init__(self, seed: int, instrument: Instrument, **settings: Any) -> None:
        self.random = random.Random(seed)
        self.instrument = instrument
        self.settings = settings
        self.rig = Rig(**settings)
        self.price = D(100)
        self.orders: dict[str, Order] = {}
        self.status: dict[str, OrderStatus] = {}
        self.fills: dict[str, list[Fill]] = {}
        self.outbox: list[Event] = []
        self.log: list[tuple[Event, Any]] = []
        self.faults = True
        self.reads = False
        self.taken_ns: dict[str, int] = {}
        self.signals = 0
        self.trades = 0

    # Towards the guardian

    def tell(self, event: Event) -> None:
        effects = self.rig.handle(event)
        self.log.append((event, effects))
        for effect in effects:
            self.carry_out(effect)
        self.check()

    def carry_out(self, effect: Any) -> None:
        if isinstance(effect, SubmitOrder):
            self.submit(effect)
        elif isinstance(effect, LookUpOrder):
            self.look_up(effect.order.client_order_id)
        elif isinstance(effect, ReadAccount):
            self.reads = True

    def look_up(self, key: str) -> None:
        """Ask, unless an answer is on its way."""
        answers = (e for e in self.outbox if isinstance(e, OrderLookedUp))
        if all(answer.client_order_id != key for answer in answers):
            self.outbox.append(self.answer(key))

    def submit(self, effect: SubmitOrder) -> None:
        """Take an order as the flow hands it on: an entry only while it is wanted."""
        order, now = effect.order, self.rig.now
        if effect.after_commit and self.rig.guardian.entry_refusal(order, now) is not None:
            event = OrderUpdated(order.client_order_id, OrderStatus.CANCELLED, now)
            self.outbox.append(event)
        else:
            self.take(order)

    def tell_some(self) -> None:
        """Deliver waiting events; with faults out of order, though fills stay before the end."""
        if self.reads and not (self.faults and self.random.random() < 0.3):
            self.report()
        while self.outbox:
            if self.faults and self.random.random() < 0.4:
                return
            self.tell(self.outbox.pop(self.next_told()))

    def next_told(self) -> int:
        """Which event overtakes the others: one with none before it about the same order."""
        if not self.faults:
            return 0
        chosen = self.random.randrange(len(self.outbox))
        if getattr(self.outbox[chosen], "status", None) is OrderStatus.ACKNOWLEDGED:
            return chosen  # an acknowledgement comes when it likes
        keys = [order_key(event) for event in self.outbox]
        return keys.index(keys[chosen])

    def report(self) -> None:
        """Tell what is held, after the executions that led to it."""
        self.reads, now = False, self.rig.now
        held = ZERO
        for fill in [fill for fills in self.fills.values() for fill in fills]:
            self.tell(OrderFilled(fill, now))
            held += fill.qty if fill.side == "buy" else -fill.qty
            held -= fill.fee if fill.fee_asset == "BTC" else ZERO
        key, positions, base = self.instrument.id, (), ZERO
        if self.instrument is BTC_SPOT:
            base = held
        elif held:
            side = Side.LONG if held > ZERO else Side.SHORT
            positions = (VenuePosition(key, side, abs(held), self.price),)
        balances = (
            Balance("bybit", "USDT", D(10000), D(10000), ZERO),
            Balance("bybit", "BTC", base, base, ZERO),
        )
        self.tell(AccountReported("bybit", positions, balances, now, self.rig.monotonic_ns))

    # What a venue does

    def take(self, order: Order) -> None:
        key = order.client_order_id
        assert key not in self.orders, "one id, two requests"
        now = self.rig.now
        if self.faults and self.random.random() < 0.1:
            self.outbox.append(OrderSent(key, now, 0))
            return  # the request is lost on its way
        if self.faults and self.random.random() < 0.05:
            self.outbox.append(OrderDeferred(key, now, message="busy"))
            return
        self.orders[key], self.fills[key] = order, []
        self.taken_ns[key] = self.rig.monotonic_ns
        self.status[key] = OrderStatus.ACKNOWLEDGED
        self.outbox.append(OrderSent(key, now, 0))
        if self.faults and self.random.random() < 0.15:
            self.finish(key, OrderStatus.REJECTED)
        elif self.random.random() < 0.5:
            self.outbox.append(OrderUpdated(key, OrderStatus.ACKNOWLEDGED, now))

    def answer(self, key: str) -> OrderLookedUp:
        order = self.orders.get(key)
        if order is None or (self.faults and self.is_hidden(key)):
            return OrderLookedUp(key, self.rig.now, found=False)
        fills = tuple(self.fills[key])
        return OrderLookedUp(key, self.rig.now, True, self.status[key], order.qty, fills)

    def is_hidden(self, key: str) -> bool:
        """Tell whether the records of an order lag behind."""
        age_ns = self.rig.monotonic_ns - self.taken_ns[key]
        return age_ns < LATE_NS and self.random.random() < 0.3

    def work(self) -> None:
        """Execute some of what rests."""
        for key, order in self.orders.items():
            if self.status[key] not in (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTIALLY_FILLED):
                continue
            rest = order.qty - sum((f.qty for f in self.fills[key]), ZERO)
            if self.faults and self.random.random() < 0.4:
                continue
            part = rest
            if self.faults and self.random.random() < 0.5:
                part = order.instrument.floor_qty(rest / 3)
            if part > ZERO:
                self.execute(key, order, part)
                self.status[key] = OrderStatus.PARTIALLY_FILLED
            if part == rest:
                self.finish(key, OrderStatus.FILLED)
            elif self.faults and self.random.random() < 0.2:
                self.finish(key, OrderStatus.CANCELLED)

    def execute(self, key: str, order: Order, qty: Decimal) -> None:
        self.trades += 1
        in_base = order.instrument is BTC_SPOT and order.side == "buy"
        fee = qty * (FEE if in_base else self.price * FEE)
        fill = Fill(
            venue_trade_id=str(self.trades),
            instrument=order.instrument,
            side=order.side,
            qty=qty,
            price=self.price,
            fee=fee,
            fee_asset="BTC" if in_base else "USDT",
            time_ns=self.rig.now,
            client_order_id=key,
        )
        self.fills[key].append(fill)
        for _ in range(self.random.choice((0, 1, 1, 2)) if self.faults else 1):
            self.outbox.append(OrderFilled(fill, self.rig.now))

    def finish(self, key: str, status: OrderStatus) -> None:
        self.status[key] = status
        filled = sum((f.qty for f in self.fills[key]), ZERO)
        for _ in range(self.random.choice((0, 1, 2)) if self.faults else 1):
            self.outbox.append(OrderUpdated(key, status, self.rig.now, filled, message="random"))

    # What must hold

    def check(self) -> None:
        """No oversell: what exits did and may still do is never more than what was bought."""
        held: dict[str, Decimal] = {}
        for key, order in self.orders.items():
            filled = sum((f.qty for f in self.fills[key]), ZERO)
            if order.purpose != "exit":
                fees = sum((f.fee for f in self.fills[key] if f.fee_asset == "BTC"), ZERO)
                held[order.position_id] = held.get(order.position_id, ZERO) + filled - fees
            else:
                ended = self.status[key] in (
                    OrderStatus.FILLED,
                    OrderStatus.CANCELLED,
                    OrderStatus.REJECTED,
                )
                may_fill = filled if ended else order.qty
                held[order.position_id] = held.get(order.position_id, ZERO) - may_fill
        assert all(rest >= ZERO for rest in held.values()), held

    # What happens

    def act(self) -> None:
        choice = self.random.random()
        if choice < 0.3:
            self.price = D(self.random.randrange(900, 1120)) / 10
            self.tell_price()
        elif choice < 0.4:
            self.signal(self.random.choice(("buy", "sell")))
        elif choice < 0.45:
            self.signal("close")
        elif choice < 0.55:
            for position in self.rig.guardian.positions():
                fraction = D(self.random.choice(("0.3", "0.5", "1")))
                self.tell(CloseRequested(position.id, "owner", self.rig.now, fraction))
        elif choice < 0.75:
            self.work()
        else:
            self.pass_time(self.random.choice((0.1, 1, 3)))
        self.tell_some()

    def signal(self, action: str) -> None:
        self.signals += 1
        size = Size(SizeKind.PERCENT, D(50)) if action == "close" else None
        signal = Signal(
            id=position_id(1000 + self.signals),
            received_at_ns=self.rig.now,
            source="webhook",
            action=Action(action),
            instrument=self.instrument,
            size=size if self.random.random() < 0.5 else None,
            strategy=self.random.choice(("a", "b", None)) if action != "close" else None,
        )
        if action != "close":
            signal = replace(signal, size=None)
        self.tell(SignalReceived(signal, position_id(self.signals), self.rig.now))

    def tell_price(self) -> None:
        self.tell(TradeTick(self.instrument.id, float(self.price), 0, 0, 7))

    def pass_time(self, seconds: float) -> None:
        self.rig.now += int(seconds * 10**9)
        self.rig.monotonic_ns += int(seconds * 10**9)
        self.tell(ClockAdvanced(self.rig.now, self.rig.monotonic_ns))


def settle(venue: Venue) -> None:
    """Faults are over: close what is open, and let time pass until nothing moves any more."""
    for _ in range(3):
        for position in venue.rig.guardian.positions():
            venue.tell(CloseRequested(position.id, "owner", venue.rig.now))
        for _ in range(30):
            venue.pass_time(10)
            venue.work()
            venue.tell_some()


def check_dust(venue: Venue) -> None:
    """What is left of each position is what our books call its dust, and too little to sell."""
    instrument = venue.instrument
    for key in {order.position_id for order in venue.orders.values()}:
        held = ZERO
        for order_key, order in venue.orders.items():
            if order.position_id == key:
                sign = -1 if order.purpose == "exit" else 1
                for fill in venue.fills[order_key]:
                    held += sign * fill.qty
                    held -= fill.fee if fill.fee_asset == "BTC" else ZERO
        closed = venue.rig.position(key)
        assert closed.dust == held
        price = closed.current_price or venue.price  # the one it was closed at
        assert held < instrument.qty_step or held * price < instrument.min_notional
