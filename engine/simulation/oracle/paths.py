"""When a price must have closed a position: the way of one position's stop along its prices.

Prices of a short are mirrored (negated), so that profit is up for both sides. Everything that a
restart, a doubt or a loss of prices leaves open is read in the guardian's favour.
"""

from dataclasses import dataclass
from decimal import Decimal

from engine.model.exits import ExitReason
from engine.model.instrument import Instrument, Market
from engine.model.money import exact
from engine.simulation.oracle import levels
from engine.simulation.oracle.asked import Asked
from engine.simulation.oracle.prices import Track

NS_PER_MS = 1_000_000
CLOCK_NS = 500_000_000


@dataclass(slots=True)
class Wait:
    """A stop that is being confirmed."""

    since_ns: int
    level: float
    count: int = 1


@dataclass(slots=True)
class Path:
    """What is known for sure of one position in one process. Levels and prices are mirrored.

    Attributes:
        sign: 1 long, -1 short. fee: taker fee, a fraction.
        may_move: whether the stop is surely still to move to break-even, where that is asked for.
        stop: the stop that surely holds; ``peak``: the peak that the trailing stop surely has.
    """

    sign: int
    instrument: Instrument
    fee: Decimal
    asked: Asked
    entry: Decimal
    stop: float | None = None
    target: float | None = None
    even_at: float | None = None
    activation: float | None = None
    is_even: bool = False
    may_move: bool = True
    peak: float | None = None
    next_peak: float | None = None
    wait: Wait | None = None
    _trail: float | None = None

    def mirrored(self, price: Decimal | None) -> float | None:
        """Return a price as it is compared here."""
        return None if price is None else self.sign * float(price)

    def aim(self) -> None:
        """Work out all levels from the average entry price and what is asked for."""
        asked, sign, tick = self.asked, self.sign, self.instrument.tick_size
        self.target = self.mirrored(levels.profit(sign, asked.take_profit, self.entry, tick))
        if not self.is_even:
            self.stop = self.mirrored(levels.loss(sign, asked.stop_loss, self.entry, tick))
        self.even_at = None
        if asked.moves_to_even and self.may_move and not self.is_even:
            self.even_at = self.mirrored(levels.profit(sign, asked.even_at, self.entry, tick))
        self.activation = None
        if asked.distance is None:
            self.peak = None
        elif self.peak is None:
            start = levels.profit(sign, asked.activation, self.entry, tick)
            self.activation = self.mirrored(start)
            if start is None:
                rounded = levels.up if sign > 0 else levels.down
                self.peak = self.mirrored(rounded(self.entry, tick))
        self._follow(self.peak)

    def even_stop(self, *, spare_ticks: int) -> float:
        """Return the break-even stop, ``spare_ticks`` farther from the price than computed."""
        spot = self.instrument.id.market is Market.SPOT
        tick = self.instrument.tick_size
        offset = self.asked.even_offset
        level = levels.break_even(self.sign, self.entry, offset, self.fee, tick, spot=spot)
        return self.sign * float(level) - spare_ticks * float(tick)

    def _follow(self, peak: float | None) -> None:
        self.peak, self._trail, self.next_peak = peak, None, None
        distance, step = self.asked.distance, self.asked.step
        if peak is None or distance is None:
            return
        top, tick = exact(self.sign * peak), self.instrument.tick_size
        self._trail = self.mirrored(levels.trail(self.sign, top, distance, tick))
        if step is not None:
            self.next_peak = self.mirrored(levels.moves_at(self.sign, top, step, tick))

    def follow_from(self, price: float | None) -> None:
        """Set the stop going from a price, put on the tick that triggers no later."""
        if price is not None:
            rounded = levels.up if self.sign > 0 else levels.down
            top = rounded(exact(self.sign * price), self.instrument.tick_size)
            self._follow(self.mirrored(top))

    # Along the prices

    def is_quiet(self, low: float, high: float) -> bool:
        """Whether prices in these bounds change nothing; mirrored as everything here."""
        if self.asked.distance is not None or self.wait is not None:
            return False
        below = self.stop is not None and low <= self.stop
        above = any(level is not None and high >= level for level in (self.target, self.even_at))
        return not below and not above

    def walk(self, track: Track, begin: int, end: int) -> tuple[int, ExitReason, float] | None:
        """Follow prices to the first that must close: its time, the rule and the price; or None."""
        prices = track.price[begin:end]
        if not prices:
            return None
        low, high = min(prices), max(prices)
        if self.sign < 0:
            low, high = -high, -low
        if self.is_quiet(low, high):
            return None
        for place in range(begin, end):
            price = self.sign * track.price[place]
            found = self._take(price, track.at_ns[place])
            if found is None:
                continue
            at_ns, reason = found
            if track.index[place] not in track.untrue:
                return at_ns, reason, track.price[place]
        return None

    def _take(self, price: float, at_ns: int) -> tuple[int, ExitReason] | None:
        if self.wait is not None:
            over_ns = self._confirm(self.wait, price, at_ns)
            if over_ns is not None:
                return over_ns, ExitReason.STOP_LOSS
            if self.wait is not None:
                return None
        if self.peak is not None:
            if price >= self.next_peak if self.next_peak is not None else price > self.peak:
                self._follow(price)
        elif self.activation is not None and price >= self.activation:
            self._follow(price)
        if self.target is not None and price >= self.target:
            return at_ns, ExitReason.TAKE_PROFIT
        if self.even_at is not None and price >= self.even_at:
            moved = self.even_stop(spare_ticks=1)
            self.stop = moved if self.stop is None else max(self.stop, moved)
            self.is_even, self.even_at = True, None
        return self._stopped(price, at_ns)

    def _stopped(self, price: float, at_ns: int) -> tuple[int, ExitReason] | None:
        stops = [level for level in (self.stop, self._trail) if level is not None]
        level = max(stops, default=None)
        if level is None or price > level:
            return None
        if self.asked.confirm_ms > 0 or self.asked.confirm_ticks > 1:
            # Both stops wait apart; the one reached last is the one that is sure of all prices.
            self.wait = Wait(at_ns, min(stops) if price <= min(stops) else level)
            return None
        reason = ExitReason.TRAILING if level == self._trail else ExitReason.STOP_LOSS
        return at_ns, reason

    def _confirm(self, wait: Wait, price: float, at_ns: int) -> int | None:
        """Count a price for a stop in doubt; returns when the stop was confirmed, else None.

        A process looks at the time every ``CLOCK_NS``; a price that comes back before it looked
        lifts the stop though its time was over.
        """
        asked = self.asked
        over_ns = wait.since_ns + asked.confirm_ms * NS_PER_MS
        if wait.count >= asked.confirm_ticks and at_ns >= over_ns + CLOCK_NS:
            return over_ns + CLOCK_NS
        if price > wait.level:
            self.wait = None
            return None
        wait.count += 1
        return at_ns if wait.count >= asked.confirm_ticks and at_ns >= over_ns else None
