"""Exact amounts: decimals in storage, orders and sums, and the bridge to tick-path doubles.

Products of an 18-digit price and an 18-digit quantity need 36 digits; Python's default context
keeps 28 and would round silently. The precision is therefore raised once, here, for every thread:
new threads copy ``DefaultContext``.
"""

import decimal
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

MONEY_PRECISION = 60
"""Significant digits kept by every decimal operation of the process."""

RATIO_SCALE = 18
"""Decimal places to which a quotient is rounded where it is stored or shown."""

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)

decimal.DefaultContext.prec = MONEY_PRECISION
decimal.getcontext().prec = MONEY_PRECISION


def plain(value: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros: ``Decimal("1E+2")`` -> "100"."""
    if value == ZERO:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact(double: float) -> Decimal:
    """Return the decimal that a venue wrote, from its nearest double.

    A decimal string of at most 15 significant digits survives the way to the nearest double and
    back through ``repr`` unchanged (IEEE 754, DBL_DIG = 15).
    """
    return Decimal(repr(double))


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Divide and round half-even to ``RATIO_SCALE`` decimal places."""
    return (numerator / denominator).quantize(Decimal(1).scaleb(-RATIO_SCALE), ROUND_HALF_EVEN)


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Round down to a whole multiple of ``step`` (steps are positive)."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Round up to a whole multiple of ``step`` (steps are positive)."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def percent_of(value: Decimal, percent: Decimal) -> Decimal:
    """Return ``percent`` per cent of ``value``: 15 of 200 is 30."""
    return value * percent / HUNDRED
