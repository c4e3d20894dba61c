"""Connections by ``websockets``, the library that everybody else uses, too."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import Opcode

from engine.venues.transport import (
    DEFAULT_LIMITS,
    Inbox,
    Limits,
    Transport,
    TransportError,
    tls_context,
)

MESSAGE_OPCODES = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class StampedConnection(ClientConnection):
    """A client connection that keeps each message with the time at which its bytes arrived.

    The library parses and answers; only its queue of messages is replaced, since three coroutines
    a message cost it as much as all that the guard does with a price. ``recv`` stays without
    messages.
    """

    def __init__(
        self, *args: Any, monotonic_ns: Callable[[], int], limits: Limits, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._inbox = Inbox(limits.queued_frames)
        self.frames: deque[tuple[bytes, int]] = self._inbox.frames
        self._read_bytes = limits.read_bytes
        self._monotonic_ns = monotonic_ns
        self._arrived_ns = 0
        self._unfinished = bytearray()

    def wait(self) -> Awaitable[None]:
        """Return when there are frames; raises ConnectionClosed once there will be none."""
        return self._inbox.wait()

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes, let the library parse them, and wake the reader."""
        self._arrived_ns = self._monotonic_ns()
        super().data_received(data)
        self._inbox.tell(self.transport)

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
        self._inbox.end(self.protocol.close_exc)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound a single read, so that a burst cannot hold the loop for longer than its parsing."""
        super().connection_made(cast(asyncio.Transport, transport))
        # Selector transports read up to 256 KiB at once; others have no such attribute.
        if isinstance(getattr(transport, "max_size", None), int):
            transport.max_size = self._read_bytes  # type: ignore[attr-defined]  # as just seen


class WebsocketsConnector:
    """Opens connections by the ``websockets`` library (no compression: latency over bandwidth)."""

    errors: tuple[type[Exception], ...] = (ConnectionClosed,)

    def __init__(
        self,
        monotonic_ns: Callable[[], int],
        limits: Limits = DEFAULT_LIMITS,
        tls: Callable[[], ssl.SSLContext] = tls_context,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._limits = limits
        self._tls = tls

    async def connect(self, url: str) -> Transport:
        """Open a connection.

        Raises:
            TransportError: refused, unreachable, or not a WebSocket.
        """
        limits = self._limits
        try:
            connection = await connect(
                url,
                create_connection=self._connection,  # type: ignore[arg-type]  # any factory will do
                compression=None,
                open_timeout=limits.connect_seconds,
                close_timeout=limits.close_seconds,
                ping_interval=limits.keepalive_seconds,
                ping_timeout=limits.keepalive_seconds,
                max_size=limits.message_bytes,
                ssl=self._tls() if url.startswith("wss:") else None,
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
        return StampedConnection(
            *args, monotonic_ns=self._monotonic_ns, limits=self._limits, **kwargs
        )
