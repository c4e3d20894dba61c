"""One venue's account as its client library serves it: what an adapter gives the broker.

Each method is one request (or one page after the other), in the venue's own format. What a venue
answers to an order is one of five things, and the table of its error codes says which
(``Verdict``). Nothing is retried here: the core decides that.
"""

from collections.abc import Callable, Coroutine, Sequence
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from engine.model.errors import TickguardError
from engine.model.events import VenuePosition
from engine.model.instrument import Instrument, Market
from engine.model.order import Order, Refusal
from engine.ports import BrokerEvent


class Outcome(StrEnum):
    """What an error answer says became of a request.

    ``rejected``: refused for good, nothing was done. ``retry``: not taken, the same request may go
    again under its id. ``unknown``: it may have been taken, so it is looked up. ``wait``: not
    taken, and nothing may be sent before ``Verdict.wait_ns`` is over. ``stop``: not taken, and
    nothing will be until the owner acts (key, permission, address).
    """

    REJECTED = "rejected"
    RETRY = "retry"
    UNKNOWN = "unknown"
    WAIT = "wait"
    STOP = "stop"


class Verdict(Struct, frozen=True):
    """A row of a venue's table of error codes.

    Attributes:
        refusal: of ``rejected``: what may be done next.
        wait_ns: of ``wait`` and ``retry``: for how long, where the venue names no time.
        skewed: our clock is off: it is set by the venue's before the next request.
        remedy: of ``stop``: what the owner has to do.
    """

    outcome: Outcome
    refusal: Refusal = Refusal.OTHER
    wait_ns: int = 0
    skewed: bool = False
    remedy: str = ""


class RequestFailed(TickguardError):
    """A venue answered a request with an error, or not at all.

    Attributes:
        code: the venue's own code as text; empty where there was no answer.
    """

    def __init__(self, verdict: Verdict, message: str, code: str = "") -> None:
        super().__init__(message)
        self.verdict = verdict
        self.code = code


class Urgency(StrEnum):
    """Who goes first where requests are rationed; the first may always go."""

    CLOSE = "close"
    ORDER = "order"
    LOOK_UP = "look_up"
    HOUSEKEEPING = "housekeeping"


Sent = Callable[[int], None]
"""Told the local monotonic time at which a request was handed to the socket."""


class VenueAccount(Protocol):
    """What differs from venue to venue. All methods raise ``RequestFailed``; none retries."""

    venue: str

    async def open(self) -> None:
        """Set the clock by the venue's, and read the position mode and what the key may do."""

    async def close(self) -> None:
        """Give sessions and threads back; requests that were sent are not waited for."""

    async def prepare(self, instrument: Instrument, *, is_alone: bool) -> None:
        """Set leverage (and the margin mode, if told) before the first entry on an instrument.

        Both are read back. ``is_alone``: nothing that is not ours is open on it; otherwise nothing
        is changed.
        """

    def begin(self, order: Order, sent: Sent) -> Coroutine[Any, Any, Sequence[BrokerEvent]] | None:
        """Send an order within this call, where nothing has to be asked or waited for before.

        Returns what is to be awaited in the place of ``place``; None where ``place`` is to be
        called, and nothing was sent.
        """

    async def place(self, order: Order, sent: Sent) -> Sequence[BrokerEvent]:
        """Send an order, once; returns what the answer says, fills before a final status."""

    async def cancel(self, order: Order) -> Sequence[BrokerEvent]:
        """Cancel a resting order; returns its end, fills first. Nothing where it is not known."""

    async def find(self, order: Order) -> BrokerEvent:
        """Look an order up in open orders, history and executions (``OrderLookedUp``)."""

    async def read(self, instruments: Sequence[Instrument]) -> Sequence[BrokerEvent]:
        """Read executions and settlements since the last reading, then the account.

        The last event is ``AccountReported``, its ``as_of_ns`` the moment before the first request.
        """

    async def filters(self, instrument: Instrument) -> Instrument:
        """Read an instrument's filters as they are now."""

    def positions(self) -> Sequence[VenuePosition]:
        """The venue's positions as last read or streamed."""

    async def run(self, sink: Callable[[BrokerEvent], None]) -> None:
        """Keep clock and account streams alive until cancelled; tell what happens.

        ``AccountResumed`` follows each connection: what came before it may have been missed.
        """


class AccountFacts(Struct, frozen=True):
    """What ``tickguard doctor`` asks of a venue: facts, not yet judged.

    Attributes:
        offset_ms: the venue's clock less ours. round_trip_ms: of the request that told it.
        may_trade: markets on which the key may trade.
        may_withdraw, may_transfer: what a guard's key must not.
        bound_to_ip: whether the venue takes the key from named addresses only.
        expires_at_ns: UTC; None never.
        hedged: long and short of linear instruments are kept apart.
        balances: (wallet, asset, total) of what is there, as texts.
        taker_fees: per market, as a percent text; what the venue told.
        notes: what else the owner should know, one sentence each.
    """

    offset_ms: float
    round_trip_ms: float
    may_trade: tuple[Market, ...]
    may_withdraw: bool
    may_transfer: bool
    bound_to_ip: bool
    hedged: bool | None = None
    expires_at_ns: int | None = None
    balances: tuple[tuple[str, str, str], ...] = ()
    taker_fees: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class Examined(Protocol):
    """An account that can tell about its key."""

    async def examine(self) -> AccountFacts:
        """Ask the venue about clock, key, mode, balances and fees; raises RequestFailed."""


class ExaminedAccount(VenueAccount, Examined, Protocol):
    """An account that can be traded with, and asked about its key."""
