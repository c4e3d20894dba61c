from datetime import UTC
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import Problem
from api.webhook.exit_fields import EXIT_FIELDS, read_changes
from api.webhook.read import NumberText
from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Disarmed, Percent, Points
from engine.model.rules.ladder import Rung
from engine.model.ticks import PriceSource
from tests.api.attempts import attempt

NOW = 1_769_860_800 * NS_PER_SECOND  # 2026-01-31T12:00:00Z
HOUR_NS = 3600 * NS_PER_SECOND
OFF = Disarmed()


def changes(**fields: Any) -> ExitChanges:
    return read_changes(fields, NOW, UTC)


def refusals(**fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(Problem) as caught:
        changes(**fields)
    assert caught.value.status == 422
    return [(error.field, error.remedy) for error in caught.value.errors]


def rungs(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"percent": percent, "fraction": fraction} for percent, fraction in pairs]


def test_every_field_is_read_in_per_cent() -> None:
    assert changes(
        take_profit_percent=NumberText("30"),
        stop_loss_percent="5",
        trailing_percent="2.5",
        trailing_activation_percent="4",
        trailing_step_percent="0.5",
        break_even_percent="3",
        break_even_offset_percent="0.2",
        break_even_after_rung=NumberText("1"),
        ladder=rungs(("5", NumberText("0.5")), (NumberText("10"), "0.25")),
        max_hold_seconds="90.5",
        close_at="12:30",
        confirm_ms=NumberText("250"),
        confirm_ticks="3",
        trigger="Mark",
    ) == ExitChanges(
        take_profit=Percent(Decimal(30)),
        stop_loss=Percent(Decimal(5)),
        trailing=Percent(Decimal("2.5")),
        trailing_activation=Percent(Decimal(4)),
        trailing_step=Percent(Decimal("0.5")),
        break_even=Percent(Decimal(3)),
        break_even_offset=Decimal("0.2"),
        break_even_after_rung=1,
        ladder=(
            Rung(Percent(Decimal(5)), Decimal("0.5")),
            Rung(Percent(Decimal(10)), Decimal("0.25")),
        ),
        max_hold_ns=90_500 * NS_PER_MS,
        close_at_ns=NOW + HOUR_NS // 2,
        confirm_ms=250,
        confirm_ticks=3,
        trigger=PriceSource.MARK,
    )


def test_every_price_and_distance_is_read_in_quote_asset() -> None:
    assert changes(
        take_profit="70000",
        stop_loss="59000.5",
        trailing="500",
        trailing_activation="61000",
        trailing_step="50",
        break_even="62000",
        ladder=[{"price": "65000", "fraction": "1"}],
        close_at="2026-02-01T00:00:00+01:00",
    ) == ExitChanges(
        take_profit=AtPrice(Decimal(70000)),
        stop_loss=AtPrice(Decimal("59000.5")),
        trailing=Points(Decimal(500)),
        trailing_activation=AtPrice(Decimal(61000)),
        trailing_step=Points(Decimal(50)),
        break_even=AtPrice(Decimal(62000)),
        ladder=(Rung(AtPrice(Decimal(65000)), Decimal(1)),),
        close_at_ns=NOW + 11 * HOUR_NS,
    )


PAIRS = [
    *("take_profit", "stop_loss", "trailing"),
    *("trailing_activation", "trailing_step", "break_even"),
]
NONES = [None, "0", NumberText("0.00")]


@pytest.mark.parametrize("value", NONES)
@pytest.mark.parametrize("name", PAIRS)
def test_zero_and_null_disarm(name: str, value: object) -> None:
    assert changes(**{name: value}) == ExitChanges(**{name: OFF})
    assert changes(**{f"{name}_percent": value}) == ExitChanges(**{name: OFF})


@pytest.mark.parametrize("value", NONES)
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("ladder", ExitChanges(ladder=())),
        ("max_hold_seconds", ExitChanges(max_hold_ns=0)),
        ("close_at", ExitChanges(close_at_ns=0)),
        ("confirm_ms", ExitChanges(confirm_ms=0)),
        ("confirm_ticks", ExitChanges(confirm_ticks=0)),
        ("break_even_after_rung", ExitChanges(break_even_after_rung=0)),
    ],
)
def test_zero_and_null_take_a_rule_away(name: str, changed: ExitChanges, value: object) -> None:
    assert changes(**{name: value}) == changed


def test_an_empty_ladder_is_none() -> None:
    assert changes(ladder=[]) == ExitChanges(ladder=())


def test_a_break_even_stop_at_the_entry_is_not_one_that_covers_the_fees() -> None:
    assert changes(break_even_offset_percent="0").break_even_offset == Decimal(0)
    assert changes(break_even_offset_percent=None).break_even_offset == OFF


def test_what_is_not_mentioned_stays() -> None:
    assert changes(stop_loss="5") == ExitChanges(stop_loss=AtPrice(Decimal(5)))
    assert changes(stop_loss="5", trigger=None) == changes(stop_loss="5")


@pytest.mark.parametrize("name", PAIRS)
def test_a_rule_is_given_one_way_only(name: str) -> None:
    both: dict[str, Any] = {name: "5", f"{name}_percent": "5"}
    for body in (both, both | {name: None}, both | {f"{name}_percent": "0"}):
        ((field, remedy),) = refusals(**body)
        assert (field, "not both" in remedy) == (f"{name}_percent", True)
    assert changes(**{name: None, f"{name}_percent": "0"}) == ExitChanges(**{name: OFF})


def test_a_time_of_day_is_one_of_the_owners_zone() -> None:
    found = read_changes({"close_at": "21:30"}, NOW, ZoneInfo("Asia/Tokyo"))
    assert found.close_at_ns == NOW + HOUR_NS // 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("take_profit_percent", "-1", "above 0"),
        ("take_profit", True, "true or false"),
        ("stop_loss_percent", "1001", "at most 1000"),
        ("stop_loss", "", "empty"),
        ("stop_loss", "-1", "above 0"),
        ("trailing", "-5", "above 0"),
        ("trailing_percent", "two", "not a number"),
        ("trailing_percent", [], "a list"),
        ("trailing_activation_percent", "1000.1", "at most 1000"),
        ("trailing_step", "-0.1", "above 0"),
        ("break_even", "1e30", "digits"),
        ("break_even_offset_percent", "-0.1", "null covers the fees"),
        ("break_even_offset_percent", "1001", "null covers the fees"),
        ("break_even_offset_percent", {}, "an object"),
        ("break_even_after_rung", "1.5", "whole"),
        ("break_even_after_rung", "-1", "whole"),
        ("confirm_ms", "0.5", "whole"),
        ("confirm_ms", "-1", "whole"),
        ("confirm_ticks", "1000000001", "whole"),
        ("confirm_ticks", "often", "not a number"),
        ("max_hold_seconds", "-1", "in seconds"),
        ("max_hold_seconds", "0.0009", "in seconds"),
        ("max_hold_seconds", "315360001", "in seconds"),
        ("max_hold_seconds", "1h", "not a number"),
        ("close_at", "25:00", "21:30"),
        ("close_at", NumberText("2130"), "21:30"),
        ("close_at", "2026-13-01T00:00:00Z", "no moment"),
        ("trigger", "bid", "last, mark, book"),
        ("trigger", NumberText("0"), "last, mark, book"),
        ("trailing_pct", "5", "did you mean trailing_percent"),
        ("qty", "5", "unknown"),
        ("leverage", None, "unknown"),
    ],
)
def test_each_wrong_field_is_named_with_its_remedy(name: str, value: object, words: str) -> None:
    ((field, remedy),) = refusals(**{name: value})
    assert field == name
    assert words in remedy


@pytest.mark.parametrize(
    ("ladder", "words"),
    [
        ("5:0.5", ["give a list"]),
        ({"percent": "5", "fraction": "1"}, ["give a list"]),
        (NumberText("5"), ["give a list"]),
        (True, ["give a list"]),
        (rungs(*((n, "0.01") for n in range(1, 12))), ["at most 10 rungs"]),
        (["5"], ["rung 1: give an object"]),
        ([None], ["rung 1: give an object"]),
        ([{"percent": "5"}], ["rung 1, fraction: this field is required"]),
        ([{"fraction": "1"}], ["rung 1, percent: give percent or price"]),
        ([{}], ["rung 1, percent: give", "rung 1, fraction: this"]),
        ([{"percent": "5", "price": "6", "fraction": "1"}], ["rung 1, percent: give percent or"]),
        ([{"percent": "5", "fracton": "1"}], ["did you mean fraction?", "rung 1, fraction: this"]),
        (rungs(("5", "0.5"), ("x", "0.5")), ["rung 2, percent: 'x' is not a number"]),
        (rungs(("5", "0")), ["rung 1, fraction: give a number above 0"]),
        (rungs(("-5", "1")), ["rung 1, percent: give a number above 0"]),
        (rungs(("1001", "1")), ["rung 1, percent: give at most 1000"]),
        (rungs((True, "1"), ("6", [])), ["rung 1, percent: give a number", "rung 2, fraction:"]),
    ],
)
def test_each_wrong_rung_is_named_with_its_remedy(ladder: object, words: list[str]) -> None:
    found = refusals(ladder=ladder)
    assert [field for field, _ in found] == ["ladder"] * len(words)
    assert all(word in remedy for word, (_, remedy) in zip(words, found, strict=True))


def test_null_in_a_rung_is_absent() -> None:
    rung = {"percent": None, "price": "7", "fraction": "1"}
    assert changes(ladder=[rung]).ladder == (Rung(AtPrice(Decimal(7)), Decimal(1)),)


def test_all_wrong_fields_are_told_at_once() -> None:
    found = refusals(stop_loss="-1", ladder=[{}], confirm_ms="x", secret="s")
    assert [field for field, _ in found] == [
        "secret",
        "stop_loss",
        "ladder",
        "ladder",
        "confirm_ms",
    ]


@pytest.mark.parametrize("body", [{}, {"trigger": None}])
def test_an_amendment_that_changes_nothing_is_refused_with_an_example(body: dict[str, Any]) -> None:
    ((field, remedy),) = refusals(**body)
    assert (field, "stop_loss_percent" in remedy) == ("body", True)


NUMBERS = st.one_of(
    st.from_regex(r"[+-]?[0-9]{1,5}(\.[0-9]{1,3})?", fullmatch=True).map(NumberText),
    st.sampled_from(["5", "0", "-1", "0.5", "21:30", "2026-02-01T00:00:00Z", "mark", "book"]),
)
ODD = st.none() | st.booleans() | st.text(max_size=20)
RUNGS = st.dictionaries(
    st.sampled_from(["percent", "price", "fraction"]) | st.text(max_size=8), NUMBERS | ODD
)
VALUES = NUMBERS | ODD | st.lists(RUNGS | NUMBERS | ODD, max_size=12)


@given(st.dictionaries(st.sampled_from(EXIT_FIELDS), VALUES, max_size=8))
def test_any_exit_fields_are_changes_or_a_422(body: dict[str, Any]) -> None:
    found = attempt(lambda: read_changes(body, NOW, UTC))
    if isinstance(found, Problem):
        assert found.status == 422
        assert all(error.field and error.remedy for error in found.errors)
    else:
        assert not found.is_empty


@given(
    st.dictionaries(
        st.sampled_from([name for name in EXIT_FIELDS if name not in ("ladder", "trigger")]),
        NUMBERS.filter(lambda text: isinstance(text, NumberText)),
        min_size=1,
        max_size=8,
    )
)
def test_a_number_in_quotes_is_read_as_the_number(body: dict[str, Any]) -> None:
    def told(found: ExitChanges | Problem) -> object:
        return found.errors if isinstance(found, Problem) else found

    quoted = {name: str(value) for name, value in body.items()}
    as_number = attempt(lambda: read_changes(body, NOW, UTC))
    as_text = attempt(lambda: read_changes(quoted, NOW, UTC))
    assert told(as_number) == told(as_text)
