"""The prices that one process was told of one instrument, by channel, and which it must believe.

Ticks are prices that a process must act upon, and so are answers by REST while the stream is lost.
A price within ``JUMP`` of the last one of its channel is believed as it comes. One beyond is surely
believed when the next of its channel that is made 50 ms later, or more, stays nearer to it, and no
other price of the instrument in between spoke for the one before; in every other case this oracle
does not claim to know, and asks for nothing.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.model.events import Event, PricesChecked
from engine.model.exits import Side
from engine.model.instrument import InstrumentId
from engine.model.ticks import MarkTick, PriceSource, QuoteTick, Tick, TradeTick
from engine.simulation.history import Told

JUMP = 0.2
"""MAX_TICK_JUMP_PERCENT, as a fraction."""

CONFIRM_MS = 50

TICK_OF = {
    PriceSource.LAST: TradeTick,
    PriceSource.BOOK: QuoteTick,
    PriceSource.MARK: MarkTick,
}


@dataclass(slots=True)
class Track:
    """Prices of one channel in the order they were told; ``index`` is their place in history."""

    index: list[int] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)
    price: list[float] = field(default_factory=list)
    untrue: set[int] = field(default_factory=set)
    """Places in history of prices that the market never made."""

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """Return the own places of what was told in history from ``begin`` to before ``end``."""
        return bisect_left(self.index, begin), bisect_left(self.index, end)


def price_of(tick: Tick, side: Side) -> float:
    """Return the price of a tick that a position of this side is compared with."""
    if isinstance(tick, TradeTick):
        return tick.price
    if isinstance(tick, MarkTick):
        return tick.mark
    return tick.bid if side is Side.LONG else tick.ask


def track_of(told: Sequence[Told], places: Sequence[int], side: Side) -> Track:
    """Read one channel's prices; ``places`` are those of its ticks in history."""
    return Track(
        list(places),
        [told[place].at_ns for place in places],
        [price_of(told[place].event, side) for place in places],  # type: ignore[arg-type]
        {place for place in places if not told[place].is_true},
    )


def price_by_rest(checked: PricesChecked, source: PriceSource, side: Side) -> float | None:
    """Return the price of an answer that a position of this side is compared with."""
    if source is PriceSource.LAST:
        return checked.last
    if source is PriceSource.MARK:
        return checked.mark
    return checked.bid if side is Side.LONG else checked.ask


def with_checked(
    track: Track, told: Sequence[Told], places: Sequence[int], source: PriceSource, side: Side
) -> Track:
    """Return a track with the answers by REST at these places in history put where they came."""
    found = dict(zip(track.index, zip(track.at_ns, track.price, strict=True), strict=True))
    for place in places:
        event = told[place].event
        price = price_by_rest(event, source, side) if isinstance(event, PricesChecked) else None
        if price is not None:
            found[place] = told[place].at_ns, price
    index = sorted(found)
    at_ns, prices = [found[place][0] for place in index], [found[place][1] for place in index]
    return Track(index, at_ns, prices, track.untrue)


def surely_believed(track: Track, told: Sequence[Told], instrument: InstrumentId) -> Track:
    """Return what of a track must have been believed, each when it was.

    A jump that an answer by REST tells or confirms is never sure.
    """
    prices = track.price
    if not prices or max(prices) <= min(prices) * (1 + JUMP):
        return track
    sure = Track(untrue=track.untrue)
    last, held = prices[0], None
    for place, price in enumerate(prices):
        if held is not None:
            before = prices[held]
            if _nearer(price, last, before):
                held = None
            elif _is_confirmed(track, told, held, place, last, instrument):
                sure.index.append(track.index[held])
                sure.at_ns.append(track.at_ns[place])
                sure.price.append(before)
                last, held = before, None
        if abs(price - last) <= last * JUMP:
            sure.index.append(track.index[place])
            sure.at_ns.append(track.at_ns[place])
            sure.price.append(price)
            last = price
        elif held is None:
            held = place
    return sure


def _nearer(price: float, one: float, other: float) -> bool:
    return abs(price - one) < abs(price - other)


def _is_confirmed(
    track: Track,
    told: Sequence[Told],
    held: int,
    place: int,
    before: float,
    instrument: InstrumentId,
) -> bool:
    doubted = track.price[held]
    first, later = told[track.index[held]].event, told[track.index[place]].event
    if isinstance(first, PricesChecked) or isinstance(later, PricesChecked):
        return False  # an answer by REST speaks for several sources at once
    if later.venue_time_ms - first.venue_time_ms < CONFIRM_MS:  # type: ignore[union-attr]
        return False
    kind = type(first)
    between = told[track.index[held] + 1 : track.index[place]]
    return not any(
        _nearer(price, before, doubted)
        for each in between
        if type(each.event) is not kind
        for price in _spoken(each.event, instrument)
    )


def _spoken(event: Event, instrument: InstrumentId) -> Iterator[float]:
    """What an event says of an instrument's price, by stream or by REST."""
    if isinstance(event, TradeTick | QuoteTick | MarkTick):
        if event.instrument == instrument:
            yield from (price_of(event, side) for side in Side)
    elif isinstance(event, PricesChecked) and event.instrument == instrument:
        prices = (event.last, event.bid, event.ask, event.mark)
        yield from (price for price in prices if price is not None)
