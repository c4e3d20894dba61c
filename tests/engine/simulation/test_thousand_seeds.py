"""Lifetimes by the thousand: each keeps every invariant, and together they meet every fault."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from api.simulated_books import SqlBooksFactory, sql_books
from engine.simulation.catalogue import EDGES
from engine.simulation.outcome import Outcome
from engine.simulation.report import Report, Tally, rerun_of
from engine.simulation.seeds import SeedRun

FIRST_SEED = 0
SEEDS = 1_000
PROVED_SEEDS = 10_000
CHUNK = 50
"""Few enough that the chunks spread over processes."""

RARE = frozenset(
    {
        "amendments_last",
        "blindness_told",
        "missed_limit_told",
        "order.intended.acknowledged",
        "order.intended.partially_filled",
        "order.intended.rejected",
        "order.sent.cancelled",
        "order.acknowledged.unknown",
        "order.partially_filled.unknown",
        "order.unknown.acknowledged",
        "order.unknown.cancelled",
        "order.unknown.filled",
        "order.unknown.rejected",
        "position.opening.closed",
    }
)
"""Rows that strike less than 20 times in so many seeds: chance may leave them out of the fewer."""

_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[Outcome]).decode


@pytest.fixture(scope="module")
def books() -> Iterator[SqlBooksFactory]:
    """Real storage, for one seed of each chunk."""
    with sql_books() as factory:
        yield factory


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what chunks came to; the workers of one run share it."""
    own = tmp_path_factory.getbasetemp()
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = own / "seeds" if run is None else own.parent / f"seeds-{run}"
    folder.mkdir(exist_ok=True)
    return folder


def outcomes(first: int, kept: Path, books: SqlBooksFactory) -> list[Outcome]:
    """What a chunk of seeds came to: as it was written down, else lived through now."""
    file = kept / str(first)
    if not file.exists():
        written = kept / f"{first}.{os.getpid()}"
        written.write_bytes(_encode(SeedRun(books=books)(range(first, first + CHUNK))))
        written.replace(file)
    return _decode(file.read_bytes())


def chunks(seeds: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + seeds, CHUNK)


def broken(found: list[Outcome]) -> str:
    """Every violation in words, with the command that shows it again."""
    return "\n".join(
        f"seed {outcome.seed}: {each.invariant}: {each.message}\n  {rerun_of(outcome.seed)}"
        for outcome in found
        for each in outcome.violations
    )


def together(seeds: int, kept: Path, books: SqlBooksFactory) -> Report:
    tally = Tally(FIRST_SEED)
    for first in chunks(seeds):
        for outcome in outcomes(first, kept, books):
            tally.add(outcome)
    return tally.report(1.0)


def zeros(report: Report) -> set[str]:
    """Rows of the tables that stayed empty, but those that no lifetime can fill."""
    rows = report.faults | report.invariants | report.edges
    never = {edge.name for edge in EDGES if edge.never}
    return {name for name, count in rows.items() if not count} - never


@pytest.mark.parametrize(
    "first",
    chunks(SEEDS),
    ids=lambda first: f"FIRST_SEED-{FIRST_SEED}-seeds-{first}-to-{first + CHUNK - 1}",
)
def test_no_seed_breaks_an_invariant(first: int, kept: Path, books: SqlBooksFactory) -> None:
    found = outcomes(first, kept, books)
    assert [outcome.seed for outcome in found] == list(range(first, first + CHUNK))
    assert not broken(found), f"FIRST_SEED {FIRST_SEED}\n{broken(found)}"


@pytest.mark.timeout(300)
def test_a_thousand_seeds_meet_everything_that_is_not_rare(
    kept: Path, books: SqlBooksFactory
) -> None:
    report = together(SEEDS, kept, books)
    assert zeros(report) <= RARE
    assert report.crashes >= SEEDS / 2


def test_no_row_is_filled_that_is_said_to_be_impossible(kept: Path, books: SqlBooksFactory) -> None:
    report = together(SEEDS, kept, books)
    assert not [edge.name for edge in EDGES if edge.never and report.edges[edge.name]]


@pytest.mark.prove
def test_ten_thousand_seeds_are_clean_and_leave_no_row_empty(
    kept: Path, books: SqlBooksFactory
) -> None:
    report = together(PROVED_SEEDS, kept, books)
    assert report.seeds == PROVED_SEEDS
    assert report.violations == 0, report.failures
    assert zeros(report) == set()
