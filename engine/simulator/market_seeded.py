"""Seeded prices: a random walk per instrument. The same seed gives the same path."""

import random
from decimal import Decimal

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.money import ceil_to_step
from engine.simulator.market import InstrumentState, MarketPlace, unpin
from engine.simulator.market_events import Origin
from engine.simulator.market_listings import Listing
from engine.simulator.market_pace import Pace

STEPS_PER_SECOND = 6.0
TRADE_SHARE = 0.5
STEP_DEVIATION = 4e-5
"""Standard deviation of one step, as a fraction of price: about 3 % a day."""

START_PRICES = {
    "BTCUSDT": Decimal(65000),
    "ETHUSDT": Decimal(3200),
    "SOLUSDT": Decimal(150),
    "XRPUSDT": Decimal("2.2"),
    "DOGEUSDT": Decimal("0.18"),
}


class WalkStep(Struct, frozen=True):
    """One step of a walk; quantities in base asset.

    ``taker_buys`` is None when only the touch changes.
    """

    bid: Decimal
    bid_qty: Decimal
    ask_qty: Decimal
    taker_buys: bool | None
    qty: Decimal


class Walk:
    """The random walk of one instrument's bid, in whole ticks; the ask is one tick above.

    Waits and prices are drawn apart, so a script that keeps the walk still does not change when
    it moves again.
    """

    def __init__(self, listing: Listing, seed: int, start: Decimal) -> None:
        self._listing = listing
        self._random = random.Random(f"{seed}:{listing.id}")
        self._waits = random.Random(f"{seed}:{listing.id}:waits")
        self._ticks = int(start / listing.tick_size)
        self._begun = False

    def move_to(self, price: Decimal) -> None:
        """Go on from a price that a script set."""
        self._ticks = max(int(price / self._listing.tick_size), 1)

    def wait_s(self) -> float:
        """Draw the source time to the next step, in seconds."""
        return self._waits.expovariate(STEPS_PER_SECOND)

    def step(self) -> WalkStep:
        """Draw the next step; the first one trades."""
        draw = self._random
        change = round(draw.gauss(0, 1) * self._ticks * STEP_DEVIATION)
        self._ticks = max(self._ticks + change, 1)
        bid = self._ticks * self._listing.tick_size
        traded, buys = draw.random() < TRADE_SHARE or not self._begun, draw.random() < 0.5
        self._begun = True
        return WalkStep(
            bid=bid,
            bid_qty=self._qty(bid, 10),
            ask_qty=self._qty(bid, 10),
            taker_buys=buys if traded else None,
            qty=self._qty(bid, 1),
        )

    def _qty(self, price: Decimal, times: int) -> Decimal:
        share = Decimal(self._random.randint(10, 200)) / 100
        typical = self._listing.typical_qty(price, times)
        return ceil_to_step(typical * share, Decimal(self._listing.step))


class SeededSource:
    """Plays one instrument's walk into the market; keeps still while a script owns the price."""

    def __init__(self, market: MarketPlace, pace: Pace, listing: Listing, seed: int) -> None:
        self._market = market
        self._pace = pace
        self._state = market.state(listing.id)
        self._walk = Walk(listing, seed, START_PRICES.get(listing.id.symbol, Decimal(100)))

    @property
    def instrument(self) -> InstrumentId:
        return self._state.listing.id

    async def run(self) -> None:
        """Play until cancelled."""
        due_s = 0.0
        while True:
            await self._pace.until(due_s)
            if not self._state.scripted:
                self._play(self._walk.step())
            due_s += self._walk.wait_s()

    def release(self, state: InstrumentState) -> None:
        """Go on from the last scripted price."""
        if state.last is not None:
            self._walk.move_to(Decimal(state.last))
        unpin(state)

    def _play(self, step: WalkStep) -> None:
        unpin(self._state)
        self._market.touch(self.instrument, Origin.SEEDED, step.bid, step.bid_qty, step.ask_qty)
        if step.taker_buys is not None:
            tick = self._state.listing.tick_size
            price = step.bid + tick if step.taker_buys else step.bid
            self._market.trade(self.instrument, Origin.SEEDED, price, step.qty, step.taker_buys)
