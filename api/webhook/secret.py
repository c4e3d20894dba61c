"""Who may send signals: by the secret in the body, by the token in the path, or by a signature.

Comparisons are over hashes and in constant time. Nothing here says which of them was wrong.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from api.problems import Problem, unauthorized
from api.webhook.fields import SECRET
from engine.clock import NS_PER_SECOND

TIMESTAMP_HEADER = "x-timestamp"
SIGNATURE_HEADER = "x-signature"
MAX_SKEW_S = 300
MAX_REMEMBERED = 65_536
SIGNED_ID = "sig:"
_SCHEME = "sha256="


class Signed(Struct, frozen=True):
    """A signature that holds, with the signed moment of sending (UTC ns since the epoch)."""

    signature: str
    at_ns: int

    @property
    def external_id(self) -> str:
        """Id of a signal whose sender gave it none: the ledger takes it once, now and for ever."""
        return SIGNED_ID + self.signature.removeprefix(_SCHEME)


def is_secret(given: str, secret: str | None) -> bool:
    """Compare in a time that tells nothing; without a configured secret nothing is right."""
    right = hmac.compare_digest(_hash(given), _hash(secret or ""))
    return right and bool(secret)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def wrong_secret() -> Problem:
    """The one answer to every wrong or missing credential of a signal."""
    return unauthorized(SECRET, "give WEBHOOK_SECRET in the body or the path, or sign the body")


def sign(secret: str, timestamp: str, raw: bytes) -> str:
    """Return the X-Signature of a body: HMAC-SHA256 over ``timestamp + "." + raw``."""
    message = timestamp.encode(errors="replace") + b"." + raw
    return _SCHEME + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def check_signature(
    headers: Mapping[str, str], raw: bytes, secret: str | None, now_ns: int
) -> Signed | None:
    """Verify the signature headers; None when there are none.

    Raises:
        Problem: 401 if one header lacks the other, the time is off by more than ``MAX_SKEW_S``,
            or the signature is not that of the body.
    """
    timestamp, signature = headers.get(TIMESTAMP_HEADER), headers.get(SIGNATURE_HEADER)
    if timestamp is None and signature is None:
        return None
    at_ns = _read_timestamp(timestamp or "")
    expected = sign(secret or "", timestamp or "", raw)
    right = hmac.compare_digest(_hash(expected), _hash((signature or "").lower()))
    in_time = at_ns is not None and abs(now_ns - at_ns) <= MAX_SKEW_S * NS_PER_SECOND
    if not (secret and right and in_time and at_ns is not None):
        raise wrong_secret()
    return Signed(expected, at_ns)


def _read_timestamp(text: str) -> int | None:
    """Read Unix seconds in plain digits as nanoseconds; None if they are none."""
    plain_digits = text.isascii() and text.isdigit() and len(text) <= 12
    return int(text) * NS_PER_SECOND if plain_digits else None


def authenticate(
    body: Mapping[str, Any], signed: Signed | None, secret: str | None, *, by_path: bool
) -> None:
    """Let a signal through that proved to know the secret in at least one way, and in none wrongly.

    Raises:
        Problem: 401.
    """
    given = body.get(SECRET)
    if given is None and (by_path or signed is not None):
        return
    if not (isinstance(given, str) and is_secret(given, secret)):
        raise wrong_secret()


class SignatureMemory:
    """Signatures that were used, until their time has passed: each opens one signal."""

    def __init__(self) -> None:
        self._until_ns: dict[str, int] = {}

    def has(self, signed: Signed, now_ns: int) -> bool:
        """Tell whether a signature was used before."""
        return self._until_ns.get(signed.signature, 0) >= now_ns

    def keep(self, signed: Signed, now_ns: int) -> None:
        """Remember a signature for as long as its timestamp is taken."""
        if len(self._until_ns) >= MAX_REMEMBERED:
            self._forget(now_ns)
        self._until_ns[signed.signature] = signed.at_ns + MAX_SKEW_S * NS_PER_SECOND

    def drop(self, signed: Signed) -> None:
        """Forget a signature whose signal was not taken after all."""
        self._until_ns.pop(signed.signature, None)

    def _forget(self, now_ns: int) -> None:
        """Drop what is over; if that is nothing, the half that was remembered first."""
        live = {key: until for key, until in self._until_ns.items() if until >= now_ns}
        if len(live) >= MAX_REMEMBERED:
            live = dict(list(live.items())[MAX_REMEMBERED // 2 :])
        self._until_ns = live
