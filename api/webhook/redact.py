"""What of a refused body may be kept: its first characters, without anything that is a secret."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache

MAX_KEPT = 200
MASK = "***"
_MIN_PART = 6
"""Characters of a secret's beginning that are hidden at a cut; fewer tell next to nothing."""

MAX_SHOWN_PART = 64
"""Characters after which names and values are cut at the latest."""

_CUT = "(?=…|$)"
_KEY = re.compile(
    rf"tg_(?:[A-Za-z0-9_-]{{43,}}|[A-Za-z0-9_-]{{{_MIN_PART},}}{_CUT})", re.IGNORECASE
)

_NAMES = "secret|token|password|passphrase|api_?key|signature"
_VALUE = r""""(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&}\]]+"""
_PAIR = re.compile(rf"""((?:{_NAMES})["']?\s*[:=]\s*)(?:{_VALUE})""", re.IGNORECASE)


def redact(raw: bytes, secrets: Sequence[str] = ()) -> str:
    """Return the first ``MAX_KEPT`` characters of a body that may be no JSON at all.

    Whatever stands behind a name such as ``secret`` is masked, the sender's wrong attempts too, and
    so are the given secrets wherever they stand.
    """
    text = hide(raw.decode(errors="replace"), secrets)
    return _PAIR.sub(rf"\g<1>{MASK}", text)[:MAX_KEPT]


def hide(text: str, secrets: Sequence[str]) -> str:
    """Mask secrets and API keys in a text, whatever their case, plain or escaped as in JSON.

    Their beginnings are masked where the text was cut off already, at its end or before ``…``.
    """
    for secret in secrets:
        if secret:
            text = _pattern(secret).sub(MASK, text)
    return _KEY.sub(MASK, text)


@lru_cache(maxsize=8)
def _pattern(secret: str) -> re.Pattern[str]:
    """Match a secret, or at a cut as much of it as is worth hiding."""
    forms = [_spellings(character) for character in secret]
    cut = ""
    for form in reversed(forms[_MIN_PART:MAX_SHOWN_PART]):
        cut = f"(?:{form}{cut})?"
    pattern = f"{re.escape(secret)}|{''.join(forms)}"
    if len(forms) > _MIN_PART:
        pattern = f"{pattern}|{''.join(forms[:_MIN_PART])}{cut}{_CUT}"
    return re.compile(pattern, re.IGNORECASE)


def _spellings(character: str) -> str:
    """Match one character as it is, or as JSON or Python may escape it."""
    forms = {character, repr(character)[1:-1], f"\\{character}"}
    for other in (character, character.lower(), character.upper()):
        units = other.encode("utf-16-be", "surrogatepass")
        pairs = (units[n : n + 2].hex() for n in range(0, len(units), 2))
        forms |= {json.dumps(other)[1:-1], "".join(f"\\u{pair}" for pair in pairs)}
    longest_first = sorted({form.lower() for form in forms}, key=len, reverse=True)
    # Atomic, so that no text makes the search try the ways of spelling in all combinations.
    return f"(?>{'|'.join(re.escape(form) for form in longest_first)})"
