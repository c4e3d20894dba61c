"""The checks that also judge mutants hold for the book and the rules as they are."""

from collections.abc import Callable

import pytest

from tests.property.checks import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_book_and_rules_keep(check: Callable[[], None]) -> None:
    check()
