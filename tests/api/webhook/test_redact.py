import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhook.redact import MASK, MAX_KEPT, hide, redact

SECRET = 'a "quoted" s\u00e9cret'


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"secret":"abc","action":"buy"}', '{"secret":***,"action":"buy"}'),
        (b'{"secret" : "a\\"bc", "x":1}', '{"secret" : ***, "x":1}'),
        (b'{"x":1,"secret":"never closed', '{"x":1,"secret":***'),
        (b"{'SECRET': 'abc'}", "{'SECRET': ***}"),
        (b"secret=abc;x=1", "secret=***;x=1"),
        (b"token=abc&x=1", "token=***&x=1"),
        (b'{"secret":12345}', '{"secret":***}'),
        (b"\xff", "\ufffd"),
        (b"", ""),
    ],
)
def test_what_stands_behind_a_secrets_name_is_masked(raw: bytes, kept: str) -> None:
    assert redact(raw) == kept


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    for text in (SECRET, 'a \\"quoted\\" s\\u00e9cret', 'a \\"quoted\\" s\u00e9cret'):
        assert redact(f"comment {text}!".encode(), [SECRET]) == "comment ***!"
    assert hide("text", ["", "other"]) == "text"


@pytest.mark.parametrize(
    "text",
    [
        "TOP/Secret-Value",
        "tOP/sECRET-vALUE",
        "top\\/secret-value",
        "\\u0074op/secret-value",
        "\\u0054OP\\u002Fsecret-value",
        "top/sec",
        "top/secret-valu",
    ],
)
def test_other_spellings_and_cut_ones_are_masked(text: str) -> None:
    assert hide(f"comment {text}", ["top/secret-value"]) == "comment ***"
    assert hide(f"comment {text}… is unknown", ["top/secret-value"]) == "comment ***… is unknown"


def test_short_beginnings_and_other_texts_stay() -> None:
    for text in ("top/s", "top/secret!", "tg_short", "tg_" + "x" * 20 + " and more"):
        assert hide(text + " .", ["top/secret-value"]) == text + " ."


@pytest.mark.parametrize("key", ["tg_" + "aB-_9" * 8 + "xyz", "TG_" + "A" * 43])
def test_keys_are_always_masked(key: str) -> None:
    assert redact(f'{{"comment":"{key}"}}'.encode()) == '{"comment":"***"}'
    assert hide(f"x{key}", []) == "x***"
    assert hide(f"'{key[:30]}…' is unknown", []) == "'***…' is unknown"
    assert redact(b"y" * (MAX_KEPT - 3) + key.encode()) == "y" * (MAX_KEPT - 3) + "***"


def test_masking_a_long_text_is_quick() -> None:
    for character in ("a", "\\"):
        began = time.perf_counter()
        hide((character * 59 + "b") * 100, [character * 60])
        assert time.perf_counter() - began < 0.5
    assert hide("x" + "\\" * 60 + "y" * 900, ["\\" * 60, "y" * 900]) == "x" + MASK * 2


def test_a_secret_across_the_cut_leaves_no_part() -> None:
    raw = b"x" * (MAX_KEPT - 3) + b"topsecretvalue"
    assert redact(raw, ["topsecretvalue"]) == "x" * (MAX_KEPT - 3) + "***"
    assert len(redact(b"y" * 1000)) == MAX_KEPT


@given(st.binary(max_size=400))
def test_any_bytes_come_to_a_bounded_text(raw: bytes) -> None:
    assert len(redact(raw, ["s"])) <= MAX_KEPT
