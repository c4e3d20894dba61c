"""The moment of ``close_at``: an instant, or a time of day in the owner's zone, next time it comes.

A zone changes its clocks, so a time of day may come twice on one date or not at all. Twice: both
count, whichever comes next. Not at all: it is read by the clock from before the change, and so
comes as much later as the clocks go forward (02:30 at 03:30).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo

from api.problems import shown
from api.webhook.amounts import read_moment, read_number
from api.webhook.read import NumberText
from engine.clock import from_datetime, to_datetime

_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DAYS_AHEAD = 3  # a zone that moves over the date line leaves a date out
_REMEDY = "give HH:MM as 21:30, or ISO 8601 with a zone as 2026-01-31T12:00:00Z; 0 is none"


def read_close_at(value: object, now_ns: int, zone: tzinfo) -> int:
    """Read a time of day in ``zone`` or an ISO 8601 moment as UTC ns; 0, which is none, as 0.

    Raises:
        ValueError: neither of these, or outside the years 2000 to 2100; the message is the remedy.
    """
    text = value.strip(" ") if isinstance(value, str) else ""
    if (match := _TIME_OF_DAY.fullmatch(text)) is not None:
        return next_time_of_day(time(int(match[1]), int(match[2])), zone, now_ns)
    if "-" in text[1:] and not isinstance(value, NumberText):
        return read_moment(text)
    try:
        is_none = read_number(value) == 0
    except ValueError:
        is_none = False
    if is_none:
        return 0
    raise ValueError(f"{shown(text)} is no time of day; {_REMEDY}" if text else _REMEDY)


def next_time_of_day(wanted: time, zone: tzinfo, now_ns: int) -> int:
    """Return when clocks in ``zone`` next show ``wanted`` after ``now_ns``, UTC ns."""
    today = to_datetime(now_ns).astimezone(zone).date()
    dates = (today + timedelta(days=days) for days in range(_DAYS_AHEAD))
    moments = (
        from_datetime(moment)
        for date in dates
        for moment in _on_the_clock(datetime.combine(date, wanted, zone))
    )
    return min(at_ns for at_ns in moments if at_ns > now_ns)


def _on_the_clock(local: datetime) -> Iterator[datetime]:
    """Yield the one or two instants of a local time; PEP 495 tells what ``fold`` stands for."""
    yield local.astimezone(UTC)
    second = local.replace(fold=1).astimezone(UTC)
    # In a gap the reading by the later offset is an instant before the change: no such local time.
    if second.astimezone(local.tzinfo).replace(fold=0) == local:
        yield second
