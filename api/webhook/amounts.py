"""Numbers and times as senders write them: exact, bounded, and never guessed."""

import re
from datetime import datetime
from decimal import Decimal

from api.problems import shown
from api.webhook.read import NumberText
from engine.clock import NS_PER_MS, NS_PER_SECOND, from_datetime

MAX_NUMBER_LENGTH = 60
MAX_INTEGER_DIGITS = 18
MAX_DECIMAL_PLACES = 18
MAX_AHEAD_NS = 300 * NS_PER_SECOND

# An exponent is what programs write for small numbers (1e-07), so it is read, and bounded below.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]{1,9}))?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_EARLIEST_NS = 946_684_800 * NS_PER_SECOND  # 2000
_LATEST_NS = 4_102_444_800 * NS_PER_SECOND  # 2100
_MS_FROM = Decimal(10) ** 11  # 1973 in milliseconds, the year 5138 in seconds


def read_number(value: object) -> Decimal:
    """Read a JSON number, or a string that holds one, exactly.

    Raises:
        ValueError: not a finite decimal number, or too long; the message is the remedy.
    """
    if not isinstance(value, str):
        raise ValueError(f"give a number, not {_kind(value)}")
    text = value.strip(" ")
    if not text:
        raise ValueError("it is empty; give a number or leave the field out")
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"give at most {MAX_NUMBER_LENGTH} characters")
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is not a number; write it as 0.05, without unit or comma")
    return _bounded(Decimal(text))


def _bounded(number: Decimal) -> Decimal:
    if number == 0:
        return Decimal(0)
    last_place = number.normalize().as_tuple().exponent
    if number.adjusted() >= MAX_INTEGER_DIGITS or int(last_place) < -MAX_DECIMAL_PLACES:
        raise ValueError(
            f"give at most {MAX_INTEGER_DIGITS} digits before and"
            f" {MAX_DECIMAL_PLACES} after the point"
        )
    return number


def _kind(value: object) -> str:
    names = {bool: "true or false", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "this")


def read_moment(value: object) -> int:
    """Read the moment of sending as UTC nanoseconds since the epoch.

    ISO 8601 needs its zone (``Z`` or an offset); a number is Unix seconds, or milliseconds from
    10^11 on, so that the two cannot be mistaken for each other.

    Raises:
        ValueError: none of these, or outside the years 2000 to 2100; the message is the remedy.
    """
    if isinstance(value, str) and not isinstance(value, NumberText) and "-" in value.strip(" ")[1:]:
        at_ns = _read_iso(value.strip(" "))
    else:
        number = read_number(value)
        at_ns = int(number * (NS_PER_MS if number >= _MS_FROM else NS_PER_SECOND))
    if not _EARLIEST_NS <= at_ns < _LATEST_NS:
        raise ValueError(
            "give Unix seconds, Unix milliseconds, or ISO 8601 as 2026-01-31T12:00:00Z"
        )
    return at_ns


def _read_iso(text: str) -> int:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not ISO 8601 with a zone, as 2026-01-31T12:00:00Z")
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}")
        return from_datetime(moment) + int((fraction or "0").ljust(9, "0"))
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no moment: {error}") from None
