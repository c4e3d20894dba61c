"""The seam between a session and the library that carries its WebSocket.

A second library plugs in by another ``Connector``; nothing else in the venues knows which one runs.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import Opcode

MESSAGE_OPCODES = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})

CONNECT_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 2.0
KEEPALIVE_SECONDS = 20.0
MAX_FRAME_BYTES = 4 * 1024 * 1024
READ_CHUNK_BYTES = 32 * 1024
"""Parsing 32 KiB of 150-byte frames takes the library about 1 ms, in which no other task runs."""

MAX_QUEUED_FRAMES = 4096
"""Beyond this the socket is not read; the venue's frames then wait in the kernel's buffers."""


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


class StampedConnection(ClientConnection):
    """A client connection that keeps each message with the time at which its bytes arrived.

    The stamp is taken when the event loop hands over the bytes: after the kernel's receive, TLS
    decryption and whatever ran in the loop since the socket became readable. It is therefore late
    by at most the longest step of the loop (a few ms by design, tens of us when idle), never early.
    All messages completed by one read share its stamp.

    The library parses and answers; only its queue of messages is replaced, since three coroutines
    a message cost it as much as all that the guard does with a price. ``recv`` stays without
    messages, and tells by its error how the connection ended.
    """

    def __init__(self, *args: Any, monotonic_ns: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames: deque[tuple[bytes, int]] = deque()
        self._monotonic_ns = monotonic_ns
        self._arrived_ns = 0
        self._unfinished = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._paused_reading = False
        self._lost = False

    async def wait(self) -> None:
        """Return when there are frames; raises ConnectionClosed once there will be none."""
        while not self.frames:
            if self._lost:
                await self.recv(decode=False)
            if self._paused_reading:
                self._paused_reading = False
                self.transport.resume_reading()
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes, let the library parse them, and wake the reader."""
        self._arrived_ns = self._monotonic_ns()
        super().data_received(data)
        if self.frames:
            self._wake()
            if len(self.frames) > MAX_QUEUED_FRAMES and not self._paused_reading:
                self._paused_reading = True
                self.transport.pause_reading()

    def process_event(self, event: Any) -> None:
        """Keep a message with the stamp of the bytes that completed it."""
        if self.response is None:
            super().process_event(event)
        elif event.opcode not in MESSAGE_OPCODES:
            # The client's own step only tells the handshake from frames, which was done above.
            Connection.process_event(self, event)
        elif event.fin and not self._unfinished:
            self.frames.append((bytes(event.data), self._arrived_ns))
        else:
            self._unfinished += event.data  # the protocol bounds the size of the whole
            if event.fin:
                self.frames.append((bytes(self._unfinished), self._arrived_ns))
                self._unfinished.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the reader take what is left, and then learn of the end."""
        super().connection_lost(exc)
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_made(self, transport: Any) -> None:
        """Bound a single read, so that a burst cannot hold the loop for longer than its parsing."""
        super().connection_made(transport)
        # Selector transports read up to 256 KiB at once; others have no such attribute.
        if isinstance(getattr(transport, "max_size", None), int):
            transport.max_size = READ_CHUNK_BYTES


class WebsocketsConnector:
    """Opens connections by the ``websockets`` library (no compression: latency over bandwidth)."""

    errors: tuple[type[Exception], ...] = (ConnectionClosed,)

    def __init__(
        self,
        monotonic_ns: Callable[[], int],
        *,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._keepalive_seconds = keepalive_seconds
        self._tls: ssl.SSLContext | None = None

    async def connect(self, url: str) -> Transport:
        """Open a connection.

        Raises:
            TransportError: refused, unreachable, or not a WebSocket.
        """
        try:
            connection = await connect(
                url,
                create_connection=self._connection,  # type: ignore[arg-type]  # any factory will do
                compression=None,
                open_timeout=CONNECT_TIMEOUT_SECONDS,
                close_timeout=CLOSE_TIMEOUT_SECONDS,
                ping_interval=self._keepalive_seconds,
                ping_timeout=self._keepalive_seconds,
                max_size=MAX_FRAME_BYTES,
                **self._tls_options(url),
            )
            return cast(StampedConnection, connection)
        except (OSError, TimeoutError, ValueError, WebSocketException) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error

    def explain(self, error: Exception) -> TransportError:
        """Turn a library error into the close code and reason that it carries."""
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            return TransportError(error.rcvd.reason or "closed by the venue", error.rcvd.code)
        return TransportError(f"{type(error).__name__}: {error}")

    def _connection(self, *args: Any, **kwargs: Any) -> StampedConnection:
        return StampedConnection(*args, monotonic_ns=self._monotonic_ns, **kwargs)

    def _tls_options(self, url: str) -> dict[str, Any]:
        # Building a context reads the certificate store (tens of ms): once, not at every reconnect.
        if not url.startswith("wss:"):
            return {}
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return {"ssl": self._tls}
