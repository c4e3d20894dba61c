"""Lifetimes on real storage are the lifetimes of its model."""

from pathlib import Path

import pytest

from api.simulated_books import make_sql_books
from engine.simulation.books import Books, ModelBooks
from engine.simulation.draw import FILES_EVERY
from engine.simulation.seeds import SeedRun


def test_a_lifetime_on_files_comes_to_what_its_model_comes_to() -> None:
    seeds = [FILES_EVERY, 2 * FILES_EVERY]
    for real, model in zip(
        SeedRun(books=make_sql_books)(seeds), SeedRun(books=ModelBooks)(seeds), strict=True
    ):
        assert (real.violations, real.checks, real.edges, real.struck, real.events) == (
            model.violations, model.checks, model.edges, model.struck, model.events,
        )  # fmt: skip


def test_new_books_are_empty_and_go_when_they_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    books: Books = make_sql_books()
    assert books.facts().positions == []
    assert list(tmp_path.glob("*/tickguard.sqlite"))
    folders = {path.parent for path in tmp_path.glob("*/tickguard.sqlite-wal")}
    books.close()
    assert not any(folder.exists() for folder in folders)
