"""The seam between a session and the library that carries its WebSocket.

A second library plugs in by another ``Connector``; nothing else in the venues knows which one runs.
"""

import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, cast

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
        stamps: when the bytes that completed each message arrived, local monotonic ns, in the order
            in which ``recv`` returns the messages. The reader takes one stamp from the left for
            each message.
    """

    stamps: deque[int]

    def recv(self, *, decode: Literal[False]) -> Awaitable[bytes]:
        """Return the next message as bytes (``decode`` is False); raises the library's errors."""

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
    """A client connection that notes when the bytes of each message arrived.

    The stamp is taken when the event loop hands over the bytes: after the kernel's receive, TLS
    decryption and whatever ran in the loop since the socket became readable. It is therefore late
    by at most the longest step of the loop (a few ms by design, tens of us when idle), never early.
    All messages completed by one read share its stamp.
    """

    def __init__(self, *args: Any, monotonic_ns: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stamps: deque[int] = deque()
        self._monotonic_ns = monotonic_ns
        self._arrived_ns = 0

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes, then let the library parse them."""
        self._arrived_ns = self._monotonic_ns()
        super().data_received(data)

    def process_event(self, event: Any) -> None:
        """Keep the stamp of the bytes that completed a message."""
        if self.response is None:
            super().process_event(event)
            return
        if event.fin and event.opcode in MESSAGE_OPCODES:
            self.stamps.append(self._arrived_ns)
        # The client's own step only tells the handshake from frames, which was done above.
        Connection.process_event(self, event)

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
                max_queue=MAX_QUEUED_FRAMES,
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
