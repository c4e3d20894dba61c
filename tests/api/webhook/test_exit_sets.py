import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.problems import Problem
from api.webhook.exit_fields import EXIT_FIELDS, read_exits
from api.webhook.exit_sets import check_exits, with_default_close
from api.webhook.read import NumberText
from api.webhook.reader import Reader
from api.wiring import guard_config
from engine.clock import NS_PER_SECOND
from engine.model.instrument import InstrumentId
from engine.model.signal import Action, Signal, Size, SizeKind
from engine.settings import Settings
from tests.api.attempts import attempt
from tests.api.clocks import START_NS
from tests.api.service import BTC, BTC_SPOT, instrument

UTC = ZoneInfo("UTC")


def signal(action: str = "buy", name: InstrumentId = BTC, **fields: Any) -> Signal:
    """A signal received at noon; values are numbers as JSON writes them."""
    texts = {
        key: str(value) if type(value) in (int, float) else value for key, value in fields.items()
    }
    reader = Reader(texts)
    exits = read_exits(reader, START_NS, UTC)
    assert reader.errors == []
    return Signal("s1", START_NS, "webhook", Action(action), instrument(name), exits=exits)


def check(asked: Signal, **settings: Any) -> None:
    check_exits(asked, guard_config(Settings(**settings)))


def refusals(asked: Signal, **settings: Any) -> dict[str, str]:
    with pytest.raises(Problem) as caught:
        check(asked, **settings)
    assert caught.value.status == 422
    return {error.field: error.remedy for error in caught.value.errors}


LADDER = [{"percent": "5", "fraction": "0.5"}, {"percent": "10", "fraction": "0.5"}]

CONTRADICTIONS = [
    ("buy", {"take_profit": 90, "stop_loss": 90}, "take_profit", "above stop_loss"),
    ("sell", {"take_profit": 99, "stop_loss": 90}, "take_profit", "below stop_loss"),
    ("buy", {"stop_loss_percent": 100}, "stop_loss_percent", "100 %"),
    ("sell", {"take_profit_percent": 100}, "take_profit_percent", "100 %"),
    ("buy", {"trailing_percent": 100}, "trailing_percent", "less than 100"),
    ("sell", {"trailing_percent": 2, "trailing_step_percent": 100}, "trailing_step_percent", "100"),
    ("buy", {"trailing_activation_percent": 5}, "trailing_activation_percent", "trailing_percent"),
    ("buy", {"trailing_activation": 105}, "trailing_activation", "trailing_percent"),
    ("buy", {"trailing_step": 5}, "trailing_step", "trailing_percent"),
    ("buy", {"break_even_offset_percent": 1}, "break_even_offset_percent", "break_even_percent"),
    ("buy", {"break_even_after_rung": 1}, "break_even_after_rung", "0 rungs"),
    ("buy", {"break_even_after_rung": 2, "ladder": LADDER}, "break_even_after_rung", "closes all"),
    ("buy", {"break_even_percent": 20}, "break_even_percent", "take-profit"),
    (
        "buy",
        {"break_even_percent": 2, "break_even_offset_percent": 2},
        "break_even_offset_percent",
        "give less",
    ),
    (
        "sell",
        {"trailing_percent": 1, "trailing_activation_percent": 15},
        "trailing_activation_percent",
        "take-profit",
    ),
    (
        "buy",
        {"trailing": 1, "trailing_activation": 120, "take_profit": 110},
        "trailing_activation",
        "take-profit",
    ),
    ("buy", {"ladder": LADDER, "take_profit_percent": 8}, "ladder", "rung 2"),
    ("sell", {"ladder": LADDER[::-1]}, "ladder", "more profit"),
    ("buy", {"ladder": [LADDER[0], LADDER[1] | {"fraction": "0.6"}]}, "ladder", "more than 1"),
    ("sell", {"ladder": [{"percent": "100", "fraction": "1"}]}, "ladder", "100 %"),
    ("buy", {"close_at": "2026-01-31T11:59:59Z"}, "close_at", "passed"),
    ("buy", {"confirm_ms": 60_001}, "confirm_ms", "60000"),
    ("buy", {"confirm_ticks": 10_001}, "confirm_ticks", "10000"),
]


@pytest.mark.parametrize(("action", "fields", "field", "words"), CONTRADICTIONS)
def test_exits_that_contradict_each_other_are_refused(
    action: str, fields: dict[str, Any], field: str, words: str
) -> None:
    found = refusals(signal(action, **fields))
    assert list(found) == [field]
    assert words in found[field]


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("buy", {}),
        ("buy", {"take_profit": 99, "stop_loss": 90}),
        ("sell", {"take_profit": 90, "stop_loss": 99}),
        ("buy", {"take_profit_percent": 150, "stop_loss_percent": 99}),
        ("sell", {"stop_loss_percent": 150}),
        ("buy", {"trailing_percent": 2, "trailing_activation_percent": 14.9}),
        ("sell", {"trailing": 2, "trailing_step": 1, "take_profit_percent": None}),
        ("buy", {"ladder": LADDER, "break_even_after_rung": 1}),
        # A ladder that closes all stands in for the default take-profit of 15 %.
        ("buy", {"ladder": [{"percent": "40", "fraction": "1"}]}),
        ("buy", {"max_hold_seconds": 1, "close_at": "12:01", "confirm_ticks": 3}),
    ],
)
def test_exits_that_can_hold_together_are_taken(action: str, fields: dict[str, Any]) -> None:
    check(signal(action, **fields))


NUMBERS = st.decimals(0, 200, places=1).map(lambda number: NumberText(f"{number:f}"))
LADDERS = st.lists(
    st.fixed_dictionaries({"percent": NUMBERS, "fraction": st.sampled_from(["0.25", "0.5", "1"])}),
    max_size=4,
)
BODIES = st.dictionaries(
    st.sampled_from(
        [name for name in EXIT_FIELDS if name not in ("ladder", "close_at", "trigger")]
    ),
    NUMBERS | st.none(),
    max_size=6,
)


@given(BODIES, st.none() | LADDERS, st.sampled_from(Action), st.sampled_from([BTC, BTC_SPOT]))
def test_any_set_is_taken_or_refused_by_the_names_of_its_fields(
    body: dict[str, Any], ladder: object, action: Action, name: InstrumentId
) -> None:
    reader = Reader(body if ladder is None else body | {"ladder": ladder})
    exits = read_exits(reader, START_NS, UTC)
    if reader.errors:
        return
    entry = Signal("s1", START_NS, "webhook", action, instrument(name), exits=exits)
    found = attempt(lambda: check(entry, trailing_percent=2, break_even_percent=3))
    if found is not None:
        assert found.status == 422
        assert {error.field for error in found.errors} <= set(EXIT_FIELDS)
        assert all(error.remedy for error in found.errors)


def test_a_mark_price_is_not_asked_of_spot() -> None:
    assert "no mark" in refusals(signal(name=BTC_SPOT, trigger="mark"))["trigger"]
    check(signal(trigger="mark"))


def test_a_default_that_does_not_go_with_the_signal_is_named_with_its_setting() -> None:
    defaults = {"trailing_percent": 1, "trailing_activation_percent": 8, "break_even_percent": 6}
    found = refusals(signal(take_profit_percent=5), **defaults)
    assert set(found) == {"trailing_activation_percent", "break_even_percent"}
    assert "default TRAILING_ACTIVATION_PERCENT" in found["trailing_activation_percent"]
    off = {"trailing_activation_percent": None, "break_even_percent": None}
    check(signal(take_profit_percent=5, **off), **defaults)
    said = refusals(signal(take_profit_percent=5, trailing_activation_percent=8), **defaults)
    assert "default" not in said["trailing_activation_percent"]


def test_what_is_wrong_with_the_defaults_alone_is_not_the_senders_to_mend() -> None:
    check(signal("sell"), take_profit_percent=150)
    check(signal(name=BTC_SPOT), trigger_price="mark")
    found = refusals(signal("sell", confirm_ms=70_000), take_profit_percent=150)
    assert set(found) == {"confirm_ms"}


def test_exits_on_what_only_closes_are_left_alone() -> None:
    wrong = {"stop_loss_percent": 100, "take_profit_percent": 100, "break_even_after_rung": 9}
    check(signal("close", **wrong))
    check(signal("sell", BTC_SPOT, **wrong))


def test_risk_needs_a_stop() -> None:
    size = Size(SizeKind.RISK_PERCENT, Decimal(1))
    risky = replace(signal(stop_loss=None), size=size)
    assert "stop-loss" in refusals(risky)["risk_percent"]
    trailing = replace(signal(stop_loss=None, trailing_percent=5), size=size)
    assert "stop-loss" in refusals(trailing)["risk_percent"]
    check(replace(signal(), size=size))


AT_NINE = Settings(close_at=datetime.time(21), timezone=ZoneInfo("Asia/Tokyo"))


def test_the_owners_time_of_day_closes_entries_that_name_none() -> None:
    """It is 21:00 in Tokyo, so the next time is tomorrow's."""
    found = with_default_close(signal(), AT_NINE)
    assert found.exits.close_at_ns == START_NS + 86_400 * NS_PER_SECOND
    earlier = replace(signal(), received_at_ns=START_NS - 1)
    assert with_default_close(earlier, AT_NINE).exits.close_at_ns == START_NS


@pytest.mark.parametrize(
    "other",
    [
        signal(close_at=0),
        signal(close_at="13:00"),
        signal("close"),
        signal("sell", BTC_SPOT),
    ],
)
def test_the_owners_time_of_day_leaves_other_signals_alone(other: Signal) -> None:
    assert with_default_close(other, AT_NINE) == other


def test_without_a_time_of_day_nothing_is_added() -> None:
    assert with_default_close(signal(), Settings()) == signal()
