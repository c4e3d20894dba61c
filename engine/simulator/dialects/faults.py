"""What goes wrong on purpose between the simulated market and its clients."""

from enum import StrEnum

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
    """

    MUTE = "mute"
    CLOSE = "close"
    HALF_OPEN = "half_open"
    REFUSE = "refuse"
    GARBAGE = "garbage"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    REJECT_SUB = "reject_sub"


LASTING = frozenset({FaultKind.MUTE, FaultKind.HALF_OPEN, FaultKind.REFUSE})
"""Without a duration these last until they are cleared."""

AT_ONCE = frozenset({FaultKind.CLOSE, FaultKind.GARBAGE})
"""These happen once, now."""


class Fault(Struct):
    """One fault and whom it meets; a None matches everything.

    Attributes:
        until_ns: monotonic end; None for one without a duration.
        left: how many more times it strikes; None for one bounded by time.
        conns: the connections of a ``half_open``; None for all, later ones included.
        code: close code.
    """

    kind: FaultKind
    venue: str | None = None
    market: str | None = None
    symbol: str | None = None
    conns: frozenset[str] | None = None
    until_ns: int | None = None
    left: int | None = None
    code: int = 1011

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
        for fault in self.active():
            if fault.kind is kind and fault.meets(conn, venue, market, symbol):
                if fault.left is not None:
                    fault.left -= 1
                return True
        return False
