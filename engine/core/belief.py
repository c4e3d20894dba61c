"""Which prices are believed (DESIGN.md 2.10).

A price that is farther than ``MAX_TICK_JUMP_PERCENT`` from the last one of its channel is held.
What comes after it decides: a later price of its channel, or another source (mark, touch of the
book, last trade, by stream or REST) drops it when it is nearer to the price before, else confirms
it. Prices of its own channel confirm only when the venue made them at least 50 ms later; until then
those that are no jump by themselves are believed as ever. After 2 s without contrary evidence it is
believed, and the owner is told. Comparisons are of doubles: how far is too far is no amount of
money.
"""

from collections import deque
from enum import StrEnum
from math import inf
from typing import NamedTuple

from engine.core.book.channel import Channel

CONFIRM_AFTER_MS = 50
BELIEVE_AFTER_NS = 2_000_000_000
CALM_SHARE = 4
"""A price within a quarter of the bound around the last look cannot be too far from any other
price in there: (1 + b/4) / (1 - b/4) - 1 < b for b < 2."""


class PriceName(StrEnum):
    """The prices of an instrument, in the order of ``InstrumentBook.channels``."""

    LAST = "last"
    MARK = "mark"
    BID = "bid"
    ASK = "ask"


class Believed(NamedTuple):
    """A believed price, to be compared with the book.

    ``received_ns`` is when its frame came, 0 where none made it believed; ``now_ns`` the local
    monotonic time at which it is taken.
    """

    price: float
    received_ns: int
    now_ns: int


class Held:
    """A price that is not believed yet, the one before, and the farthest one that followed it."""

    __slots__ = ("before", "extreme", "price", "received_ns", "time_ms")

    def __init__(self, price: float, before: float, time_ms: int, received_ns: int) -> None:
        self.price = price
        self.before = before
        self.extreme = price
        self.time_ms = time_ms
        self.received_ns = received_ns

    @property
    def prices(self) -> list[float]:
        """What is believed when it is believed, in order."""
        return [self.price] if self.extreme == self.price else [self.price, self.extreme]


class Belief:
    """Judges the prices of one channel.

    Attributes:
        held: the price in doubt, or None.
        believed: prices that wait until what an earlier one reached is acted upon.
        received_ns: local monotonic time of the frame whose price the book took last; 0 none.
        counts: how many prices were ``held``, ``confirmed``, ``contradicted``, ``unconfirmed``
            (believed after a while), since the last look at it.
    """

    __slots__ = (
        "_bound",
        "_high",
        "_low",
        "believed",
        "channel",
        "counts",
        "held",
        "name",
        "received_ns",
    )

    def __init__(self, name: PriceName, channel: Channel, bound: float) -> None:
        self.name = name
        self.channel = channel
        self.received_ns = 0
        self.held: Held | None = None
        self.believed: deque[Believed] = deque()
        self.counts: list[str] = []
        self._bound = bound
        self._low, self._high = inf, -inf

    @property
    def last(self) -> float | None:
        """The last price that is believed, compared with the book or not yet; None before one."""
        return self.believed[-1].price if self.believed else self.channel.price

    def judge(self, price: float, time_ms: int, received_ns: int) -> list[float]:
        """Take a price of the channel; return the prices that are believed now, in order."""
        held, believed = self.held, []
        if held is not None:
            if is_nearer(price, held.before, held.price):
                self._drop()
            elif _elapsed_ms(held, time_ms, received_ns) >= CONFIRM_AFTER_MS:
                believed = self._believe(held, "confirmed")
        last = believed[-1] if believed else self.last
        if last is None or self._is_near(price, last):
            return [*believed, price]
        self.counts.append("held")
        if self.held is None:
            self.held = Held(price, last, time_ms, received_ns)
        else:
            self._note(price, self.held)
        return believed

    def witness(self, price: float) -> list[float]:
        """Take a price of another source; return the prices that are believed now, in order."""
        held = self.held
        if held is None:
            return []
        if is_nearer(price, held.before, held.price):
            self._drop()
            return []
        return self._believe(held, "confirmed")

    def leans_to(self, price: float) -> bool:
        """Tell whether another source's price speaks for the held one."""
        held = self.held
        return held is not None and not is_nearer(price, held.before, held.price)

    def wait(self, now_ns: int) -> list[float]:
        """Take the local monotonic time; return the prices that nothing has contradicted."""
        held = self.held
        if held is None or now_ns - held.received_ns < BELIEVE_AFTER_NS:
            return []
        return self._believe(held, "unconfirmed")

    def settle(self, *, calm: bool) -> None:
        """Let calm prices pass unjudged again, unless the instrument is not ``calm``."""
        price = self.channel.price
        if not calm or price is None:
            self._low, self._high = inf, -inf
        elif not self._low < price < self._high:
            share = min(self._bound, 0.8) / CALM_SHARE
            self._low, self._high = price * (1 - share), price * (1 + share)
        else:
            return
        self.channel.quiet_within(self._low, self._high)

    def _is_near(self, price: float, other: float) -> bool:
        return abs(price - other) <= other * self._bound

    def _note(self, price: float, held: Held) -> None:
        """Remember a price that came too soon after the held one to confirm it."""
        farther = abs(price - held.before) > abs(held.extreme - held.before)
        if farther and self._is_near(price, held.price):
            held.extreme = price

    def _believe(self, held: Held, how: str) -> list[float]:
        self.held = None
        self.counts.append(how)
        return held.prices

    def _drop(self) -> None:
        self.held = None
        self.counts.append("contradicted")


def is_nearer(price: float, one: float, other: float) -> bool:
    """Tell whether a price is nearer to ``one`` than to ``other``."""
    return abs(price - one) < abs(price - other)


def _elapsed_ms(held: Held, time_ms: int, received_ns: int) -> float:
    """How much later a price was made; by the local clock where the venue tells no times."""
    if held.time_ms and time_ms:
        return time_ms - held.time_ms
    return (received_ns - held.received_ns) / 1e6
