"""The book of one instrument: its channels, and which rules of which positions they hold."""

from engine.core.book.channel import UNCONFIRMED, Channel
from engine.core.book.codes import CODE_BITS, Watched, code_of
from engine.core.book.rules import fixed_rules, trailing_rule
from engine.model.exits import Side
from engine.model.instrument import Instrument
from engine.model.position import Position
from engine.model.ticks import PriceSource

CONFIRMED = frozenset({Watched.STOP, Watched.TRAIL})
"""Rules that wait for their confirmation where one is asked for."""


class _Armed:
    """A position in the book.

    Attributes:
        waits_for: the channel that was busy with a price when the position was to be armed last.
    """

    __slots__ = ("age", "channel", "codes", "waits_for")

    def __init__(self, age: int, channel: Channel) -> None:
        self.age = age
        self.channel = channel
        self.codes: tuple[int, ...] = ()
        self.waits_for: Channel | None = None

    def put_off(self, channel: Channel, position: Position) -> None:
        """Have the position armed when a busy channel is done."""
        if self.waits_for is not None:
            self.waits_for.forget(position.id)
        self.waits_for = channel
        channel.put_off(position)


class InstrumentBook:
    """All channels of one instrument. A position's age is kept until it is disarmed."""

    __slots__ = ("_ages", "_armed", "_ids", "ask", "bid", "last", "mark")

    def __init__(self, instrument: Instrument) -> None:
        self._ids: dict[int, str] = {}
        self._armed: dict[str, _Armed] = {}
        self._ages = 0
        self.last = Channel(instrument, self._ids, self.arm)
        self.mark = Channel(instrument, self._ids, self.arm)
        self.bid = Channel(instrument, self._ids, self.arm)
        self.ask = Channel(instrument, self._ids, self.arm)

    def __len__(self) -> int:
        return len(self._armed)

    def __contains__(self, position_id: str) -> bool:
        return position_id in self._armed

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.last, self.mark, self.bid, self.ask

    def channel(self, source: PriceSource, side: Side) -> Channel:
        """Return the channel a position is guarded on: with ``book`` a long closes at the bid."""
        if source is PriceSource.LAST:
            return self.last
        if source is PriceSource.MARK:
            return self.mark
        return self.bid if side is Side.LONG else self.ask

    def arm(self, position: Position) -> None:
        """Put a position's rules into the book; what has not changed stays as it is.

        So the peak of a trailing stop is kept, and a stop that is being confirmed goes on. While a
        price is due on the channel, the change is put off until that is done with.
        """
        channel = self.channel(position.trigger, position.side)
        armed = self._armed.get(position.id)
        if armed is None:
            self._ages += 1
            armed = self._armed[position.id] = _Armed(self._ages, channel)
            self._ids[self._ages] = position.id
        if armed.channel is not channel:
            if armed.channel.due is not None:
                armed.put_off(armed.channel, position)
                return
            _drop(armed.channel, armed.codes)
            armed.channel, armed.codes = channel, ()
        if channel.due is not None:
            armed.put_off(channel, position)
            return
        self._set(armed, channel, position)
        channel.refresh()

    def _set(self, armed: _Armed, channel: Channel, position: Position) -> None:
        asked = position.exits.confirmation
        asked = asked if asked.is_on else UNCONFIRMED
        codes, first = [], armed.age << CODE_BITS
        for rule, rung, level, rises in fixed_rules(position):
            code = first + rule + rung
            codes.append(code)
            wanted = UNCONFIRMED if asked is UNCONFIRMED or rule not in CONFIRMED else asked
            channel.set_fixed(code, float(level), wanted, rises=rises)
        trail = trailing_rule(position)
        if trail is not None:
            code = first + Watched.TRAIL
            codes.append(code)
            channel.set_trail(code, trail, asked, rises=position.side is Side.SHORT)
        if armed.codes != (now := tuple(codes)):
            _drop(channel, set(armed.codes).difference(now))
            armed.codes = now

    def disarm(self, position_id: str) -> None:
        """Take a position's rules out of the book."""
        armed = self._armed.pop(position_id, None)
        if armed is not None:
            del self._ids[armed.age]
            if armed.waits_for is not None:
                armed.waits_for.forget(position_id)
            _drop(armed.channel, armed.codes)

    def peak(self, position_id: str) -> float | None:
        """Return the peak of a position's trailing stop; None where it has none that is active."""
        armed = self._armed.get(position_id)
        if armed is None:
            return None
        return armed.channel.peak(code_of(armed.age, Watched.TRAIL))


def _drop(channel: Channel, codes: tuple[int, ...] | set[int]) -> None:
    for code in codes:
        channel.discard(code)
