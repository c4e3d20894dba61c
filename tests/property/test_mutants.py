"""The checks see faults: nearly every comparison flipped or sum turned around makes one fail."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.property.mutants import BOOK, COMPARISONS, Mutant, all_mutants, mutants_of
from tests.requirements import ROOT

EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
LEAST = 0.95
"""Share of the mutants that must be seen."""
SAMPLE = 25


def explained() -> dict[tuple[str, str, str], str]:
    """Mutants that change nothing that a user could miss, each with its reason.

    A reason is a paragraph after ``#``; below it stand mutants as ``path | line | change``.
    """
    found, reason = {}, ""
    for line in EQUIVALENT.read_text("utf-8").splitlines():
        if line.startswith("#"):
            reason = line.lstrip("# ")
        elif line:
            path, text, change = line.split(" | ")
            found[path, text, change] = reason
    return found


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    skip = tmp_path / "skip.json"
    skip.write_text(json.dumps(list(explained())), "utf-8")
    # Coverage would be measured in every child; the checks run in this process too.
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "tests.property.mutants", "--skip", str(skip), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def judge(told: dict[str, Any]) -> None:
    unseen = "\n".join(" | ".join(map(str, mutant)) for mutant in told["unseen"])
    seen = 1 - len(told["unseen"]) / told["mutants"]
    assert seen >= LEAST, f"{seen:.1%} of {told['mutants']} are seen; not seen:\n{unseen}"


@pytest.mark.timeout(300)
def test_a_sample_of_mutants_is_seen(tmp_path: Path) -> None:
    told = run(tmp_path, "--sample", str(SAMPLE))
    assert told["mutants"] == SAMPLE
    judge(told)


@pytest.mark.prove
def test_mutants_are_seen(tmp_path: Path) -> None:
    told = run(tmp_path)
    assert told["mutants"] > 400
    judge(told)


def test_every_comparison_of_the_book_is_flipped() -> None:
    flipped = [m for m in all_mutants() if m.path.startswith(BOOK) and " -> " in m.change]
    places = {(m.path, m.node) for m in flipped}
    for path in sorted((ROOT / BOOK).glob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        compares = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        flips = [m for m in flipped if m.path == name and _is_flip(m)]
        assert len(flips) == sum(len(COMPARISONS[type(op)]) for c in compares for op in c.ops)
        assert not compares or places


def _is_flip(mutant: Mutant) -> bool:
    names = {op.__name__ for op in COMPARISONS}
    before, _, after = mutant.change.partition(" -> ")
    return before in names and after.split(" ")[0] in names


def test_faults_of_all_kinds_are_made() -> None:
    source = "def f(a):\n    if a and not b < 3:\n        return min(a, -a) + 1 is True\n"
    assert {mutant.change for mutant in mutants_of("x.py", source)} == {
        "And -> Or in a and (not b < 3)",
        "not (a and (not b < 3))",
        "Lt -> LtE in b < 3",
        "Lt -> GtE in b < 3",
        "3 -> 4",
        "3 -> 2",
        "Is -> IsNot in min(a, -a) + 1 is True",
        "Add -> Sub in min(a, -a) + 1",
        "min -> max",
        "- -> + in -a",
        "1 -> 2",
        "1 -> 0",
        "True -> False",
    }
