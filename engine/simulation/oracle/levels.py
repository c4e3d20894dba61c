"""Where limits lie, written out from their definitions, exact.

Each level is rounded to the tick so that it is reached no later than the exact one.
"""

from decimal import Decimal

from engine.model.exits import Disarmed, Distance, Limit, Percent


def up(value: Decimal, tick: Decimal) -> Decimal:
    """Return the lowest multiple of the tick at or above a value."""
    multiple = value // tick * tick
    return multiple + tick if multiple < value else multiple


def down(value: Decimal, tick: Decimal) -> Decimal:
    """Return the highest multiple of the tick at or below a value."""
    multiple = value // tick * tick
    return multiple - tick if multiple > value else multiple


def profit(sign: int, limit: Limit, entry: Decimal, tick: Decimal) -> Decimal | None:
    """Return the price of a profit; ``sign`` is 1 for a long, -1 for a short. None: never."""
    if isinstance(limit, Disarmed):
        return None
    price = limit.value
    if isinstance(limit, Percent):
        price = entry + sign * entry * limit.value / 100
    if price <= 0:
        return None
    return down(price, tick) if sign > 0 else up(price, tick)


def loss(sign: int, limit: Limit, entry: Decimal, tick: Decimal) -> Decimal | None:
    """Return the price of a loss; None: never."""
    if isinstance(limit, Disarmed):
        return None
    price = limit.value
    if isinstance(limit, Percent):
        price = entry - sign * entry * limit.value / 100
    if price <= 0:
        return None
    return up(price, tick) if sign > 0 else down(price, tick)


def length(distance: Distance, peak: Decimal) -> Decimal:
    """Return a distance from a peak in quote asset."""
    return distance.value * peak / 100 if isinstance(distance, Percent) else distance.value


def trail(sign: int, peak: Decimal, distance: Distance, tick: Decimal) -> Decimal:
    """Return the trailing stop of a peak."""
    if sign > 0:
        return up(peak - length(distance, peak), tick)
    return down(peak + length(distance, peak), tick)


def moves_at(sign: int, peak: Decimal, step: Distance, tick: Decimal) -> Decimal:
    """Return the price at which a stop with a step moves next."""
    if sign > 0:
        return max(down(peak + length(step, peak), tick), down(peak, tick) + tick)
    return min(up(peak - length(step, peak), tick), up(peak, tick) - tick)


def break_even(
    sign: int, entry: Decimal, offset: Decimal | None, fee: Decimal, tick: Decimal, *, spot: bool
) -> Decimal:
    """Return where a stop loses nothing: both ways' fees are earned in between.

    On spot the entry's fee may be kept back from what was bought; then less is sold.
    """
    if offset is not None:
        price = entry + sign * entry * offset / 100
    elif spot:
        price = entry / ((1 - fee) * (1 - fee))
    elif sign > 0:
        price = entry * (1 + fee) / (1 - fee)
    else:
        price = entry * (1 - fee) / (1 + fee)
    return up(price, tick) if sign > 0 else down(price, tick)
