"""What a desk shows of its orders and positions."""

from decimal import Decimal

from msgspec import Struct

from engine.model.exits import Side
from engine.model.instrument import Instrument, Market
from engine.model.money import ZERO, ratio
from engine.model.order import FINAL, Fill, Order, OrderStatus
from engine.simulator.account import MarginMode
from engine.simulator.matching import VenueOrder
from engine.simulator.terms import Terms

__all__ = ["Cancelled", "DeskOrder", "MarginMode", "PositionRow"]


class DeskOrder(Struct, frozen=True):
    """An order as the venue's order record shows it, with what was asked of it.

    Attributes:
        record: the model's own row.
        created_ns, updated_ns: venue time, UTC, nanoseconds since the epoch.
        triggered_ns: when a conditional order triggered; None before, and for others.
        child_id: the id of the order that a triggered one placed, where the venue places another
            (Binance USD-M ``actualOrderId``); its fills carry this id.
    """

    record: VenueOrder
    terms: Terms
    created_ns: int
    updated_ns: int
    triggered_ns: int | None = None
    child_id: str | None = None

    @property
    def order(self) -> Order:
        return self.record.order

    @property
    def venue_order_id(self) -> str:
        return self.record.venue_order_id

    @property
    def market(self) -> Market:
        return self.record.order.instrument.id.market

    @property
    def status(self) -> OrderStatus:
        """``acknowledged`` while it rests or waits to be matched."""
        return self.record.status

    @property
    def is_final(self) -> bool:
        return self.record.status in FINAL

    @property
    def is_resting(self) -> bool:
        """Whether it is a conditional order that has not triggered."""
        return self.terms.trigger is not None and self.triggered_ns is None and not self.is_final

    @property
    def fills(self) -> tuple[Fill, ...]:
        return self.record.fills

    @property
    def filled_qty(self) -> Decimal:
        return self.record.filled_qty

    @property
    def filled_value(self) -> Decimal:
        """Quote asset that its executions moved."""
        return sum((fill.qty * fill.price for fill in self.fills), ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Quote asset; None before the first execution."""
        return ratio(self.filled_value, self.filled_qty) if self.filled_qty else None

    @property
    def fees(self) -> dict[str, Decimal]:
        """What its executions cost, per asset."""
        sums: dict[str, Decimal] = {}
        for fill in self.fills:
            sums[fill.fee_asset] = sums.get(fill.fee_asset, ZERO) + fill.fee
        return sums

    @property
    def cause(self) -> str:
        """The first word of the message of a refusal or a cancellation; empty where there is none.

        One of ``duplicate_id``, ``not_trading``, ``lot_size``, ``max_market_qty``,
        ``tick_size``, ``min_notional``, ``reduce_only``, ``insufficient_balance``, ``no_price``,
        ``trigger_passed``, ``position_mode``, ``ioc``, ``cancelled``.
        """
        return (self.record.message or "").partition(":")[0]


class PositionRow(Struct, frozen=True):
    """A linear position or one leg of it; amounts in quote asset unless told otherwise.

    Attributes:
        leg: None in one-way mode.
        qty: base asset, never negative; ``side`` is its direction.
        margin: what it locks.
        mark: the latest mark price; None before the first.
    """

    instrument: Instrument
    leg: Side | None
    side: Side
    qty: Decimal
    entry_price: Decimal
    leverage: Decimal
    margin_mode: MarginMode
    margin: Decimal
    liquidation_price: Decimal | None
    mark: Decimal | None
    unrealised: Decimal
    maintenance: Decimal


class Cancelled(Struct, frozen=True):
    """The answer to a cancellation: the order as it stands now, and whether this ended it."""

    order: DeskOrder
    done: bool
