"""What a code stands for: a position by its age in the book, and one of its rules."""

from enum import IntEnum
from typing import NamedTuple


class Watched(IntEnum):
    """What the book waits for, in the order in which equals are reached.

    ``STOP``, ``TARGET`` and ``TRAIL`` close. ``ACTIVATION`` sets the trailing stop going,
    ``BREAK_EVEN`` moves the stop. From ``RUNG`` on stand the rungs of the ladder.
    """

    STOP = 0
    TARGET = 1
    TRAIL = 2
    ACTIVATION = 3
    BREAK_EVEN = 4
    RUNG = 8


CODE_BITS = 5
"""Room for 24 rungs; a ladder has at most 10."""


PLACE_MASK = (1 << CODE_BITS) - 1
PLACES = {
    place: (Watched(place), 0) if place < Watched.RUNG else (Watched.RUNG, place - Watched.RUNG)
    for place in (*(rule for rule in Watched), *range(Watched.RUNG, 1 << CODE_BITS))
}


class Hit(NamedTuple):
    """A rule that a price reached.

    Attributes:
        rung: which rung of the ladder, from 0; meaningless for other rules.
        level: the threshold, in quote asset. price: the price that reached it.
    """

    position_id: str
    rule: Watched
    rung: int
    level: float
    price: float


def code_of(age: int, rule: Watched, rung: int = 0) -> int:
    """Return the code of a rule; codes sort by age, then by rule."""
    return age << CODE_BITS | rule + rung


def age_of(code: int) -> int:
    """Return the age in a code."""
    return code >> CODE_BITS


def rule_of(code: int) -> tuple[Watched, int]:
    """Return the rule in a code and its rung."""
    return PLACES[code & PLACE_MASK]
