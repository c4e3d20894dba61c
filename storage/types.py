"""Column types of our own: exact decimals, UTC times, words of an enum, JSON text.

What SQLite stores is readable text that sorts and compares as the contract says; other databases
get their native types. Why so is told in docs/decisions/0004-storage.md.
"""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from engine.clock import NS_PER_SECOND, from_datetime, to_datetime
from engine.model.money import plain

_SECONDS_WIDTH = 19  # 2024-01-31T23:59:59
_FRACTION_DIGITS = 9


def format_time(at_ns: int) -> str:
    """Write UTC nanoseconds since the epoch as ``2024-01-31T23:59:59.123456789Z``.

    The width is fixed, so the order of the texts is the order of the times; nothing is rounded.
    """
    seconds = to_datetime(at_ns).isoformat()[:_SECONDS_WIDTH]
    return f"{seconds}.{at_ns % NS_PER_SECOND:09d}Z"


def parse_time(text: str) -> int:
    """Read what ``format_time`` wrote (or fewer digits) as UTC nanoseconds since the epoch.

    Raises:
        ValueError: the text is not an ISO 8601 time that ends in ``Z``.
    """
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not a UTC time that ends in Z")
    seconds, _, fraction = text[:-1].partition(".")
    whole_ns = from_datetime(datetime.fromisoformat(seconds).replace(tzinfo=UTC))
    return whole_ns + int(fraction.ljust(_FRACTION_DIGITS, "0")[:_FRACTION_DIGITS])


class ExactDecimal(TypeDecorator[Decimal]):
    """A finite decimal: plain-notation TEXT on SQLite, NUMERIC elsewhere; a float never.

    Raises (at the bind):
        TypeError: the value is not a Decimal.
        ValueError: the value is not finite.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = Text() if dialect.name == "sqlite" else Numeric(asdecimal=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"an amount is a Decimal, not {type(value).__name__}")
        if not value.is_finite():
            raise ValueError(f"{value} is not an amount")
        return plain(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class UtcTime(TypeDecorator[int]):
    """UTC nanoseconds since the epoch: TEXT with nine digits on SQLite, timestamptz elsewhere.

    timestamptz keeps microseconds: the nanoseconds below are cut off there.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = Text() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return format_time(value) if dialect.name == "sqlite" else to_datetime(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        return parse_time(value) if dialect.name == "sqlite" else from_datetime(value)


class Word(TypeDecorator[StrEnum]):
    """A member of a string enum, stored as its value.

    Raises (at the bind and at the read):
        ValueError: the value is not one of the enum's.
    """

    impl = Text
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.enum(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.enum(value)


class JsonText(TypeDecorator[Any]):
    """A value of a msgspec-readable type as JSON text; decimals inside it are strings."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self._decoder.decode(value)
