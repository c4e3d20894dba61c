"""Reading instrument lists: one odd symbol is skipped and counted, the rest is kept."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import structlog

from engine.model.errors import Retryable
from engine.model.instrument import Instrument
from engine.model.money import ZERO

log = structlog.get_logger(__name__)

Row = Mapping[str, Any]

STABLE_QUOTES = frozenset({"USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USDP", "DAI", "USD1", "USDE"})
"""Assets that linear perpetuals may be quoted and margined in: a dollar each, by design."""


class NotOffered(Exception):
    """The symbol is not of a kind that is traded here (dated, inverse, another margin)."""


class OddFilter(Exception):
    """A filter is missing or makes no sense."""


def amount(row: Row, name: str) -> Decimal:
    """Read a decimal that must be there, finite and not negative.

    Raises:
        OddFilter: it is not.
    """
    value = optional_amount(row, name)
    if value is None:
        raise OddFilter(f"{name} is missing")
    return value


def positive(row: Row, name: str) -> Decimal:
    """Read a decimal that must be above zero.

    Raises:
        OddFilter: it is not.
    """
    value = amount(row, name)
    if value <= ZERO:
        raise OddFilter(f"{name} is {value}")
    return value


def optional_amount(row: Row, name: str) -> Decimal | None:
    """Read a decimal that may be absent or empty.

    Raises:
        OddFilter: it is there and is no finite number of at least 0.
    """
    text = row.get(name)
    if text is None or text == "":
        return None
    try:
        value = Decimal(str(text))
    except InvalidOperation as error:
        raise OddFilter(f"{name} is {text!r}") from error
    if not value.is_finite() or value < ZERO:
        raise OddFilter(f"{name} is {text!r}")
    return value


def decode_object(body: bytes, source: str) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        Retryable: the body is none (a proxy's page, a truncated answer).
    """
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Retryable(f"{source}: not a JSON object: {error}") from error


def read_all(
    source: str, rows: Iterable[Any], read: Callable[[Row], Instrument]
) -> tuple[list[Instrument], Counter[str]]:
    """Read each row; returns the instruments, and how many rows were skipped by reason."""
    instruments: list[Instrument] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        try:
            instruments.append(read(row))
        except NotOffered:
            skipped["not_offered"] += 1
        except (OddFilter, KeyError, TypeError, ValueError, AttributeError) as error:
            skipped["odd"] += 1
            if skipped["odd"] == 1:
                log.warning("instruments.odd_symbol", source=source, error=repr(error))
    log.info("instruments.read", source=source, kept=len(instruments), skipped=dict(skipped))
    return instruments, skipped
