"""Plans of many seeds, drawn once."""

from functools import cache

from engine.simulation.draw import draw
from engine.simulation.plan import Plan

SEEDS = 400


@cache
def plans() -> tuple[Plan, ...]:
    return tuple(draw(seed) for seed in range(SEEDS))
