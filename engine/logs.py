"""Logging: one event a line, in UTC, without secrets.

JSON where standard error is a file or a pipe, columns where it is a terminal. structlog and the
standard library's ``logging`` end in the same formatter, so that a library's lines and tracebacks
are redacted too. Redaction works thrice: by the name of a field, by the shape of a text (bearer
tokens, bot tokens, webhook paths), and by value, in the finished line, for every known secret.

Logs go to standard error: ``--json`` commands own standard output.
"""

import json
import logging
import math
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from engine.clock import SystemClock, iso_z

MASK: Final = "********"
MIN_LENGTH: Final = 4
"""Shorter values are not masked by value: they would black out half of every line."""

# httpx and telegram put whole addresses into INFO lines, a bot's token among them; the others
# write a line or more a request or frame.
QUIET: Final = (
    "aiofastnet",
    "alembic",
    "aiohttp.access",
    "asyncio",
    "binance",
    "httpcore",
    "httpx",
    "picows",
    "pybit",
    "telegram",
    "urllib3",
    "uvicorn.access",
    "websockets",
)

_SECRET_NAME: Final = re.compile(
    r"secret|token|passw|passphrase|api[_-]?key|authorization|cookie|signature|credential"
    r"|private[_-]?key|^key$|^raw$",
    re.IGNORECASE,
)
# Each keeps its first group and masks the rest: headers, webhook paths, a Telegram bot's token,
# user and password of an address, JSON (also inside a JSON text), and queries.
_NAMES: Final = r"[\w-]*(?:secret|token|password|passphrase|api[_-]?key|signature)"
_SECRET_TEXT: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(bearer )[^\s\"',;]+",
        r"(/webhook/)[^\s\"'/?]+",
        r"((?:^|[^0-9]))[0-9]{6,12}:[a-z0-9_-]{30,}",
        r"(://)[^\s/@\"']+(?=@)",
        rf"""({_NAMES}\\*["']\s*:\s*\\*["'])[^"'\\]+""",
        rf"({_NAMES}=)[^\s&\"']+",
    )
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Redactor:
    """Knows the secrets, and takes them out of events and lines."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Mask these values from now on, also quoted for addresses and for JSON."""
        for secret in secrets:
            if len(secret) >= MIN_LENGTH:
                self._known |= _spellings(secret)
        if self._known:
            longest_first = sorted(self._known, key=lambda text: (-len(text), text))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Mask known secrets, and what looks like one."""
        text = self.known(text)
        for pattern in _SECRET_TEXT:
            text = pattern.sub(rf"\1{MASK}", text)
        return text

    def known(self, text: str) -> str:
        """Mask known secrets only."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def value(self, value: object) -> object:
        """Return a copy that holds plain JSON types only, redacted at every depth."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._field(name, item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(str(value))

    def _field(self, name: object, value: object) -> object:
        is_secret = _SECRET_NAME.search(str(name)) and value not in (None, "", True, False)
        return MASK if is_secret else self.value(value)

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """Redact an event, as a structlog processor."""
        return {self.text(name): self._field(name, value) for name, value in event.items()}


def _spellings(secret: str) -> set[str]:
    """Return the ways in which a library may write a secret into a text."""
    in_python = {repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    in_address = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret} | in_python | in_json | in_address


def configure(
    secrets: Iterable[str] = (),
    *,
    stream: TextIO | None = None,
    as_json: bool | None = None,
    level: int = logging.INFO,
    now_ns: Callable[[], int] | None = None,
) -> Redactor:
    """Set up structlog and ``logging`` for the process; a second call replaces the first.

    Args:
        secrets: values never to be written; ``Settings.secret_values()``.
        stream: standard error unless given.
        as_json: unless given, JSON where the stream is not a terminal.
        level: the least level that is written.
        now_ns: UTC nanoseconds; the system's clock unless given.

    Returns:
        The redactor, which learns secrets that are made later.
    """
    output = sys.stderr if stream is None else stream
    redactor = Redactor(secrets)
    to_json = not output.isatty() if as_json is None else as_json
    last = structlog.processors.JSONRenderer() if to_json else _console(output.isatty())
    shared = _shared(now_ns or SystemClock().now_ns)
    handler = _Handler(output, redactor)
    handler.setFormatter(_formatter(shared, redactor, last))
    _route(handler, level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return redactor


def _shared(now_ns: Callable[[], int]) -> list[Processor]:
    """What every event gets, ours or a library's."""

    def add_time(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["timestamp"] = iso_z(now_ns())
        return event

    return [
        structlog.stdlib.filter_by_level,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        add_time,
    ]


def _formatter(shared: list[Processor], redactor: Redactor, last: Processor) -> logging.Formatter:
    """Build the one way out. The finished line is redacted once more, by value."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared[1:],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redactor,
            _one_line,
            last,
            lambda _, __, line: redactor.known(str(line)),
        ],
    )


def _one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape what would begin a line or move a terminal's cursor; a library may log such text."""
    event["event"] = _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(event["event"]))
    return event


def _console(colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )


class _Handler(logging.StreamHandler[TextIO]):
    """A stream handler that does not spill a record it cannot format."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        super().__init__(stream)
        self._redactor = redactor

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say that a line was lost and whose; ``logging`` would print its raw arguments."""
        cause = sys.exception()
        lost = {"event": "logging.line_lost", "logger": record.name, "cause": type(cause).__name__}
        try:
            self.stream.write(json.dumps(lost) + self.terminator)
        except (OSError, ValueError):
            return  # the stream itself is gone; there is nowhere to tell


def _route(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, _Handler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in QUIET:
        quiet = logging.getLogger(name)
        quiet.setLevel(max(level, logging.WARNING))
        quiet.propagate = True  # uvicorn cuts its own off where it has no access log


def catch_uncaught() -> None:
    """Log what ends the process or a thread, instead of letting Python print it unredacted."""
    log = structlog.get_logger("uncaught")

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("process.crashed", exc_info=(kind, error, trace))

    def thread_hook(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value or args.exc_type()
        name = args.thread.name if args.thread else ""
        info = (args.exc_type, error, args.exc_traceback)
        log.critical("thread.crashed", thread=name, exc_info=info)

    sys.excepthook = hook
    threading.excepthook = thread_hook
