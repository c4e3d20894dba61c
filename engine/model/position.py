"""A position: its life cycle as one table and its money as pure functions of its fills."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.errors import IllegalTransition
from engine.model.exit_set import Exits
from engine.model.exits import ExitReason, Side
from engine.model.instrument import Instrument
from engine.model.money import ZERO, ratio
from engine.model.order import OrderSide
from engine.model.ticks import PriceSource


class PositionStatus(StrEnum):
    """Where a position stands."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    REJECTED = "rejected"
    STUCK = "stuck"


class GuardStatus(StrEnum):
    """Whether the position's limits are watched.

    ``armed``: every tick is compared. ``resolving``: the venue is being asked about its orders; a
    crossing is remembered and acted upon when it answers. ``blind``: no price arrives.
    """

    ARMED = "armed"
    RESOLVING = "resolving"
    BLIND = "blind"


ACTIVE = frozenset(
    {
        PositionStatus.OPENING,
        PositionStatus.OPEN,
        PositionStatus.CLOSING,
        PositionStatus.STUCK,
    }
)

# A part-close leaves its position ``open``. ``closing`` ends ``rejected`` when the close came while
# the entry was in flight and nothing of it was filled. ``stuck`` is alarmed and still retried.
TRANSITIONS: dict[PositionStatus, frozenset[PositionStatus]] = {
    PositionStatus.OPENING: frozenset(
        {
            PositionStatus.OPEN,
            PositionStatus.CLOSING,
            PositionStatus.CLOSED,
            PositionStatus.REJECTED,
        }
    ),
    PositionStatus.OPEN: frozenset({PositionStatus.CLOSING, PositionStatus.CLOSED}),
    PositionStatus.CLOSING: frozenset(
        {PositionStatus.STUCK, PositionStatus.CLOSED, PositionStatus.REJECTED}
    ),
    PositionStatus.STUCK: frozenset({PositionStatus.CLOSING, PositionStatus.CLOSED}),
    PositionStatus.CLOSED: frozenset(),
    PositionStatus.REJECTED: frozenset(),
}


class Progress(Struct, frozen=True):
    """How far the rules of a position have come.

    Attributes:
        peak: the best price that counts for the trailing stop; None while it is not active.
        at_break_even: whether the stop was moved to break-even.
        rungs_done: rungs of the ladder that were reached; they are the first ones.
        rung_qty: base quantity that the reached rungs ask for, before rounding to the step.
        rung_filled: base quantity that they have closed.
        adds: add orders made so far.
        armed_ns: since when the rules are as they are: the last fill of the entry, by the venue's
            clock, or the owner's last change of them, by ours; UTC ns.
        moved_ns: since when the peak and the stop are where they are; UTC ns, 0 never moved.
    """

    peak: Decimal | None = None
    at_break_even: bool = False
    rungs_done: int = 0
    rung_qty: Decimal = ZERO
    rung_filled: Decimal = ZERO
    adds: int = 0
    armed_ns: int = 0
    moved_ns: int = 0

    @property
    def holds_since_ns(self) -> int:
        """Since when no price has changed anything; UTC ns."""
        return max(self.armed_ns, self.moved_ns)


class Position(Struct, frozen=True):
    """One position, with sums over its fills instead of rounded averages.

    Attributes:
        qty: filled entry quantity, in base asset.
        base_fees: fees of entry fills that were paid in the base asset, so never held.
        entry_value: value at the fills' prices, in quote asset, of what was received: the filled
            quantity less base fees. Where all fills pay the same rate, the average that follows is
            that of the fills; where they do not, it keeps the identity of CONTRACT.md section 6.
        exit_qty, exit_value: closed quantity (base) and its value at the fills' prices (quote).
        dust: unsellable rest in base asset, booked when the position is closed.
        fees, funding: quote asset, positive when paid. ``fees_unvalued`` tells that some fee had no
            rate and is missing from ``fees``.
        take_profit, stop_loss: thresholds in quote asset; None when disarmed or before entry. A
            stop that was moved to break-even is ``stop_loss`` too.
        exit_generation: generation of the last exit order, -1 before the first.
        closing_signal_id: the signal that asked for the whole close, if one did.
        entry_time_ns, exit_time_ns, created_at_ns: UTC, nanoseconds since the epoch.
        reaction_ms: frame received to request handed over, for closes that a frame caused.
        backstop: price of the stop order that rests at the venue; None while none does.
        backstop_problem: why none rests there, or not for all of it.
        backstop_generation: generation of the last one, -1 before the first.
    """

    id: str
    instrument: Instrument
    side: Side
    exits: Exits
    trigger: PriceSource
    created_at_ns: int
    signal_id: str | None = None
    strategy: str | None = None
    status: PositionStatus = PositionStatus.OPENING
    guard: GuardStatus = GuardStatus.RESOLVING
    qty: Decimal = ZERO
    entry_value: Decimal = ZERO
    base_fees: Decimal = ZERO
    exit_qty: Decimal = ZERO
    exit_value: Decimal = ZERO
    dust: Decimal = ZERO
    fees: Decimal = ZERO
    fees_unvalued: bool = False
    funding: Decimal = ZERO
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    progress: Progress = Progress()
    exit_generation: int = -1
    closing_signal_id: str | None = None
    entry_time_ns: int | None = None
    exit_time_ns: int | None = None
    exit_reason: ExitReason | None = None
    reaction_ms: float | None = None
    current_price: Decimal | None = None
    backstop: Decimal | None = None
    backstop_problem: str | None = None
    backstop_generation: int = -1

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def received(self) -> Decimal:
        """Base quantity that the entry put into our hands: what was filled less base fees."""
        return self.qty - self.base_fees

    @property
    def qty_open(self) -> Decimal:
        """Base quantity still held: what was received less exits and booked dust."""
        return self.received - self.exit_qty - self.dust

    @property
    def closable(self) -> Decimal:
        """What an exit order can ask for: the held quantity, rounded down to the step."""
        return self.instrument.floor_qty(self.qty_open)

    @property
    def entry_price(self) -> Decimal | None:
        """Quantity-weighted average of the entry fills, rounded for display; None before one."""
        return ratio(self.entry_value, self.received) if self.received else None

    @property
    def exit_price(self) -> Decimal | None:
        """Quantity-weighted average of the exit fills, rounded for display; None before one."""
        return ratio(self.exit_value, self.exit_qty) if self.exit_qty else None

    @property
    def realized_pnl(self) -> Decimal:
        """Closed quantity x (exit - average entry), signed by side, before fees and funding."""
        if not self.exit_qty or not self.received:
            return ZERO
        cost = ratio(self.entry_value * self.exit_qty, self.received)
        return self.side.sign * (self.exit_value - cost)

    @property
    def net_pnl(self) -> Decimal:
        """Realised P&L less fees and funding."""
        return self.realized_pnl - self.fees - self.funding

    @property
    def entry_side(self) -> OrderSide:
        return OrderSide.BUY if self.side is Side.LONG else OrderSide.SELL

    @property
    def exit_side(self) -> OrderSide:
        return self.entry_side.opposite

    def unrealized_pnl(self, price: Decimal) -> Decimal:
        """P&L of the open quantity at ``price``, before fees."""
        if not self.received:
            return ZERO
        cost = ratio(self.entry_value * self.qty_open, self.received)
        return self.side.sign * (self.qty_open * price - cost)


def check_position_transition(position: Position, status: PositionStatus) -> None:
    """Raise IllegalTransition unless the table lets ``position`` go to ``status``."""
    if status not in TRANSITIONS[position.status]:
        raise IllegalTransition(
            f"position {position.id} cannot go from {position.status} to {status}"
        )
