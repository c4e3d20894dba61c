"""Pages of Bybit's lists: newest first, by a cursor that new rows do not move."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.bybit_private_params import Params

WEEK_MS = 7 * 86_400_000
Row = TypeVar("Row")
Place = tuple[int, int]
"""Where a row stands: venue time in ms, and the venue's rising number."""


def span_ms(params: Params, now_ms: int) -> tuple[int, int]:
    """Return ``startTime`` and ``endTime``, by default the last seven days.

    Only one given means seven days from there or until there; more than seven days are refused
    (docs, order/execution).
    """
    start = params.whole("startTime", 0, 10**15)
    end = params.whole("endTime", 0, 10**15)
    if start and end and end < start:
        raise BybitError("params error: startTime must not be after endTime")
    if start and end and end - start > WEEK_MS:
        raise BybitError("The time range between startTime and endTime cannot exceed 7 days")
    if not start and not end:
        return now_ms - WEEK_MS, now_ms + WEEK_MS
    return start or end - WEEK_MS, end or start + WEEK_MS


def cut_page(
    rows: Iterable[Row], place_of: Callable[[Row], Place], params: Params, default: int, most: int
) -> tuple[list[Row], str]:
    """Return one page, newest first, and the cursor of the next one (empty after the last)."""
    before = _read(params.text("cursor"))
    size = params.limit(default, most)
    newest = sorted(rows, key=place_of, reverse=True)
    if before is not None:
        newest = [row for row in newest if place_of(row) < before]
    page = newest[:size]
    return page, _write(place_of(page[-1])) if len(newest) > size else ""


def _write(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place[0]}:{place[1]}".encode()).decode().replace("=", "%3D")


def _read(cursor: str) -> Place | None:
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.replace("%3D", "=")).decode()
        time_ms, number = text.split(":")
        return int(time_ms), int(number)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise BybitError("params error: cursor invalid") from None


def listing(category: str, rows: list[dict[str, Any]], cursor: str) -> dict[str, Any]:
    """Return a result with a list and the cursor of its next page."""
    return {"category": category, "list": rows, "nextPageCursor": cursor}
