"""The take-profit ladder: parts of a position closed at rising profits.

Fractions are of the filled entry quantity. If they sum to 1 the last rung closes whatever is left;
otherwise the rest stays under the other rules. A rung too small for the venue is added to the next.
"""

from decimal import Decimal

from msgspec import Struct

from engine.model.exits import AtPrice, ExitReason, Percent, Side, threshold
from engine.model.instrument import Instrument
from engine.model.money import ONE, ZERO

MAX_RUNGS = 10


class Rung(Struct, frozen=True):
    """Close ``fraction`` (0 < f <= 1) of the filled entry quantity at a profit or a price."""

    at: Percent | AtPrice
    fraction: Decimal


Ladder = tuple[Rung, ...]


def rung_price(rung: Rung, side: Side, entry_price: Decimal, instrument: Instrument) -> Decimal:
    """Return the price at which a rung triggers, rounded like a take-profit."""
    price = threshold(rung.at, side, ExitReason.TAKE_PROFIT, entry_price, instrument)
    # A short's rung at or below zero can never be reached: such a set is refused.
    return ZERO if price is None else price


def closes_all(ladder: Ladder) -> bool:
    """Tell whether the last rung closes the rest."""
    return sum((rung.fraction for rung in ladder), ZERO) == ONE
