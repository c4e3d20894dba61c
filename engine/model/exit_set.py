"""The exit rules of one position as one set: what was asked for, and how it is changed."""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine.model.exits import Disarmed, Distance, Limit
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.ladder import Ladder
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource


class Exits(Struct, frozen=True):
    """The rules of one position as asked for, before its entry price is known."""

    take_profit: Limit
    stop_loss: Limit
    trailing: Trailing | None = None
    break_even: BreakEven | None = None
    ladder: Ladder = ()
    time: TimeStop = TimeStop()
    confirmation: Confirmation = Confirmation()


class ExitChanges(Struct, frozen=True):
    """What a signal or its owner says of exits; None is not mentioned.

    ``Disarmed``, an empty ladder and 0 take a rule away. ``break_even_offset`` is in % of the entry
    price, ``Disarmed`` there covers the fees.
    """

    take_profit: Limit | None = None
    stop_loss: Limit | None = None
    trailing: Distance | Disarmed | None = None
    trailing_activation: Limit | None = None
    trailing_step: Distance | Disarmed | None = None
    break_even: Limit | None = None
    break_even_offset: Decimal | Disarmed | None = None
    break_even_after_rung: int | None = None
    ladder: Ladder | None = None
    max_hold_ns: int | None = None
    close_at_ns: int | None = None
    confirm_ms: int | None = None
    confirm_ticks: int | None = None
    trigger: PriceSource | None = None

    @property
    def is_empty(self) -> bool:
        return self == NO_CHANGES


NO_CHANGES = ExitChanges()


def amended(exits: Exits, changes: ExitChanges) -> Exits:
    """Return the set after the changes; what they do not mention stays as it is.

    A trailing stop or break-even move that is taken away takes its details with it, a ladder the
    rung after which the stop moves.
    """
    ladder = exits.ladder if changes.ladder is None else changes.ladder
    return Exits(
        take_profit=_or(changes.take_profit, exits.take_profit),
        stop_loss=_or(changes.stop_loss, exits.stop_loss),
        trailing=_trailing(exits.trailing, changes),
        break_even=_break_even(exits.break_even, changes, has_rungs=bool(ladder)),
        ladder=ladder,
        time=TimeStop(
            _optional(changes.max_hold_ns, exits.time.max_hold_ns),
            _optional(changes.close_at_ns, exits.time.close_at_ns),
        ),
        confirmation=Confirmation(
            _number(changes.confirm_ms, exits.confirmation.ms),
            _number(changes.confirm_ticks, exits.confirmation.ticks),
        ),
    )


def _trailing(before: Trailing | None, changes: ExitChanges) -> Trailing | None:
    if isinstance(changes.trailing, Disarmed):
        return None
    distance = changes.trailing or (before.distance if before else None)
    if distance is None:
        return None
    rule = replace(before, distance=distance) if before else Trailing(distance)
    if changes.trailing_activation is not None:
        rule = replace(rule, activation=changes.trailing_activation)
    if changes.trailing_step is not None:
        step = changes.trailing_step
        rule = replace(rule, step=None if isinstance(step, Disarmed) else step)
    return rule


def _break_even(
    before: BreakEven | None, changes: ExitChanges, *, has_rungs: bool
) -> BreakEven | None:
    rule = before or BreakEven()
    rung = rule.after_rung if has_rungs else 0
    rule = BreakEven(
        trigger=_or(changes.break_even, rule.trigger),
        offset_percent=_offset(changes.break_even_offset, rule.offset_percent),
        after_rung=_number(changes.break_even_after_rung, rung),
    )
    return None if isinstance(rule.trigger, Disarmed) and not rule.after_rung else rule


def _or(changed: Limit | None, before: Limit) -> Limit:
    return before if changed is None else changed


def _optional(changed: int | None, before: int | None) -> int | None:
    return before if changed is None else changed or None


def _number(changed: int | None, before: int) -> int:
    return before if changed is None else changed


def _offset(changed: Decimal | Disarmed | None, before: Decimal | None) -> Decimal | None:
    if changed is None:
        return before
    return None if isinstance(changed, Disarmed) else changed
