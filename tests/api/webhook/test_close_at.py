from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhook.close_at import next_time_of_day, read_close_at
from api.webhook.read import NumberText
from engine.clock import from_datetime, iso_z

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
APIA = ZoneInfo("Pacific/Apia")  # it left 30 December 2011 out


def ns(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text))


def at(text: str, zone: ZoneInfo, now: str) -> str:
    return iso_z(read_close_at(text, ns(now), zone)).replace(":00.000000", "")


@pytest.mark.parametrize(
    ("text", "now", "moment"),
    [
        ("21:30", "2026-02-01T12:00Z", "2026-02-01T20:30Z"),
        ("21:30", "2026-02-01T20:29:59.999Z", "2026-02-01T20:30Z"),
        ("21:30", "2026-02-01T20:30Z", "2026-02-02T20:30Z"),
        ("21:30", "2026-02-01T22:00Z", "2026-02-02T20:30Z"),
        # After midnight in Berlin it is still yesterday in UTC, and the owner's date counts.
        ("00:00", "2026-02-01T22:59Z", "2026-02-01T23:00Z"),
        ("00:00", "2026-02-01T23:00Z", "2026-02-02T23:00Z"),
        ("0:30", "2026-02-01T23:15Z", "2026-02-01T23:30Z"),
        ("23:59", "2026-02-01T22:58Z", "2026-02-01T22:59Z"),
        ("23:59", "2026-02-01T22:59Z", "2026-02-02T22:59Z"),
        ("00:15", "2026-12-31T22:00Z", "2026-12-31T23:15Z"),
        # On the evening before a change the next day's time has the other offset.
        ("12:00", "2026-03-28T12:00Z", "2026-03-29T10:00Z"),
        ("12:00", "2026-10-24T12:00Z", "2026-10-25T11:00Z"),
    ],
)
def test_a_time_of_day_is_its_next_occurrence_in_the_owners_zone(
    text: str, now: str, moment: str
) -> None:
    assert at(text, BERLIN, now) == moment


@pytest.mark.parametrize(
    ("text", "zone", "now", "moment"),
    [
        # Clocks go from 02:00 to 03:00 on 29 March 2026 at 01:00 UTC.
        ("02:30", BERLIN, "2026-03-28T12:00Z", "2026-03-29T01:30Z"),
        ("02:00", BERLIN, "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("03:00", BERLIN, "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("02:30", BERLIN, "2026-03-29T00:31Z", "2026-03-29T01:30Z"),
        ("02:30", BERLIN, "2026-03-29T01:30Z", "2026-03-30T00:30Z"),
        # From 02:00 to 02:30 on 4 October 2026 at 15:30 UTC the day before.
        ("02:15", LORD_HOWE, "2026-10-03T12:00Z", "2026-10-03T15:45Z"),
        # 29 December is followed by the 31st.
        ("12:00", APIA, "2011-12-29T23:00Z", "2011-12-30T22:00Z"),
    ],
)
def test_a_time_that_the_clocks_skip_comes_as_much_later_as_they_jump(
    text: str, zone: ZoneInfo, now: str, moment: str
) -> None:
    assert at(text, zone, now) == moment


@pytest.mark.parametrize(
    ("now", "moment"),
    [
        # Clocks go back from 03:00 to 02:00 on 25 October 2026 at 01:00 UTC.
        ("2026-10-24T12:00Z", "2026-10-25T00:30Z"),
        ("2026-10-25T00:30Z", "2026-10-25T01:30Z"),
        ("2026-10-25T01:30Z", "2026-10-26T01:30Z"),
    ],
)
def test_of_a_time_that_comes_twice_the_next_one_counts(now: str, moment: str) -> None:
    assert at("02:30", BERLIN, now) == moment


@given(
    st.times(timezones=st.none()).map(lambda t: t.replace(second=0, microsecond=0, fold=0)),
    st.integers(ns("2000-01-01T00:00Z"), ns("2090-01-01T00:00Z")),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_it_lies_ahead_and_within_two_days_and_the_clock_shows_it(
    wanted: time, now_ns: int, name: str
) -> None:
    zone = ZoneInfo(name)
    found = next_time_of_day(wanted, zone, now_ns)
    assert now_ns < found <= now_ns + 49 * 3600 * 10**9
    local = datetime.fromtimestamp(found / 10**9, zone)
    earlier = datetime.fromtimestamp(found / 10**9 - 7200, zone)
    skipped = local.utcoffset() != earlier.utcoffset()
    assert (local.hour, local.minute) == (wanted.hour, wanted.minute) or skipped


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-02-01T12:00:00Z", "2026-02-01T12:00:00Z"),
        ("2026-02-01T12:00:00+02:00", "2026-02-01T10:00:00Z"),
        (" 2026-02-01 12:00Z ", "2026-02-01T12:00:00Z"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_taken_as_it_is_written(value: str, moment: str) -> None:
    assert read_close_at(value, ns("2026-02-01T00:00Z"), BERLIN) == ns(moment)


@pytest.mark.parametrize("value", ["0", NumberText("0"), NumberText("0.0"), " 0 "])
def test_zero_is_none(value: object) -> None:
    assert read_close_at(value, 0, UTC) == 0


@pytest.mark.parametrize(
    "value",
    ["24:00", "21:60", "9", "930", "21:30:15", "9 pm", "", "noon", "2026-02-01T12:00:00",
     "2026-02-30T12:00:00Z", "1999-01-01T00:00:00Z", "-1", NumberText("1769860800"), True, [], {}],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(value: Any) -> None:
    with pytest.raises(ValueError, match=r"21:30|2026-01-31|no moment"):
        read_close_at(value, ns("2026-02-01T00:00Z"), UTC)
