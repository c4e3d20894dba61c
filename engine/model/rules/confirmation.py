"""Confirmation: a stop counts only if the price stays beyond it, so that a wick does not close.

It holds for the rules that end a loss or give back profit (stop-loss, break-even stop, trailing
stop); a profit is taken at its first touch. The first price at or beyond the stop starts the count
and counts as one; a price short of the stop ends it. The stop triggers when ``ticks`` prices in a
row and ``ms`` milliseconds have gone by, both as far as asked for; the time may pass without a
price.
"""

from msgspec import Struct

MAX_CONFIRM_MS = 60_000
MAX_CONFIRM_TICKS = 10_000


class Confirmation(Struct, frozen=True):
    """How long the price must stay beyond a stop: milliseconds and prices in a row; 0 is none."""

    ms: int = 0
    ticks: int = 0

    @property
    def is_on(self) -> bool:
        return self.ms > 0 or self.ticks > 1
