"""Deliberate defects: one production function replaced by what a plausible bug would make of it.

The judge does not know that a defect is on. A defect that no seed catches shows a check that is
missing.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from msgspec import Struct

Function = Callable[..., Any]


class Sabotage(Struct, frozen=True):
    """One defect.

    Attributes:
        says: what is wrong, in a line.
        breaks: numbers of the invariants that are expected to catch it; for people only.
        target: the function that is replaced, as ``module:name`` or ``module:Class.name``.
        spoil: makes the replacement of the function.
    """

    name: str
    says: str
    breaks: tuple[int, ...]
    target: str
    spoil: Callable[[Function], Function]


def original_of(sabotage: Sabotage) -> Function:
    """Return the function that a defect replaces.

    Raises:
        AttributeError: there is none of this name any more.
    """
    owner, name = _place(sabotage.target)
    function: Function = getattr(owner, name)
    return function


def _place(target: str) -> tuple[Any, str]:
    module_name, _, path = target.partition(":")
    owner: Any = import_module(module_name)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    return owner, name


@contextmanager
def spoiled(sabotage: Sabotage | None) -> Iterator[None]:
    """Have a defect in force for a while; None is none."""
    if sabotage is None:
        yield
        return
    owner, name = _place(sabotage.target)
    original = getattr(owner, name)
    replacement = sabotage.spoil(original)
    _put(owner, name, original, replacement)
    try:
        yield
    finally:
        _put(owner, name, replacement, original)


def _put(owner: Any, name: str, old: Function, new: Function) -> None:
    """Replace a function wherever it is known by name; a method is known by its class alone."""
    setattr(owner, name, new)
    if not isinstance(owner, ModuleType):
        return
    for module in [m for key, m in sys.modules.items() if key.startswith("engine.")]:
        for each, value in list(vars(module).items()):
            if value is old:
                setattr(module, each, new)
