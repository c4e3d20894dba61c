"""Whether a set of exit rules can hold together: each contradiction with its field and remedy.

Before the entry price is known percentages are compared with percentages and prices with prices;
afterwards all with all, and with the price now. Fields are named as the webhook names them.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from msgspec import Struct

from engine.model.exit_set import ExitChanges, Exits
from engine.model.exits import AtPrice, Disarmed, Distance, ExitReason, Limit, Percent, Side
from engine.model.instrument import InstrumentId, Market
from engine.model.money import HUNDRED, ONE, ZERO, plain
from engine.model.rules.break_even import BreakEven
from engine.model.rules.confirmation import MAX_CONFIRM_MS, MAX_CONFIRM_TICKS
from engine.model.rules.ladder import MAX_RUNGS, Ladder, closes_all
from engine.model.rules.trailing import length
from engine.model.ticks import PriceSource


class ExitProblem(Struct, frozen=True):
    """One field of a set that cannot hold, and what to do about it."""

    field: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.remedy}"


class Situation(Struct, frozen=True):
    """What a set of exits is judged against.

    Attributes:
        entry_price: average entry, in quote asset; None before one is known or estimated.
        price: the price of the position's source now; None where it is not known.
        at_ns: UTC, nanoseconds since the epoch.
        rungs_done: rungs of the ladder that were reached already.
        fee_rate: taker fee as a fraction; None where it is not known.
    """

    side: Side
    instrument: InstrumentId
    trigger: PriceSource
    at_ns: int
    entry_price: Decimal | None = None
    price: Decimal | None = None
    rungs_done: int = 0
    fee_rate: Decimal | None = None


def exit_problems(exits: Exits, now: Situation) -> list[ExitProblem]:
    """Return why a set cannot hold; empty when it can."""
    checks = (_shape, _order, _ladder, _break_even, _reached, _time_and_source)
    return list(dict.fromkeys(found for check in checks for found in check(exits, now)))


def orphans(exits: Exits, changes: ExitChanges) -> list[ExitProblem]:
    """Return the details that were given of a rule which ``exits`` (the set after them) lacks."""
    found = []
    if exits.trailing is None:
        remedy = "it needs a trailing stop; give trailing_percent too"
        for base, value in (
            ("trailing_activation", changes.trailing_activation),
            ("trailing_step", changes.trailing_step),
        ):
            if value is not None and not isinstance(value, Disarmed):
                found.append(ExitProblem(_named(base, value), remedy))
    offset = changes.break_even_offset
    if exits.break_even is None and isinstance(offset, Decimal):
        remedy = "it needs a break-even move; give break_even_percent too"
        found.append(ExitProblem("break_even_offset_percent", remedy))
    return found


def _level(limit: Limit, now: Situation, *, profit: bool) -> Decimal | None:
    """The price a limit stands for; without an entry price only absolute ones have one."""
    if isinstance(limit, AtPrice):
        return limit.value
    if isinstance(limit, Disarmed) or now.entry_price is None:
        return None
    sign = now.side.sign if profit else -now.side.sign
    return now.entry_price * (HUNDRED + sign * limit.value) / HUNDRED


def _beyond(near: Limit, far: Limit, now: Situation) -> bool:
    """Tell whether ``near`` is known to lie at or beyond ``far``, both on the side of profit."""
    if isinstance(near, Percent) and isinstance(far, Percent):
        return near.value >= far.value
    first, second = _level(near, now, profit=True), _level(far, now, profit=True)
    return first is not None and second is not None and (first - second) * now.side.sign >= ZERO


def _named(base: str, limit: Limit | Distance) -> str:
    return f"{base}_percent" if isinstance(limit, Percent) else base


def _shape(exits: Exits, now: Situation) -> Iterator[ExitProblem]:
    """What no price can reach."""
    for base, limit in _falling(exits, now.side):
        if isinstance(limit, Percent) and limit.value >= HUNDRED:
            yield ExitProblem(
                _named(base, limit), "a price cannot fall by 100 % or more; give less"
            )
    trailing = exits.trailing
    if trailing is None:
        return
    for base, distance in (("trailing", trailing.distance), ("trailing_step", trailing.step)):
        if distance is None:
            continue
        if distance.value <= ZERO:
            yield ExitProblem(_named(base, distance), "give more than 0")
        elif isinstance(distance, Percent) and distance.value >= HUNDRED:
            yield ExitProblem(_named(base, distance), "give less than 100, in per cent")
        elif now.price is not None and length(distance, now.price) >= now.price:
            remedy = f"it must be less than the price, now {plain(now.price)}"
            yield ExitProblem(base, remedy)


def _falling(exits: Exits, side: Side) -> Iterator[tuple[str, Limit]]:
    """The limits that a falling price reaches."""
    if side is Side.LONG:
        yield "stop_loss", exits.stop_loss
        return
    yield "take_profit", exits.take_profit
    if exits.trailing is not None:
        yield "trailing_activation", exits.trailing.activation
    if exits.break_even is not None:
        yield "break_even", exits.break_even.trigger


def _order(exits: Exits, now: Situation) -> Iterator[ExitProblem]:
    """Stop, activation and target in their order."""
    profit, stop, trailing = exits.take_profit, exits.stop_loss, exits.trailing
    target, floor = _level(profit, now, profit=True), _level(stop, now, profit=False)
    if target is not None and floor is not None and (target - floor) * now.side.sign <= ZERO:
        side, word = ("long", "above") if now.side is Side.LONG else ("short", "below")
        remedy = f"of a {side} it must lie {word} stop_loss"
        yield ExitProblem(_named("take_profit", profit), remedy)
    if trailing is not None and _beyond(trailing.activation, profit, now):
        yield ExitProblem(
            _named("trailing_activation", trailing.activation),
            "it lies at or beyond the take-profit, which closes first; give less, or a larger"
            " take-profit, or 0 for none",
        )
    last = exits.ladder[-1] if exits.ladder and closes_all(exits.ladder) else None
    if trailing is not None and last is not None and _beyond(trailing.activation, last.at, now):
        yield ExitProblem(
            _named("trailing_activation", trailing.activation),
            "it lies at or beyond the last rung, which closes all; give less",
        )


def _ladder(exits: Exits, now: Situation) -> Iterator[ExitProblem]:
    ladder = exits.ladder
    if len(ladder) > MAX_RUNGS:
        yield ExitProblem("ladder", f"give at most {MAX_RUNGS} rungs")
    if any(not ZERO < rung.fraction <= ONE for rung in ladder):
        yield ExitProblem("ladder", "each fraction must be more than 0 and at most 1, as 0.5")
    elif sum((rung.fraction for rung in ladder), ZERO) > ONE:
        yield ExitProblem("ladder", "the fractions add up to more than 1; give less")
    if any(_beyond(lower.at, upper.at, now) for lower, upper in pairwise(ladder)):
        yield ExitProblem("ladder", "each rung must take more profit than the one before")
    if any(rung.at.value <= ZERO for rung in ladder):
        yield ExitProblem("ladder", "each rung must lie above 0")
    if now.side is Side.SHORT:
        too_far = [r for r in ladder if isinstance(r.at, Percent) and r.at.value >= HUNDRED]
        if too_far:
            yield ExitProblem("ladder", "a price cannot fall by 100 % or more; give less")
    for number, rung in enumerate(ladder, 1):
        if _beyond(rung.at, exits.take_profit, now):
            yield ExitProblem(
                "ladder",
                f"rung {number} lies at or beyond the take-profit, which closes all first; give"
                " less, or a larger take-profit, or 0 for none",
            )


def _break_even(exits: Exits, now: Situation) -> Iterator[ExitProblem]:
    rule = exits.break_even
    if rule is None:
        return
    name = _named("break_even", rule.trigger)
    if _beyond(rule.trigger, exits.take_profit, now):
        yield ExitProblem(name, "it lies at or beyond the take-profit, which closes first")
    if _offset_too_large(rule, exits.ladder, now):
        yield ExitProblem(
            "break_even_offset_percent",
            "the stop would move beyond the price that moves it; give less, or a later trigger"
            " (without an offset the fees of both ways are covered)",
        )
    if rule.after_rung > len(exits.ladder):
        remedy = f"the ladder has {len(exits.ladder)} rungs; give one of them"
        yield ExitProblem("break_even_after_rung", remedy)
    elif rule.after_rung == len(exits.ladder) and rule.after_rung and closes_all(exits.ladder):
        yield ExitProblem("break_even_after_rung", "the last rung closes all; name one before it")
    if rule.after_rung < 0:
        yield ExitProblem("break_even_after_rung", "count rungs from 1; 0 is none")


def _offset_too_large(rule: BreakEven, ladder: Ladder, now: Situation) -> bool:
    """Tell whether the stop would move beyond a price that moves it, and close at once."""
    offset = rule.offset_percent
    if offset is None and now.fee_rate is not None:
        offset = HUNDRED * ((ONE + now.fee_rate) / (ONE - now.fee_rate) - ONE)
    if offset is None:
        return False
    moved_by: list[Limit] = [rule.trigger]
    moved_by += [rung.at for rung in ladder[max(rule.after_rung - 1, 0) : rule.after_rung]]
    return any(_beyond(Percent(offset), at, now) for at in moved_by)


def _reached(exits: Exits, now: Situation) -> Iterator[ExitProblem]:
    """What the price has reached already and would close at once."""
    price = now.price
    if price is None:
        return
    closing: list[tuple[str, Limit, ExitReason]] = [
        ("take_profit", exits.take_profit, ExitReason.TAKE_PROFIT),
        ("stop_loss", exits.stop_loss, ExitReason.STOP_LOSS),
    ]
    ladder = exits.ladder[now.rungs_done :]
    closing += [("ladder", rung.at, ExitReason.TAKE_PROFIT) for rung in ladder]
    for base, limit, reason in closing:
        is_profit = reason is ExitReason.TAKE_PROFIT
        level = _level(limit, now, profit=is_profit)
        sign = now.side.sign if is_profit else -now.side.sign
        if level is not None and (level - price) * sign <= ZERO:
            word = "above" if sign > 0 else "below"
            yield ExitProblem(
                base if base == "ladder" else _named(base, limit),
                f"{plain(level)} of a {now.side} must lie {word} the price, now {plain(price)}",
            )


def _time_and_source(exits: Exits, now: Situation) -> Iterator[ExitProblem]:
    hold, until = exits.time.max_hold_ns, exits.time.close_at_ns
    if hold is not None and hold <= 0:
        yield ExitProblem("max_hold_seconds", "give more than 0")
    if until is not None and until <= now.at_ns:
        yield ExitProblem("close_at", "it has passed; give a moment to come")
    confirmation = exits.confirmation
    if not 0 <= confirmation.ms <= MAX_CONFIRM_MS:
        yield ExitProblem("confirm_ms", f"give 0 to {MAX_CONFIRM_MS}")
    if not 0 <= confirmation.ticks <= MAX_CONFIRM_TICKS:
        yield ExitProblem("confirm_ticks", f"give 0 to {MAX_CONFIRM_TICKS}")
    if now.trigger is PriceSource.MARK and now.instrument.market is Market.SPOT:
        yield ExitProblem("trigger", "spot has no mark price; give last or book")
