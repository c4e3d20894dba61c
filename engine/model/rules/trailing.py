"""The trailing stop: a stop that follows the best price at a distance and never goes back.

From its activation on (at once, where none is asked for) a position has a *peak*: the highest price
of its source for a long, the lowest for a short. The stop lies at the distance from the peak. With
a *step* the peak that counts moves only when the price has gone a whole step beyond the peak that
counted before, and then to that price.
"""

from decimal import Decimal

from msgspec import Struct

from engine.model.exits import Disarmed, Distance, Limit, Percent, Side
from engine.model.instrument import Instrument
from engine.model.money import percent_of


class Trailing(Struct, frozen=True):
    """A trailing stop as asked for.

    Attributes:
        distance: from the peak to the stop; a percentage is of the peak.
        activation: the profit price from which on it follows; ``Disarmed`` is from the entry on.
        step: how far the price has to go beyond the peak before the stop moves; None is any way.
    """

    distance: Distance
    activation: Limit = Disarmed()
    step: Distance | None = None


def trailing_stop(side: Side, peak: Decimal, distance: Distance, instrument: Instrument) -> Decimal:
    """Return the stop that a peak comes to, on the tick that triggers no later than the exact one.

    Long: peak - distance, rounded up. Short: peak + distance, rounded down.
    """
    if side is Side.LONG:
        return instrument.ceil_price(peak - length(distance, peak))
    return instrument.floor_price(peak + length(distance, peak))


def step_price(side: Side, peak: Decimal, step: Distance, instrument: Instrument) -> Decimal:
    """Return the price at which the stop moves next, rounded so that it is reached no later.

    Long: peak + step, rounded down, but at least the next tick above the peak. Short: peak - step,
    rounded up, but at most the next tick below it.
    """
    tick = instrument.tick_size
    if side is Side.LONG:
        price = instrument.floor_price(peak + length(step, peak))
        return max(price, instrument.floor_price(peak) + tick)
    price = instrument.ceil_price(peak - length(step, peak))
    return min(price, instrument.ceil_price(peak) - tick)


def length(distance: Distance, peak: Decimal) -> Decimal:
    """Return a distance from a peak in quote asset."""
    return percent_of(peak, distance.value) if isinstance(distance, Percent) else distance.value
