"""Orders and fills, and the life cycle of an order as one table."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.errors import IllegalTransition
from engine.model.exits import ExitReason, Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument
from engine.model.money import ZERO


class OrderSide(StrEnum):
    """What an order does to the base asset."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "OrderSide":
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class OrderStatus(StrEnum):
    """Where an order stands. ``unknown`` means that the venue has to be asked."""

    INTENDED = "intended"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


_IN_FLIGHT = frozenset(
    {
        OrderStatus.SENT,
        OrderStatus.ACKNOWLEDGED,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.UNKNOWN,
    }
)
FINAL = frozenset({OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.CANCELLED})

# Rows are where an order is, columns where it may go. A venue's events may overtake each other and
# the reply to the request, so every state in flight may end in every final one and may be told
# again; nothing leaves a final state. ``unknown`` ends only by what the venue says, never by a
# timeout.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.INTENDED: _IN_FLIGHT | FINAL,
    OrderStatus.SENT: _IN_FLIGHT | FINAL,
    OrderStatus.ACKNOWLEDGED: frozenset(
        {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNKNOWN} | FINAL
    ),
    OrderStatus.PARTIALLY_FILLED: frozenset(
        {OrderStatus.PARTIALLY_FILLED, OrderStatus.UNKNOWN} | FINAL
    ),
    OrderStatus.UNKNOWN: _IN_FLIGHT | FINAL,
    OrderStatus.FILLED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}


class Refusal(StrEnum):
    """Why a venue refused an order for good, by what may be done next.

    ``other``: asked again after a pause. ``filters``: quantity, value or price bounds; the
    instrument's filters are read again first. ``reduce_only``: there is nothing to reduce; the
    account is read again first. ``balance``: too little is free; read again too.
    """

    OTHER = "other"
    FILTERS = "filters"
    REDUCE_ONLY = "reduce_only"
    BALANCE = "balance"


class Order(Struct, frozen=True):
    """One order of ours.

    Attributes:
        qty, filled_qty: base asset.
        reason: for exits, what triggered it.
        trigger_price: for exits by the guard, the price that was compared, in quote asset; for a
            backstop, where the venue is to trigger it.
        trigger_received_ns: monotonic time of the frame that triggered it; 0 when none did. It
            has a meaning only inside the process that received the frame.
        signal_id: the signal that asked for it, if one did.
        actor: who asked for it (``guard``, ``signal``, or the owner's key name).
    """

    client_order_id: str
    position_id: str
    instrument: Instrument
    side: OrderSide
    purpose: Purpose
    generation: int
    qty: Decimal
    reduce_only: bool
    created_at_ns: int
    actor: str
    status: OrderStatus = OrderStatus.INTENDED
    filled_qty: Decimal = ZERO
    venue_order_id: str | None = None
    reason: ExitReason | None = None
    trigger_price: Decimal | None = None
    trigger_received_ns: int = 0
    signal_id: str | None = None
    message: str | None = None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


def check_order_transition(order: Order, status: OrderStatus) -> None:
    """Raise IllegalTransition unless the table lets ``order`` go to ``status``."""
    if status not in TRANSITIONS[order.status]:
        raise IllegalTransition(
            f"order {order.client_order_id} cannot go from {order.status} to {status}"
        )


class FillKind(StrEnum):
    """Why the venue executed something.

    ``adl``: it reduced the position for want of a liquidated one's money (auto-deleveraging).
    ``adopted`` is no execution: it books what was held already when its owner handed it to us.
    """

    TRADE = "trade"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    ADOPTED = "adopted"


class Fill(Struct, frozen=True):
    """One execution as the venue reports it.

    Attributes:
        venue_trade_id: the venue's id of the execution; with venue and market it is unique.
        client_order_id: ours, or None when the order is not ours.
        qty: base asset. price: quote asset. fee: in ``fee_asset``, positive when paid.
        fee_rate: value of one unit of ``fee_asset`` in quote asset at fill time; None when the
            venue gave no rate, which is flagged, never taken for zero.
        time_ns: venue time, UTC, nanoseconds since the epoch.
        leg: which side of a hedged account it changed; None where the venue nets or does not tell.
    """

    venue_trade_id: str
    instrument: Instrument
    side: OrderSide
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    time_ns: int
    client_order_id: str | None = None
    venue_order_id: str | None = None
    fee_rate: Decimal | None = None
    kind: FillKind = FillKind.TRADE
    leg: Side | None = None

    @property
    def reduced_side(self) -> Side | None:
        """The side that it may have reduced; None of one that only added to its leg."""
        side = Side.LONG if self.side is OrderSide.SELL else Side.SHORT
        return side if self.leg in (None, side) else None
