"""What goes wrong on purpose between the simulated market and its clients."""

from collections.abc import Callable
from enum import StrEnum
from random import Random

from msgspec import Struct

from engine.ports import Clock


class FaultKind(StrEnum):
    """Kinds of fault.

    mute: the connection stays and answers, market data stops (new connections too).
    close: connections are closed with a code.
    half_open: connections open now send nothing any more but pongs.
    refuse: new connections are turned away (HTTP 503).
    garbage: a frame that is not JSON.
    duplicate: frames arrive twice.
    reorder: two neighbouring frames swap places.
    reject_sub: subscribe requests are answered negatively.

    Of signed requests (``calls.py``):

    drop_reply: the request is carried out, then the connection is cut without an answer.
    delay: the request waits ``delay_ms`` before it is carried out.
    error_before, error_after: a server error; the request was not carried out, or was.
    rate_limit, ban, maintenance: the venue's own refusals; nothing is carried out.
    stale_reads: lists lack the orders and executions of the last ``delay_ms``.
    skew: the venue's clock is ``skew_ms`` ahead of ours.

    Of account events (``private_stream.py``):

    drop_event, duplicate_event: an event is lost, or arrives twice.
    reorder_events: an event arrives after the one that follows it.
    lag: events arrive ``delay_ms`` late, in order.
    disconnect: the connection is cut in place of an event.
    """

    MUTE = "mute"
    CLOSE = "close"
    HALF_OPEN = "half_open"
    REFUSE = "refuse"
    GARBAGE = "garbage"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    REJECT_SUB = "reject_sub"
    DROP_REPLY = "drop_reply"
    DELAY = "delay"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    RATE_LIMIT = "rate_limit"
    BAN = "ban"
    MAINTENANCE = "maintenance"
    STALE_READS = "stale_reads"
    SKEW = "skew"
    DROP_EVENT = "drop_event"
    DUPLICATE_EVENT = "duplicate_event"
    REORDER_EVENTS = "reorder_events"
    LAG = "lag"
    DISCONNECT = "disconnect"


LASTING = frozenset(
    {
        FaultKind.MUTE,
        FaultKind.HALF_OPEN,
        FaultKind.REFUSE,
        FaultKind.BAN,
        FaultKind.MAINTENANCE,
        FaultKind.STALE_READS,
        FaultKind.SKEW,
        FaultKind.LAG,
    }
)
"""Without a duration these last until they are cleared."""

AT_ONCE = frozenset({FaultKind.CLOSE, FaultKind.GARBAGE})
"""These happen once, now."""


class Fault(Struct):
    """One fault and whom it meets; a None matches everything.

    Attributes:
        until_ns: monotonic end; None for one without a duration.
        left: how many more times it strikes; None for one bounded by time.
        conns: the connections of a ``half_open``; None for all, later ones included.
        path: of a request, as ``/v5/order/create``.
        code: close code; of a server error the venue's own code, where it has such.
        delay_ms, skew_ms: of ``delay``, ``stale_reads`` and ``lag``, and of ``skew``.
        share, draw: how likely it strikes, 0..1, and what draws that.
    """

    kind: FaultKind
    venue: str | None = None
    market: str | None = None
    symbol: str | None = None
    conns: frozenset[str] | None = None
    until_ns: int | None = None
    left: int | None = None
    path: str | None = None
    code: int | None = None
    delay_ms: int = 0
    skew_ms: int = 0
    share: float = 1.0
    draw: Random | None = None

    def happens(self) -> bool:
        """Tell whether it strikes this time; a fault without a share always does."""
        return self.draw is None or self.draw.random() < self.share

    def meets(self, conn: str, venue: str, market: str, symbol: str | None) -> bool:
        """Tell whether the fault is aimed at a connection (and, where it names one, a symbol)."""
        return (
            (self.conns is None or conn in self.conns)
            and self.venue in (None, venue)
            and self.market in (None, market)
            and (symbol is None or self.symbol in (None, symbol))
        )


class Faults:
    """The faults in force."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._active)

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._active.append(fault)

    def clear(self) -> None:
        """End all faults."""
        self._active.clear()

    def active(self) -> list[Fault]:
        """Return the faults in force, ended ones removed."""
        now_ns = self._clock.monotonic_ns()
        self._active = [
            fault
            for fault in self._active
            if (fault.until_ns is None or fault.until_ns > now_ns) and fault.left != 0
        ]
        return self._active

    def strikes(
        self, kind: FaultKind, conn: str, venue: str, market: str, symbol: str | None = None
    ) -> bool:
        """Tell whether a fault of this kind hits now, and count the blow."""
        return (
            self._strike(kind, lambda fault: fault.meets(conn, venue, market, symbol)) is not None
        )

    def hits_event(
        self, kind: FaultKind, conn: str, venue: str, market: str | None
    ) -> Fault | None:
        """Return the fault of this kind that hits an account event, and count the blow.

        An event of both markets (a wallet) has None and is met by faults of either.
        """
        return self._strike(
            kind,
            lambda fault: (
                (fault.conns is None or conn in fault.conns)
                and fault.venue in (None, venue)
                and (market is None or fault.market in (None, market))
            ),
        )

    def hits_call(self, kind: FaultKind, venue: str, market: str | None, path: str) -> Fault | None:
        """Return the fault of this kind that hits a request, and count the blow.

        A request that names no market has None and is met only by faults of every market.
        """
        return self._strike(
            kind,
            lambda fault: (
                fault.venue in (None, venue)
                and fault.market in (None, market)
                and fault.path in (None, path)
            ),
        )

    def skew_ms(self, venue: str) -> int:
        """Return how far the venue's clock is ahead, in ms."""
        return sum(
            fault.skew_ms
            for fault in self.active()
            if fault.kind is FaultKind.SKEW and fault.venue in (None, venue)
        )

    def _strike(self, kind: FaultKind, is_met: Callable[[Fault], bool]) -> Fault | None:
        if not self._active:
            return None
        for fault in self.active():
            if fault.kind is kind and is_met(fault) and fault.happens():
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None
