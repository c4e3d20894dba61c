"""numpy: thresholds in two arrays, compared with each price at once."""

from collections.abc import Sequence

import numpy as np
from quiet import Pass, measure
from tally import arguments


def build(
    take_profits: Sequence[float], stop_losses: Sequence[float], prices: Sequence[float]
) -> Pass:
    """Make a pass; which positions were reached is looked up only when there is one."""
    above, below = np.array(take_profits), np.array(stop_losses)

    def go() -> int:
        count = 0
        for price in prices:
            reached = (above <= price) | (below >= price)
            if reached.any():
                count += len(np.flatnonzero(reached))
        return count

    return go


if __name__ == "__main__":
    measure(arguments(), build)
