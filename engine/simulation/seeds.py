"""Runs seeds one after another: drawn, lived, judged."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

from msgspec import Struct

from engine.simulation.books import BooksFactory
from engine.simulation.draw import draw
from engine.simulation.lifetime import live
from engine.simulation.outcome import Outcome
from engine.simulation.plan import Plan
from engine.simulation.prices import Stretches, load_stretches
from engine.simulation.sabotage.defect import spoiled
from engine.simulation.sabotage.registry import SABOTAGES
from engine.simulation.shrink import shrink
from engine.simulation.world import Storyteller


class SeedRun(Struct, frozen=True):
    """How seeds are run; travels to other processes.

    Attributes:
        sabotage: name of the defect that is on, None for none.
        books: makes real storage, for the seeds that ask for it.
        recordings: folder of recorded streams; None leaves them out.
    """

    sabotage: str | None = None
    books: BooksFactory | None = None
    recordings: Path | None = None

    def __call__(self, seeds: Sequence[int]) -> list[Outcome]:
        """Run seeds and return their outcomes in order."""
        with self.spoiled():
            return [self._run(seed) for seed in seeds]

    def _run(self, seed: int) -> Outcome:
        try:
            return live(self.plan(seed), self.books)
        except Exception as error:
            error.add_note(f"while seed {seed} was run")
            raise

    def plan(self, seed: int) -> Plan:
        """Draw the plan of a seed."""
        return draw(seed, _stretches(self.recordings))

    def spoiled(self) -> AbstractContextManager[None]:
        """Have this run's defect in force for a while."""
        return spoiled(None if self.sabotage is None else SABOTAGES[self.sabotage])

    def tell(self, seed: int, story: Storyteller) -> Outcome:
        """Run one seed and have its story told."""
        with self.spoiled():
            return live(self.plan(seed), self.books, (story,))

    def smallest(self, seed: int, tried: Callable[[], None] = lambda: None) -> Plan | None:
        """Return the smallest plan that breaks the first invariant that a seed breaks.

        Args:
            tried: called after each plan that was run.

        Returns:
            None when the seed breaks none.
        """
        with self.spoiled():
            plan = self.plan(seed)
            found = {broken.invariant for broken in live(plan, self.books).violations[:1]}

            def fails(smaller: Plan) -> bool:
                outcome = live(smaller, self.books)
                tried()
                return any(broken.invariant in found for broken in outcome.violations)

            return shrink(plan, fails) if found else None


@cache
def _stretches(recordings: Path | None) -> Stretches:
    return () if recordings is None else load_stretches(recordings)
