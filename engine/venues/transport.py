"""The seam between a session and the library that carries its WebSocket.

A library plugs in by a ``Connector``, in a module of its own; nothing else in the venues knows
which one runs.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

CONNECT_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 2.0
KEEPALIVE_SECONDS = 20.0
MAX_FRAME_BYTES = 4 * 1024 * 1024
READ_CHUNK_BYTES = 32 * 1024
"""``websockets`` parses 32 KiB of 150-byte frames in about 1 ms, while no other task runs."""

MAX_QUEUED_FRAMES = 4096
"""Beyond this the socket is not read; the venue's frames then wait in the kernel's buffers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection.

    Attributes:
        connect_seconds: from the first packet to the end of the opening handshake.
        close_seconds: from our wish to close to the end of the connection.
        keepalive_seconds: between two pings, and for the pong to each.
        message_bytes: of a whole message, fragments together.
        queued_frames: messages not read yet, beyond which the socket is not read.
        read_bytes: taken from the socket at once.
    """

    connect_seconds: float = CONNECT_TIMEOUT_SECONDS
    close_seconds: float = CLOSE_TIMEOUT_SECONDS
    keepalive_seconds: float = KEEPALIVE_SECONDS
    message_bytes: int = MAX_FRAME_BYTES
    queued_frames: int = MAX_QUEUED_FRAMES
    read_bytes: int = READ_CHUNK_BYTES


DEFAULT_LIMITS = Limits()


class TransportError(Exception):
    """A connection could not be made or was lost.

    Attributes:
        code: the close code, 1006 where the peer sent none (RFC 6455, section 7.1.5).
    """

    def __init__(self, reason: str, code: int = 1006) -> None:
        super().__init__(reason)
        self.code = code


class Transport(Protocol):
    """One open connection.

    Attributes:
        frames: the messages that were not read yet, oldest first, each with the local monotonic ns
            at which the bytes that completed it arrived. The reader takes them from the left, all
            of them before it waits again.
    """

    frames: deque[tuple[bytes, int]]

    def wait(self) -> Awaitable[None]:
        """Return when there are frames; raises the library's errors once there will be none."""

    def send(self, message: str) -> Awaitable[None]:
        """Send a text message; raises the library's errors."""

    def close(self) -> Awaitable[None]:
        """Close with a handshake of bounded time."""


class Connector(Protocol):
    """Opens transports.

    Attributes:
        errors: what a transport's methods raise when its connection is gone.
    """

    errors: tuple[type[Exception], ...]

    async def connect(self, url: str) -> Transport:
        """Open a connection.

        Raises:
            TransportError: refused, unreachable, or not a WebSocket.
        """

    def explain(self, error: Exception) -> TransportError:
        """Turn one of ``errors`` into the close code and reason that it carries."""


class Inbox:
    """What arrived on a connection and was not read yet, for one reader.

    The stamp of a message is taken when the event loop hands over the bytes: after the kernel's
    receive, TLS decryption and whatever ran in the loop since the socket became readable. It is
    therefore late by at most the longest step of the loop (a few ms by design, tens of us when
    idle), never early. All messages completed by one read share its stamp.

    Attributes:
        frames: as ``Transport.frames``.
        error: why nothing more will arrive; None while something may.
    """

    def __init__(self, queued_frames: int) -> None:
        self.frames: deque[tuple[bytes, int]] = deque()
        self.error: Exception | None = None
        self._queued_frames = queued_frames
        self._waiter: asyncio.Future[None] | None = None
        self._paused: asyncio.ReadTransport | None = None

    async def wait(self) -> None:
        """Return when there are frames; raises ``error`` once there will be none."""
        while not self.frames:
            if self.error is not None:
                raise self.error
            if self._paused is not None:
                self._paused.resume_reading()
                self._paused = None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def tell(self, socket: asyncio.ReadTransport) -> None:
        """After a read: wake the reader, and let the socket wait if too much is unread."""
        if self.frames:
            self._wake()
            if len(self.frames) > self._queued_frames and self._paused is None:
                self._paused = socket
                socket.pause_reading()

    def end(self, error: Exception) -> None:
        """Let the reader take what is left, and then learn of the end. The first error counts."""
        if self.error is None:
            self.error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all connections; to build one takes tens of ms."""
    return ssl.create_default_context()
