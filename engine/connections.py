"""What an HTTP server grants its peers before it knows who they are: a place, and a short wait.

Every open connection holds a file descriptor, and the price feeds and the database need theirs. So
connections are counted and bounded, and one whose request head does not arrive is closed.
"""

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 5.0
MAX_CONNECTIONS = 256
MAX_CONNECTIONS_PER_ADDRESS = 64

# Feeds, databases, logs and connections that are accepted but not yet counted need descriptors too.
RESERVED_DESCRIPTORS = 200
SCARCE_DESCRIPTORS = 512
LEAST_CONNECTIONS = 16
WANTED_DESCRIPTORS = 8192

TOLD_EVERY_S = 60.0

log = structlog.get_logger(__name__)


def descriptors() -> int | None:
    """Return how many files this process may open; None where that is unknown or unbounded."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_descriptors(wanted: int = WANTED_DESCRIPTORS) -> None:
    """Let this process open as many files as wanted, or as many as the system grants it."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < goal:
        with contextlib.suppress(OSError, ValueError):  # the caps keep a reserve in any case
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))


def affordable(soft: int | None) -> int:
    """Return how many connections a process with so many descriptors may hold."""
    if soft is None or soft >= SCARCE_DESCRIPTORS:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(LEAST_CONNECTIONS, soft - RESERVED_DESCRIPTORS))


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections may be open, and for how long without a request."""

    connections: int = MAX_CONNECTIONS
    per_address: int = MAX_CONNECTIONS_PER_ADDRESS
    head_within_s: float = HEAD_WITHIN_S


def peer_of(host: str | None) -> str | None:
    """Return whom a connection is counted for; None for this machine, where a proxy may stand.

    One IPv6 host owns a whole /64, so that counts as one.
    """
    if host is None:
        return None
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, 64), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)


class Door:
    """Counts who is in, and turns away whom there is no room for."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.inside = 0
        self.by_peer: Counter[str] = Counter()
        self._refused = 0
        self._telling: asyncio.TimerHandle | None = None

    def admit(self, peer: str | None) -> bool:
        """Take a place; who is not admitted must not ``leave``."""
        full = self.inside >= self.limits.connections
        if full or (peer is not None and self.by_peer[peer] >= self.limits.per_address):
            self._refused += 1
            if self._telling is None:
                self._tell()
            return False
        self.inside += 1
        if peer is not None:
            self.by_peer[peer] += 1
        return True

    def leave(self, peer: str | None) -> None:
        """Give a place back."""
        self.inside -= 1
        if peer is not None:
            self.by_peer[peer] -= 1
            if not self.by_peer[peer]:
                del self.by_peer[peer]

    def _tell(self) -> None:
        """Log the refusals since the last line, and gather the next ones for a while."""
        self._telling = None
        if self._refused:
            log.warning("http.connections_refused", refused=self._refused, open=self.inside)
            self._refused = 0
            self._telling = asyncio.get_running_loop().call_later(TOLD_EVERY_S, self._tell)


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, for peers that the door admits and that soon say what they want."""

    door: Door
    _admitted = False
    _peer: str | None = None
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override] # as in uvicorn
        self, transport: asyncio.Transport
    ) -> None:
        name = transport.get_extra_info("peername")
        self._peer = peer_of(name[0] if isinstance(name, tuple) else None)
        self._admitted = self.door.admit(self._peer)
        if not self._admitted:
            transport.abort()
            return
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._admitted:
            return
        self._admitted = False
        self.door.leave(self._peer)
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Between requests, the first byte starts the wait; only a whole head ends it."""
        if self._waiting is None and not self._in_request():
            self._await_head()
        super().data_received(data)
        if self._in_request():
            self._head_is_there()

    def _in_request(self) -> bool:
        cycle = self.cycle  # None before the first request, whatever uvicorn's annotation says
        return bool(cycle) and not cycle.response_complete

    def _await_head(self) -> None:
        within_s = self.door.limits.head_within_s
        self._waiting = self.loop.call_later(within_s, self.transport.abort)

    def _head_is_there(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: anybody may ask for an upgrade, and each would be two lines."""


def bounded(limits: Limits | None = None) -> type[BoundedProtocol]:
    """Make the protocol of one server; without limits, with those that the process affords."""
    given = Limits(connections=affordable(descriptors())) if limits is None else limits

    class Bounded(BoundedProtocol):
        door = Door(given)

    return Bounded


class OncePer(logging.Filter):
    """Lets a message with this text through once per period; other messages always."""

    def __init__(
        self, text: str, every_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._text = text
        self._every_s = every_s
        self._now_s = now_s
        self._next_s = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written."""
        if self._text not in record.getMessage():
            return True
        now_s = self._now_s()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._every_s
        return True
