"""Reading ``.env`` and judging names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.settings_fields import NAMES
from engine.settings_file import edit_distance, is_open_to_others, near_name, read_env_file


def read(folder: Path, content: str | bytes):
    path = folder / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_env_file(path)


def test_a_missing_file_is_an_empty_one(tmp_path):
    assert read_env_file(tmp_path / ".env").values == {}


def test_quotes_comments_and_exports_are_understood(tmp_path):
    file = read(tmp_path, "A=1 # one\nexport B='x y'\r\n#C=3\n\nD=\"4\"\n")
    assert file.values == {"A": "1", "B": "x y", "D": "4"}
    assert file.problems == file.warnings == ()


def test_dollars_are_kept_because_secrets_hold_them(tmp_path):
    assert read(tmp_path, "A=x${HOME}y$Z\n").values == {"A": "x${HOME}y$Z"}


def test_a_byte_order_mark_is_skipped(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfA=1\n").values == {"A": "1"}


def test_a_line_that_is_no_setting_is_named_by_number_only(tmp_path):
    file = read(tmp_path, "A=1\n\n\nsecret words\nLONELY\n'=\n")
    assert len(file.problems) == 3
    for line, problem in zip((4, 5, 6), file.problems, strict=True):
        assert f"line {line} " in problem
        assert "secret" not in problem
    assert file.values == {"A": "1"}


def test_the_last_of_two_lines_counts_with_a_warning(tmp_path):
    file = read(tmp_path, "A=1\nA=2\n")
    assert file.values == {"A": "2"}
    assert "twice" in file.warnings[0]


def test_what_is_not_text_is_a_problem(tmp_path):
    assert "UTF-8" in read(tmp_path, b"A=\xff\xfe").problems[0]


def test_what_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / ".env").mkdir()
    assert "cannot be read" in read_env_file(tmp_path / ".env").problems[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("take_profit_percent", "TAKE_PROFIT_PERCENT"),
        ("TAKEPROFIT_PERCENT", "TAKE_PROFIT_PERCENT"),
        ("TAKE-PROFIT-PERCENT", "TAKE_PROFIT_PERCENT"),
        ("TAKE_PROFIT_PERCNET", "TAKE_PROFIT_PERCENT"),
        ("BYBIT_APIKEY", "BYBIT_API_KEY"),
        ("MAX_OPEN_POSITION", "MAX_OPEN_POSITIONS"),
        ("WEBHOOK_SECERT", "WEBHOOK_SECRET"),
    ],
)
def test_misspelt_names_are_recognised_everywhere(name, meant):
    assert near_name(name, NAMES, loosely=False) == meant
    assert near_name(name, NAMES, loosely=True) == meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("STOP_LOSS", "STOP_LOSS_PERCENT"),
        ("TAKE_PROFIT", "TAKE_PROFIT_PERCENT"),
        ("BREAK_EVEN", "BREAK_EVEN_PERCENT"),
        ("STOP_LOSS_PCT", "STOP_LOSS_PERCENT"),
        ("TELEGRAM_TOKEN", "TELEGRAM_BOT_TOKEN"),
        ("LEVERGE", "LEVERAGE"),
    ],
)
def test_similar_names_are_recognised_in_the_file_only(name, meant):
    assert near_name(name, NAMES, loosely=True) == meant
    assert near_name(name, NAMES, loosely=False) is None


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "TZ", "LANG", "API", "HOST", "POSTGRES_PASSWORD", "COMPOSE_PROJECT_NAME",
     "LOG_LEVEL", "API_KEY", "PYTHONPATH", "TICKGUARD_REQUIRE", "HTTPS_PROXY", "SECRET_KEY"],
)  # fmt: skip
def test_names_of_others_are_left_alone(name):
    assert near_name(name, NAMES, loosely=True) is None


@given(st.sampled_from(sorted(name for name in NAMES if len(name) >= 9)), st.data())
def test_any_one_letter_slip_in_a_long_name_is_noticed(name, data):
    at = data.draw(st.integers(0, len(name) - 1))
    slip = data.draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + "X" + name[at:],
                name[:at] + "X" + name[at + 1 :],
            ]
        )
    )
    if len(slip) >= 9 and slip not in NAMES:
        assert near_name(slip, NAMES, loosely=False) is not None


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [
        ("", "", 0),
        ("", "ab", 2),
        ("ab", "", 2),
        ("abc", "acb", 1),
        ("abc", "abd", 1),
        ("abcd", "badc", 2),
    ],
)
def test_edit_distance_counts_a_swap_as_one(left, right, edits):
    assert edit_distance(left, right) == edits


@given(st.text("ab_", max_size=7), st.text("ab_", max_size=7))
def test_edit_distance_is_symmetric_and_zero_only_for_equals(left, right):
    assert edit_distance(left, right) == edit_distance(right, left)
    assert (edit_distance(left, right) == 0) == (left == right)


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)]
)
def test_a_file_is_open_when_group_or_others_have_a_right(tmp_path, mode, is_open):
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    assert is_open_to_others(path) is is_open


def test_a_missing_file_is_not_open(tmp_path):
    assert not is_open_to_others(tmp_path / "none")
