"""One price channel of one instrument: the last trade, the mark, the best bid or the best ask.

A price strictly between ``floor`` and ``ceil`` does nothing: two comparisons, whatever the number
of positions. Any other price goes to ``take``, which returns the rules it reached, the worst
distance first, then the oldest position. Only so many at a time: while ``due`` is set, ``more``
has the rest, and the channel must not be given another price.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice
from math import inf

from engine.core.book.codes import Hit, age_of, rule_of
from engine.core.book.cohorts import Trail
from engine.core.book.direction import Direction
from engine.model.instrument import Instrument
from engine.model.money import exact
from engine.model.position import Position
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
        "_arm",
        "_confirmations",
        "_confirmed",
        "_has_more",
        "_high",
        "_ids",
        "_low",
        "_now_ns",
        "_put_off",
        "_tick",
        "ceil",
        "due",
        "falls",
        "floor",
        "price",
        "rises",
    )

    def __init__(
        self, instrument: Instrument, ids: dict[int, str], arm: Callable[[Position], None]
    ) -> None:
        self.falls = Direction(-1, instrument)
        self.rises = Direction(1, instrument)
        self.price: float | None = None
        self.due: float | None = None
        self.floor = inf
        self.ceil = -inf
        self._low, self._high = -inf, inf
        self._ids = ids
        self._confirmations: dict[int, Confirmation] = {}
        self._arm = arm
        self._confirmed: deque[Hit] = deque()
        self._has_more = False
        self._put_off: dict[str, Position] = {}
        self._tick = 0
        self._now_ns = 0

    # Rules

    def set_fixed(self, code: int, level: float, asked: Confirmation, *, rises: bool) -> None:
        """Arm a threshold, or move it. ``refresh`` follows once all is armed."""
        direction = self.rises if rises else self.falls
        key = direction.sign * level
        if asked is not UNCONFIRMED or self._confirmations:
            self._confirm(direction, code, asked)
        direction.set_fixed(code, key)

    def set_trail(self, code: int, trail: Trail, asked: Confirmation, *, rises: bool) -> None:
        """Arm or change a trailing stop; ``trail.best`` is a price here. ``refresh`` follows."""
        direction = self.rises if rises else self.falls
        way = direction.sign * trail.best
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
        confirming = falls.confirming.waits or rises.confirming.waits
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
        """Take the time, without a price: stops that wait may be confirmed by it, nothing else."""
        if self.price is None or self.due is not None or not self.confirming:
            return []
        self._now_ns = now_ns
        for direction in (self.falls, self.rises):
            direction.confirming.elapse(self._tick, now_ns)
        self._confirmed.extend(self._confirmed_at(self.price))
        self.due = self.price if self._confirmed else None
        self.refresh()
        return self.more(limit)

    def _confirmed_at(self, price: float) -> list[Hit]:
        found = []
        for direction in (self.falls, self.rises):
            while (reached := direction.confirming.first()) is not None:
                direction.confirming.pop()
                hit = self._hit(direction.sign * reached.key, reached.code, price)
                found.append((-abs(exact(hit.level) - exact(price)), reached.code, hit))
        return [hit for _, _, hit in sorted(found)]

    def more(self, limit: int = ALL) -> list[Hit]:
        """Return further rules that the due price reached; afterwards arm what was put off."""
        price = self.due
        if price is None:
            return []
        if self._has_more:
            return self._reach(price, limit)
        hits = [self._confirmed.popleft() for _ in range(min(limit, len(self._confirmed)))]
        if not hits:
            self._arm_put_off(limit)
        self.due = price if self._confirmed or self._put_off else None
        self.refresh()
        return hits

    def put_off(self, position: Position) -> None:
        """Arm a position once the due price is done with: what that reached stays reached."""
        self._put_off[position.id] = position

    def forget(self, position_id: str) -> None:
        """Do not arm a position that was put off."""
        self._put_off.pop(position_id, None)

    def _arm_put_off(self, limit: int) -> None:
        self.due = None
        for position_id in list(islice(self._put_off, limit)):
            self._arm(self._put_off.pop(position_id))

    def _reach(self, price: float, limit: int) -> list[Hit]:
        hits: list[Hit] = []
        falls, rises, confirmations = self.falls, self.rises, self._confirmations
        down, up = falls.first(-price), rises.first(price)
        for _ in range(limit):
            if down is not None and (up is None or _is_worse(down, up, price)):
                direction, (key, code) = falls, down
            elif up is not None:
                direction, (key, code) = rises, up
            else:
                break
            asked = confirmations.get(code) if confirmations else None
            begins = asked is not None and not direction.was_confirmed
            reached = direction.pop(key, code)
            if asked is not None and begins:
                direction.confirming.begin(reached, asked, self._tick, self._now_ns)
            else:
                hits.append(self._hit(direction.sign * key, code, price))
            if direction is falls:
                down = falls.first(-price)
            else:
                up = rises.first(price)
        self._has_more = down is not None or up is not None
        self.due = price if self._has_more or self._put_off else None
        falls.refresh()
        rises.refresh()
        self.refresh()
        return hits

    def _hit(self, level: float, code: int, price: float) -> Hit:
        if self._confirmations:
            self._confirmations.pop(code, None)
        rule, rung = rule_of(code)
        return Hit(self._ids[age_of(code)], rule, rung, level, price)


def _is_worse(down: tuple[float, int], up: tuple[float, int], price: float) -> bool:
    """Tell whether the price is farther beyond what it fell to than beyond what it rose to."""
    now = exact(price)
    beyond_down, beyond_up = exact(-down[0]) - now, now - exact(up[0])
    return (beyond_down, -down[1]) > (beyond_up, -up[1])
