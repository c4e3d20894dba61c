"""What an owner asked of one position's exits: the defaults, the signal's words, amendments."""

from dataclasses import dataclass, replace
from decimal import Decimal

from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import Disarmed, Distance, Limit
from engine.model.rules.ladder import Ladder
from engine.model.ticks import PriceSource

NO_LIMIT = Disarmed()


@dataclass(frozen=True, slots=True)
class Asked:
    """One position's rules, flat. ``distance`` None: no trailing stop; times are nanoseconds."""

    take_profit: Limit
    stop_loss: Limit
    trigger: PriceSource
    distance: Distance | None = None
    activation: Limit = NO_LIMIT
    step: Distance | None = None
    even_at: Limit = NO_LIMIT
    even_offset: Decimal | None = None
    even_rung: int = 0
    ladder: Ladder = ()
    max_hold_ns: int | None = None
    close_at_ns: int | None = None
    confirm_ms: int = 0
    confirm_ticks: int = 0

    @property
    def moves_to_even(self) -> bool:
        """Whether the stop is to move to break-even at all."""
        return not isinstance(self.even_at, Disarmed) or self.even_rung > 0

    def deadline_ns(self, entry_ns: int | None) -> int | None:
        """Return the earlier of both moments, UTC ns; None when time does not close it."""
        moments = [] if self.close_at_ns is None else [self.close_at_ns]
        if self.max_hold_ns is not None and entry_ns is not None:
            moments.append(entry_ns + self.max_hold_ns)
        return min(moments, default=None)


def written(exits: Exits, trigger: PriceSource) -> Asked:
    """Lay a set out flat."""
    trailing, even = exits.trailing, exits.break_even
    return Asked(
        exits.take_profit,
        exits.stop_loss,
        trigger,
        distance=trailing.distance if trailing else None,
        activation=trailing.activation if trailing else NO_LIMIT,
        step=trailing.step if trailing else None,
        even_at=even.trigger if even else NO_LIMIT,
        even_offset=even.offset_percent if even else None,
        even_rung=even.after_rung if even else 0,
        ladder=exits.ladder,
        max_hold_ns=exits.time.max_hold_ns,
        close_at_ns=exits.time.close_at_ns,
        confirm_ms=exits.confirmation.ms,
        confirm_ticks=exits.confirmation.ticks,
    )


def of_signal(default: Exits, trigger: PriceSource, words: ExitChanges) -> Asked:
    """Return what an entry carries.

    A ladder that closes all takes the place of the default target, a target that of the ladder.
    """
    asked = written(default, trigger)
    if words.ladder and sum(rung.fraction for rung in words.ladder) == 1:
        asked = replace(asked, take_profit=NO_LIMIT)
    if words.take_profit is not None and words.ladder is None:
        asked = replace(asked, ladder=(), even_rung=0)
    return changed(asked, words)


def changed(asked: Asked, words: ExitChanges) -> Asked:
    """Return the rules after an amendment; what it does not mention stays."""
    return replace(
        _even(_trailing(asked, words), words),
        take_profit=asked.take_profit if words.take_profit is None else words.take_profit,
        stop_loss=asked.stop_loss if words.stop_loss is None else words.stop_loss,
        trigger=words.trigger or asked.trigger,
        ladder=asked.ladder if words.ladder is None else words.ladder,
        max_hold_ns=_moment(words.max_hold_ns, asked.max_hold_ns),
        close_at_ns=_moment(words.close_at_ns, asked.close_at_ns),
        confirm_ms=asked.confirm_ms if words.confirm_ms is None else words.confirm_ms,
        confirm_ticks=asked.confirm_ticks if words.confirm_ticks is None else words.confirm_ticks,
    )


def _moment(word: int | None, before: int | None) -> int | None:
    """0 takes a moment away."""
    return before if word is None else word or None


def _trailing(asked: Asked, words: ExitChanges) -> Asked:
    if isinstance(words.trailing, Disarmed):
        return replace(asked, distance=None, activation=NO_LIMIT, step=None)
    distance = words.trailing or asked.distance
    if distance is None:
        return asked
    step = asked.step
    if words.trailing_step is not None:
        step = None if isinstance(words.trailing_step, Disarmed) else words.trailing_step
    activation = words.trailing_activation
    if activation is None:
        activation = asked.activation
    return replace(asked, distance=distance, activation=activation, step=step)


def _even(asked: Asked, words: ExitChanges) -> Asked:
    ladder = asked.ladder if words.ladder is None else words.ladder
    rung = asked.even_rung if ladder else 0
    offset = asked.even_offset
    if words.break_even_offset is not None:
        given = words.break_even_offset
        offset = None if isinstance(given, Disarmed) else given
    after = replace(
        asked,
        even_at=asked.even_at if words.break_even is None else words.break_even,
        even_offset=offset,
        even_rung=rung if words.break_even_after_rung is None else words.break_even_after_rung,
    )
    return after if after.moves_to_even else replace(after, even_offset=None)
