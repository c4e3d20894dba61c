"""Reading a body's fields one by one, so that all that is wrong with them is told in one go."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from api.problems import FieldError, shown, unknown_field, unprocessable
from api.webhook.amounts import read_number
from engine.model.money import ZERO

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Reader:
    """Reads fields and gathers what is wrong. Null is absent unless a reader says otherwise."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self.errors: list[FieldError] = []

    def refuse(self, field: str, remedy: str) -> None:
        self.errors.append(FieldError(field, remedy))

    def refuse_unknown(self, known: Sequence[str]) -> None:
        self.errors += [unknown_field(name, known) for name in self._body if name not in known]

    def raise_errors(self) -> None:
        """Raise Problem, 422 with every refused field, if there is one."""
        if self.errors:
            raise unprocessable(self.errors)

    def has(self, name: str) -> bool:
        """Tell whether a field is there, though it may be null."""
        return name in self._body

    def get(self, name: str) -> Any:
        return self._body.get(name)

    def read(self, name: str, read: Callable[[object], T]) -> T | None:
        """Read a field by a function whose ValueError is the remedy; None where it is absent."""
        value = self._body.get(name)
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            self.refuse(name, str(error))
            return None

    def choice(self, name: str, kind: type[E], *, required: bool = False) -> E | None:
        """Read one of an enum's words, whatever its case."""
        value = self._body.get(name)
        if value is None and not required:
            return None
        try:
            return kind(value.strip().lower() if isinstance(value, str) else "")
        except ValueError:
            found = "it is missing" if value is None else f"{shown(value)} is unknown"
            self.refuse(name, f"{found}; give one of {', '.join(kind)}")
            return None

    def positive(self, name: str) -> Decimal | None:
        number = self.read(name, read_number)
        if number is not None and number <= ZERO:
            self.refuse(name, "give a number above 0")
            return None
        return number
