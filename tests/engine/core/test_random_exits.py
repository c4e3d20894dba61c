"""Every exit rule, adds, amendments and crashes in any order: never an oversell, always flat."""

from decimal import Decimal
from typing import Any

import pytest

from engine.model.effects import (
    CheckPrices,
    Continue,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SubmitOrder,
)
from engine.model.events import (
    BotSwitched,
    CloseRequested,
    Continued,
    Event,
    ExitsAmended,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    PricesChecked,
    SignalReceived,
    Started,
)
from engine.model.exit_lines import exit_lines
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Disarmed, Distance, ExitReason, Limit, Percent, Points
from engine.model.instrument import Instrument
from engine.model.money import ONE, ZERO
from engine.model.order import FINAL, Fill, Order
from engine.model.position import Position
from engine.model.rules.ladder import Ladder, Rung
from engine.model.signal import Action, Outcome, Signal, SignalRecord
from engine.model.ticks import MarkTick, PriceSource, QuoteTick
from tests.engine.core.random_venue import Venue, check_dust, settle
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, SECOND, Rig, position_id

D = Decimal


class Journal:
    """What the ledger holds: records of the steps that were committed."""

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, Order] = {}
        self.signals: dict[str, SignalRecord] = {}
        self.fills: list[Fill] = []
        self.booked: set[tuple[str, str]] = set()

    def commit(self, effects: Any) -> None:
        for effect in effects:
            if isinstance(effect, SavePosition):
                self.positions[effect.position.id] = effect.position
            elif isinstance(effect, SaveOrder):
                self.orders[effect.order.client_order_id] = effect.order
            elif isinstance(effect, SaveSignal):
                self.signals[effect.record.signal.id] = effect.record
            elif isinstance(effect, SaveFill):
                key = effect.fill.client_order_id or str(effect.position_id)
                self.booked.add((key, effect.fill.venue_trade_id))

    def started(self, at_ns: int) -> Started:
        pending = (r for r in self.signals.values() if r.outcome is Outcome.PENDING)
        return Started(
            at_ns=at_ns,
            accepting=True,
            positions=tuple(p for p in self.positions.values() if p.is_active),
            orders=tuple(o for o in self.orders.values() if o.status not in FINAL),
            signals=tuple(pending),
            booked=frozenset(self.booked),
        )


class Exits(Venue):
    """Asks for any set of rules, adds to positions, amends them, and crashes."""

    def __init__(self, seed: int, instrument: Instrument, *, crashes: bool) -> None:
        self.journal = Journal()
        super().__init__(seed, instrument, add_on_same=True)
        self.crashes = crashes
        self.amended: set[str] = set()
        self.grew: set[str] = set()
        self.trend = self.random.choice((-1, 1))

    def tell(self, event: Event) -> None:
        effects = self.rig.handle(event)
        self.log.append((event, effects))
        if self.crashes and self.faults and self.random.random() < self.danger(effects):
            self.crash(effects)
            return
        self.journal.commit(effects)
        for effect in effects:
            self.carry_out(effect)
        self.check()
        for position in self.rig.guardian.positions():
            exit_lines(position)

    def carry_out(self, effect: Any) -> None:
        super().carry_out(effect)
        if isinstance(effect, Continue):
            self.tell(Continued(self.rig.now))
        elif isinstance(effect, CheckPrices):
            self.tell(PricesChecked(self.instrument.id, self.rig.now, self.rig.monotonic_ns))

    def danger(self, effects: Any) -> float:
        """How likely a crash is: most before the journal of an order that is sent already."""
        sends = any(isinstance(e, SubmitOrder) and not e.after_commit for e in effects)
        return 0.2 if sends else 0.01

    def crash(self, effects: Any) -> None:
        """The last step was never committed, though its exits were sent; a new process comes up."""
        for effect in effects:
            if isinstance(effect, SubmitOrder) and not effect.after_commit:
                self.take(effect.order)
        known = (o for o in self.journal.orders.values() if o.status not in FINAL)
        self.grew |= {order.position_id for order in known if order.purpose != "exit"}
        old, self.rig = self.rig, Rig(**self.settings)
        self.rig.now, self.rig.monotonic_ns = old.now, old.monotonic_ns
        self.rig.effects = [SavePosition(p) for p in self.journal.positions.values()]
        ours = (OrderLookedUp, OrderSent)  # told by the process that died
        self.outbox = [e for e in self.outbox if not isinstance(e, ours)]
        self.rig.wait(0)
        self.tell(self.journal.started(old.now))

    def act(self) -> None:
        choice = self.random.random()
        if choice < 0.4:
            step = D(self.random.randrange(-180, 200)) / 100 * self.trend
            self.price = min(max(self.price + step, D(80)), D(120))
            self.tell_price()
        elif choice < 0.5:
            usual, other = ("buy", "sell") if self.trend > 0 else ("sell", "buy")
            self.signal(usual if self.random.random() < 0.97 else other)
        elif choice < 0.52:
            self.signal("close")
        elif choice < 0.56:
            for position in self.rig.guardian.positions():
                fraction = D(self.random.choice(("0.1", "0.3", "0.5")))
                self.tell(CloseRequested(position.id, "owner", self.rig.now, fraction))
        elif choice < 0.6:
            self.amend()
        elif choice < 0.61:
            self.tell(BotSwitched(self.random.random() < 0.8, "owner", self.rig.now))
        elif choice < 0.85:
            self.work()
        else:
            self.pass_time(self.random.choice((0.1, 1, 3)))
        self.tell_some()

    def amend(self) -> None:
        for position in self.rig.guardian.positions():
            event = ExitsAmended(position.id, self.changes(), "owner", self.rig.now)
            self.rig.guardian.amendment_problems(event)
            if event.changes.ladder is not None:
                self.amended.add(position.id)
            self.tell(event)

    def signal(self, action: str) -> None:
        if action == "close":
            super().signal(action)
            return
        self.signals += 1
        signal = Signal(
            id=position_id(1000 + self.signals),
            received_at_ns=self.rig.now,
            source="webhook",
            action=Action(action),
            instrument=self.instrument,
            exits=self.changes(),
        )
        self.tell(SignalReceived(signal, position_id(self.signals), self.rig.now))

    def tell_price(self) -> None:
        super().tell_price()
        price, key = float(self.price), self.instrument.id
        self.tell(QuoteTick(key, price - 0.1, price + 0.1, 1.0, 1.0, 0, 0, 7))
        if self.instrument is BTC_PERP:
            self.tell(MarkTick(key, price + 0.05, None, 0, 0, 7))

    # Rules

    def changes(self) -> ExitChanges:
        """Any rules; some a set cannot hold."""
        chance = self.random.random
        asked: dict[str, Any] = {
            "stop_loss": self.limit(2, 10) if chance() < 0.3 else None,
            "max_hold_ns": self.maybe(self.random.randrange(20, 90) * SECOND),
            "close_at_ns": self.maybe(self.rig.now + self.random.randrange(90) * SECOND),
            "confirm_ms": self.maybe(0, 500),
            "confirm_ticks": self.maybe(0, 2),
            "trigger": self.maybe(*self.sources()),
        }
        if chance() < 0.4:
            asked["trailing"] = self.distance(1, 4)
            asked["trailing_activation"] = self.limit(1, 4) if chance() < 0.5 else None
            asked["trailing_step"] = self.distance(0, 1) if chance() < 0.3 else None
        if chance() < 0.5:
            asked["ladder"] = self.ladder()
            asked["take_profit"] = Disarmed()
            if chance() < 0.3 and len(asked["ladder"]) > 1:
                asked["break_even_after_rung"] = 1
        elif chance() < 0.5:
            asked["take_profit"] = self.limit(2, 8)
        if chance() < 0.3:
            asked["break_even"] = self.limit(1, 4)
            asked["break_even_offset"] = self.maybe(self.number(0, 1))
        return ExitChanges(**asked)

    def sources(self) -> list[PriceSource]:
        spot = self.instrument is BTC_SPOT
        return [PriceSource.LAST, PriceSource.BOOK, *([] if spot else [PriceSource.MARK])]

    def distance(self, low: int, high: int) -> Distance | Disarmed:
        kind = self.random.choice((Percent, Percent, Points))
        return kind(self.number(low, high)) if self.random.random() < 0.9 else Disarmed()

    def maybe(self, *values: Any) -> Any:
        return self.random.choice(values) if self.random.random() < 0.2 else None

    def number(self, low: int, high: int) -> Decimal:
        return D(self.random.randrange(low * 100 + 1, high * 100)) / 100

    def limit(self, low: int, high: int) -> Limit:
        percent = Percent(self.number(low, high))
        at_price = AtPrice(D(self.random.randrange(900, 1120)) / 10)
        return self.random.choices((percent, at_price, Disarmed()), (8, 1, 1))[0]

    def ladder(self) -> Ladder:
        percents = sorted(self.number(0, 9) for _ in range(self.random.randrange(4)))
        fractions = self.random.choice((("0.5", "0.3", "0.2"), ("0.02", "0.4", "0.1")))
        return tuple(Rung(Percent(p), D(f)) for p, f in zip(percents, fractions, strict=False))


def run(seed: int, instrument: Instrument, *, crashes: bool) -> Exits:
    venue = Exits(seed, instrument, crashes=crashes)
    for _ in range(150):
        venue.act()
    venue.faults = False
    return venue


def check_rungs(venue: Exits) -> None:
    """Rungs of a ladder that nobody changed closed no more than their fractions, crash or not.

    Left out is what was bought while a crash lost the journal of a rung: its part may have been of
    less than is held then; and what a rung left too little of.
    """
    for key, position in venue.journal.positions.items():
        total = sum((rung.fraction for rung in position.exits.ladder), ZERO)
        if key in venue.amended | venue.grew or total == ONE or is_whole(position):
            continue
        closed = sum(
            (
                fill.qty
                for o in venue.orders.values()
                if is_rung(o, key)
                for fill in fills(venue, o)
            ),
            ZERO,
        )
        assert closed <= total * position.qty


def is_whole(position: Position) -> bool:
    return position.exit_reason is ExitReason.LADDER and position.dust > ZERO


def is_rung(order: Order, position_id: str) -> bool:
    return order.position_id == position_id and order.reason is ExitReason.LADDER


def fills(venue: Exits, order: Order) -> list[Fill]:
    return venue.fills[order.client_order_id]


@pytest.mark.parametrize("crashes", [False, True], ids=["running", "crashing"])
@pytest.mark.parametrize("instrument", [BTC_PERP, BTC_SPOT], ids=["linear", "spot"])
@pytest.mark.parametrize("seed", range(50))
def test_no_rules_sell_more_than_is_held_and_all_end_flat(
    seed: int, instrument: Instrument, crashes: bool
) -> None:
    venue = run(seed, instrument, crashes=crashes)
    settle(venue)
    assert venue.rig.guardian.positions() == []
    assert venue.rig.guardian.orders_in_flight() == []
    check_dust(venue)
    check_rungs(venue)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_events_have_the_same_effects(seed: int) -> None:
    venue = run(seed, BTC_PERP, crashes=False)
    fresh = Rig(add_on_same=True).guardian
    for event, effects in venue.log:
        assert fresh.handle(event) == effects


def test_the_random_rules_exercise_what_they_claim_to() -> None:
    reasons, purposes, statuses = set(), set(), set()
    for seed in range(120):
        venue = run(seed, BTC_PERP, crashes=False)
        settle(venue)
        reasons |= {order.reason for order in venue.orders.values()}
        purposes |= {order.purpose for order in venue.orders.values()}
        statuses |= {kind for e, _ in venue.log if (kind := type(e)) is OrderFilled}
        statuses |= set(venue.rig.logged())
    rules = {"take_profit", "stop_loss", "trailing", "break_even", "ladder", "time", "manual"}
    assert rules <= reasons
    assert {"entry", "add", "exit"} <= purposes
    told = {"position.amended", "position.amendment_refused", "position.stop_moved"}
    assert told | {"position.trailing_activated", "position.rung_reached"} <= statuses
