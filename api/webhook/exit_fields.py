"""The exit fields of a body, as the webhook, new positions and amendments share them.

A field that is absent changes nothing; 0 and null take the rule away, or its detail back to none.
"""

from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

from api.problems import wrong_field
from api.webhook.amounts import read_number
from api.webhook.close_at import read_close_at
from api.webhook.reader import Reader
from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Disarmed, Distance, Limit, Percent, Points
from engine.model.money import ZERO
from engine.model.rules.ladder import MAX_RUNGS, Ladder, Rung
from engine.model.ticks import PriceSource

EXIT_FIELDS: Final = (
    *("take_profit_percent", "take_profit", "stop_loss_percent", "stop_loss"),
    *("trailing_percent", "trailing", "trailing_activation_percent", "trailing_activation"),
    *("trailing_step_percent", "trailing_step", "break_even_percent", "break_even"),
    *("break_even_offset_percent", "break_even_after_rung", "ladder"),
    *("max_hold_seconds", "close_at", "confirm_ms", "confirm_ticks", "trigger"),
)
RUNG_FIELDS: Final = ("percent", "price", "fraction")
MAX_LIMIT_PERCENT: Final = Decimal(1000)
MAX_HOLD_SECONDS: Final = Decimal(315_360_000)  # ten years
MAX_WHOLE: Final = Decimal(10) ** 9
_LADDER_EXAMPLE = 'give a list, as [{"percent": 5, "fraction": 0.5}]; 0 or null is no ladder'


def read_changes(body: Mapping[str, Any], now_ns: int, zone: tzinfo) -> ExitChanges:
    """Read an amendment, which holds exit fields and nothing else.

    Args:
        now_ns: UTC; a time of day of ``close_at`` is the next one in ``zone`` after it.

    Raises:
        Problem: 422 with every wrong field and its remedy, or for a body that changes nothing.
    """
    reader = Reader(body)
    reader.refuse_unknown(EXIT_FIELDS)
    changes = read_exits(reader, now_ns, zone)
    reader.raise_errors()
    if changes.is_empty:
        raise wrong_field("body", 'name what to change, as {"stop_loss_percent": 3}')
    return changes


def read_exits(reader: Reader, now_ns: int, zone: tzinfo) -> ExitChanges:
    """Read what a body says of exits; the reader gathers what is wrong."""
    return ExitChanges(
        take_profit=_limit(reader, "take_profit"),
        stop_loss=_limit(reader, "stop_loss"),
        trailing=_distance(reader, "trailing"),
        trailing_activation=_limit(reader, "trailing_activation"),
        trailing_step=_distance(reader, "trailing_step"),
        break_even=_limit(reader, "break_even"),
        break_even_offset=_offset(reader),
        break_even_after_rung=_whole(reader, "break_even_after_rung"),
        ladder=_ladder(reader),
        max_hold_ns=_hold(reader),
        close_at_ns=_close_at(reader, now_ns, zone),
        confirm_ms=_whole(reader, "confirm_ms"),
        confirm_ticks=_whole(reader, "confirm_ticks"),
        trigger=reader.choice("trigger", PriceSource),
    )


def _limit(reader: Reader, name: str) -> Limit | None:
    """Read ``name`` (a price) or ``name_percent``."""
    found = _one_of_two(reader, name)
    if found is None or isinstance(found, Disarmed | Percent):
        return found
    return AtPrice(found)


def _distance(reader: Reader, name: str) -> Distance | Disarmed | None:
    """Read ``name`` (in quote asset) or ``name_percent``."""
    found = _one_of_two(reader, name)
    if found is None or isinstance(found, Disarmed | Percent):
        return found
    return Points(found)


def _one_of_two(reader: Reader, name: str) -> Decimal | Percent | Disarmed | None:
    by_percent = f"{name}_percent"
    given = [field for field in (name, by_percent) if reader.has(field)]
    values = [_value(reader, field) for field in given]
    if len(given) == 2 and not all(isinstance(value, Disarmed) for value in values):
        reader.refuse(by_percent, f"give {name} or {by_percent}, not both")
    return values[0] if values else None


def _value(reader: Reader, name: str) -> Decimal | Percent | Disarmed:
    number = reader.read(name, read_number)
    if number is None or number == ZERO:
        return Disarmed()
    is_percent = name.endswith("_percent")
    if number < ZERO:
        reader.refuse(name, "give a number above 0; 0 or null is none")
    elif is_percent and number > MAX_LIMIT_PERCENT:
        reader.refuse(name, f"give at most {MAX_LIMIT_PERCENT}, in per cent")
    return Percent(number) if is_percent else number


def _offset(reader: Reader) -> Decimal | Disarmed | None:
    """Read how far beyond the entry the stop moves: 0 is the entry itself, null covers the fees."""
    name = "break_even_offset_percent"
    if not reader.has(name):
        return None
    number = reader.read(name, read_number)
    if number is not None and not ZERO <= number <= MAX_LIMIT_PERCENT:
        remedy = f"give 0 to {MAX_LIMIT_PERCENT}, in per cent; null covers the fees"
        reader.refuse(name, remedy)
    return Disarmed() if number is None else number


def _whole(reader: Reader, name: str) -> int | None:
    if not reader.has(name):
        return None
    number = reader.read(name, read_number)
    if number is None:
        return 0
    if number != number.to_integral_value() or not ZERO <= number <= MAX_WHOLE:
        reader.refuse(name, "give a whole number, 0 or more; 0 or null is none")
        return 0
    return int(number)


def _hold(reader: Reader) -> int | None:
    name = "max_hold_seconds"
    if not reader.has(name):
        return None
    seconds = reader.read(name, read_number)
    if seconds is None or seconds == ZERO:
        return 0
    hold_ns = int(seconds * NS_PER_SECOND)
    if hold_ns < NS_PER_MS or seconds > MAX_HOLD_SECONDS:
        remedy = f"give 0.001 to {MAX_HOLD_SECONDS}, in seconds; 0 or null is no limit"
        reader.refuse(name, remedy)
    return hold_ns


def _close_at(reader: Reader, now_ns: int, zone: tzinfo) -> int | None:
    if not reader.has("close_at"):
        return None
    return reader.read("close_at", lambda value: read_close_at(value, now_ns, zone)) or 0


def _ladder(reader: Reader) -> Ladder | None:
    if not reader.has("ladder"):
        return None
    value = reader.get("ladder")
    if value is None or _is_zero(value):
        return ()
    if not isinstance(value, list):
        reader.refuse("ladder", _LADDER_EXAMPLE)
        return ()
    if len(value) > MAX_RUNGS:
        reader.refuse("ladder", f"give at most {MAX_RUNGS} rungs")
        return ()
    rungs = [_rung(reader, number, each) for number, each in enumerate(value, 1)]
    return tuple(rung for rung in rungs if rung is not None)


def _is_zero(value: object) -> bool:
    try:
        return read_number(value) == ZERO
    except ValueError:
        return False


def _rung(reader: Reader, number: int, value: object) -> Rung | None:
    """Read one rung; what is wrong with it is told of ``ladder``, counted from 1."""
    if not isinstance(value, dict):
        reader.refuse("ladder", f'rung {number}: give an object, as {{"percent":5,"fraction":0.5}}')
        return None
    rung = Reader(value)
    rung.refuse_unknown(RUNG_FIELDS)
    percent, price, fraction = (rung.positive(name) for name in RUNG_FIELDS)
    given = [name for name in ("percent", "price") if rung.get(name) is not None]
    if len(given) != 1:
        rung.refuse("percent", "give percent or price, one of them")
    elif percent is not None and percent > MAX_LIMIT_PERCENT:
        rung.refuse("percent", f"give at most {MAX_LIMIT_PERCENT}, in per cent")
    if rung.get("fraction") is None:
        rung.refuse("fraction", "this field is required, as 0.5 for half of the position")
    for error in rung.errors:
        reader.refuse("ladder", f"rung {number}, {error.field}: {error.remedy}")
    at = AtPrice(price) if price is not None else Percent(percent) if percent is not None else None
    return None if at is None or fraction is None else Rung(at, fraction)
