"""From bytes to a JSON object, strictly: what two readers could understand differently is refused.

Numbers stay the text they were written as, so nothing is rounded and no size of number costs time.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

from api.problems import malformed, too_large

MAX_BYTES = 16 * 1024
MAX_DEPTH = 8

# A string, closed or cut off, is one token, so that brackets inside it do not count.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


class NumberText(str):
    """A JSON number as it was written; a string that merely looks like one is a plain ``str``."""

    __slots__ = ()


class _Constant(str):
    """``NaN``, ``Infinity`` or ``-Infinity``, which JSON does not have."""

    __slots__ = ()


def read_object(raw: bytes) -> dict[str, Any]:
    """Read a body as one JSON object of strings, ``NumberText``, booleans, nulls and the like.

    Raises:
        Problem: 413 over ``MAX_BYTES``; 400 if it is not UTF-8, not JSON, deeper than
            ``MAX_DEPTH``, not an object, or has a key twice, a NaN or half a surrogate pair.
    """
    if len(raw) > MAX_BYTES:
        raise too_large(MAX_BYTES)
    text = _decode(raw)
    _check_depth(text)
    value = _parse(text)
    if not isinstance(value, dict):
        raise malformed("body", 'send one JSON object, as {"action":"buy","symbol":"BTCUSDT"}')
    _check(value, "body")
    return value


def _decode(raw: bytes) -> str:
    if raw.startswith(BOM_UTF8):
        remedy = "it begins with an invisible byte order mark; save it as UTF-8 without BOM"
        raise malformed("body", remedy)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise malformed("body", f"send UTF-8; byte {error.start} is not") from None


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise malformed("body", f"nest at most {MAX_DEPTH} levels deep")


def _parse(text: str) -> object:
    try:
        return json.loads(
            text,
            parse_int=NumberText,
            parse_float=NumberText,
            parse_constant=_Constant,
            object_pairs_hook=_without_duplicates,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        remedy = f"send valid JSON; {error.msg} at {where}" if text.strip() else "the body is empty"
        raise malformed("body", remedy) from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise malformed(_name(key), "the same name stands twice; give it once")
        found[key] = value
    return found


def _check(value: object, field: str) -> None:
    """Refuse what Python's reader lets through though JSON or UTF-8 does not have it."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, "body")
            _check(item, _name(key))
    elif isinstance(value, list):
        for item in value:
            _check(item, field)
    elif isinstance(value, _Constant):
        raise malformed(field, f"{value} is not a number; give a finite one or leave the field out")
    elif isinstance(value, str) and not _is_text(value):
        raise malformed(field, "an escape is half of a surrogate pair; send whole characters")


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _name(key: str) -> str:
    return key[:64] if key and _is_text(key) else "body"


def write_object(value: Mapping[str, Any]) -> str:
    """Write an object that ``read_object`` read, its numbers again as they were written."""
    return _write(dict(value))


def _write(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}:{_write(v)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    if isinstance(value, NumberText):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
