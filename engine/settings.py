"""The owner's settings: the process's environment over ``.env`` in the working directory.

``Settings.load`` is the only way from text to settings. It finds every mistake before it raises, so
that the owner corrects them in one go; docs/decisions/0006-settings.md has the rules.
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import PrivateAttr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from engine.model.errors import Misconfigured
from engine.settings_addresses import HOSTS
from engine.settings_checks import (
    Problem,
    default_exits,
    exit_setting,
    problems,
    remedy,
    text_of,
    warnings,
)
from engine.settings_fields import (
    GROUPS,
    NAMES,
    SECRETS,
    TELLING,
    Backstop,
    Confirmation,
    FeedTransport,
    Fields,
    GapPolicy,
    Language,
    MarginMode,
    OnOpposite,
    OnSame,
    TradingMode,
    is_loopback,
)
from engine.settings_file import (
    ENV_FILE,
    OWNER_ONLY,
    is_open_to_others,
    near_name,
    read_env_file,
)

__all__ = [
    "ENV_FILE",
    "MASK",
    "Backstop",
    "Confirmation",
    "FeedTransport",
    "GapPolicy",
    "Language",
    "MarginMode",
    "OnOpposite",
    "OnSame",
    "Row",
    "Settings",
    "TradingMode",
    "default_exits",
    "example",
    "exit_setting",
    "is_loopback",
]

MASK: Final = "********"

LEFT_EMPTY: Final = frozenset({"margin_mode"})
"""Settings that do something by being set, to the default too: a copied example must not."""


class Row(Struct, frozen=True):
    """One setting as ``tickguard config`` shows it; secrets are masked."""

    name: str
    value: str
    default: str
    description: str


class Settings(Fields):
    """Every setting, typed; unset addresses are the venues' own for the trading mode.

    ``Settings(take_profit_percent=...)`` builds one from values alone, for tests and simulations;
    it checks types and bounds, but not what ``load`` checks across settings.
    """

    _warnings: list[str] = PrivateAttr(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What the owner should be told at start, one sentence each, without secrets."""
        return list(self._warnings)

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
        unread: Collection[str] = (),
    ) -> Self:
        """Read the settings.

        Args:
            environ: the process's environment unless given.
            directory: where ``.env`` lies, and what relative folders start from; the working
                directory unless given.
            unread: names that are passed over.

        Raises:
            Misconfigured: names every wrong setting with its remedy, and no secret's value.
        """
        given_environ = dict(os.environ if environ is None else environ)
        path = (directory or Path()) / ENV_FILE
        file = read_env_file(path)
        read = [
            {name: text for name, text in each.items() if name not in unread}
            for each in (file.values, given_environ)
        ]
        values = _values(cls, read[0]) | _values(cls, read[1])
        settings, found = _build(cls, values, directory)
        notes = [*file.warnings, *_unknown_notes(file.values, given_environ)]
        found = [*file.problems, *_misspelt(file.values), *found]
        if _holds_secret(file.values):
            _guard_file(path, settings, notes, found)
        if found:
            raise Misconfigured("\n".join(found))
        settings._warnings = [*notes, *warnings(settings, frozenset(values))]  # noqa: SLF001
        return settings

    def describe(self) -> list[Row]:
        """Return all settings in the order of ``.env.example``, secrets masked."""
        return [_row(self, field) for field in NAMES.values()]

    def secret_values(self) -> list[str]:
        """Return the values that must never be shown, for the redaction of logs."""
        held = [getattr(self, field) for field in sorted(SECRETS)]
        texts = [secret.get_secret_value() for secret in held if secret is not None]
        password = urlsplit(self.database_url).password
        return [*texts, password] if password else texts


_S = TypeVar("_S", bound=Settings)
_FOLDERS: Final = ("data_dir", "tickguard_recorded")


class _Given(EnvSettingsSource):
    """pydantic-settings' reading of an environment, from a mapping instead of the process."""

    def __init__(self, settings_cls: type[Settings], given: Mapping[str, str]) -> None:
        self._given = {NAMES[name]: text.strip() for name, text in given.items() if name in NAMES}
        super().__init__(settings_cls, case_sensitive=True, env_ignore_empty=True)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {field: text for field, text in self._given.items() if text}


def _values(cls: type[Settings], given: Mapping[str, str]) -> dict[str, Any]:
    return _Given(cls, given)()


def _build(cls: type[_S], values: dict[str, Any], directory: Path | None) -> tuple[_S, list[str]]:
    """Build settings, with defaults in place of what is wrong, and say what is wrong."""
    placed = values | _folders(values, directory)
    try:
        settings, wrong = cls(**placed), {}
    except ValidationError as error:
        wrong = {str(detail["loc"][0]): detail for detail in error.errors(include_url=False)}
        settings = cls(**{field: text for field, text in placed.items() if field not in wrong})
    found = [str(_explain(field, detail, placed)) for field, detail in wrong.items()]
    across = problems(settings, frozenset(values))
    return settings, found + [str(problem) for problem in across if problem.field not in wrong]


def _folders(values: Mapping[str, Any], directory: Path | None) -> dict[str, Any]:
    """Let relative folders start from ``directory``."""
    if directory is None:
        return {}
    folders = {field: Fields.model_fields[field].default for field in _FOLDERS}
    return {
        field: str(directory / Path(values.get(field, default)).expanduser())
        for field, default in folders.items()
    }


def _explain(field: str, detail: ErrorDetails, values: Mapping[str, Any]) -> Problem:
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    said = said if said.startswith(("it ", "leave ", "an ")) else f"it has to be {said}"
    shown = "" if field in TELLING or "@" in str(values[field]) else f"={values[field]}"
    return Problem(field, f"{shown} is not valid: {said}; {remedy(field)}")


def _holds_secret(values: Mapping[str, str]) -> bool:
    held = any(NAMES.get(name) in SECRETS and text for name, text in values.items())
    return held or "@" in values.get("DATABASE_URL", "")


def _guard_file(path: Path, settings: Settings, notes: list[str], found: list[str]) -> None:
    """Keep a file that holds a secret to its owner."""
    if not is_open_to_others(path):
        return
    if settings.trading_mode is not TradingMode.PAPER:
        found.append(f"{ENV_FILE} holds secrets and is open to others: run chmod 600 {ENV_FILE}")
        return
    with contextlib.suppress(OSError):
        path.chmod(OWNER_ONLY)
    if is_open_to_others(path):
        notes.append(
            f"{ENV_FILE} holds secrets, is open to others and could not be closed: "
            f"let its owner run chmod 600 {ENV_FILE}"
        )
    else:
        notes.append(f"{ENV_FILE} holds secrets and was open to others; it is now yours only")


def _misspelt(names: Iterable[str]) -> list[str]:
    """Report names in ``.env`` that are near known ones; a limit must not be off by a typo."""
    near = {name: near_name(name, NAMES, loosely=True) for name in names if name not in NAMES}
    return [
        f"{name} in {ENV_FILE} is not a setting; did you mean {other}? Rename or remove it"
        for name, other in near.items()
        if other is not None
    ]


def _unknown_notes(in_file: Iterable[str], in_environ: Iterable[str]) -> list[str]:
    notes = [
        f"{name} in {ENV_FILE} is not a setting and is ignored"
        for name in in_file
        if name not in NAMES and near_name(name, NAMES, loosely=True) is None
    ]
    near = {name: near_name(name, NAMES, loosely=False) for name in in_environ if name not in NAMES}
    return notes + [
        f"{name} in the environment is not a setting and is ignored; did you mean {other}?"
        for name, other in sorted(near.items())
        if other is not None
    ]


def _row(settings: Settings, field: str) -> Row:
    info = Fields.model_fields[field]
    value = getattr(settings, field)
    default = HOSTS[settings.trading_mode].get(field) or text_of(info.default)
    if field in SECRETS:
        shown = MASK if value is not None else ""
    else:
        shown = _without_password(text_of(value))
    return Row(field.upper(), shown, default, info.description or "")


def _without_password(text: str) -> str:
    """Mask the password of a database address."""
    password = urlsplit(text).password if "://" in text else None
    return text.replace(f":{password}@", f":{MASK}@") if password else text


def example() -> str:
    """Return the text of ``.env.example``; it loads as it stands."""
    lines = [
        "# Tickguard's settings. Copy this file to .env and change what you like: every value here",
        "# is the default, and what is empty is unset. The process's environment goes before .env.",
    ]
    for field, info in Fields.model_fields.items():
        if field in GROUPS:
            lines += ["", f"## {GROUPS[field]}"]
        value = "" if field in LEFT_EMPTY else text_of(info.default)
        lines += [f"# {info.description}", f"{field.upper()}={value}"]
    return "\n".join(lines) + "\n"
