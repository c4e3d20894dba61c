import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import Problem, problem_response
from api.webhook.read import MAX_BYTES, NumberText, read_object, write_object
from tests.api.attempts import attempt


def problem_of(raw: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        read_object(raw)
    return caught.value


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        (b"", "body", "empty"),
        (b" \r\n\t ", "body", "empty"),
        (b"ENTER-LONG_Bybit_BTCUSDT", "body", "valid JSON"),
        (b'{"action":"buy"', "body", "valid JSON"),
        (b'{"action":"buy', "body", "valid JSON"),
        (b'{"action":"buy"} {"action":"sell"}', "body", "valid JSON"),
        (b"{'action':'buy'}", "body", "valid JSON"),
        (b'{"qty":{{strategy.order.contracts}}}', "body", "valid JSON"),
        (b'{"qty":01}', "body", "valid JSON"),
        (b'{"comment":"a\nb"}', "body", "valid JSON"),
        (b"\xff\xfe", "body", "byte 0"),
        (b"\xef\xbb\xbf{}", "body", "without BOM"),
        (b"[]", "body", "one JSON object"),
        (b'"buy"', "body", "one JSON object"),
        (b"17", "body", "one JSON object"),
        (b"null", "body", "one JSON object"),
        (b"NaN", "body", "one JSON object"),
        (b'{"price":NaN}', "price", "NaN is not a number"),
        (b'{"price":-Infinity}', "price", "-Infinity is not a number"),
        (b'{"ladder":[[1,Infinity]]}', "ladder", "Infinity is not a number"),
        (b'{"ladder":[{"percent":NaN}]}', "percent", "NaN is not a number"),
        (b'{"action":"buy","action":"sell"}', "action", "twice"),
        (b'{"a":{"b":1,"b":1}}', "b", "twice"),
        (b'{"action":"buy","\\u0061ction":"sell"}', "action", "twice"),
        (b'{"comment":"\\ud800"}', "comment", "surrogate"),
        (b'{"\\udfff":1}', "body", "surrogate"),
        (b'{"\\udfff":1,"\\udfff":2}', "body", "twice"),
        (nested(9), "body", "at most 8"),
        (b'{"a":' + b"[" * 8 + b"]" * 8 + b"}", "body", "at most 8"),
        (b"[" * 16_000, "body", "at most 8"),
        (b'{"a":' * 3_000, "body", "at most 8"),
    ],
)
def test_what_cannot_be_read_is_a_400_with_field_and_remedy(
    raw: bytes, field: str, words: str
) -> None:
    problem = problem_of(raw)
    assert problem.status == 400
    assert [error.field for error in problem.errors] == [field]
    assert words in problem.errors[0].remedy


def test_a_body_over_16_kib_is_refused_before_it_is_parsed() -> None:
    assert problem_of(b"[" * (MAX_BYTES + 1)).status == 413


def test_a_body_of_16_kib_is_read() -> None:
    frame = b'{"comment":""}'
    raw = frame[:-2] + b"x" * (MAX_BYTES - len(frame)) + frame[-2:]
    assert len(raw) == MAX_BYTES
    assert set(read_object(raw)) == {"comment"}


def test_eight_levels_are_read_and_brackets_in_strings_are_none() -> None:
    assert read_object(nested(8))
    assert read_object(b'{"comment":"[[[[[[[[[[{{{{\\"[[["}') == {"comment": '[[[[[[[[[[{{{{"[[['}


def test_numbers_stay_the_text_they_were_written_as() -> None:
    body = read_object(b'{"a":0.10,"b":1E400,"c":-0,"d":12345678901234567890123456789,"e":"1"}')
    assert body == {
        "a": "0.10",
        "b": "1E400",
        "c": "-0",
        "d": "12345678901234567890123456789",
        "e": "1",
    }
    assert [isinstance(value, NumberText) for value in body.values()] == [True] * 4 + [False]


def test_a_number_of_thousands_of_digits_costs_nothing() -> None:
    assert read_object(b'{"a":' + b"9" * 16_000 + b"}")


def test_writing_gives_back_what_was_read() -> None:
    raw = '{"a":0.10,"b":[1e5,"é\\n",null,true],"c":{"d":"\\""}}'
    assert write_object(read_object(raw.encode())) == raw


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_problem(raw: bytes) -> None:
    found = attempt(lambda: read_object(raw))
    if isinstance(found, Problem):
        assert found.status == 400
        assert [error.field for error in found.errors] != [""]
        assert problem_response(found, "id").body


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_an_object_or_a_problem(value: Any) -> None:
    raw = json.dumps(value).encode()
    found = attempt(lambda: read_object(raw))
    if not isinstance(found, Problem):
        assert read_object(write_object(found).encode()) == found


def test_a_byte_order_mark_is_named_in_plain_words() -> None:
    with pytest.raises(Problem) as caught:
        read_object(b"\xef\xbb\xbf{}")
    assert "UTF-8 without BOM" in caught.value.errors[0].remedy
