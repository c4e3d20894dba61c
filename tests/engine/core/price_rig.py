"""A guardian with a tight bound, in a market whose venue and local clocks go on together."""

from typing import Any

from engine.core.belief import PriceName
from engine.core.book.channel import Channel
from engine.core.market_view import MarketView
from engine.model.effects import CheckPrices, Continue, Effects
from engine.model.events import ClockAdvanced, Continued, PricesChecked
from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, Percent
from engine.model.instrument import Instrument
from engine.model.position import Position
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from tests.engine.core.rig import BTC_PERP, D, Rig

NEVER = Exits(Disarmed(), AtPrice(D(10)))
MS = 1_000_000


class PriceRig(Rig):
    """Positions stop at 10 unless they say otherwise; a jump is more than ``percent``."""

    def __init__(self, percent: str = "25", **changes: Any) -> None:
        plain: dict[str, Any] = {"exits": NEVER, "max_open_positions": 10_000}
        self.venue_ms = 1_700_000_000_000
        super().__init__(max_tick_jump_percent=D(percent), **(plain | changes))
        self.balance("USDT", "10000000")

    # Events in

    def after(self, ms: int) -> "PriceRig":
        """Let both clocks go on; nobody is told."""
        self.venue_ms += ms
        self.now += ms * MS
        self.monotonic_ns += ms * MS
        return self

    def clock(self, ms: int = 0) -> Effects:
        self.after(ms)
        return self.handle(ClockAdvanced(self.now, self.monotonic_ns))

    def trade(
        self, price: float, instrument: Instrument = BTC_PERP, received_ns: int | None = None
    ) -> Effects:
        received_ns = self.monotonic_ns if received_ns is None else received_ns
        return self.handle(TradeTick(instrument.id, price, self.venue_ms, 0, received_ns))

    def mark(self, price: float, instrument: Instrument = BTC_PERP) -> Effects:
        return self.handle(
            MarkTick(instrument.id, price, None, 0, self.venue_ms, self.monotonic_ns)
        )

    def quote(self, bid: float, ask: float, instrument: Instrument = BTC_PERP) -> Effects:
        return self.handle(
            QuoteTick(instrument.id, bid, ask, 1.0, 1.0, self.venue_ms, 0, self.monotonic_ns)
        )

    def rest(self, instrument: Instrument = BTC_PERP, **prices: float) -> Effects:
        return self.handle(PricesChecked(instrument.id, self.now, self.monotonic_ns, **prices))

    def go_on(self) -> Effects:
        return self.handle(Continued(self.now))

    def finish(self) -> int:
        """Give it turns until it asks for none; returns how many."""
        turns = 0
        while self.wants_a_turn:
            self.go_on()
            turns += 1
        return turns

    def open_many(self, count: int, instrument: Instrument = BTC_PERP, **fields: Any) -> list[str]:
        """Open longs at 100, oldest first; ``stop`` gives each its own stop."""
        stop = fields.pop("stop", lambda number: 95)
        self.trade(100.0, instrument)
        known = len(self.effects)
        for number in range(count):
            exits = {"stop_loss": AtPrice(D(str(stop(number))))} | fields
            self.signal("buy", instrument, strategy=f"{known}.{number}", **exits)
        self.trade(100.0, instrument)
        entries = self.submitted(self.effects[known:])
        for entry in entries:
            self.filled(entry, "100")
        return [entry.position_id for entry in entries]

    # What it knows and wants

    @property
    def view(self) -> MarketView:
        return self.guardian._state.markets[BTC_PERP.id]

    def channel(self, name: PriceName) -> Channel:
        return self.view.beliefs[name].channel

    def peak(self, key: Position | str) -> float:
        position = self.guardian.position(key if isinstance(key, str) else key.id)
        assert position is not None
        assert position.progress.peak is not None
        return float(position.progress.peak)

    def checks(self) -> list[str]:
        return [str(e.instrument.id) for e in self.effects if isinstance(e, CheckPrices)]

    @property
    def wants_a_turn(self) -> bool:
        return self.guardian._state.continuing

    def turns_asked(self) -> int:
        return sum(isinstance(e, Continue) for e in self.effects)

    def closed(self) -> list[str]:
        """Ids of the positions of whose exits orders were sent, in order."""
        return [order.position_id for order in self.exits()]

    def counts(self) -> dict[str, int]:
        return dict(self.guardian.tick_counts())


def percent(value: str) -> Percent:
    return Percent(D(value))


def price_of(rig: PriceRig) -> float:
    price = rig.guardian.price(BTC_PERP.id)
    assert price is not None
    return float(price)


def held_at(price: float, **exits: object) -> PriceRig:
    """A long from 100 with a stop at 70, all sources at 100, and then a trade at ``price``."""
    rig = PriceRig()
    rig.open("buy", stop_loss=AtPrice(D(70)), **exits)
    rig.quote(99, 101)
    rig.mark(100)
    rig.after(1000)
    rig.trade(price)
    return rig
