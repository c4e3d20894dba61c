"""The file ``.env``: reading it strictly, guarding its mode, and spotting misspelt names.

Nothing in it is expanded: ``$`` and ``${...}`` stay as they are, because a secret may hold them.
"""

import difflib
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dotenv.parser import Binding, parse_stream
from msgspec import Struct

ENV_FILE: Final = ".env"
OWNER_ONLY: Final = 0o600

# A name is near a known one if the two differ only in case, hyphens and underscores, or in one
# letter (9 letters or more) or two (12 or more); swapped neighbours count as one. In the process's
# environment, which other programs fill too, that is all. In ``.env`` also similarity counts
# (STOP_LOSS_PCT), and so does a known name with its last words left out (TAKE_PROFIT).
_ONE_EDIT_FROM: Final = 9
_TWO_EDITS_FROM: Final = 12
_SIMILAR: Final = 0.85


class EnvFile(Struct, frozen=True):
    """What ``.env`` says: its values, and what is wrong with its lines."""

    values: dict[str, str]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """Read a ``.env``; a missing file is an empty one. Lines are named by number, never quoted."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return EnvFile({})
    except UnicodeDecodeError:
        return EnvFile({}, (f"{ENV_FILE} is not UTF-8 text: save it as UTF-8",))
    except OSError as error:
        problem = f"{ENV_FILE} cannot be read ({error.strerror}): make it readable to you"
        return EnvFile({}, (problem,))
    return _collect(parse_env(text))


def parse_env(text: str) -> list[Binding]:
    """Split the text of a ``.env`` into statements that keep their original text."""
    return list(parse_stream(io.StringIO(text)))


def _collect(bindings: Iterable[Binding]) -> EnvFile:
    values: dict[str, str] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            line = first_line(binding)
            problems.append(
                f"{ENV_FILE} line {line} is not NAME=value: correct it, or start it with #"
            )
        elif binding.key is not None:
            if binding.key in values:
                warnings.append(f"{binding.key} stands twice in {ENV_FILE}; the last one counts")
            values[binding.key] = binding.value or ""
    return EnvFile(values, tuple(problems), tuple(warnings))


def first_line(binding: Binding) -> int:
    """Return the line of a statement; the parser counts from the blank lines before it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))


def near_name(name: str, known: Iterable[str], *, loosely: bool) -> str | None:
    """Return the known name that ``name`` was probably meant to be, or None.

    Args:
        loosely: use the wider rule for ``.env``, where hardly anything else is expected.
    """
    names = sorted(known)
    for other in names:
        if _squeezed(name) == _squeezed(other) or _edits_apart(name.upper(), other):
            return other
    return _similar_name(name.upper(), names) if loosely else None


def _similar_name(name: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(name, known, n=1, cutoff=_SIMILAR)
    cut = [other for other in known if other.startswith(f"{name}_")] if name.count("_") else []
    cut.sort(key=lambda other: other != f"{name}_PERCENT")  # the unit is what is left out most
    return next(iter(close + cut), None)


def _squeezed(name: str) -> str:
    return name.upper().replace("_", "").replace("-", "")


def _edits_apart(name: str, other: str) -> bool:
    shorter = min(len(name), len(other))
    if shorter < _ONE_EDIT_FROM or abs(len(name) - len(other)) > 2:
        return False
    return edit_distance(name, other) <= (2 if shorter >= _TWO_EDITS_FROM else 1)


def edit_distance(left: str, right: str) -> int:
    """Count inserted, deleted, replaced and swapped letters (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


def is_open_to_others(path: Path) -> bool:
    """Tell whether anyone but the owner may read or write a file; a missing file is not open."""
    try:
        return bool(path.stat().st_mode & 0o077)
    except FileNotFoundError:
        return False
