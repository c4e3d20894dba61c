import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhook.redact import MAX_KEPT, hide, redact

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


def test_a_secret_across_the_cut_leaves_no_part() -> None:
    raw = b"x" * (MAX_KEPT - 3) + b"topsecretvalue"
    assert redact(raw, ["topsecretvalue"]) == "x" * (MAX_KEPT - 3) + "***"
    assert len(redact(b"y" * 1000)) == MAX_KEPT


@given(st.binary(max_size=400))
def test_any_bytes_come_to_a_bounded_text(raw: bytes) -> None:
    assert len(redact(raw, ["s"])) <= MAX_KEPT
