"""Client connections of the simulator, and the way of a frame to its subscribers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog
from msgspec import Struct
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from engine.model.instrument import InstrumentId, Market
from engine.simulator.dialects.faults import FaultKind, Faults
from engine.simulator.market_events import Origin
from engine.simulator.sentlog import SentLog

SLOW_CLIENT_BYTES = 32 * 1024 * 1024
"""A client that leaves this much unread is cut off, as venues do."""

GARBAGE = b'{"topic":"garbage","data":[{"p":"12'

_log = structlog.get_logger()


class Frame(Struct, frozen=True):
    """A market frame as bytes of JSON, with what the sent log says of it."""

    data: bytes
    instrument: InstrumentId
    channel: str
    origin: Origin


class Wire(Struct, frozen=True):
    """What all connections share."""

    faults: Faults
    sent: SentLog


class Session:
    """One client connection. ``topics`` are those it asked for, as it wrote them.

    Attributes:
        route: the path group it came in by (USD-M ``public`` or ``market``).
        combined: frames go out in Binance's ``{"stream","data"}`` envelope.
    """

    def __init__(
        self,
        conn: str,
        venue: str,
        market: Market,
        socket: ServerConnection,
        wire: Wire,
        route: str = "",
    ) -> None:
        self.conn = conn
        self.venue = venue
        self.market = market
        self.route = route
        self.combined = False
        self.topics: dict[str, None] = {}
        self.frames_sent = 0
        self._socket = socket
        self._wire = wire
        self._held: tuple[Frame, bytes] | None = None

    def reply(self, text: bytes, *, pong: bool = False) -> None:
        """Answer a request; a half-open connection answers pings only."""
        if pong or not self._struck(FaultKind.HALF_OPEN):
            self._write(text)

    def tell(self, data: bytes) -> None:
        """Send an account event as it is, unless the connection is half open."""
        if not self._struck(FaultKind.HALF_OPEN) and self._write(data):
            self.frames_sent += 1

    def cut(self) -> None:
        """Drop the connection without a closing handshake, as a lost network does."""
        self._socket.transport.abort()

    def rejects(self) -> bool:
        """Tell whether the next subscribe request is to be refused by a fault."""
        return self._struck(FaultKind.REJECT_SUB)

    def push(self, frame: Frame, topic: str) -> None:
        """Send a market frame, unless a fault says otherwise."""
        data = frame.data
        if self.combined:
            data = b'{"stream":"' + topic.encode() + b'","data":' + data + b"}"
        if self._wire.faults or self._held is not None:
            self._push_faulty(frame, data)
        else:
            self._send(frame, data)

    def push_garbage(self, instrument: InstrumentId) -> None:
        """Send a frame that is cut short."""
        self._send(Frame(GARBAGE, instrument, "garbage", Origin.SCRIPTED), GARBAGE)

    async def close(self, code: int) -> None:
        await self._socket.close(code)

    def _push_faulty(self, frame: Frame, data: bytes) -> None:
        symbol = frame.instrument.symbol
        if self._struck(FaultKind.HALF_OPEN) or self._struck(FaultKind.MUTE, symbol):
            return
        if self._held is None and self._struck(FaultKind.REORDER, symbol):
            self._held = (frame, data)
            return
        self._send(frame, data)
        held = self._held
        if held is not None and _same_channel(held[0], frame):
            self._held = None
            self._send(*held)
        if self._struck(FaultKind.DUPLICATE, symbol):
            self._send(frame, data)

    def _struck(self, kind: FaultKind, symbol: str | None = None) -> bool:
        faults = self._wire.faults
        return bool(faults) and faults.strikes(kind, self.conn, self.venue, self.market, symbol)

    def _send(self, frame: Frame, data: bytes) -> None:
        if not self._write(data):
            return
        self.frames_sent += 1
        instrument = frame.instrument
        self._wire.sent.add(
            self.conn,
            instrument.venue,
            instrument.market,
            instrument.symbol,
            frame.channel,
            frame.origin,
            data,
        )

    def _write(self, data: bytes) -> bool:
        socket = self._socket
        if socket.protocol.state is not State.OPEN:
            return False
        if socket.transport.get_write_buffer_size() > SLOW_CLIENT_BYTES:
            _log.warning("simulator.slow_client_cut", conn=self.conn)
            socket.transport.abort()
            return False
        broadcast((socket,), data, text=True)
        return True


def _same_channel(one: Frame, other: Frame) -> bool:
    return one.instrument == other.instrument and one.channel == other.channel


class Hub:
    """The subscriptions of one market: which sessions hear which topic."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._topics: dict[str, dict[Session, None]] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def join(self, session: Session) -> None:
        self._sessions[session.conn] = session

    def leave(self, session: Session) -> None:
        """Forget a connection that ended."""
        self._sessions.pop(session.conn, None)
        for topic in list(session.topics):
            self.unsubscribe(session, topic)

    def subscribe(self, session: Session, topic: str, *, silent: bool = False) -> None:
        """Note a subscription; a silent one is listed but never fed."""
        session.topics[topic] = None
        if not silent:
            self._topics.setdefault(topic, {})[session] = None

    def unsubscribe(self, session: Session, topic: str) -> None:
        session.topics.pop(topic, None)
        sessions = self._topics.get(topic)
        if sessions is not None:
            sessions.pop(session, None)
            if not sessions:
                del self._topics[topic]

    def heard(self, topic: str) -> bool:
        """Tell whether anyone listens to a topic."""
        return topic in self._topics

    def topics(self) -> Iterable[str]:
        """Return the topics that anyone listens to."""
        return list(self._topics)

    def deliver(self, topic: str, frame: Frame) -> None:
        """Send a frame to all who listen to its topic."""
        for session in tuple(self._topics.get(topic, ())):
            session.push(frame, topic)
