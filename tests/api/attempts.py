"""For tests of readers that either return or refuse."""

from collections.abc import Callable
from typing import TypeVar

from api.problems import Problem

T = TypeVar("T")


def attempt(read: Callable[[], T]) -> T | Problem:
    """Return what a reader returns, or the problem that it raises; anything else is a failure."""
    try:
        return read()
    except Problem as problem:
        return problem
