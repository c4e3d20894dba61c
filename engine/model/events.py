"""Facts that reach the guardian, in the past tense. Ticks are in ``ticks``.

Times named ``at_ns`` are UTC nanoseconds since the epoch, read by the shell; ``received_ns`` and
``sent_ns`` are local monotonic nanoseconds. Random values (ids) arrive inside events too.
"""

from decimal import Decimal

from msgspec import Struct

from engine.model.exit_set import ExitChanges
from engine.model.exits import ExitReason, Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, Order, OrderStatus, Refusal
from engine.model.position import Position
from engine.model.signal import Signal, SignalRecord
from engine.model.ticks import PriceSource, Tick


class Balance(Struct, frozen=True):
    """One asset of one venue's account, in units of the asset; total = free + locked.

    ``market`` is set where the venue keeps a wallet for each market (Binance); None is one wallet
    for all (Bybit's unified account, the paper account).
    """

    venue: str
    asset: str
    total: Decimal
    free: Decimal
    locked: Decimal
    market: Market | None = None


class VenuePosition(Struct, frozen=True):
    """What the venue says we hold on one linear instrument, in base asset."""

    instrument: InstrumentId
    side: Side
    qty: Decimal
    entry_price: Decimal
    liquidation_price: Decimal | None = None


class Started(Struct, frozen=True):
    """The process came up and the ledger was read; recovery begins."""

    at_ns: int
    accepting: bool
    since_ns: int = 0
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    signals: tuple[SignalRecord, ...] = ()
    balances: tuple[Balance, ...] = ()
    booked: frozenset[tuple[str, str]] = frozenset()
    """(client order id, else position id; venue trade id) of every fill in the ledger for these,
    and (instrument, venue trade id) of the latest fills of orders that were not ours and of the
    latest funding."""


class SignalReceived(Struct, frozen=True):
    """A signal was authenticated, read and found new. ``position_id`` is a fresh random id."""

    signal: Signal
    position_id: str
    at_ns: int


class CloseRequested(Struct, frozen=True):
    """The owner asked to close a position, or ``fraction`` (0 < f <= 1) of what is open of it."""

    position_id: str
    actor: str
    at_ns: int
    fraction: Decimal = Decimal(1)
    reason: ExitReason = ExitReason.MANUAL


class ExitsAmended(Struct, frozen=True):
    """The owner changed exit rules of a position; ``Guardian.amendment_problems`` is empty."""

    position_id: str
    changes: ExitChanges
    actor: str
    at_ns: int


class AdoptionWanted(Struct, frozen=True):
    """The owner is about to hand a position over: its price and the account are needed soon."""

    instrument: Instrument
    at_ns: int


class PositionAdopted(Struct, frozen=True):
    """The owner handed over what the venue holds of an instrument and is not ours.

    ``Guardian.adoption_obstacles`` is empty. ``position_id`` is a fresh random id. ``side`` names
    the leg where there are two. ``entry_price``, quote asset, is for spot, where the venue keeps
    none; None takes the price now.
    """

    position_id: str
    instrument: Instrument
    exits: ExitChanges
    actor: str
    at_ns: int
    side: Side | None = None
    entry_price: Decimal | None = None


class BotSwitched(Struct, frozen=True):
    """The owner started or stopped the acceptance of entries."""

    accepting: bool
    actor: str
    at_ns: int


class OrderSent(Struct, frozen=True):
    """The request was handed to the venue's socket (or to the paper account)."""

    client_order_id: str
    at_ns: int
    sent_ns: int


class OrderUpdated(Struct, frozen=True):
    """The venue said where an order stands; fills are reported apart, before a final status.

    ``filled_qty`` is what the venue counts as filled; None where it does not say. When it is more
    than the fills we have, the order is looked up. ``refusal`` tells why it was ``rejected``.
    """

    client_order_id: str
    status: OrderStatus
    at_ns: int
    filled_qty: Decimal | None = None
    venue_order_id: str | None = None
    message: str | None = None
    refusal: Refusal = Refusal.OTHER


class OrderDeferred(Struct, frozen=True):
    """The venue said that it did not take the request: busy, rate limit, ban, clock off.

    The same request may be sent again, under its id, after ``retry_after_ns``.
    """

    client_order_id: str
    at_ns: int
    retry_after_ns: int = 0
    message: str | None = None


class OrderLookedUp(Struct, frozen=True):
    """The answer to ``LookUpOrder``: where the order stands, with its fills, or not found.

    ``qty`` is the quantity the venue has for it, in base asset. Not found means that open orders,
    history and executions were asked and none has it; that is a miss and no proof (DESIGN.md 2.2)
    unless it is ``certain``, as it is of an account whose books we can see whole.
    """

    client_order_id: str
    at_ns: int
    found: bool
    status: OrderStatus | None = None
    qty: Decimal | None = None
    fills: tuple[Fill, ...] = ()
    venue_order_id: str | None = None
    message: str | None = None
    certain: bool = False


class OrderFilled(Struct, frozen=True):
    """The venue executed part or all of an order, ours or (without a client order id) not."""

    fill: Fill
    at_ns: int


class FundingPaid(Struct, frozen=True):
    """The venue settled funding on an instrument; ``amount`` in quote asset, positive when paid."""

    venue_trade_id: str
    instrument: Instrument
    amount: Decimal
    time_ns: int


class BalancesReported(Struct, frozen=True):
    """The venue told balances; assets not named are unchanged."""

    balances: tuple[Balance, ...]
    at_ns: int


class AccountReported(Struct, frozen=True):
    """The answer to ``ReadAccount``: all that the venue holds, at one moment.

    Its executions up to that moment were told before (``OrderFilled``, ``FundingPaid``), ours and
    others'. An instrument without a row is flat, an asset without a row is zero. ``as_of_ns`` is
    when the request left, local monotonic: what happened after it may be missing. ``hedged``: the
    venue keeps long and short of a linear instrument apart (hedge mode).
    """

    venue: str
    positions: tuple[VenuePosition, ...]
    balances: tuple[Balance, ...]
    at_ns: int
    as_of_ns: int
    hedged: bool = False


class AccountResumed(Struct, frozen=True):
    """The venue's stream of account events is there again: some may have been missed."""

    venue: str
    at_ns: int


class TradingStopped(Struct, frozen=True):
    """The venue takes no requests of ours until the owner acts: key, permission, address.

    ``message`` says what to do.
    """

    venue: str
    message: str
    at_ns: int


class TradingResumed(Struct, frozen=True):
    """The venue takes requests of ours again."""

    venue: str
    at_ns: int


class InstrumentRefreshed(Struct, frozen=True):
    """The answer to ``RefreshInstrument``: the filters as the venue has them now."""

    instrument: Instrument
    at_ns: int


class FeedLost(Struct, frozen=True):
    """Prices of these instruments stopped arriving."""

    instruments: tuple[InstrumentId, ...]
    cause: str
    at_ns: int


class FeedResumed(Struct, frozen=True):
    """Prices of these instruments arrive (again)."""

    instruments: tuple[InstrumentId, ...]
    at_ns: int


class PricesChecked(Struct, frozen=True):
    """The answer to ``CheckPrices``: what the venue says by REST, None where it does not.

    Prices are nearest doubles as in ticks.
    """

    instrument: InstrumentId
    at_ns: int
    received_ns: int
    last: float | None = None
    bid: float | None = None
    ask: float | None = None
    mark: float | None = None


class MissedPrice(Struct, frozen=True):
    """A price of a gap: a trade (``high`` = ``low`` = its price), or the extremes of one bar.

    ``from_ms``, ``to_ms`` are venue times in ms, equal for a trade; prices are nearest doubles.
    """

    from_ms: int
    to_ms: int
    low: float
    high: float


class PricesMissed(Struct, frozen=True):
    """The answer to ``FetchMissed``: what traded while no prices arrived, oldest first.

    ``source`` is the stream they would have come by; of a book nothing can be had afterwards.
    ``complete`` is False when the venue's memory begins after the gap did.
    """

    instrument: InstrumentId
    source: PriceSource
    prices: tuple[MissedPrice, ...]
    complete: bool
    at_ns: int


class LeaseChanged(Struct, frozen=True):
    """Whether we are the one writer now; past its lease a holder looks up before it closes.

    ``withheld`` are the client order ids of closes that were decided before this was known and
    were not sent.
    """

    held: bool
    at_ns: int
    withheld: tuple[str, ...] = ()


class Continued(Struct, frozen=True):
    """Other work had its turn: the closes that one price asks for are gone on with."""

    at_ns: int


class ClockAdvanced(Struct, frozen=True):
    """Time passed: both clocks at one moment, a few times a second, the first before all else.

    Deadlines are kept in monotonic time; the moment of a frame is told in UTC by both. ``late_ns``
    is how long after its turn it came.
    """

    at_ns: int
    monotonic_ns: int
    late_ns: int = 0


Event = (
    Tick
    | Started
    | SignalReceived
    | CloseRequested
    | ExitsAmended
    | AdoptionWanted
    | PositionAdopted
    | BotSwitched
    | OrderSent
    | OrderUpdated
    | OrderDeferred
    | OrderLookedUp
    | OrderFilled
    | FundingPaid
    | BalancesReported
    | AccountReported
    | AccountResumed
    | TradingStopped
    | TradingResumed
    | InstrumentRefreshed
    | FeedLost
    | FeedResumed
    | PricesChecked
    | PricesMissed
    | LeaseChanged
    | Continued
    | ClockAdvanced
)
