"""Prices after the faults: none at first that matters, then through every limit there is."""

from decimal import Decimal

from engine.model.instrument import Instrument
from engine.simulation.plan import Print

STEP = 0.07
"""Of the price: less than what would be held as an absurd jump, down or up."""

STEP_MS = 300
LOWEST, HIGHEST = 0.4, 2.5


def print_at(instrument: Instrument, price: float, at_ms: int) -> Print:
    """Return what an instrument shows when it trades at about a price."""
    tick = instrument.tick_size
    last = max(instrument.floor_price(Decimal(repr(price))), 3 * tick)
    mark = float(last) * 1.00001
    return Print(at_ms, float(last), float(last - tick), float(last + tick), mark)


def sweep(instrument: Instrument, price: float, from_ms: int) -> list[Print]:
    """Return prints that go down from a price to a part of it, then up to a multiple of it."""
    prints, at_ms, now = [], from_ms, price
    while now > price * LOWEST:
        at_ms, now = at_ms + STEP_MS, now * (1 - STEP)
        prints.append(print_at(instrument, now, at_ms))
    while now < price * HIGHEST:
        at_ms, now = at_ms + STEP_MS, now * (1 + STEP)
        prints.append(print_at(instrument, now, at_ms))
    return prints
