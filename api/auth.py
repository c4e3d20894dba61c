"""Who may call the API: keys by scope, or everybody on loopback where the owner said so."""

import hashlib
import ipaddress
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request

from api.problems import FieldError, Problem, too_many, unauthorized
from api.routes.reader import Reader
from api.webhook.throttle import Throttle
from engine.clock import NS_PER_MS
from engine.ports import Clock
from storage.keys import KEY_MARK, PREFIX_LENGTH, ApiKeys
from storage.tables import Scope

CACHE_NS = 500 * NS_PER_MS
"""A revoked key is dead after this; the contract's second leaves room for the look-up."""

MAX_CACHED = 256
WRONG_KEYS_BURST = 20
WRONG_KEYS_PER_SECOND = 1.0
KEY_HEADER = "X-API-Key"
_MAX_KEY_LENGTH = 100
_BEARER = "bearer "
_ORDER = list(Scope)
_ANYONE = "rest"


class Caller(Struct, frozen=True):
    """Who is calling, as the event log names it, and what the key allows."""

    actor: str
    scope: Scope


class _Cached(Struct, frozen=True):
    scope: Scope
    until_ns: int


class Gate:
    """Lets requests through whose key has the scope that the route asks for."""

    def __init__(
        self, keys: ApiKeys, reader: Reader, clock: Clock, *, required: bool, own_host: str
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._clock = clock
        self._required = required
        self._own_host = own_host.lower()
        self._cache: dict[bytes, _Cached] = {}
        self._wrong = Throttle(clock, WRONG_KEYS_BURST, WRONG_KEYS_PER_SECOND)

    async def admit(self, request: Request, needed: Scope) -> Caller:
        """Return the caller.

        Raises:
            Problem: 401 without a valid key, 403 if its scope is too small or a foreign web page
                is behind the request, 429 after too many wrong keys from one address.
            Retryable: the keys cannot be read now.
        """
        if not self._required:
            _check_own_site(request, self._own_host)
            return Caller(_ANYONE, Scope.ADMIN)
        key = _given_key(request)
        scope = await self._scope_of(key)
        if scope is None:
            if not self._wrong.take(address_of(request)):
                raise too_many("Authorization", "wait, then send a valid key")
            raise unauthorized("Authorization", f"send Bearer KEY, or the key as {KEY_HEADER}")
        if _ORDER.index(scope) < _ORDER.index(needed):
            remedy = f"this needs a key of scope {needed}; tickguard keys create makes one"
            raise Problem(403, "The key's scope is too small.", [FieldError("scope", remedy)])
        return Caller(f"{_ANYONE}:{key[:PREFIX_LENGTH]}", scope)

    async def _scope_of(self, key: str) -> Scope | None:
        if not key.startswith(KEY_MARK) or len(key) > _MAX_KEY_LENGTH:
            return None
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        now_ns = self._clock.monotonic_ns()
        cached = self._cache.get(digest)
        if cached is not None and now_ns < cached.until_ns:
            return cached.scope
        scope = await self._reader(self._keys.verify, key)
        self._remember(digest, scope, now_ns)
        return scope

    def _remember(self, digest: bytes, scope: Scope | None, now_ns: int) -> None:
        """Keep good keys only, so that a new key works at once."""
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        if scope is None:
            self._cache.pop(digest, None)
        else:
            self._cache[digest] = _Cached(scope, now_ns + CACHE_NS)


def _given_key(request: Request) -> str:
    header = request.headers.get("Authorization", "")
    if header.lower().startswith(_BEARER):
        return header[len(_BEARER) :].strip()
    return request.headers.get(KEY_HEADER, "").strip()


def address_of(request: Request) -> str:
    """Return the peer's address. Whom to believe about forwarded ones is the server's setting."""
    return request.client.host if request.client else "unknown"


def _check_own_site(request: Request, own_host: str) -> None:
    """Without keys, keep out what a foreign web page makes the owner's browser send.

    That is a request of another origin, or one whose host name is not one of this machine: a
    foreign name may have been pointed at it.
    """
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    if origin is not None and _netloc(origin) != host:
        raise _foreign("Origin", "call the API from its own page, or with API_KEYS_REQUIRED=True")
    name = _host_name(host)
    if name != own_host and not _is_loopback(name):
        raise _foreign("Host", "call the API by 127.0.0.1 or localhost, or turn keys on")


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _host_name(host: str) -> str:
    """Return the lower-case name in a Host header; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _foreign(field: str, remedy: str) -> Problem:
    return Problem(403, "The request comes from elsewhere.", [FieldError(field, remedy)])
