"""What the core needs from outside, as protocols. Adapters implement, ``api.main`` wires them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from engine.model.effects import Record
from engine.model.events import (
    AccountReported,
    AccountResumed,
    BalancesReported,
    FeedLost,
    FeedResumed,
    FundingPaid,
    InstrumentRefreshed,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    PricesChecked,
    PricesMissed,
    Started,
    TradingResumed,
    TradingStopped,
    VenuePosition,
)
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Order
from engine.model.signal import SignalRecord
from engine.model.ticks import PriceSource, Tick

FeedEvent = FeedLost | FeedResumed | PricesChecked | PricesMissed
BrokerEvent = (
    OrderSent
    | OrderUpdated
    | OrderDeferred
    | OrderFilled
    | OrderLookedUp
    | FundingPaid
    | BalancesReported
    | AccountReported
    | AccountResumed
    | TradingStopped
    | TradingResumed
    | InstrumentRefreshed
)
TickSink = Callable[[Tick], None]
FeedSink = Callable[[FeedEvent], None]
BrokerSink = Callable[[BrokerEvent], None]


class Clock(Protocol):
    """The two clocks of the process."""

    def now_ns(self) -> int:
        """UTC, nanoseconds since the epoch."""

    def monotonic_ns(self) -> int:
        """Local monotonic time in nanoseconds."""


class Feed(Protocol):
    """Live prices of one venue. Ticks go to the sink in the order the venue sent them."""

    venue: str

    def watch(self, instrument: Instrument) -> None:
        """Stream an instrument's prices from now on; returns at once, repeated calls are free."""

    def unwatch(self, instrument: InstrumentId) -> None:
        """Stop streaming an instrument's prices; returns at once."""

    def check(self, instrument: Instrument) -> None:
        """Ask by REST what a watched instrument costs now; returns at once.

        Answered by ``PricesChecked``; when the venue does not answer, by nothing.
        """

    def fetch_missed(self, instrument: Instrument, source: PriceSource, since_ms: int) -> None:
        """Ask by REST what traded since a venue time in ms; returns at once.

        Answered by ``PricesMissed``; when the venue has no such thing or does not answer, by
        nothing.
        """

    async def run(self) -> None:
        """Keep the streams alive until cancelled."""


class Instruments(Protocol):
    """The instrument lists of one venue."""

    venue: str

    async def load(self, market: Market) -> Sequence[Instrument]:
        """Fetch all instruments of a market.

        Raises:
            Retryable: the venue could not be reached or answered with an error.
        """


class Broker(Protocol):
    """Orders and account of one venue. Everything it learns goes to its sink as events."""

    venue: str

    def submit(self, order: Order) -> None:
        """Hand over an order at once, without waiting; exactly one request, never retried.

        A backstop rests at the venue until its ``trigger_price`` is reached; all others are market
        orders.
        """

    def cancel(self, order: Order) -> None:
        """Have a resting order cancelled; returns at once. Answered by ``OrderUpdated``.

        What it filled before is told first. An error is no answer.
        """

    def look_up(self, order: Order) -> None:
        """Ask open orders, history and executions for an order; answered by ``OrderLookedUp``.

        An error of any of the three is no answer.
        """

    def read_account(self, instruments: Sequence[Instrument]) -> None:
        """Read executions, positions and balances; returns at once.

        ``instruments`` are those that we hold or watch there: where a venue tells executions by
        symbol only, theirs are read. Answered by the executions (``OrderFilled``,
        ``FundingPaid``), then ``AccountReported``.
        """

    def refresh(self, instrument: Instrument) -> None:
        """Read an instrument's filters again; answered by ``InstrumentRefreshed``."""

    def positions(self) -> Sequence[VenuePosition]:
        """The venue's own positions as last known."""

    async def run(self) -> None:
        """Keep the account up to date until cancelled; reports balances first."""


class Ledger(Protocol):
    """The journal. Called from one worker thread at a time; blocking."""

    def commit(self, records: Sequence[Record], number: int = 0) -> None:
        """Write the records of one or more steps, in order, in one transaction.

        Args:
            number: of the commit, from 1; the last one's number again is the same commit, whose
                answer was lost, and is written once. 0 is written each time.

        Raises:
            Retryable: perhaps not written; the same records may be committed under this number.
            Fenced: nothing was written; another writer has taken over.
        """

    def load(self, at_ns: int) -> Started:
        """Read what recovery needs: active positions, their orders and fills, pending signals."""


class Grant(Struct, frozen=True):
    """A lease that was taken.

    Attributes:
        epoch: rises with each taker; whatever is written under an older one is refused.
        wait_ns: how long the taker sends nothing, counted from now: until nothing that a former
            holder sent can still arrive. 0 when there was none, it gave the lease back, or it was
            an earlier process of this very holder.
    """

    epoch: int
    wait_ns: int


class Lease(Protocol):
    """Who may write the ledger: one holder at a time. Blocking, safe from any thread.

    The time that is told, UTC ns, is for other takers only; a holder judges its own lease by its
    monotonic clock.
    """

    def acquire(self, holder: str, at_ns: int, lease_ns: int) -> Grant:
        """Take the lease for ``lease_ns``; ``holder`` is an id that outlives the process.

        Raises:
            Held: another holder's lease is not over.
            Retryable: it could not be asked now; nothing was taken.
        """

    def renew(self, epoch: int, at_ns: int) -> None:
        """Hold the lease of ``epoch`` for as long again, also when it ran out and nobody took it.

        Raises:
            Fenced: another holder has taken over.
            Retryable: it could not be written now.
        """

    def release(self, epoch: int) -> None:
        """Give the lease back, so that the next taker need not wait; not ours any more is fine.

        Raises:
            Retryable: it could not be written now; it runs out by itself.
        """


class SignalStore(Protocol):
    """What the ledger knows of signals. Blocking; called from any thread.

    Every method raises Retryable when the ledger cannot be read now.
    """

    def find_signal(self, source: str, external_id: str) -> SignalRecord | None:
        """Return the signal that a source sent under its own id."""

    def find_recent_body(self, source: str, digest: str, since_ns: int) -> SignalRecord | None:
        """Return the last signal of a source with this body, received then (UTC ns) or later.

        ``digest`` is ``model.signal.body_digest`` of the body without its secret.
        """

    def last_accepted_on(self, instrument: InstrumentId) -> SignalRecord | None:
        """Return the last signal accepted on an instrument from any source."""
