"""The catalogue: whole, in its document, and naming nothing that is not there."""

import ast
from functools import cache

import pytest

from engine.model.order import OrderStatus
from engine.model.position import PositionStatus
from engine.simulation.catalogue import (
    BEGIN,
    EDGE_NAMES,
    EDGES,
    END,
    FAULT_KINDS,
    NEVER,
    FaultRow,
    Piece,
    as_markdown,
    proofs,
    with_tables,
    zero_rows,
)
from engine.simulation.catalogue_rows import FAULTS, INVARIANTS
from engine.simulation.seeds import SeedRun
from tests.requirements import ROOT

DOCUMENT = ROOT / "docs" / "simulation.md"


@cache
def test_names(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


test_names.__test__ = False  # type: ignore[attr-defined]


def test_every_fault_and_invariant_has_its_row() -> None:
    assert [row.number for row in FAULTS] == list(range(1, 64))
    assert [row.number for row in INVARIANTS] == list(range(1, 16))
    for row in FAULTS:
        assert set(row.invariants) <= set(range(1, 16)), row


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: str(row.number))
def test_a_fault_is_proved_somewhere_or_owed_with_what(row: FaultRow) -> None:
    assert proofs(row)
    assert set(row.kinds) <= set(FAULT_KINDS)
    assert bool(row.owes) is (row.owed is not None)


@pytest.mark.parametrize("row", [row for row in FAULTS if row.tests], ids=lambda row: row.name)
def test_a_row_names_tests_that_exist(row: FaultRow) -> None:
    for test in row.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert name.startswith("test_"), test
        assert name in test_names(path), test


def test_every_kind_of_fault_stands_in_a_row_or_is_a_refusal_of_no_class() -> None:
    named = {kind for row in FAULTS for kind in row.kinds}
    assert set(FAULT_KINDS) - named == {"rej_balance", "rej_other"}


def test_edges_are_the_steps_of_both_tables_without_those_that_stay() -> None:
    assert "order.sent.unknown" in EDGE_NAMES
    assert "position.closing.stuck" in EDGE_NAMES
    assert not any(f"order.{s}.{s}" in EDGE_NAMES for s in OrderStatus)
    assert not any(f"position.{s}.{s}" in EDGE_NAMES for s in PositionStatus)
    assert len(set(EDGE_NAMES)) == len(EDGE_NAMES)
    assert set(NEVER) <= set(EDGE_NAMES)
    assert {edge.name for edge in EDGES if edge.never} == set(NEVER)


def test_what_was_never_counted_is_zero_and_what_nobody_expected_is_shown() -> None:
    assert zero_rows(["b", "a"], {"a": 2, "z": 1}) == {"b": 0, "a": 2, "z": 1}


def test_the_document_has_the_tables_as_they_are_now() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    expected = with_tables(document, as_markdown(FAULTS, INVARIANTS))
    assert document == expected, "run `tickguard simulate --table docs/simulation.md`"


def test_tables_stand_between_the_marks_and_nothing_else_changes() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_tables(text, "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="generated"):
        with_tables("no marks", "new")


def test_a_row_tells_how_it_is_proved() -> None:
    row = FaultRow(
        1, "A", (2,), ("ban",), "always", ("tests/a.py::test_b",), Piece.VENUES, "the rest"
    )
    assert proofs(row) == [
        "injected: `ban`",
        "in every lifetime: always",
        "tested: `tests/a.py::test_b`",
        "owed by venues: the rest",
    ]


def test_everything_that_a_lifetime_counts_has_its_row() -> None:
    checks = {name for row in INVARIANTS for name in row.checks}
    for outcome in SeedRun()(range(20)):
        assert outcome.checks.keys() <= checks
        assert outcome.struck.keys() <= set(FAULT_KINDS)
        assert outcome.edges.keys() <= set(EDGE_NAMES)
        assert not outcome.edges.keys() & NEVER.keys()
