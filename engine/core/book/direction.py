"""One direction of a channel: fixed thresholds, trailing stops, stops being confirmed."""

from math import inf

from engine.core.book.cohorts import Trail
from engine.core.book.confirming import Confirming, Reached
from engine.core.book.family import Family
from engine.core.book.thresholds import Thresholds
from engine.core.book.trails import Following, Stepping
from engine.model.exits import Percent, Points, Side
from engine.model.instrument import Instrument

FamilyKey = tuple[type[Percent] | type[Points], type[Family]]


class Direction:
    """Thresholds that the price reaches in one direction.

    Attributes:
        sign: +1 where the price rises to them, -1 where it falls; way = sign x price.
        nearest: no threshold is smaller, as a way.
        watch: a way that goes as far back as this moves a trailing stop; -inf when there is none.
    """

    __slots__ = (
        "_families",
        "_family_of",
        "_instrument",
        "_source",
        "confirming",
        "fixed",
        "nearest",
        "sign",
        "watch",
    )

    def __init__(self, sign: int, instrument: Instrument) -> None:
        self.sign = sign
        self._instrument = instrument
        self.fixed = Thresholds()
        self.confirming = Confirming()
        self._families: dict[FamilyKey, Family] = {}
        self._family_of: dict[int, Family] = {}
        self._source: Thresholds | Family | Confirming = self.fixed
        self.nearest = inf
        self.watch = -inf

    def refresh(self) -> None:
        """Compute ``nearest`` and ``watch`` from the parts."""
        nearest, watch = self.fixed.nearest, -inf
        for family in self._families.values():
            nearest = min(nearest, family.nearest)
            watch = max(watch, family.watch)
        self.nearest, self.watch = nearest, watch

    def set_fixed(self, code: int, key: float) -> None:
        """Arm a fixed threshold; one that is there or being confirmed at this key is left alone."""
        if self.fixed.key(code) == key:
            return
        if self.confirming.waits:
            waiting = self.confirming.get(code)
            if waiting is not None and waiting.key == key:
                return
            self.confirming.discard(code)
        self.fixed.add(code, key)
        self.nearest = min(self.nearest, key)

    def set_trail(self, code: int, trail: Trail) -> None:
        """Arm a trailing stop; the better peak counts, the one it has or the one it is given."""
        kept = self._trail_of(code)
        if kept is not None:
            same = (kept.distance, kept.step) == (trail.distance, trail.step)
            if same and kept.best <= trail.best:
                return
            if same and code not in self._family_of:
                self.confirming.follow(code, trail)
                return
            trail = Trail(trail.distance, trail.step, min(kept.best, trail.best))
            self.discard(code)
        self._add(code, trail)

    def _trail_of(self, code: int) -> Trail | None:
        """Return a trailing stop that is there or being confirmed."""
        family = self._family_of.get(code)
        if family is not None:
            return family.trail(code)
        waiting = self.confirming.get(code)
        return None if waiting is None else waiting.trail

    def _add(self, code: int, trail: Trail) -> None:
        kind = Following if trail.step is None else Stepping
        key = (type(trail.distance), kind)
        family = self._families.get(key)
        if family is None:
            side = Side.LONG if self.sign < 0 else Side.SHORT
            family = self._families[key] = kind(side, self._instrument, key[0])
        family.add(code, trail.distance, trail.best, trail.step)
        self._family_of[code] = family
        self.nearest = min(self.nearest, family.nearest)
        self.watch = max(self.watch, family.watch)

    def best_of(self, code: int) -> float | None:
        """Return the peak of a trailing stop, as a way."""
        trail = self._trail_of(code)
        return None if trail is None else trail.best

    def discard(self, code: int) -> None:
        """Remove a rule, wherever it is."""
        if self.fixed.discard(code):
            return
        family = self._family_of.pop(code, None)
        if family is not None:
            family.discard(code)
        elif not self.confirming.discard(code):
            self.confirming.drop_confirmed(code)

    def move(self, way: float) -> None:
        """Take a price that may be a new peak."""
        for family in self._families.values():
            if way <= family.watch:
                family.move(way)
        self.refresh()

    def recover(self, way: float) -> None:
        """Put stops back that the price does not reach any more before they were confirmed."""
        for reached in self.confirming.recovered(way):
            self._return(reached)

    def put_back(self, code: int) -> None:
        """Put a stop back that waits for its confirmation."""
        reached = self.confirming.get(code)
        if reached is not None:
            self.confirming.discard(code)
            self._return(reached)

    def _return(self, reached: Reached) -> None:
        if reached.trail is None:
            self.fixed.add(reached.code, reached.key)
            self.nearest = min(self.nearest, reached.key)
        else:
            self._add(reached.code, reached.trail)

    def first(self, way: float) -> tuple[float, int] | None:
        """Return the reached or confirmed (key, code) that comes first; None when there is none."""
        if not self._families and self.confirming.first() is None:
            self._source = self.fixed
            return self.fixed.first(way)
        best: tuple[float, int] | None = None
        confirmed = self.confirming.first()
        if confirmed is not None:
            best, self._source = (confirmed.key, confirmed.code), self.confirming
        if self.fixed.nearest <= way:
            found = self.fixed.first(way)
            if found is not None and (best is None or found < best):
                best, self._source = found, self.fixed
        for family in self._families.values():
            if family.nearest <= way:
                found = family.first(way)
                if found is not None and (best is None or found < best):
                    best, self._source = found, family
        return best

    def pop(self, key: float, code: int) -> Reached:
        """Remove what ``first`` returned last."""
        source = self._source
        if isinstance(source, Family):
            del self._family_of[code]
            return Reached(key, code, source.pop())
        source.pop()
        return Reached(key, code)

    @property
    def was_confirmed(self) -> bool:
        """Whether what ``first`` returned last has been confirmed."""
        return self._source is self.confirming
