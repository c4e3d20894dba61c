"""In which seed each deliberate defect is caught, and by which check.

The seeds stand in ``catching_seeds.txt``: name, seed, check. When lifetimes are drawn otherwise
they are found anew by ``python -m tests.engine.simulation.sabotage.catches``.
"""

import logging
import sys
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from engine import logs
from engine.simulation.catalogue_rows import INVARIANTS
from engine.simulation.sabotage.defect import Sabotage
from engine.simulation.sabotage.registry import SABOTAGES
from engine.simulation.seeds import SeedRun
from tests.requirements import ROOT

FILE = ROOT / "tests" / "engine" / "simulation" / "catching_seeds.txt"
MAX_SEEDS = 2_000


class Catch(NamedTuple):
    name: str
    seed: int
    check: str


def stored() -> list[Catch]:
    """The catches of the file."""
    rows = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [Catch(name, int(seed), check) for name, seed, check in rows]


@cache
def is_clean(seed: int) -> bool:
    return not SeedRun()([seed])[0].violations


def broken_in(name: str, seed: int) -> list[str]:
    """The checks that a defect breaks in a seed, in the order they are told."""
    return [broken.invariant for broken in SeedRun(name)([seed])[0].violations]


def catches(sabotage: Sabotage, seeds: range) -> Iterator[Catch]:
    """Catches of a defect in seeds that are clean without it."""
    for seed in seeds:
        found = broken_in(sabotage.name, seed)
        if found and is_clean(seed):
            yield from (Catch(sabotage.name, seed, check) for check in dict.fromkeys(found))


def best(sabotage: Sabotage, seeds: range) -> Catch | None:
    """The first catch by an invariant that the defect breaks, else the first of all."""
    meant = {name for row in INVARIANTS if row.number in sabotage.breaks for name in row.checks}
    first = None
    for catch in catches(sabotage, seeds):
        if catch.check in meant:
            return catch
        first = first or catch
    return first


def main() -> None:
    """Find every defect's catch anew and write the file; tell of those that nothing catches."""
    logs.configure(level=logging.CRITICAL)
    lines = []
    for sabotage in SABOTAGES.values():
        catch = best(sabotage, range(MAX_SEEDS))
        sys.stderr.write(f"{sabotage.name}: {catch}\n")
        if catch is not None:
            lines.append(f"{catch.name} {catch.seed} {catch.check}\n")
    FILE.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
