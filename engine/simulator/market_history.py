"""What the simulator has sent, for its REST side: trades, aggregates and one-minute candles."""

from collections import deque
from decimal import Decimal

from msgspec import Struct

from engine.model.money import ZERO
from engine.simulator.market_events import Aggregate, Print

MINUTE_MS = 60_000
KEPT_TRADES = 20_000
KEPT_MINUTES = 3_000


class Candle(Struct):
    """One-minute bar, volumes in base and quote asset; ``taker_*`` were bought by takers."""

    start_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: Decimal = ZERO
    turnover: Decimal = ZERO
    trades: int = 0
    taker_volume: Decimal = ZERO
    taker_turnover: Decimal = ZERO

    def add(self, print_: Print) -> None:
        """Count a trade in."""
        price, qty = Decimal(print_.price), Decimal(print_.qty)
        if price > Decimal(self.high):
            self.high = print_.price
        if price < Decimal(self.low):
            self.low = print_.price
        self.close = print_.price
        self.volume += qty
        self.turnover += price * qty
        self.trades += 1
        if print_.taker_buys:
            self.taker_volume += qty
            self.taker_turnover += price * qty


def flat(start_ms: int, price: str) -> Candle:
    """Return the bar of a minute without a trade (venues repeat the last close)."""
    return Candle(start_ms, price, price, price, price)


class Candles:
    """One-minute bars without holes from the first trade on."""

    def __init__(self) -> None:
        self._bars: deque[Candle] = deque(maxlen=KEPT_MINUTES)

    def add(self, print_: Print) -> None:
        """Count a trade into its minute."""
        start_ms = print_.time_ms - print_.time_ms % MINUTE_MS
        if not self._bars:
            self._bars.append(flat(start_ms, print_.price))
        self.advance(start_ms)
        last = self._bars[-1]
        if last.start_ms == start_ms and last.trades == 0:
            last.open = last.high = last.low = print_.price
        last.add(print_)

    def advance(self, now_ms: int) -> None:
        """Open bars up to the minute of ``now_ms``; after a leap only those that are kept."""
        if self._bars and now_ms - self._bars[-1].start_ms > KEPT_MINUTES * MINUTE_MS:
            first_ms = now_ms - now_ms % MINUTE_MS - KEPT_MINUTES * MINUTE_MS
            self._bars.append(flat(first_ms, self._bars[-1].close))
        while self._bars and self._bars[-1].start_ms + MINUTE_MS <= now_ms:
            last = self._bars[-1]
            self._bars.append(flat(last.start_ms + MINUTE_MS, last.close))

    @property
    def last(self) -> Candle | None:
        return self._bars[-1] if self._bars else None

    def before_last(self) -> Candle | None:
        """Return the newest finished bar."""
        return self._bars[-2] if len(self._bars) > 1 else None

    def bars(self, interval_ms: int, now_ms: int) -> list[Candle]:
        """Return bars of a whole number of minutes, oldest first, the last one unfinished."""
        self.advance(now_ms)
        merged: list[Candle] = []
        for bar in self._bars:
            start_ms = bar.start_ms - bar.start_ms % interval_ms
            if merged and merged[-1].start_ms == start_ms:
                _merge(merged[-1], bar)
            else:
                merged.append(_renamed(bar, start_ms))
        return merged


def _renamed(bar: Candle, start_ms: int) -> Candle:
    copy = flat(start_ms, bar.open)
    _merge(copy, bar)
    return copy


def _merge(into: Candle, bar: Candle) -> None:
    into.high = max(into.high, bar.high, key=Decimal)
    into.low = min(into.low, bar.low, key=Decimal)
    into.close = bar.close
    into.volume += bar.volume
    into.turnover += bar.turnover
    into.trades += bar.trades
    into.taker_volume += bar.taker_volume
    into.taker_turnover += bar.taker_turnover


class Aggregator:
    """Joins neighbouring trades of one time, price and taker side (Binance ``aggTrade``)."""

    def __init__(self) -> None:
        self._open: list[Print] = []

    def add(self, print_: Print) -> list[Print]:
        """Take a trade; return the trades of the aggregate that it proves finished, or none."""
        finished: list[Print] = []
        if self._open and _key(self._open[0]) != _key(print_):
            finished = self.take()
        self._open.append(print_)
        return finished

    def take(self) -> list[Print]:
        """Return and forget the trades of the open aggregate."""
        finished, self._open = self._open, []
        return finished


def _key(print_: Print) -> tuple[int, str, bool]:
    return (print_.time_ms, print_.price, print_.taker_buys)


class History:
    """The past of one instrument."""

    def __init__(self) -> None:
        self.trades: deque[Print] = deque(maxlen=KEPT_TRADES)
        self.aggregates: deque[Aggregate] = deque(maxlen=KEPT_TRADES)
        self.candles = Candles()
        self.mark_candles = Candles()

    def add_mark(self, mark: str, time_ms: int) -> None:
        """Count a mark price in; it has no volume."""
        self.mark_candles.add(Print("", 0, mark, "0", taker_buys=False, time_ms=time_ms))

    def add(self, print_: Print) -> None:
        self.trades.append(print_)
        self.candles.add(print_)
