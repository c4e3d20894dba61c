import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhook.amounts import read_moment, read_number
from api.webhook.read import NumberText


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("0.10", "0.1"),
        (" 5 ", "5"),
        ("+3", "3"),
        ("-2.5", "-2.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e-07", "0.0000001"),
        ("1.5E3", "1500"),
        ("-0", "0"),
        ("0e999", "0"),
        ("0." + "0" * 17 + "1", "1E-18"),
        ("9" * 18, "9" * 18),
        ("0.50000000000000000000000000", "0.5"),
    ],
)
def test_plain_decimals_are_read_exactly(text: str, value: str) -> None:
    assert read_number(text) == Decimal(value)
    assert read_number(NumberText(text)) == Decimal(value)


def test_zero_has_no_sign() -> None:
    assert not read_number("-0.0").is_signed()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("abc", "not a number"),
        ("NaN", "not a number"),
        ("sNaN", "not a number"),
        ("Infinity", "not a number"),
        ("-inf", "not a number"),
        ("1_000", "not a number"),
        ("1,5", "not a number"),
        ("15%", "not a number"),
        ("$5", "not a number"),
        ("0x10", "not a number"),
        ("1 000", "not a number"),
        ("--1", "not a number"),
        (".", "not a number"),
        ("e5", "not a number"),
        ("1e1000", "not a number"),
        ("\u0661\u0662", "not a number"),  # Arabic digits, which Decimal would take
        ("1\n", "not a number"),
        ("{{close}}", "not a number"),
        ("1" * 61, "at most 60"),
        ("1" * 19, "18 digits before"),
        ("1e18", "18 digits before"),
        ("1e-19", "after the point"),
        ("0." + "0" * 18 + "1", "after the point"),
        (True, "not true or false"),
        (None, "not null"),
        ([], "not a list"),
        ({}, "not an object"),
        (5, "not this"),
    ],
)
def test_what_is_no_plain_decimal_is_refused_with_a_remedy(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_number(value)


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9
    )
)
def test_every_decimal_survives(value: Decimal) -> None:
    assert read_number(str(value)) == value


NOON = 1_769_860_800_000_000_000  # 2026-01-31T12:00:00Z


@pytest.mark.parametrize(
    ("value", "at_ns"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31 12:00:00z", NOON),
        ("2026-01-31T12:00Z", NOON),
        ("2026-01-31T14:30:00+02:30", NOON),
        ("2026-01-31T09:00:00-0300", NOON),
        ("2026-01-31T12:00:00.123456789Z", NOON + 123_456_789),
        (" 2026-01-31T12:00:00,5Z ", NOON + 500_000_000),
        ("1769860800", NOON),
        (NumberText("1769860800"), NOON),
        (NumberText("1769860800.25"), NOON + 250_000_000),
        ("1769860800000", NOON),
        (NumberText("1769860800123"), NOON + 123_000_000),
    ],
)
def test_moments_are_iso_8601_or_unix_seconds_or_milliseconds(value: object, at_ns: int) -> None:
    assert read_moment(value) == at_ns


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2026-01-31", "with a zone"),
        ("2026-01-31T12:00:00", "with a zone"),
        ("2026-02-30T12:00:00Z", "no moment"),
        ("2026-01-31T25:00:00Z", "no moment"),
        ("2026-01-31T12:00:00+24:00", "no moment"),
        ("0000-01-01T00:00:00Z", "no moment"),
        ("1999-12-31T23:59:59Z", "give Unix seconds"),
        ("2100-01-01T00:00:00Z", "give Unix seconds"),
        ("31-01-2026", "with a zone"),
        ("-5", "give Unix seconds"),
        ("0", "give Unix seconds"),
        (NumberText("1769860800123456"), "give Unix seconds"),
        (NumberText("1769860800123456789"), "18 digits"),
        ("now", "not a number"),
        ("{{timenow}}", "not a number"),
        (None, "not null"),
    ],
)
def test_what_is_no_moment_is_refused_with_a_remedy(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_moment(value)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_remedy(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_moment(text), int)
