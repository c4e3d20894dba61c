"""Lifetimes on real storage are the lifetimes of its model."""

import pickle
from pathlib import Path

import pytest

from api.simulated_books import sql_books
from engine.simulation.books import ModelBooks
from engine.simulation.draw import FILES_EVERY
from engine.simulation.seeds import SeedRun


def test_a_lifetime_on_files_comes_to_what_its_model_comes_to() -> None:
    seeds = [FILES_EVERY, 2 * FILES_EVERY]
    with sql_books() as books:
        found = SeedRun(books=books)(seeds)
    for real, model in zip(found, SeedRun(books=ModelBooks)(seeds), strict=True):
        assert (real.violations, real.checks, real.edges, real.struck, real.events) == (
            model.violations, model.checks, model.edges, model.struck, model.events,
        )  # fmt: skip


def test_new_books_are_empty_and_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with sql_books() as books:
        one, other = books(), pickle.loads(pickle.dumps(books))()
        assert one.facts().positions == other.facts().positions == []
        assert len(list(tmp_path.glob("*/*/tickguard.sqlite"))) == 2
        one.close()
        assert len(list(tmp_path.glob("*/*/tickguard.sqlite"))) == 1
        other.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_of_books_that_nobody_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with sql_books() as books:
        left = books()
        assert left.signals().find_signal("webhook", "1") is None
    assert list(tmp_path.iterdir()) == []
