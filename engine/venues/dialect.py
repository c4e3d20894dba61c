"""What a session has to know of a venue's stream protocol."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.ports import TickSink
from engine.venues.channel import Channel, Counters


class ControlKind(StrEnum):
    """What a frame that is no known channel's turned out to be."""

    ACK = "ack"
    REFUSED = "refused"
    PONG = "pong"
    SHUTDOWN = "shutdown"
    DATA = "data"
    UNKNOWN = "unknown"


class Control(Struct, frozen=True):
    """A frame after a generic decode.

    Attributes:
        request_id: the request it answers; empty where the venue names none.
        text: the reason of a refusal, the stream name of data, the kind of an unknown frame.
    """

    kind: ControlKind
    request_id: str = ""
    text: str = ""


class Dialect(Protocol):
    """One kind of connection of a venue.

    Attributes:
        name: for log lines and counters, as ``bybit.linear``.
        opening: the bytes before the stream's name in every data frame.
        max_topics: most topics in one request.
        request_pause_seconds: time between two requests that keeps within the venue's limit.
        ping: text message that the venue wants from time to time; None if it wants none.
        ping_seconds: time between two of them.
        life_seconds: age at which a connection is replaced before the venue cuts it; None: never.
    """

    name: str
    opening: bytes
    max_topics: int
    request_pause_seconds: float
    ping: str | None
    ping_seconds: float
    life_seconds: float | None

    def channels(
        self, instrument: InstrumentId, sink: TickSink, counters: Counters
    ) -> Mapping[str, Channel]:
        """Build the channels of an instrument, by topic."""

    def request(self, topics: Sequence[str], request_id: str, *, subscribe: bool) -> str:
        """Write a request to subscribe to topics, or to end their subscription."""

    def classify(self, message: object) -> Control:
        """Say what a decoded frame is."""
