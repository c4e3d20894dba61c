"""What closes a position: the limits an owner asked for and the thresholds they come to."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.instrument import Instrument
from engine.model.money import HUNDRED, ceil_to_step, floor_to_step


class Side(StrEnum):
    """Direction of a position."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for long, -1 for short."""
        return 1 if self is Side.LONG else -1

    @property
    def opposite(self) -> "Side":
        return Side.SHORT if self is Side.LONG else Side.LONG


class ExitReason(StrEnum):
    """Why a position was closed."""

    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    TRAILING = "trailing"
    BREAK_EVEN = "break_even"
    LADDER = "ladder"
    TIME = "time"
    MANUAL = "manual"
    SIGNAL = "signal"
    BACKSTOP = "backstop"
    EXTERNAL = "external"
    LIQUIDATION = "liquidation"


class Percent(Struct, frozen=True, tag="percent"):
    """A limit at a distance from the average entry price, in per cent of it."""

    value: Decimal


class AtPrice(Struct, frozen=True, tag="price"):
    """A limit at an absolute price, in quote asset."""

    value: Decimal


class Disarmed(Struct, frozen=True, tag="disarmed"):
    """No limit, because the owner said so (0 or null); an absent field takes the default."""


class Points(Struct, frozen=True, tag="points"):
    """A distance in quote asset."""

    value: Decimal


Limit = Percent | AtPrice | Disarmed
Distance = Percent | Points


def threshold(
    limit: Limit, side: Side, reason: ExitReason, entry_price: Decimal, instrument: Instrument
) -> Decimal | None:
    """Return the price at which a limit triggers, rounded to the tick; None when disarmed.

    The rounding is towards the entry price, so that the rounded threshold is reached no later than
    the exact one. A percent limit that would lie at or below zero (a long's stop of 100 % or more)
    can never be reached and gives None.
    """
    if isinstance(limit, Disarmed):
        return None
    rises = triggers_on_rise(side, reason)
    if isinstance(limit, Percent):
        sign = 1 if rises else -1
        exact_price = entry_price * (HUNDRED + sign * limit.value) / HUNDRED
    else:
        exact_price = limit.value
    step = instrument.tick_size
    rounded = floor_to_step(exact_price, step) if rises else ceil_to_step(exact_price, step)
    return rounded if exact_price > 0 else None


def triggers_on_rise(side: Side, reason: ExitReason) -> bool:
    """Tell whether a limit triggers when the price rises to it (else: when it falls to it)."""
    return (side is Side.LONG) == (reason is ExitReason.TAKE_PROFIT)
