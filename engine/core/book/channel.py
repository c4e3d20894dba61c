"""One price channel of one instrument: the last trade, the mark, the best bid or the best ask.

A price strictly between ``floor`` and ``ceil`` does nothing: two comparisons, whatever the number
of positions. Any other price goes to ``take``, which returns the rules it reached, the worst
distance first, then the oldest position. Only so many at a time: while ``due`` is set, ``more``
has the rest, and the channel must not be given another price.
"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from math import inf

from engine.core.book.codes import Hit, age_of, rule_of
from engine.core.book.cohorts import Trail
from engine.core.book.confirming import Reached
from engine.core.book.direction import Direction
from engine.model.instrument import Instrument
from engine.model.money import exact
from engine.model.rules.confirmation import Confirmation

ALL = 1 << 62
UNCONFIRMED = Confirmation()


class Channel:
    """Thresholds of one price.

    Attributes:
        price: the last price that was believed; None before the first. Whoever skips ``take`` for a
            quiet price sets it.
        floor, ceil: a price strictly between them is quiet. They are shut (inf, -inf) while every
            price counts: before the first one, and while a stop is being confirmed.
        due: the price whose reached rules are not all taken yet, or None.
    """

    __slots__ = (
        "_confirmations",
        "_high",
        "_ids",
        "_low",
        "_now_ns",
        "_taken",
        "_tick",
        "ceil",
        "due",
        "falls",
        "floor",
        "price",
        "rises",
    )

    def __init__(self, instrument: Instrument, ids: dict[int, str]) -> None:
        self.falls = Direction(-1, instrument)
        self.rises = Direction(1, instrument)
        self.price: float | None = None
        self.due: float | None = None
        self.floor = inf
        self.ceil = -inf
        self._low, self._high = -inf, inf
        self._ids = ids
        self._confirmations: dict[int, Confirmation] = {}
        self._taken: deque[Hit] = deque()
        self._tick = 0
        self._now_ns = 0

    # Rules

    def set_fixed(self, code: int, level: float, asked: Confirmation, *, rises: bool) -> None:
        """Arm a threshold, or move it. ``refresh`` follows once all is armed."""
        direction = self.rises if rises else self.falls
        key = direction.sign * level
        self._make_room(key, direction)
        if asked is not UNCONFIRMED or self._confirmations:
            self._confirm(direction, code, asked)
        direction.set_fixed(code, key)

    def set_trail(self, code: int, trail: Trail, asked: Confirmation, *, rises: bool) -> None:
        """Arm or change a trailing stop; ``trail.best`` is a price here. ``refresh`` follows."""
        direction = self.rises if rises else self.falls
        way = direction.sign * trail.best
        self._make_room(way, direction)
        if asked is not UNCONFIRMED or self._confirmations:
            self._confirm(direction, code, asked)
        direction.set_trail(code, Trail(trail.distance, trail.step, way))

    def discard(self, code: int) -> None:
        """Remove a rule, wherever it is."""
        self.falls.discard(code)
        self.rises.discard(code)
        self._confirmations.pop(code, None)

    def peak(self, code: int) -> float | None:
        """Return the peak of a trailing stop that is armed, in quote asset."""
        for direction in (self.falls, self.rises):
            best = direction.best_of(code)
            if best is not None:
                return direction.sign * best
        return None

    def _confirm(self, direction: Direction, code: int, asked: Confirmation) -> None:
        """Note how a rule is confirmed; one that waits for another confirmation begins anew."""
        before = self._confirmations.get(code, UNCONFIRMED)
        if asked == before:
            return
        if asked is UNCONFIRMED:
            del self._confirmations[code]
        else:
            self._confirmations[code] = asked
        direction.put_back(code)

    # Prices

    @property
    def confirming(self) -> bool:
        """Whether a stop was reached and waits for its confirmation."""
        return bool(self.falls.confirming or self.rises.confirming)

    def quiet_within(self, low: float, high: float) -> None:
        """Have every price outside of low..high given to ``take``."""
        self._low, self._high = low, high
        self.refresh()

    def refresh(self) -> None:
        """Compute which prices are quiet; what was removed may still count until the next look."""
        falls, rises = self.falls, self.rises
        confirming = falls.confirming or rises.confirming
        if self.price is None or self.due is not None or confirming:
            self.floor, self.ceil = inf, -inf
        else:
            self.floor = max(-falls.nearest, rises.watch, self._low)
            self.ceil = min(rises.nearest, -falls.watch, self._high)

    def take(self, price: float, now_ns: int, limit: int = ALL) -> list[Hit]:
        """Take a price and return the first rules it reached.

        Args:
            now_ns: local monotonic time at which it was received.
            limit: how many rules are looked at; ``due`` is set when there are more.
        """
        self.price, self._now_ns = price, now_ns
        self._tick += 1
        waiting = False
        for direction in (self.falls, self.rises):
            way = direction.sign * price
            if direction.confirming:
                waiting = True
                direction.recover(way)
                direction.confirming.elapse(self._tick, now_ns)
            if way <= direction.watch or waiting:
                direction.move(way)
        if self.falls.nearest > -price and self.rises.nearest > price and not waiting:
            self.refresh()  # it may have been a new peak, no more
            return []
        return self._reach(price, limit)

    def elapse(self, now_ns: int, limit: int = ALL) -> list[Hit]:
        """Take the time, without a price: stops may be confirmed by it."""
        if self.price is None or self.due is not None:
            return []
        confirming = [d.confirming for d in (self.falls, self.rises) if d.confirming]
        if not confirming:
            return []
        self._now_ns = now_ns
        for each in confirming:
            each.elapse(self._tick, now_ns)
        return self._reach(self.price, limit)

    def more(self, limit: int = ALL) -> list[Hit]:
        """Return further rules that the due price reached."""
        if self.due is None:
            return []
        if not self._taken:
            return self._reach(self.due, limit)
        hits = [self._taken.popleft() for _ in range(min(limit, len(self._taken)))]
        if not self._taken:
            self.due = None
            self.refresh()
        return hits

    def _reach(self, price: float, limit: int) -> list[Hit]:
        hits: list[Hit] = []
        for _ in range(limit):
            chosen = self._worst(price)
            if chosen is None:
                break
            direction, key, code = chosen
            was_confirmed = direction.was_confirmed
            reached = direction.pop(key, code)
            asked = self._confirmations.get(code)
            if asked is not None and not was_confirmed:
                direction.confirming.begin(reached, asked, self._tick, self._now_ns)
            else:
                hits.append(self._hit(direction, reached, price))
        self.due = None if self._worst(price) is None else price
        self.falls.refresh()
        self.rises.refresh()
        self.refresh()
        return hits

    def _hit(self, direction: Direction, reached: Reached, price: float) -> Hit:
        self._confirmations.pop(reached.code, None)
        rule, rung = rule_of(reached.code)
        position_id = self._ids[age_of(reached.code)]
        return Hit(position_id, rule, rung, direction.sign * reached.key, price)

    def _worst(self, price: float) -> tuple[Direction, float, int] | None:
        """Return the reached rule whose threshold the price has gone beyond the farthest."""
        down, up = self.falls.first(-price), self.rises.first(price)
        if down is None:
            return None if up is None else (self.rises, *up)
        if up is None:
            return (self.falls, *down)
        level_down, level_up, now = exact(-down[0]), exact(up[0]), exact(price)
        order_down = (level_down - now, Decimal(-down[1]))
        order_up = (now - level_up, Decimal(-up[1]))
        return (self.falls, *down) if order_down > order_up else (self.rises, *up)

    def keep_reached(self, codes: Iterable[int]) -> None:
        """Before rules change: what the due price reached of them stays reached."""
        if self.due is None or self._taken:
            return
        ways = [(direction, direction.sign * self.due) for direction in (self.falls, self.rises)]
        if any(direction.is_reached(code, way) for direction, way in ways for code in codes):
            self._take_due()

    def _make_room(self, way: float, direction: Direction) -> None:
        """Before a rule comes that the due price would seem to reach: take what that reached."""
        if self.due is not None and not self._taken and way <= direction.sign * self.due:
            self._take_due()

    def _take_due(self) -> None:
        """Take all that the due price reached, so that what is armed now is not among it."""
        price = self.due
        if price is not None:
            self._taken = deque(self._reach(price, ALL))
            self.due = price if self._taken else None
            self.refresh()
