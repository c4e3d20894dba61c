"""Random instruments, positions, amendments and prices, all from one source of randomness.

Prices are near each other on a coarse grid, so that exact touches, equal prices and equal
distances are common; and they jump far, so that one price passes many thresholds and peaks.
"""

from collections import Counter
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, Distance, Limit, Percent, Points, Side
from engine.model.ids import encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.position import Position
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Ladder, Rung
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from engine.simulation.oracle import levels
from tests.property.pair import CHANNELS, Disagreement, Pair

D = Decimal
TICKS = (*(D(1).scaleb(power) for power in range(-8, 9)), D("0.5"), D("0.25"), D("2.5"), D(5))
LEVELS = (3, 20, 300, 1000, 1000, 10**4, 10**6, 10**10)
"""Where prices start, in ticks."""
MOST = 10**11
"""The highest price in ticks: with two digits below the tick it still has 15 in all."""
PERCENTS = tuple(map(D, ("0.0001", "0.1", "0.3", "0.5", "1", "1.5", "2", "3", "10", "60", "99")))
SOURCES = (PriceSource.LAST,) * 6 + tuple(PriceSource)


def instrument(tick: Decimal) -> Instrument:
    name = InstrumentId("bybit", Market.LINEAR, "XUSDT")
    return Instrument(name, "X", "USDT", tick, D("0.001"), D("0.001"), D(5))


class World:
    """A pair, with what may happen to it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tick = random.choice(TICKS)
        self.pair = Pair(instrument(self.tick))
        self.price = random.choice(LEVELS) * self.tick
        self._count = 0
        self._released: list[Position] = []

    # Prices

    def next_price(self, name: str) -> Decimal:
        """A price of a channel; marks lie off the grid."""
        random = self.random
        kind = random.randrange(100)
        if kind < 60:
            self._go(random.randint(-6, 6))
        elif kind < 75:
            self._go(random.randint(1, 4))
        elif kind < 80:
            self._go(int(self.price / self.tick * random.randint(-60, 60) / 100))
        elif kind < 85:
            self._go(random.randint(-400, 400))
        elif kind < 93:
            self._touch(name)
        price = self.price
        if name == "mark" and random.random() < 0.7:
            price += self.tick * random.randint(-99, 99) / 100
        return price if price > 0 else self.tick

    def _go(self, ticks: int) -> None:
        number = int(self.price / self.tick) + ticks
        self.price = min(max(number, 1), MOST) * self.tick

    def _touch(self, name: str) -> None:
        """Go to a threshold, or a tick beside it."""
        levels = [
            rule.level
            for held in self.pair.oracle.held.values()
            if held.channel == name
            for rule in held.rules.values()
        ]
        if levels:
            self.price = self.random.choice(levels)
            self._go(self.random.choice((-1, 0, 0, 0, 1)))

    # What happens

    def tick_once(self) -> None:
        """One price with what goes before it and between its slices."""
        random, pair = self.random, self.pair
        name = random.choice(("last", "last", "last", "last", "last", *CHANNELS))
        pair.now_ns += random.choice((0, 0, 1, 999_999, 1_000_000, 5_000_000))
        limit = random.choice((1, 3, 1 << 62))
        if random.random() < 0.1:
            pair.elapse(name, limit)
            self.drain(name)
        price = self.next_price(name)
        pair.give(name, price, limit)
        self.drain(name)
        ids = list(pair.positions)
        pair.check(random.sample(ids, min(len(ids), 3)))

    def drain(self, name: str) -> None:
        """Take slice after slice; owners may change their minds in between."""
        while self.pair.channel(name).due is not None:
            if self.random.random() < 0.2:
                self.change()
            if self.random.random() < 0.05:
                self.pair.elapse(name)
            self.pair.more(name, self.random.choice((1, 3, 1 << 62)))

    def change(self) -> None:
        """Add, amend or remove a position, or bound the quiet prices."""
        kind = self.random.randrange(10)
        if kind < 3 or not self.pair.positions:
            self.add()
        elif kind < 7:
            self.amend()
        elif kind < 9:
            self.remove()
        else:
            self.bound()

    def add(self) -> None:
        if self._released and not self.pair.is_due and self.random.random() < 0.2:
            self.pair.arm(self._released.pop())  # which is younger than the others now
            return
        self._count += 1
        self.pair.arm(self.position(encode_id(self._count.to_bytes(16, "big"))))

    def remove(self) -> None:
        position_id = self.random.choice(list(self.pair.positions))
        self._released = [*self._released[-5:], self.pair.positions[position_id]]
        self.pair.disarm(position_id)

    def bound(self) -> None:
        name = self.random.choice(CHANNELS)
        width = self.tick * self.random.choice((1, 5, 50, 10**6))
        self.pair.quiet_within(name, self.price - width, self.price + width)

    # Positions

    def position(self, position_id: str) -> Position:
        random = self.random
        side = random.choice(tuple(Side))
        entry = self.price
        confirmation = self.confirmation() if random.random() < 0.35 else Confirmation()
        exits = Exits(Disarmed(), Disarmed(), confirmation=confirmation)
        position = Position(
            id=position_id,
            instrument=self.pair.instrument,
            side=side,
            exits=exits,
            trigger=random.choice(SOURCES),
            created_at_ns=0,
            qty=D(2) if random.random() < 0.95 else D(0),
            entry_value=2 * entry,
            take_profit=self.level(side.sign) if random.random() < 0.5 else None,
            stop_loss=self.level(-side.sign) if random.random() < 0.6 else None,
        )
        if random.random() < 0.6:
            position = self.trailed(position)
        if random.random() < 0.25:
            position = self.with_exits(position, break_even=self.break_even(side))
        if random.random() < 0.25:
            position = self.with_exits(position, ladder=self.ladder(side))
        return position

    def amend(self) -> None:
        """Change some of a position, or nothing."""
        random = self.random
        position = self.pair.positions[random.choice(list(self.pair.positions))]
        side = position.side
        peak = self.pair.oracle.peak(position.id)
        if peak is not None and random.random() < 0.5:
            better = peak + side.sign * self.tick * random.choice((0, 0, 0, 1, 20))
            peak = max(better, self.tick)
            position = replace(position, progress=replace(position.progress, peak=peak))
        for _ in range(random.randrange(3)):
            kind = random.randrange(9)
            if kind == 0:
                stop = self.level(-side.sign) if random.random() < 0.8 else None
                position = replace(position, stop_loss=stop)
            elif kind == 1:
                target = self.level(side.sign) if random.random() < 0.8 else None
                position = replace(position, take_profit=target)
            elif kind in {2, 3}:
                position = self.retrailed(position)
            elif kind == 4:
                position = self.trailed(position)
            elif kind == 5:
                position = self.with_exits(position, confirmation=self.confirmation())
            elif kind == 6:
                position = self.with_exits(position, break_even=self.break_even(side))
            elif kind == 7:
                position = self.with_exits(position, ladder=self.ladder(side))
            else:
                position = replace(position, trigger=random.choice(SOURCES))
        self.pair.arm(position)

    def with_exits(self, position: Position, **changes: object) -> Position:
        return replace(position, exits=replace(position.exits, **changes))

    def trailed(self, position: Position) -> Position:
        """Give a trailing stop, waiting or following already; or take it away."""
        if self.random.random() < 0.15:
            return self.with_exits(position, trailing=None)
        peak = self.pair.oracle.peak(position.id)
        activation: Limit = Disarmed()
        if self.random.random() < 0.3:
            activation, peak = self.profit(position.side), None
        elif peak is None:
            peak = self.price + self.tick * self.random.randint(-12, 12)
            peak = max(peak, self.tick)
        trailing = Trailing(self.distance(), activation, self.step())
        position = self.with_exits(position, trailing=trailing)
        return replace(position, progress=replace(position.progress, peak=peak))

    def retrailed(self, position: Position) -> Position:
        """Change the distance or the step of a trailing stop, whatever it has come to."""
        trailing = position.exits.trailing
        if trailing is None:
            return position
        if self.random.random() < 0.5:
            return self.with_exits(position, trailing=replace(trailing, distance=self.distance()))
        return self.with_exits(position, trailing=replace(trailing, step=self.step()))

    def level(self, sign: int) -> Decimal:
        """A threshold, mostly ahead in the direction of the sign, now and then off the grid."""
        random = self.random
        length = self.tick * random.choice((random.randint(-2, 12), random.randint(5, 300)))
        if random.random() < 0.2:
            length = levels.length(Percent(random.choice(PERCENTS)), self.price)
            length = length // self.tick * self.tick
        level = self.price + sign * length
        if random.random() < 0.05:
            level += self.tick / 4
        return level if level > 0 else self.tick

    def distance(self) -> Distance:
        random = self.random
        if random.random() < 0.5:
            return Percent(random.choice(PERCENTS))
        ticks = random.choice((D("0.3"), D(1), D(2), D(3), D(7), D("7.5"), D(40), D(5000)))
        return Points(self.tick * ticks)

    def step(self) -> Distance | None:
        return self.distance() if self.random.random() < 0.45 else None

    def profit(self, side: Side) -> Limit:
        if self.random.random() < 0.5:
            return Percent(self.random.choice((*PERCENTS, D(100))))
        return AtPrice(self.level(side.sign))

    def break_even(self, side: Side) -> BreakEven | None:
        if self.random.random() < 0.1:
            return None
        offset = self.random.choice((None, D(0), D("0.2"), D(1)))
        return BreakEven(self.profit(side), offset)

    def ladder(self, side: Side) -> Ladder:
        """Rungs that lie ever farther, some of them so near that they round to one price."""
        number = self.random.choice((0, 1, 2, 3, 10))
        if self.random.random() < 0.5:
            ats = sorted(self.random.sample(PERCENTS, number))
            return tuple(Rung(Percent(at), D("0.2")) for at in ats)
        levels = sorted({self.level(side.sign) for _ in range(number)})
        if side is Side.SHORT:
            levels.reverse()
        return tuple(Rung(AtPrice(at), D("0.2")) for at in levels)

    def confirmation(self) -> Confirmation:
        return Confirmation(
            self.random.choice((0, 0, 1, 5, 20)), self.random.choice((0, 1, 2, 3, 5))
        )


def run(seed: int, ticks: int, size: int) -> Counter[str]:
    """Give ``ticks`` prices to a world of about ``size`` positions; returns what triggered.

    Raises:
        Disagreement: with the arguments that show it again.
    """
    world = World(Random(seed))
    try:
        for _ in range(size):
            world.add()
        for _ in range(ticks):
            if len(world.pair.positions) < size and world.random.random() < 0.4:
                for _ in range(world.random.randint(1, max(1, size // 4))):
                    world.add()
            if world.random.random() < 0.15:
                world.change()
            world.tick_once()
        world.pair.check(list(world.pair.positions))
    except Disagreement as error:
        raise Disagreement(f"run({seed}, {ticks}, {size}): {error}") from error
    return world.pair.triggered
