"""No canary leaves the process, by whatever way it came into a line."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from decimal import Decimal
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from engine import logs
from engine.logs import MASK, Redactor

ROOT = Path(__file__).parents[2]
CANARY = 'canary/"0123 é'
BOT_TOKEN = "123456789:AAE-abcdefghijklmnopqrstuvwxyz01234"
AT_NS = 1_700_000_000_123_456_789


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _untouched_logging():
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    root.handlers[:], root.level = handlers, level
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    sys.excepthook, threading.excepthook = hooks


def configured(stream=None, **options):
    stream = io.StringIO() if stream is None else stream
    root = logging.getLogger()  # pytest's own handlers raise where a line cannot be formatted
    root.handlers[:] = [each for each in root.handlers if type(each).__module__ == logs.__name__]
    redactor = logs.configure([CANARY], stream=stream, now_ns=lambda: AT_NS, **options)
    return stream, redactor


def events(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_utc_time():
    stream, _ = configured()
    structlog.get_logger("flow").info("position.opened", position_id="p", price=Decimal("1.50"))
    assert events(stream) == [
        {
            "event": "position.opened",
            "position_id": "p",
            "price": "1.50",
            "level": "info",
            "logger": "flow",
            "timestamp": "2023-11-14T22:13:20.123456Z",
        }
    ]


def test_the_system_clock_is_used_unless_one_is_given():
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger().info("x")
    assert events(stream)[0]["timestamp"] > "2024"


def test_on_a_terminal_an_event_is_one_readable_line():
    stream, _ = configured(Terminal())
    structlog.get_logger("flow").info("position.opened", position_id="p")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "position.opened" in text
    assert not text.startswith("{")


def test_the_form_may_be_chosen():
    stream, _ = configured(Terminal(), as_json=True)
    structlog.get_logger().info("x")
    assert events(stream)[0]["event"] == "x"
    stream, _ = configured(as_json=False)
    structlog.get_logger().info("x")
    assert "\x1b" not in stream.getvalue(), "no colours where there is no terminal"


def test_standard_error_is_the_default(capsys):
    logs.configure()
    structlog.get_logger().info("x")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "x"


def test_the_standard_library_takes_the_same_way():
    stream, _ = configured()
    logging.getLogger("library").warning("lost %s of %d", "one", 2)
    (event,) = events(stream)
    assert event["event"] == "lost one of 2"
    assert (event["logger"], event["level"]) == ("library", "warning")
    assert event["timestamp"].endswith("Z")


def test_warnings_are_logged():
    stream, _ = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {CANARY}", UserWarning, stacklevel=1)
    assert "UserWarning" in stream.getvalue()
    assert_hidden(stream)


def test_bound_context_is_in_every_line():
    stream, _ = configured()
    with structlog.contextvars.bound_contextvars(signal_id="s"):
        logging.getLogger("library").warning("x")
    assert events(stream)[0]["signal_id"] == "s"


def test_lines_below_the_level_are_left_out():
    stream, _ = configured(level=logging.WARNING)
    structlog.get_logger().info("x")
    logging.getLogger("library").info("x")
    assert stream.getvalue() == ""


def test_a_second_configuration_replaces_the_first():
    first, _ = configured()
    second, _ = configured()
    structlog.get_logger().info("x")
    assert first.getvalue() == ""
    assert len(events(second)) == 1


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "uvicorn.access", "websockets.client",
                                  "telegram.ext", "telegram"])  # fmt: skip
def test_talkative_libraries_are_heard_from_warning_on(name, level):
    stream, _ = configured(level=level)
    logging.getLogger(name).info("HTTP Request: POST https://api.telegram.org/bot%s/x", BOT_TOKEN)
    assert stream.getvalue() == ""
    logging.getLogger(name).warning("HTTP Request: https://api.telegram.org/bot%s/x", BOT_TOKEN)
    assert BOT_TOKEN not in stream.getvalue()
    assert f"/bot{MASK}/x" in stream.getvalue()


class Holder:
    """A library's object whose text holds a secret."""

    def __repr__(self):
        return f"<Holder {CANARY}>"


def fail():
    try:
        raise ValueError(f"inner {CANARY}")
    except ValueError as error:
        raise RuntimeError(f"outer {CANARY!r}") from error


def assert_hidden(stream):
    text = stream.getvalue()
    assert text
    for spelling in (CANARY, json.dumps(CANARY)[1:-1], repr(CANARY)[1:-1], "canary", "0123"):
        assert spelling not in text


@pytest.mark.parametrize("terminal", [io.StringIO, Terminal])
@pytest.mark.parametrize("logger", [structlog.get_logger("ours"), logging.getLogger("library")])
def test_no_secret_leaves_by_an_exception(terminal, logger):
    stream, _ = configured(terminal())
    try:
        fail()
    except RuntimeError:
        logger.exception("broken")
    assert_hidden(stream)
    assert "RuntimeError: outer" in stream.getvalue()
    assert "ValueError: inner" in stream.getvalue()


@pytest.mark.parametrize("terminal", [io.StringIO, Terminal])
@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"text {CANARY} text",
        f"https://host/?q={logs.quote(CANARY, safe='')}",
        json.dumps({"a": CANARY}),
        CANARY.encode(),
        Holder(),
        [CANARY, (CANARY,), {CANARY}],
        {"deep": [{"deeper": {CANARY: CANARY}}]},
        ValueError(CANARY),
        {Holder(): 1},
    ],
    ids=str,
)
def test_no_secret_leaves_by_a_value(terminal, value):
    stream, _ = configured(terminal())
    structlog.get_logger().info("x", value=value, **{CANARY: 1})
    logging.getLogger("library").warning("value %s", value)
    assert_hidden(stream)


def test_a_line_that_cannot_be_formatted_is_reported_without_its_arguments(capsys):
    stream, _ = configured()
    logging.getLogger("library").warning("%d apples", CANARY)
    assert events(stream) == [
        {"event": "logging.line_lost", "logger": "library", "cause": "TypeError"}
    ]
    assert capsys.readouterr().err == ""


def test_a_closed_stream_is_survived(capsys):
    stream, _ = configured()
    stream.close()
    logging.getLogger("library").warning("x")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "webhook_secret",
        "token",
        "bot_token",
        "password",
        "passphrase",
        "api_key",
        "apiKey",
        "Authorization",
        "X-API-Key",
        "cookie",
        "signature",
        "private_key",
        "credentials",
        "key",
        "raw",
    ],
)
def test_fields_with_a_secrets_name_are_masked_at_every_depth(name):
    event = Redactor()(
        None, "info", {name: "unknown", "nested": [{name: {"a": 1}}], "other": "seen"}
    )
    assert event == {name: MASK, "nested": [{name: MASK}], "other": "seen"}


@pytest.mark.parametrize("value", [None, "", True, False])
def test_that_a_secret_is_absent_or_set_may_be_told(value):
    assert Redactor()(None, "info", {"api_key": value}) == {"api_key": value}


@pytest.mark.parametrize(
    "name", ["position_id", "client_order_id", "symbol", "keys", "key_id", "at"]
)
def test_other_fields_are_not_masked(name):
    assert Redactor()(None, "info", {name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("POST /webhook/abcdef123456 202", "abcdef123456"),
        (f"https://api.telegram.org/bot{BOT_TOKEN}/getMe", BOT_TOKEN),
        ("postgresql://user:hunter2@host/db", "hunter2"),
        ('body {"secret": "hunter2", "action": "buy"}', "hunter2"),
        (r'body "{\"secret\":\"hunter2\"}"', "hunter2"),
        ("{'api_key': 'hunter2'}", "hunter2"),
        ("/api/v3/order?symbol=BTC&signature=abcdef&x=1", "abcdef"),
    ],
)
def test_what_looks_like_a_secret_is_masked_in_text(text, hidden):
    shown = Redactor().text(text)
    assert hidden not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "position.opened",
        "wss://stream.bybit.com/v5/public",
        "12:30:00 at 1:2",
        "https://host:1/x?a=b",
    ],
)
def test_ordinary_text_is_left_as_it_is(text):
    assert Redactor(["some-secret"]).text(text) == text


def test_a_secret_made_later_can_be_learnt():
    stream, redactor = configured()
    redactor.learn("made-later")
    structlog.get_logger().info("x", value="made-later")
    assert events(stream)[0]["value"] == MASK


def test_the_longer_of_two_secrets_goes_first():
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == MASK


def test_values_too_short_to_be_secret_are_not_masked():
    assert Redactor(["abc"]).text("abc abcd") == "abc abcd"


def test_numbers_stay_numbers_and_json_stays_json():
    stream, _ = configured()
    structlog.get_logger().info("x", a=1, b=0.5, c=float("nan"), d=None, e=True)
    event = events(stream)[0]
    assert [event[name] for name in "abcde"] == [1, 0.5, "nan", None, True]


@pytest.mark.parametrize("terminal", [io.StringIO, Terminal])
def test_text_cannot_forge_a_line(terminal):
    stream, _ = configured(terminal())
    logging.getLogger("library").warning("one\n%s \x1b[2J", "x")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b[2J" not in stream.getvalue()


@given(
    st.text(min_size=4, max_size=30).filter(lambda text: text.strip() and text.isprintable()),
    st.text(max_size=10),
)
def test_no_known_secret_survives_in_text(secret, around):
    redactor = Redactor([secret])
    for text in (secret, json.dumps(secret), repr(secret), logs.quote(secret)):
        assert secret not in redactor.known(f"{around}{text}{around}").replace(MASK, "") or (
            secret in around + around
        )


class TestUncaught:
    def test_what_ends_the_process_is_logged_redacted(self, capsys):
        stream, _ = configured()
        logs.catch_uncaught()
        try:
            fail()
        except RuntimeError:
            sys.excepthook(*sys.exc_info())
        assert_hidden(stream)
        assert events(stream)[0]["event"] == "process.crashed"
        assert capsys.readouterr().err == ""

    def test_an_interrupt_by_the_owner_is_no_crash(self, capsys):
        stream, _ = configured()
        logs.catch_uncaught()
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert stream.getvalue() == ""
        assert "KeyboardInterrupt" in capsys.readouterr().err

    def test_a_threads_crash_is_logged_redacted(self):
        stream, _ = configured()
        logs.catch_uncaught()
        thread = threading.Thread(target=fail, name="writer")
        thread.start()
        thread.join()
        assert_hidden(stream)
        (event,) = events(stream)
        assert (event["event"], event["thread"]) == ("thread.crashed", "writer")

    def test_a_real_process_ends_with_one_redacted_line(self):
        program = (
            "from engine import logs\n"
            f"logs.configure([{CANARY!r}])\nlogs.catch_uncaught()\n"
            f"raise SystemError({CANARY!r})\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert json.loads(done.stderr)["event"] == "process.crashed"
        assert "canary" not in done.stderr
