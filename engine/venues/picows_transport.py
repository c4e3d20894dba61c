"""Connections by ``picows``, whose parser is compiled: several times the frames a second.

Its core (``ws_connect`` and a listener) is used, not its copy of the ``websockets`` API: that one
has no place for a stamp. Why, and what was measured: docs/decisions/0011-feed-transports.md.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NoReturn, cast

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    ws_connect,
)
from python_socks import ProxyError
from websockets.exceptions import InvalidProxy, InvalidURI
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from engine.venues.transport import (
    DEFAULT_LIMITS,
    Inbox,
    Limits,
    Transport,
    TransportError,
    tls_context,
)

TEXT = WSMsgType.TEXT
FRAGMENTS = frozenset({WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION})


class Reads(asyncio.BufferedProtocol):
    """Stands between the event loop and the parser: bounds each read, and tells of its moment."""

    def __init__(self, parser: asyncio.BufferedProtocol, connection: "PicowsConnection") -> None:
        self._parser = parser
        self._connection = connection

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the parser's buffer, which grows as it pleases, for one bounded read."""
        buffer = cast(memoryview, self._parser.get_buffer(sizehint))
        return buffer[: self._connection.limits.read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        """Let the parser take what was read."""
        self._connection.stamp()
        self._parser.buffer_updated(nbytes)
        self._connection.tell()

    def eof_received(self) -> bool | None:
        """The venue sends nothing more."""
        return self._parser.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._parser.connection_lost(exc)
        self._connection.lost(exc)

    def pause_writing(self) -> None:
        """The venue does not take our bytes."""
        self._parser.pause_writing()

    def resume_writing(self) -> None:
        """The venue takes our bytes again."""
        self._parser.resume_writing()


class PicowsConnection(WSListener):
    """A client connection that keeps each message with the time at which its bytes arrived."""

    __slots__ = (
        "_abandoned",
        "_arrived_ns",
        "_inbox",
        "_monotonic_ns",
        "_over",
        "_pings",
        "_pong_awaited",
        "_socket",
        "_timer",
        "_transport",
        "_unfinished",
        "_writable",
        "frames",
        "limits",
    )

    def __init__(self, monotonic_ns: Callable[[], int], limits: Limits) -> None:
        self.limits = limits
        self._inbox = Inbox(limits.queued_frames)
        self.frames: deque[tuple[bytes, int]] = self._inbox.frames
        self._monotonic_ns = monotonic_ns
        self._arrived_ns = 0
        self._socket: WSTransport
        self._transport: asyncio.Transport
        # Set while a message is incomplete, and for good once none may follow.
        self._unfinished: bytearray | None = None
        self._over = False
        self._abandoned = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._pings = 0
        self._pong_awaited = b""
        self._timer: asyncio.TimerHandle

    # Transport

    def wait(self) -> Awaitable[None]:
        """Return when there are frames; raises TransportError once there will be none."""
        return self._inbox.wait()

    async def send(self, message: str) -> None:
        """Send a text message and wait while the venue takes no bytes.

        Raises:
            TransportError: the connection is gone.
        """
        if self._inbox.error is None:
            self._socket.send(TEXT, message)
            await self._writable.wait()
        if self._inbox.error is not None:
            raise self._inbox.error

    async def close(self) -> None:
        """Close with a handshake of bounded time."""
        self._socket.send_close(WSCloseCode.OK)  # ignored where one was sent already
        try:
            async with asyncio.timeout(self.limits.close_seconds):
                await self._socket.wait_disconnected()
        except (TimeoutError, WSProtocolError):
            pass  # cut off below; what was wrong the reader has been told
        finally:
            self._socket.disconnect(graceful=False)

    def abandon(self) -> None:
        """Give up a connection whose opening handshake may still come to an end."""
        self._abandoned = True

    # Reads

    def stamp(self) -> None:
        """Note when bytes arrived."""
        self._arrived_ns = self._monotonic_ns()

    def tell(self) -> None:
        """After the bytes of a read were parsed: wake the reader."""
        if self._socket.is_close_frame_sent and not self._over:
            self._find_violation()
        self._inbox.tell(self._transport)

    def lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        self._timer.cancel()
        why = f"{type(error).__name__}: {error}" if error else "no close frame received"
        self._inbox.end(TransportError(why))
        self._writable.set()

    # WSListener

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Place ourselves before the parser. Frames may have come with the handshake's bytes."""
        self._socket, self._transport = transport, transport.underlying_transport
        if self._abandoned:
            transport.disconnect(graceful=False)
            return
        self.stamp()
        parser = cast(asyncio.BufferedProtocol, self._transport.get_protocol())
        self._transport.set_protocol(Reads(parser, self))
        asyncio.get_running_loop().call_soon(self.tell)  # of the frames of this very read
        self._wait_to_ping()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Keep a message. It owns its bytes: picows uses the buffer again."""
        if (
            frame.msg_type is TEXT
            and frame.fin
            and self._unfinished is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            self.frames.append((frame.get_payload_as_bytes(), self._arrived_ns))
        elif not self._over:
            self._read_other(frame)

    def pause_writing(self) -> None:
        """The venue does not take our bytes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The venue takes our bytes again."""
        self._writable.set()

    def _read_other(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._violated(WSCloseCode.PROTOCOL_ERROR, "reserved bits are set")
        if kind in FRAGMENTS:
            self._join(frame)
        elif kind is WSMsgType.CLOSE:
            self._answer_close(frame)
        elif kind is WSMsgType.PONG and frame.get_payload_as_bytes() == self._pong_awaited:
            self._pong_awaited = b""

    def _join(self, frame: WSFrame) -> None:
        if (frame.msg_type is WSMsgType.CONTINUATION) is (self._unfinished is None):
            self._violated(WSCloseCode.PROTOCOL_ERROR, "fragments out of order")
        message = bytearray() if self._unfinished is None else self._unfinished
        message += frame.get_payload_as_memoryview()
        if len(message) > self.limits.message_bytes:
            self._violated(WSCloseCode.MESSAGE_TOO_BIG, "the fragments' message is too big")
        self._unfinished = message
        if frame.fin:
            self._unfinished = None
            self.frames.append((bytes(message), self._arrived_ns))

    def _answer_close(self, frame: WSFrame) -> None:
        """The venue closes the socket after our answer; a while later we do (RFC 6455, 7.1.1)."""
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        reason = payload[2:].decode(errors="replace") or "closed by the venue"
        self._end(TransportError(reason, code))
        self._socket.send_close(frame.get_close_code() if payload else WSCloseCode.OK)
        asyncio.get_running_loop().call_later(
            self.limits.close_seconds, self._socket.disconnect, False
        )

    # Ends

    def _end(self, error: TransportError) -> None:
        """No message counts any more."""
        self._over = True
        self._unfinished = bytearray()
        self._inbox.end(error)

    def _violated(self, code: WSCloseCode, what: str) -> NoReturn:
        """The venue broke the protocol: picows sends the code and disconnects."""
        self._end(TransportError(f"{what} (sent {code.value})"))
        raise WSProtocolError(code, what)

    def _find_violation(self) -> None:
        """Note what picows itself found wrong; it disconnects a moment later.

        Until then it would go on to read, in the hope of a whole frame, however large.
        """
        handshake = self._socket.close_handshake
        if handshake.sent is not None and handshake.sent.code is not WSCloseCode.OK:
            self._end(TransportError(f"{handshake.sent.reason} (sent {handshake.sent.code.value})"))
            self._transport.pause_reading()

    def _wait_to_ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.limits.keepalive_seconds, self._ping)

    def _ping(self) -> None:
        if self._pong_awaited:
            self._end(TransportError("no pong in time"))
            self._socket.send_close(WSCloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._socket.disconnect(graceful=False)
            return
        self._pings += 1
        self._pong_awaited = str(self._pings).encode()
        self._socket.send_ping(self._pong_awaited)
        self._wait_to_ping()


class PicowsConnector:
    """Opens connections by the ``picows`` library (no compression: it has none here)."""

    errors: tuple[type[Exception], ...] = (TransportError,)

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
        """Open a connection, through the proxy that the environment names as ``websockets`` would.

        Raises:
            TransportError: refused, unreachable, or not a WebSocket.
        """
        limits, opened = self._limits, False
        connection = PicowsConnection(self._monotonic_ns, limits)
        try:
            async with asyncio.timeout(limits.connect_seconds):
                _, listener = await ws_connect(
                    lambda request, response: connection,
                    url,
                    ssl_context=self._tls() if url.startswith("wss:") else None,
                    websocket_handshake_timeout=limits.connect_seconds,
                    max_frame_size=limits.message_bytes,
                    read_buffer_init_size=limits.read_bytes,
                    proxy=get_proxy(parse_uri(url)),
                    use_aiofastnet=False,
                )
            opened = listener is connection
        except (OSError, ValueError, WSError, ProxyError, InvalidURI, InvalidProxy) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error
        finally:
            if not opened:
                connection.abandon()
        if not opened:  # picows returns no listener then
            raise TransportError("closed before the end of the opening handshake")
        return connection

    def explain(self, error: Exception) -> TransportError:
        """Return the error itself: it carries code and reason."""
        if isinstance(error, TransportError):
            return error
        return TransportError(f"{type(error).__name__}: {error}")
