"""Which prices are believed (DESIGN.md 2.10).

A price that is farther than ``MAX_TICK_JUMP_PERCENT`` from the last one of its channel is held.
What comes after it decides: a later price of its channel, or another source (mark, touch of the
book, last trade, by stream or REST) nearer to the held price confirms it, one nearer to the price
before drops it. Prices of its own channel confirm only when the venue made them at least 50 ms
later. After 2 s without contrary evidence it is believed, and the owner is told. Comparisons are of
doubles: how far is too far is no amount of money.
"""

from enum import StrEnum
from math import inf

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


class Held:
    """A price that is not believed yet, and the farthest one that followed it."""

    __slots__ = ("extreme", "price", "received_ns", "time_ms")

    def __init__(self, price: float, time_ms: int, received_ns: int) -> None:
        self.price = price
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
        received_ns: local monotonic time of the frame whose price the book took last; 0 none.
        counts: how many prices were ``held``, ``confirmed``, ``contradicted``, ``unconfirmed``
            (believed after a while), since the last look at it.
    """

    __slots__ = ("_bound", "_high", "_low", "channel", "counts", "held", "name", "received_ns")

    def __init__(self, name: PriceName, channel: Channel, bound: float) -> None:
        self.name = name
        self.channel = channel
        self.received_ns = 0
        self.held: Held | None = None
        self.counts: list[str] = []
        self._bound = bound
        self._low, self._high = inf, -inf

    def judge(self, price: float, time_ms: int, received_ns: int) -> list[float]:
        """Take a price of the channel; return the prices that are believed now, in order."""
        last, held = self.channel.price, self.held
        if held is None or last is None:
            return self._first_look(price, last, time_ms, received_ns)
        if is_nearer(price, last, held.price):
            self._drop()
            return self._first_look(price, last, time_ms, received_ns)
        if _elapsed_ms(held, time_ms, received_ns) < CONFIRM_AFTER_MS:
            self._note(price, last, held)
            return []
        believed = self._believe("confirmed")
        return believed + self._first_look(price, believed[-1], time_ms, received_ns)

    def witness(self, price: float) -> list[float]:
        """Take a price of another source; return the prices that are believed now, in order."""
        last, held = self.channel.price, self.held
        if held is None or last is None:
            return []
        if is_nearer(price, last, held.price):
            self._drop()
            return []
        return self._believe("confirmed")

    def leans_to(self, price: float) -> bool:
        """Tell whether another source's price speaks for the held one."""
        last, held = self.channel.price, self.held
        return held is not None and last is not None and not is_nearer(price, last, held.price)

    def wait(self, now_ns: int) -> list[float]:
        """Take the local monotonic time; return the prices that nothing has contradicted."""
        held = self.held
        if held is None or now_ns - held.received_ns < BELIEVE_AFTER_NS:
            return []
        return self._believe("unconfirmed")

    def settle(self, *, doubted: bool) -> None:
        """Let calm prices pass unjudged again, unless a price of the instrument is in doubt."""
        price = self.channel.price
        if doubted or price is None:
            self._low, self._high = inf, -inf
        elif not self._low < price < self._high:
            calm = min(self._bound, 0.8) / CALM_SHARE
            self._low, self._high = price * (1 - calm), price * (1 + calm)
        else:
            return
        self.channel.quiet_within(self._low, self._high)

    def _first_look(
        self, price: float, last: float | None, time_ms: int, received_ns: int
    ) -> list[float]:
        if last is None or abs(price - last) <= last * self._bound:
            return [price]
        self.held = Held(price, time_ms, received_ns)
        self.counts.append("held")
        return []

    def _note(self, price: float, last: float, held: Held) -> None:
        """Remember a price that came too soon after the held one to confirm it."""
        self.counts.append("held")
        within = abs(price - held.price) <= held.price * self._bound
        if within and abs(price - last) > abs(held.extreme - last):
            held.extreme = price

    def _believe(self, how: str) -> list[float]:
        held, self.held = self.held, None
        self.counts.append(how)
        return held.prices if held is not None else []

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
