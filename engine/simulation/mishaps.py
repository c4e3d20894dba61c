"""Faults that begin by themselves at their time, and do not wait for something to strike."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.instrument import Instrument, Market
from engine.model.order import FillKind, OrderSide
from engine.simulation.exchange import Exchange
from engine.simulation.history import Life
from engine.simulation.plan import Fault

if TYPE_CHECKING:
    from engine.simulation.world import World

TWIN = "twin"
PATIENCE_NS = 20 * NS_PER_SECOND
"""For so long a second installation is started again while it is refused."""

BACK_NS = 9 * NS_PER_SECOND
"""After so long somebody who has added by hand takes it back."""


class Mishaps:
    """What happens past the service; ``beginnings`` has what each kind of fault begins."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.beginnings: dict[str, Callable[[Fault], None]] = {
            "ext": self._by_hand,
            "ext_add": self._by_hand,
            "liq": self._by_hand,
            "jump": self._jump,
            "stall": self._stall,
            "twin": self._second,
            "partial": self._in_parts,
        }

    def _by_hand(self, fault: Fault) -> None:
        """The owner trades past us, or the venue liquidates."""
        exchange, instrument = self._subject(fault)
        if instrument is None or instrument.id not in exchange.prints:
            return
        held = exchange.held(instrument)
        kind = FillKind.LIQUIDATION if fault.kind == "liq" else FillKind.TRADE
        if fault.kind == "liq" and (not held or instrument.id.market is Market.SPOT):
            return
        share = Decimal(1) if fault.kind == "liq" else Decimal(repr(fault.amount))
        qty = instrument.floor_qty(abs(held) * share)
        side = OrderSide.SELL if held > 0 else OrderSide.BUY
        if fault.kind == "ext_add":
            qty, side = max(qty, instrument.min_qty), side.opposite
        if qty > 0:
            self._world.faults.note(fault)
            self._world.say(f"{fault.kind}: {side} {qty} {instrument.id}")
            exchange.trade_by_hand(instrument, side, qty, kind)
            if fault.kind == "ext_add":
                self._world.after(BACK_NS, self._take_back, exchange, instrument, side, qty)

    def _take_back(
        self, exchange: Exchange, instrument: Instrument, side: OrderSide, qty: Decimal
    ) -> None:
        """Somebody closes what he has added, as far as it is still there."""
        held = exchange.held(instrument)
        if self._world.is_ill and (held > 0) is (side is OrderSide.BUY) and abs(held) >= qty:
            self._world.say(f"taken back: {qty} {instrument.id}")
            exchange.trade_by_hand(instrument, side.opposite, qty, FillKind.TRADE)

    def _subject(self, fault: Fault) -> tuple[Exchange, Instrument | None]:
        paths = [
            p.instrument for p in self._world.plan.paths if p.instrument.id == fault.instrument
        ]
        venue = fault.venue or (paths[0].id.venue if paths else next(iter(self._world.venues)))
        return self._world.venues[venue], paths[0] if paths else None

    def _jump(self, fault: Fault) -> None:
        self._world.faults.note(fault)
        self._world.utc_error_ns += round(fault.amount * NS_PER_SECOND)

    def _stall(self, fault: Fault) -> None:
        process = self._world.process
        if process is not None:
            self._world.faults.note(fault)
            process.stall(fault.for_ms * NS_PER_MS)

    def _second(self, fault: Fault) -> None:
        """Somebody starts a second installation on the same database."""
        self._world.faults.note(fault)
        self._try_second(self._world.now_ns + PATIENCE_NS)

    def _try_second(self, until_ns: int) -> None:
        """It is started again each second while it is refused, as a supervisor does."""
        life = self._world.begin(None, TWIN)
        if self._world.now_ns < until_ns:
            self._world.after(NS_PER_SECOND, self._second_again, life, until_ns)

    def _second_again(self, life: Life, until_ns: int) -> None:
        if life.refused is not None and self._world.is_ill:
            self._try_second(until_ns)

    def _in_parts(self, fault: Fault) -> None:
        for name, exchange in self._world.venues.items():
            if fault.venue in {None, name}:
                exchange.fill_in_parts(fault)
