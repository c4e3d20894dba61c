"""A guardian with hands: events go in by short names, effects are kept, nothing is simulated."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from typing import Any

from msgspec.structs import replace

from engine.core.guardian import Guardian
from engine.core.state import GuardConfig
from engine.model.effects import (
    AppendEvent,
    Effects,
    LookUpOrder,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
    SubmitOrder,
)
from engine.model.events import (
    AccountReported,
    Balance,
    BalancesReported,
    ClockAdvanced,
    CloseRequested,
    Continued,
    Event,
    ExitsAmended,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    SignalReceived,
    VenuePosition,
)
from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import Percent, Side
from engine.model.ids import encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, FillKind, Order, OrderSide, OrderStatus
from engine.model.position import Position
from engine.model.signal import Action, Signal, SignalRecord
from engine.model.ticks import MarkTick, QuoteTick, TradeTick

SECOND = 10**9
T0 = 1_000_000 * SECOND
MONOTONIC_0 = 5_000_000_000

D = Decimal

EXIT_FIELDS = ExitChanges.__struct_fields__

BTC_SPOT = Instrument(
    id=InstrumentId("bybit", Market.SPOT, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=D("0.01"),
    qty_step=D("0.000001"),
    min_qty=D("0.00001"),
    min_notional=D(5),
)
BTC_PERP = Instrument(
    id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    base="BTC",
    quote="USDT",
    tick_size=D("0.1"),
    qty_step=D("0.001"),
    min_qty=D("0.001"),
    min_notional=D(5),
)
ETH_PERP = replace(
    BTC_PERP, id=InstrumentId("bybit", Market.LINEAR, "ETHUSDT"), base="ETH", tick_size=D("0.01")
)


def config(**changes: Any) -> GuardConfig:
    """Take-profit 10 %, stop-loss 5 %, 100 USDT an entry, Bybit's fees."""
    plain = GuardConfig(
        exits=Exits(Percent(D(10)), Percent(D(5))),
        position_size=D(100),
        fee_rates={
            ("bybit", Market.SPOT): D("0.001"),
            ("bybit", Market.LINEAR): D("0.00055"),
        },
        max_tick_jump_percent=D(1000),
    )
    return replace(plain, **changes)


def position_id(number: int) -> str:
    return encode_id(number.to_bytes(16, "big"))


class Rig:
    """Feeds one guardian and remembers what it wanted."""

    def __init__(self, **changes: Any) -> None:
        self.guardian = Guardian(config(**changes))
        self.now = T0
        self.monotonic_ns = MONOTONIC_0
        self.effects: list[Any] = []
        self.last: Effects = ()
        self._signals = count(1)
        self._trades = count(1)
        self.wait(0)
        self.balance("USDT", "10000")

    # Events in

    def handle(self, event: Event) -> Effects:
        self.last = self.guardian.handle(event)
        self.effects.extend(self.last)
        return self.last

    def balance(self, asset: str, free: str) -> Effects:
        balance = Balance("bybit", asset, D(free), D(free), D(0))
        return self.handle(BalancesReported((balance,), self.now))

    def signal(self, action: str, instrument: Instrument = BTC_PERP, **fields: Any) -> Signal:
        """Send a signal; its position would get the id of its number. Exits are named as fields."""
        number = next(self._signals)
        asked = {name: fields.pop(name) for name in EXIT_FIELDS if name in fields}
        fields = {"exits": ExitChanges(**asked)} | fields
        fields = {"id": f"s{number}", "received_at_ns": self.now, "source": "webhook"} | fields
        signal = Signal(action=Action(action), instrument=instrument, **fields)
        self.handle(SignalReceived(signal, position_id(number), self.now))
        return signal

    def wait(self, seconds: float) -> Effects:
        self.now += int(seconds * SECOND)
        self.monotonic_ns += int(seconds * SECOND)
        return self.handle(ClockAdvanced(self.now, self.monotonic_ns))

    def set_wall_clock(self, seconds: float) -> Effects:
        """Move UTC by so much, as an administrator would; no time passes."""
        self.now += int(seconds * SECOND)
        return self.handle(ClockAdvanced(self.now, self.monotonic_ns))

    def trade(
        self, price: float, instrument: Instrument = BTC_PERP, received_ns: int = 7
    ) -> Effects:
        return self.handle(TradeTick(instrument.id, price, 0, 0, received_ns))

    def quote(self, bid: float, ask: float, instrument: Instrument = BTC_PERP) -> Effects:
        return self.handle(QuoteTick(instrument.id, bid, ask, 1.0, 1.0, 0, 0, 7))

    def mark(self, price: float, instrument: Instrument = BTC_PERP) -> Effects:
        return self.handle(MarkTick(instrument.id, price, None, 0, 0, 7))

    def sent(self, order: Order, sent_ns: int = 0) -> Effects:
        return self.handle(OrderSent(order.client_order_id, self.now, sent_ns))

    def update(self, order: Order, status: OrderStatus, **fields: Any) -> Effects:
        return self.handle(OrderUpdated(order.client_order_id, status, self.now, **fields))

    def fill_of(
        self, order: Order, price: str, qty: str | Decimal | None = None, **kw: Any
    ) -> Fill:
        quantity = order.qty if qty is None else D(qty)
        fields = {"venue_trade_id": f"t{next(self._trades)}", "fee": D(0), "fee_asset": "USDT"}
        return Fill(
            instrument=order.instrument,
            side=order.side,
            qty=quantity,
            price=D(price),
            time_ns=self.now,
            client_order_id=order.client_order_id,
            **(fields | kw),  # type: ignore[arg-type]
        )

    def fill(self, order: Order, price: str, qty: str | Decimal | None = None, **kw: Any) -> Fill:
        """Execute part of an order, all of it by default, without a word on its status."""
        fill = self.fill_of(order, price, qty, **kw)
        self.handle(OrderFilled(fill, self.now))
        return fill

    def filled(self, order: Order, price: str, **kw: Any) -> Fill:
        """Execute an order whole and say so."""
        fill = self.fill(order, price, **kw)
        self.update(order, OrderStatus.FILLED)
        return fill

    def foreign(self, instrument: Instrument, side: str, qty: str, price: str, **kw: Any) -> Fill:
        fields = {"venue_trade_id": f"t{next(self._trades)}", "kind": FillKind.TRADE} | kw
        fill = Fill(
            instrument=instrument,
            side=OrderSide(side),
            qty=D(qty),
            price=D(price),
            fee=D(0),
            fee_asset="USDT",
            time_ns=self.now,
            **fields,
        )
        self.handle(OrderFilled(fill, self.now))
        return fill

    def close(self, position: Position | str, fraction: str = "1") -> Effects:
        key = position if isinstance(position, str) else position.id
        return self.handle(CloseRequested(key, "owner", self.now, D(fraction)))

    def amend(self, position: Position | str, **changes: Any) -> Effects:
        """Change exit rules; the fields are those of ``ExitChanges``."""
        key = position if isinstance(position, str) else position.id
        return self.handle(ExitsAmended(key, ExitChanges(**changes), "owner", self.now))

    def go_on(self) -> Effects:
        """Give the closes that are still due their turn."""
        return self.handle(Continued(self.now))

    def absent(self, order: Order | str) -> Effects:
        """Prove an order absent, as a venue can whose books we see whole."""
        return self.handle(OrderLookedUp(_key(order), self.now, found=False, certain=True))

    def missed(self, order: Order | str) -> Effects:
        """Answer a look-up that did not find an order; that proves nothing yet."""
        return self.handle(OrderLookedUp(_key(order), self.now, found=False))

    def deferred(self, order: Order, retry_after_s: float = 0) -> Effects:
        pause_ns = int(retry_after_s * SECOND)
        key = order.client_order_id
        return self.handle(OrderDeferred(key, self.now, pause_ns, message="busy"))

    def account(
        self, *positions: VenuePosition, free: dict[str, str] | None = None, venue: str = "bybit"
    ) -> Effects:
        """Report what the account holds, asked for just now."""
        rows = {"USDT": "10000"} | (free or {})
        balances = tuple(Balance(venue, asset, D(q), D(q), D(0)) for asset, q in rows.items())
        event = AccountReported(venue, positions, balances, self.now, self.monotonic_ns)
        return self.handle(event)

    def found(
        self, order: Order | str, status: OrderStatus | None, *fills: Fill, **fields: Any
    ) -> Effects:
        return self.handle(
            OrderLookedUp(_key(order), self.now, True, status, fills=fills, **fields)
        )

    # Shortcuts

    def open(
        self,
        action: str = "buy",
        price: str = "100",
        instrument: Instrument = BTC_PERP,
        **fields: Any,
    ) -> Position:
        """Have a position open at ``price``."""
        if self.guardian.price(instrument.id) is None:
            self.signal(action, instrument, **fields)
            self.trade(float(price), instrument)
        else:
            self.trade(float(price), instrument)
            self.signal(action, instrument, **fields)
        entry = self.submitted()[-1]
        self.sent(entry)
        self.filled(entry, price)
        return self.position(entry.position_id)

    # Effects out

    def position(self, key: Position | str) -> Position:
        """The position as it was saved last."""
        wanted = key if isinstance(key, str) else key.id
        saved = [
            e.position
            for e in self.effects
            if isinstance(e, SavePosition) and e.position.id == wanted
        ]
        return saved[-1]

    def order(self, key: Order | str) -> Order:
        """The order as it was saved last."""
        saved = [
            e.order
            for e in self.effects
            if isinstance(e, SaveOrder) and e.order.client_order_id == _key(key)
        ]
        return saved[-1]

    def outcome(self, signal: Signal) -> SignalRecord:
        """What was recorded of a signal last."""
        saved = [
            e.record
            for e in self.effects
            if isinstance(e, SaveSignal) and e.record.signal.id == signal.id
        ]
        return saved[-1]

    def submitted(self, effects: Sequence[Any] | None = None) -> list[Order]:
        every = self.effects if effects is None else effects
        return [e.order for e in every if isinstance(e, SubmitOrder)]

    def exits(self) -> list[Order]:
        return [o for o in self.submitted() if o.purpose == "exit"]

    def asked(self, effects: Sequence[Any] | None = None) -> list[str]:
        every = self.last if effects is None else effects
        return [e.order.client_order_id for e in every if isinstance(e, LookUpOrder)]

    def logged(self, effects: Sequence[Any] | None = None) -> list[str]:
        every = self.effects if effects is None else effects
        return [e.kind for e in every if isinstance(e, AppendEvent)]

    def notices(self) -> list[str]:
        return [e.kind for e in self.effects if isinstance(e, SendNotice)]


def _key(order: Order | str) -> str:
    return order if isinstance(order, str) else order.client_order_id


def qty_open(rig: Rig, side: Side) -> Decimal:
    return sum((p.qty_open for p in rig.guardian.positions() if p.side is side), D(0))
