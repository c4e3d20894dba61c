"""What of a refused body may be kept: its first characters, without anything that is a secret."""

import json
import re
from collections.abc import Sequence

MAX_KEPT = 200
MASK = "***"

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
    """Mask secrets in a text, plain or escaped as in JSON."""
    for secret in secrets:
        if secret:
            for form in (
                secret,
                json.dumps(secret)[1:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
            ):
                text = text.replace(form, MASK)
    return text
