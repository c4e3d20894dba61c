"""Account events on their way to logged-in sessions, and what goes wrong with them."""

import asyncio
from collections import deque
from collections.abc import Iterator

from msgspec import Struct, field

from engine.model.instrument import Market
from engine.simulator.dialects.faults import FaultKind, Faults
from engine.simulator.dialects.session import Hub, Session

HELD_AT_MOST_S = 0.5
"""An event that waits for the next one is sent after this long even when none follows."""


class Waiting(Struct):
    """What one session is still to be sent.

    Attributes:
        held: an event that lets the next one pass.
        late: events that leave later, in order.
        last_due_s: loop time at which the last of them leaves.
    """

    held: bytes | None = None
    late: deque[bytes] = field(default_factory=deque)
    last_due_s: float = 0.0


class PrivateStream:
    """The sessions of one account stream.

    A session hears topics once it is logged in and subscribed. Where a venue's stream has no
    topics, one name serves for all.

    Attributes:
        hub: all sessions, logged in or not.
    """

    def __init__(self, venue: str, faults: Faults) -> None:
        self.venue = venue
        self.hub = Hub()
        self._faults = faults
        self._waiting: dict[str, Waiting] = {}

    def join(self, session: Session) -> None:
        """Take in a connection; it hears nothing before it is logged in."""
        self.hub.join(session)

    def log_in(self, session: Session) -> None:
        self._waiting.setdefault(session.conn, Waiting())

    def log_out(self, session: Session) -> None:
        """Send a session nothing any more."""
        self._waiting.pop(session.conn, None)

    def is_logged_in(self, session: Session) -> bool:
        return session.conn in self._waiting

    def leave(self, session: Session) -> None:
        """Forget a connection that ended."""
        self.hub.leave(session)
        self.log_out(session)

    def hearers(self, topic: str) -> Iterator[Session]:
        """Return the sessions that hear a topic."""
        return (s for s in self.hub if topic in s.topics and self.is_logged_in(s))

    def push(self, topic: str, market: Market | None, data: bytes) -> None:
        """Send an event to all who hear its topic, each with the faults that meet it.

        Args:
            market: that the event is about; None for both.
            data: the frame, JSON.
        """
        for session in self.hearers(topic):
            self.send(session, market, data)

    def send(self, session: Session, market: Market | None, data: bytes) -> None:
        """Send an event to one session, with the faults that meet it."""
        waiting = self._waiting.get(session.conn)
        if waiting is None:
            return
        if not self._faults and waiting.held is None and not waiting.late:
            session.tell(data)
        else:
            self._send_faulty(session, market, waiting, data)

    def _send_faulty(
        self, session: Session, market: Market | None, waiting: Waiting, data: bytes
    ) -> None:
        if self._struck(FaultKind.MUTE, session, market):
            return
        if self._struck(FaultKind.DROP_EVENT, session, market):
            return
        if self._struck(FaultKind.DISCONNECT, session, market):
            session.cut()
            return
        if waiting.held is None and self._struck(FaultKind.REORDER_EVENTS, session, market):
            waiting.held = data
            loop = asyncio.get_running_loop()
            loop.call_later(HELD_AT_MOST_S, self._release, session, waiting)
            return
        self._send_late(session, market, waiting, data)
        self._release(session, waiting)
        if self._struck(FaultKind.DUPLICATE_EVENT, session, market):
            self._send_late(session, market, waiting, data)

    def _release(self, session: Session, waiting: Waiting) -> None:
        held, waiting.held = waiting.held, None
        if held is not None:
            self._send_late(session, None, waiting, held)

    def _send_late(
        self, session: Session, market: Market | None, waiting: Waiting, data: bytes
    ) -> None:
        """Send at once, or behind what is late already."""
        loop = asyncio.get_running_loop()
        lag = self._faults.hits_event(FaultKind.LAG, session.conn, self.venue, market)
        if lag is None and not waiting.late:
            session.tell(data)
            return
        due_s = loop.time() + (lag.delay_ms / 1000 if lag is not None else 0.0)
        waiting.last_due_s = max(due_s, waiting.last_due_s)
        waiting.late.append(data)
        # Timers of one moment fire in any order: each sends whichever event is the oldest.
        loop.call_at(waiting.last_due_s, lambda: session.tell(waiting.late.popleft()))

    def _struck(self, kind: FaultKind, session: Session, market: Market | None) -> bool:
        return self._faults.hits_event(kind, session.conn, self.venue, market) is not None
