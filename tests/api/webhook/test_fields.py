from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import Problem
from api.webhook.fields import FIELDS, MAX_FIELDS, Draft, read_draft
from api.webhook.read import NumberText, read_object
from engine.clock import NS_PER_SECOND
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Percent
from engine.model.instrument import Market
from engine.model.signal import Action, Size, SizeKind
from tests.api.attempts import attempt

NOW = 1_769_860_800 * NS_PER_SECOND


def draft(**fields: Any) -> Draft:
    return read_draft({"action": "buy", "symbol": "BTCUSDT"} | fields, NOW, UTC)


def refusals(**fields: Any) -> dict[str, str]:
    with pytest.raises(Problem) as caught:
        draft(**fields)
    assert caught.value.status == 422
    return {error.field: error.remedy for error in caught.value.errors}


def test_action_and_symbol_are_all_that_is_needed() -> None:
    assert draft() == Draft(Action.BUY, "BTCUSDT")


def test_every_field_is_read() -> None:
    found = draft(
        secret="s",
        id="a-1",
        action=" SELL ",
        venue="Bybit",
        market="SPOT",
        symbol="btcusdt",
        quote_qty="250.5",
        price=NumberText("64000"),
        take_profit_percent=NumberText("15"),
        stop_loss="60000.5",
        strategy="trend",
        time=NumberText("1769860799"),
        comment="of course",
    )
    assert found == Draft(
        Action.SELL,
        "BTCUSDT",
        venue="bybit",
        market=Market.SPOT,
        external_id="a-1",
        sent_at_ns=NOW - NS_PER_SECOND,
        size=Size(SizeKind.QUOTE_QTY, Decimal("250.5")),
        reference_price=Decimal(64000),
        exits=ExitChanges(take_profit=Percent(Decimal(15)), stop_loss=AtPrice(Decimal("60000.5"))),
        strategy="trend",
        comment="of course",
    )


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"action": "hold"}, "action", "buy, sell, close"),
        ({"action": "exit"}, "action", "buy, sell, close"),
        ({"action": None}, "action", "missing"),
        ({"action": ""}, "action", "buy, sell, close"),
        ({"action": NumberText("1")}, "action", "buy, sell, close"),
        ({"action": ["buy"]}, "action", "buy, sell, close"),
        ({"symbol": None}, "symbol", "required"),
        ({"symbol": " "}, "symbol", "required"),
        ({"symbol": NumberText("1")}, "symbol", "quotes"),
        ({"symbol": {}}, "symbol", "quotes"),
        ({"symbol": "B" * 65}, "symbol", "at most 64"),
        ({"symbol": "BTC\x00USDT"}, "symbol", "control"),
        ({"venue": "by\nbit"}, "venue", "control"),
        ({"market": "futures"}, "market", "spot, linear"),
        ({"market": ""}, "market", "spot, linear"),
        ({"id": "x" * 201}, "id", "at most 200"),
        ({"id": True}, "id", "quotes"),
        ({"strategy": NumberText("7")}, "strategy", "quotes"),
        ({"comment": "a\0b"}, "comment", "control"),
        ({"qty": "abc"}, "qty", "not a number"),
        ({"qty": "NaN"}, "qty", "not a number"),
        ({"qty": NumberText("0")}, "qty", "above 0"),
        ({"qty": NumberText("-1")}, "qty", "above 0"),
        ({"quote_qty": "-5"}, "quote_qty", "above 0"),
        ({"percent": "0"}, "percent", "above 0"),
        ({"percent": "100.01"}, "percent", "at most 100"),
        ({"risk_percent": "101"}, "risk_percent", "at most 100"),
        ({"price": NumberText("-64000")}, "price", "above 0"),
        ({"price": "0"}, "price", "above 0"),
        ({"stop_loss": "-1"}, "stop_loss", "above 0"),
        ({"time": "yesterday"}, "time", "not a number"),
        ({"time": "2026-01-31T12:05:01Z"}, "time", "ahead"),
        ({"stop_los_percent": "5"}, "stop_los_percent", "did you mean stop_loss_percent"),
        ({"leverage": "5"}, "leverage", "unknown"),
        ({"zzz": None}, "zzz", "leave it out"),
        ({"Action": "buy"}, "Action", "did you mean action"),
    ],
)
def test_each_wrong_field_is_named_with_its_remedy(
    fields: dict[str, Any], field: str, words: str
) -> None:
    found = refusals(**fields)
    assert list(found) == [field]
    assert words in found[field]


def test_all_wrong_fields_are_told_at_once() -> None:
    assert set(refusals(action="x", qty="y", price="-1", stop_loss="-1", foo=1)) == {
        "action",
        "qty",
        "price",
        "stop_loss",
        "foo",
    }


def test_two_sizes_are_refused_and_both_named() -> None:
    assert set(refusals(qty="1", percent="5")) == {"qty", "percent"}
    assert draft(qty="1", percent=None).size == Size(SizeKind.QTY, Decimal(1))


def test_a_body_may_hold_every_field_there_is() -> None:
    assert len(FIELDS) == len(set(FIELDS)) <= MAX_FIELDS


def test_null_is_absent_and_empty_texts_are_too() -> None:
    nulls = ("id", "venue", "market", "qty", "price", "strategy", "time", "comment")
    assert draft(**dict.fromkeys(nulls)) == draft()
    assert draft(id="", venue=" ", strategy="", comment="") == draft()


def test_an_id_may_be_a_number() -> None:
    assert draft(id=NumberText("17")).external_id == "17"


def test_only_a_close_may_come_from_the_future() -> None:
    late = "2026-01-31T12:05:00Z"
    assert draft(time=late).sent_at_ns == NOW + 300 * NS_PER_SECOND
    assert draft(action="close", time="2026-02-01T00:00:00Z").sent_at_ns


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=20),
    st.from_regex(r"[+-]?[0-9]{1,5}(\.[0-9]{1,3})?", fullmatch=True).map(NumberText),
    st.sampled_from(["buy", "sell", "close", "linear", "spot", "BTCUSDT", "5", "0", "-1"]),
    st.lists(st.none(), max_size=1),
)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), VALUES, max_size=8))
def test_any_object_is_a_draft_or_a_422(body: dict[str, Any]) -> None:
    found = attempt(lambda: read_draft(body, NOW, UTC))
    if isinstance(found, Problem):
        assert found.status == 422
        assert all(error.field and error.remedy for error in found.errors)
    else:
        assert found.symbol


@given(st.binary(max_size=300))
def test_any_bytes_are_a_draft_or_a_problem(raw: bytes) -> None:
    found = attempt(lambda: read_draft(read_object(raw), NOW, UTC))
    assert isinstance(found, Draft) or found.status in (400, 422)
