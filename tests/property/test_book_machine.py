"""Hypothesis looks for a way to make book and oracle disagree, and makes what it finds short."""

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.core.book.channel import ALL
from tests.property.pair import CHANNELS
from tests.property.worlds import World

NAMES = st.sampled_from(CHANNELS)
LIMITS = st.sampled_from((ALL, 1, 3))
MILLISECOND = 1_000_000


class Book(RuleBasedStateMachine):
    """Adds, amendments, removals, prices, slices and time in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Random(0))

    @initialize(random=st.randoms(use_true_random=False))
    def begin(self, random: Random) -> None:
        self.world = World(random)

    @rule(number=st.integers(1, 4))
    def add(self, number: int) -> None:
        for _ in range(number):
            self.world.add()

    @precondition(lambda self: self.world.pair.positions)
    @rule()
    def amend(self) -> None:
        self.world.amend()

    @precondition(lambda self: self.world.pair.positions)
    @rule()
    def remove(self) -> None:
        self.world.remove()

    @rule()
    def bound(self) -> None:
        self.world.bound()

    @rule(ns=st.sampled_from((1, MILLISECOND - 1, MILLISECOND, 7 * MILLISECOND)))
    def wait(self, ns: int) -> None:
        self.world.pair.now_ns += ns

    @rule(name=NAMES, limit=LIMITS)
    def price(self, name: str, limit: int) -> None:
        """A price is given once nothing is due."""
        while self.world.pair.channel(name).due is not None:
            self.world.pair.more(name, limit)
        self.world.pair.give(name, self.world.next_price(name), limit)

    @rule(name=NAMES, limit=LIMITS)
    def more(self, name: str, limit: int) -> None:
        self.world.pair.more(name, limit)

    @rule(name=NAMES, limit=LIMITS)
    def elapse(self, name: str, limit: int) -> None:
        self.world.pair.elapse(name, limit)

    @invariant()
    def peaks_agree(self) -> None:
        self.world.pair.check(list(self.world.pair.positions))


ANY_SIZE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)

TestBook = Book.TestCase
TestBook.settings = settings(
    max_examples=100, stateful_step_count=40, suppress_health_check=ANY_SIZE
)


@pytest.mark.prove
class TestBookForLong(Book.TestCase):
    settings = settings(max_examples=3000, stateful_step_count=60, suppress_health_check=ANY_SIZE)
