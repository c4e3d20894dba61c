"""Seeds that once broke an invariant keep them all from then on.

They stand in ``regression_seeds.txt``, one a line: seed, invariant, what it found.
"""

from typing import NamedTuple

from engine.simulation.catalogue import NO_ERROR
from engine.simulation.catalogue_rows import INVARIANTS
from engine.simulation.seeds import SeedRun
from tests.requirements import ROOT

FILE = ROOT / "tests" / "engine" / "simulation" / "regression_seeds.txt"


class Found(NamedTuple):
    seed: int
    invariant: str
    what: str


def stored() -> list[Found]:
    """What the file lists; nothing while there is none."""
    if not FILE.exists():
        return []
    rows = (line.split(maxsplit=2) for line in FILE.read_text(encoding="utf-8").splitlines())
    return [Found(int(seed), invariant, what) for seed, invariant, what in rows]


def test_each_line_says_which_invariant_was_broken_and_how() -> None:
    names = {name for row in INVARIANTS for name in row.checks} | {NO_ERROR}
    found = stored()
    assert {each.invariant for each in found} <= names
    assert len({(each.seed, each.invariant) for each in found}) == len(found)


def test_a_seed_that_found_a_defect_is_clean() -> None:
    seeds = sorted({each.seed for each in stored()})
    outcomes = SeedRun()(seeds)
    assert {each.seed: each.violations for each in outcomes} == dict.fromkeys(seeds, ())
